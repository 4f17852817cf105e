//! `status --format nagios`: one line and an exit code, as the Monitoring Plugins' guidelines have them: the state, what is to be
//! known of it, a bar, and figures to be drawn.

use super::Glance;
use crate::advice::health::{Level, of};
use crate::format::short;
use crate::job::{JobState, parse_utc};

/// Nobody could find out.
pub(super) const UNKNOWN: u8 = 3;
/// Monitoring systems take some kilobytes, and people less.
const LONGEST: usize = 1000;

/// Nobody gets up for a warning. No agent is as critical as one that sends nothing.
pub(super) fn code(level: Level) -> u8 {
    match level {
        Level::Fine => 0,
        Level::Look => 1,
        Level::Stopped | Level::NoAgent => 2,
    }
}

pub(super) fn line(glance: &Glance) -> String {
    let health = glance.health();
    let word = ["OK", "WARNING", "CRITICAL"][usize::from(code(health.level))];
    let said: Vec<&str> = std::iter::once(&health.headline).chain(&health.remarks).map(String::as_str).collect();
    format!("EVENT-SENDER {word} - {} | {}", words(&said.join("; ")), figures(glance).join(" "))
}

pub(super) fn unknown(why: &str) -> String {
    format!("EVENT-SENDER UNKNOWN - {}", words(why))
}

/// The bar is where the figures begin.
fn words(text: &str) -> String {
    short(text, LONGEST).replace('|', "/")
}

fn figures(glance: &Glance) -> Vec<String> {
    let Glance { report, news, now, .. } = glance;
    let due = report.oldest_due.as_deref().and_then(parse_utc).map_or(0, |oldest| (*now - oldest).num_seconds().max(0));
    let number = |label: &str, number: i64| format!("{label}={number};;;0;");
    let mailboxes = |label: &str, rows: usize| number(label, i64::try_from(rows).unwrap_or(i64::MAX));
    vec![
        number("waiting", of(report, JobState::Pending)),
        number("due", report.waiting.total.jobs - report.waiting.total.later),
        format!("oldest_due={due}s;;;0;"),
        number("claimed", of(report, JobState::Claimed)),
        number("in_doubt", report.in_doubt),
        number("sent_last_minute", report.last_minute.sent),
        number("sent_last_hour", report.last_hour.sent),
        number("failed_new", news.failed),
        number("failed", of(report, JobState::Failed)),
        mailboxes("paused_mailboxes", report.paused.len()),
        mailboxes("held_mailboxes", report.held.len()),
        mailboxes("paced_mailboxes", report.paced.len()),
    ]
}
