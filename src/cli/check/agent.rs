//! The agent on this queue: whether one is running, and what it says of itself.

use chrono::{DateTime, Utc};

use super::findings::Finding;
use super::viewer::user;
use crate::cli::output::short;
use crate::job::format_utc;
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
            format!("it goes on with its earlier settings, because the present ones were refused: {}", short(why, 300));
        findings.push(Finding::warn(CHECK, text).cure("mend them, then 'systemctl reload event-sender'"));
    }
    findings.extend(word.shut.as_ref().map(|shut| sends_nothing(shut, now)));
    findings
}

fn sends_nothing(shut: &Shut, now: DateTime<Utc>) -> Finding {
    let code = shut.code.as_ref().map(|code| format!(", {}", short(code, 60))).unwrap_or_default();
    let hint = shut.hint.as_ref().map(|hint| format!(": {}", short(hint, 300))).unwrap_or_default();
    let cure = match shut.until.filter(|until| *until > now) {
        Some(until) => {
            format!("it looks again at {}; after a change of settings or secret restart it", format_utc(until))
        }
        None => "it is looking again now".to_owned(),
    };
    Finding::warn(CHECK, format!("it sends nothing at all ({}{code}){hint}", shut.kind)).cure(cure)
}
