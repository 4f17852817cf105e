//! The agent on this queue: whether one is running, and what it says of itself.

use chrono::{DateTime, Utc};

use super::findings::Finding;
use super::viewer::user;
use crate::cli::output::short;
use crate::job::{ErrorKind, format_utc};
use crate::queue::{AgentWord, Health, Shut};

const CHECK: &str = "agent";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `pid` as the holder of the lock wrote it; the lock itself is the kernel's, and dies with its process.
pub(super) fn findings(pid: Option<&str>, health: &Health, now: DateTime<Utc>) -> Vec<Finding> {
    let Some(pid) = pid else {
        let none = "none is running on this queue";
        return vec![match health.due {
            true => Finding::warn(CHECK, format!("{none}, and jobs are due"))
                .cure("start it: 'systemctl start event-sender'"),
            false => Finding::pass(CHECK, none),
        }];
    };
    let mut findings = vec![Finding::pass(CHECK, running(pid, health.agent.as_ref()))];
    // An agent that has not written its row yet, or cannot, says nothing.
    if let Some(word) = &health.agent {
        findings.extend(told(word, now));
    }
    findings
}

fn running(pid: &str, word: Option<&AgentWord>) -> String {
    use std::os::unix::fs::MetadataExt;
    let who = match std::fs::metadata(format!("/proc/{pid}")) {
        Ok(process) => format!(" of user {}", user(process.uid())),
        // The lock is held, so it lives: in another container, or hidden from who asks.
        Err(_) => ", which cannot be seen from here".to_owned(),
    };
    let since = word.map(|word| format!(", version {}, since {}", word.version, word.started_at)).unwrap_or_default();
    format!("running as process {pid}{who}{since}")
}

fn told(word: &AgentWord, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if word.version != VERSION {
        let text = format!("version {} is running, and this is {VERSION}", word.version);
        findings.push(
            Finding::warn(CHECK, text).cure("restart it to run the new version: 'systemctl restart event-sender'"),
        );
    }
    if let Some(why) = &word.settings_refused {
        let text =
            format!("it goes on with its earlier settings, because the present ones were refused: {}", sentence(why));
        findings.push(Finding::warn(CHECK, text).cure("mend them, then 'systemctl reload event-sender'"));
    }
    findings.extend(word.shut.as_ref().map(|shut| sends_nothing(shut, now)));
    findings
}

fn sends_nothing(shut: &Shut, now: DateTime<Utc>) -> Finding {
    let code = shut.code.as_ref().map(|code| format!(", {}", short(code, 60))).unwrap_or_default();
    let hint = shut.hint.as_ref().map(|hint| format!(": {}", sentence(hint))).unwrap_or_default();
    let cure = match shut.until.filter(|until| *until > now).map(format_utc) {
        Some(until) if shut.kind == ErrorKind::Throttled.as_str() => {
            format!("it goes on by itself, not before {until}")
        }
        Some(until) if shut.kind == ErrorKind::Auth.as_str() => {
            format!(
                "it looks again at {until}, and as soon as a secret in a file is renewed; after a change of settings \
                 'systemctl reload event-sender', of a secret in the credstore 'systemctl restart event-sender'"
            )
        }
        Some(until) => {
            format!("it looks again at {until}; after a change of settings 'systemctl reload event-sender'")
        }
        None => "it is looking again now".to_owned(),
    };
    Finding::warn(CHECK, format!("it sends nothing at all ({}{code}){hint}", shut.kind)).cure(cure)
}

/// Words a cure comes behind.
fn sentence(words: &str) -> String {
    short(words.trim_end().trim_end_matches('.'), 300)
}
