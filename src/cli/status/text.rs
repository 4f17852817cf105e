//! `status` for people: the verdict first, then the figures it rests on, then what to do.

use chrono::{DateTime, Utc};

use super::Glance;
use crate::advice::health::{Health, of};
use crate::cli::output::{self, Tone, line, paint, short};
use crate::format::{self, clock, count, moment, more_mailboxes, span};
use crate::job::{JobState, parse_utc};
use crate::queue::{AGE_COUNT, MailboxRow, Overview, Stored, Trouble, Waiting};

/// Heads of the columns of ages.
pub(super) const AGES: [&str; AGE_COUNT] = ["<1 min", "5 min", "15 min", "1 h", "6 h", "1 d", ">1 d"];
/// Most rows of a table of mailboxes that rest or are held.
const STOPS: usize = 20;

pub(super) fn print(glance: &Glance) -> std::io::Result<()> {
    let health = Health::of(&glance.report, &glance.agent, glance.now);
    output::prose("", 0, &short(&health.headline, 1000), Some(health.tone))?;
    for remark in &health.remarks {
        output::prose("  ", 2, &short(remark, 1000), None)?;
    }
    line("")?;
    figures(glance)?;
    waiting(glance)?;
    troubles(&glance.report, glance.now)?;
    stops("held mailbox", &glance.report.held, glance)?;
    stops("paused mailbox", &glance.report.paused, glance)?;
    paces(&glance.report.paced, glance)?;
    steps(&health)
}

fn figures(glance: &Glance) -> std::io::Result<()> {
    let Glance { report, now, .. } = glance;
    fact("queue", &glance.queue)?;
    fact("agent", &agent(glance))?;
    fact("sending", &sending(glance))?;
    for (state, count) in &report.counts {
        let number = format::count(*count);
        let tone = if *state == JobState::Failed && *count > 0 { Some(Tone::Bad) } else { None };
        let head = format!("{:15} {}", state.as_str(), tone.map_or(number.clone(), |tone| paint(tone, &number)));
        match remark(report, *state, *now) {
            remark if remark.is_empty() => line(&head)?,
            remark => {
                let gap = 11usize.saturating_sub(number.len());
                output::prose(&format!("{head}{:gap$} ", ""), 28, &remark, Some(Tone::Faint))?;
            }
        }
    }
    fact("in doubt", &count(report.in_doubt))
}

fn fact(name: &str, text: &str) -> std::io::Result<()> {
    output::prose(&format!("{name:15} "), 16, text, None)
}

pub(super) fn agent(glance: &Glance) -> String {
    let said = glance.agent.said.as_ref();
    let began = said.map(|said| (&said.version, moment(&said.started_at.to_string(), glance.now)));
    let Some(pid) = &glance.agent.pid else {
        let last = began.map(|(version, began)| format!(" (version {version} ran last, started {began})"));
        return format!("not running{}", last.unwrap_or_default());
    };
    let since = began.map(|(version, began)| format!(", version {version}, since {began}"));
    format!("running (process {pid}){}", since.unwrap_or_default())
}

fn sending(glance: &Glance) -> String {
    match (&glance.agent.pid, glance.agent.gate()) {
        (None, _) => "stopped".into(),
        (_, None) => "open".into(),
        (_, Some(gate)) => format!(
            "paused since {}, until {} at least: {} {}",
            moment(&gate.since.to_string(), glance.now),
            gate.until.time().map_or_else(|| gate.until.to_string(), |until| clock(until, glance.now)),
            gate.kind.word(),
            gate.code
        ),
    }
}

/// What is to be said of a state beside its number.
fn remark(report: &Overview, state: JobState, now: DateTime<Utc>) -> String {
    match state {
        JobState::Pending => {
            let oldest =
                report.oldest_pending.as_deref().map(|oldest| format!("oldest inserted {}", moment(oldest, now)));
            let next = report.waiting.next_due.as_deref().and_then(parse_utc);
            let next = next.filter(|next| *next > now).map(|next| format!("next due in {}", span(next - now)));
            let later =
                (report.waiting.total.later > 0).then(|| format!("{} for later", count(report.waiting.total.later)));
            let behind = (report.behind > 0).then(|| format!("{} behind another", count(report.behind)));
            [oldest, later, behind, next].into_iter().flatten().collect::<Vec<_>>().join("; ")
        }
        JobState::Sent => lately(report.last_minute.sent, report.last_hour.sent),
        JobState::Failed => {
            let kinds = report.failed_by_kind.iter().take(4);
            let kinds = kinds.map(|(kind, jobs)| format!("{} {}", kind.as_deref().unwrap_or("unknown"), count(*jobs)));
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            match (of(report, state), kinds.as_str()) {
                (0, _) => String::new(),
                (_, kinds) => format!("{}; {kinds}", lately(report.last_minute.failed, report.last_hour.failed)),
            }
        }
        JobState::Claimed | JobState::Cancelled => String::new(),
    }
}

fn lately(minute: i64, hour: i64) -> String {
    format!("{} in the last minute, {} in the last hour", count(minute), count(hour))
}

fn waiting(glance: &Glance) -> std::io::Result<()> {
    let waiting = &glance.report.waiting;
    if waiting.total.jobs == 0 || waiting.mailboxes.is_empty() {
        return Ok(());
    }
    line("")?;
    let mut header = vec!["waiting for", "all", "later"];
    header.extend(AGES);
    header.push("");
    let mut rows = vec![row(&waiting.total, "all mailboxes".into(), String::new())];
    rows.extend(
        waiting.mailboxes.iter().map(|one| row(one, glance.name(&one.mailbox), mark(glance, &one.mailbox).to_owned())),
    );
    if let Some(width) = output::width() {
        // What the numbers leave of the terminal.
        let longest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let others: usize = (1..header.len()).map(|column| longest(column).max(header[column].len())).sum();
        let room = width.saturating_sub(others + header.len() * usize::from(output::between())).max(12);
        rows.iter_mut().for_each(|row| row[0] = short(&row[0], room));
    }
    output::numbers(&header, rows, 1..header.len() - 1)?;
    more(waiting.more, "--mailboxes N")
}

fn row(waiting: &Waiting, name: String, mark: String) -> Vec<String> {
    let mut row = vec![name, count(waiting.jobs), number(waiting.later)];
    row.extend(waiting.by_age.map(number));
    row.push(mark);
    row
}

/// A number whose absence is seen from afar.
pub(super) fn number(number: i64) -> String {
    if number == 0 { "·".into() } else { count(number) }
}

/// Whether a mailbox stands still, in one word.
pub(super) fn mark(glance: &Glance, mailbox: &str) -> &'static str {
    match stopped(glance, mailbox) {
        Some(MailboxRow { hold: Some(_), .. }) => "held",
        Some(row) if row.paused_until(glance.now).is_some() => "paused",
        _ if paced(glance, mailbox).is_some() => "paced",
        _ => "",
    }
}

/// A hold comes first, for only a person ends it.
pub(super) fn stopped<'g>(glance: &'g Glance, mailbox: &str) -> Option<&'g MailboxRow> {
    glance.report.held.iter().chain(&glance.report.paused).find(|row| row.mailbox == mailbox)
}

pub(super) fn paced<'g>(glance: &'g Glance, mailbox: &str) -> Option<&'g MailboxRow> {
    glance.report.paced.iter().find(|row| row.mailbox == mailbox)
}

fn troubles(report: &Overview, now: DateTime<Utc>) -> std::io::Result<()> {
    if report.troubles.is_empty() {
        return Ok(());
    }
    line("")?;
    let rows = report.troubles.iter().map(|trouble| trouble_row(trouble, now)).collect();
    output::numbers(&["last error", "jobs", "code", "oldest", "message"], rows, 1..2)
}

/// Kind, jobs, code, age of the oldest, words.
pub(super) fn trouble_row(trouble: &Trouble, now: DateTime<Utc>) -> Vec<String> {
    vec![
        short(&trouble.kind.to_string(), usize::MAX),
        count(trouble.jobs),
        short(&trouble.code.to_string(), 40),
        format::age(&trouble.oldest.to_string(), now).unwrap_or_default(),
        words(&trouble.message.to_string()),
    ]
}

fn stops(title: &str, rows: &[MailboxRow], glance: &Glance) -> std::io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    line("")?;
    let shown = rows.iter().take(STOPS).filter_map(|row| stop_row(row, glance)).collect();
    output::table(&[title, "since or until", "kind", "reason"], shown)?;
    more(i64::try_from(rows.len().saturating_sub(STOPS)).unwrap_or(i64::MAX), "--json has all")
}

/// Mailbox, time, kind, reason.
pub(super) fn stop_row(row: &MailboxRow, glance: &Glance) -> Option<Vec<String>> {
    let name = glance.name(&row.mailbox);
    let clean = |text: &str| short(text, usize::MAX);
    let time = |time: &Stored| clean(&moment(&time.to_string(), glance.now));
    if let Some(hold) = &row.hold {
        return Some(vec![name, time(&hold.since), "held".into(), words(&hold.reason.to_string())]);
    }
    row.paused_until(glance.now)?;
    Some(vec![name, time(&row.pause.until), clean(&row.pause.kind.word()), words(&row.pause.reason)])
}

/// Mailboxes where what mails attendees waits.
fn paces(rows: &[MailboxRow], glance: &Glance) -> std::io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    line("")?;
    let shown = rows.iter().take(STOPS).filter_map(|row| pace_row(row, glance)).collect();
    output::table(&["paced mailbox", "until", "reason"], shown)?;
    more(i64::try_from(rows.len().saturating_sub(STOPS)).unwrap_or(i64::MAX), "--json has all")
}

/// Mailbox, time, reason.
pub(super) fn pace_row(row: &MailboxRow, glance: &Glance) -> Option<Vec<String>> {
    let (until, reason) = row.paced(glance.now)?;
    Some(vec![glance.name(&row.mailbox), clock(until, glance.now), words(reason)])
}

/// What was said, in a table: on a terminal not more than four lines of it.
fn words(text: &str) -> String {
    output::cut(text, output::width().unwrap_or(160).clamp(80, 160))
}

fn more(number: i64, how: &str) -> std::io::Result<()> {
    if number <= 0 {
        return Ok(());
    }
    line(&paint(Tone::Faint, &format!("{} ({how})", more_mailboxes(number))))
}

fn steps(health: &Health) -> std::io::Result<()> {
    if health.steps.is_empty() {
        return Ok(());
    }
    line("")?;
    line(&paint(Tone::Strong, "What to do"))?;
    let width = health.steps.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    for (command, what) in &health.steps {
        output::prose(&format!("  {command:width$}  "), width + 4, what, Some(Tone::Faint))?;
    }
    Ok(())
}
