//! The agent on this queue: whether one is running, and what it says of itself.

use chrono::{DateTime, Utc};

use super::findings::Finding;
use crate::accounts::user;
use crate::cli::output::short;
use crate::cli::standing::{Gate, Word};
use crate::job::{ErrorKind, format_utc};

const CHECK: &str = "agent";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `pid` as the kernel names the holder of the lock, which dies with its process.
/// `due`: jobs are.
pub(super) fn findings(pid: Option<&str>, word: Option<&Word>, due: bool, now: DateTime<Utc>) -> Vec<Finding> {
    let Some(pid) = pid else {
        let none = "none is running on this queue";
        return vec![match due {
            true => Finding::warn(CHECK, format!("{none}, and jobs are due"))
                .cure("start it: 'systemctl start event-sender'"),
            false => Finding::pass(CHECK, none),
        }];
    };
    let mut findings = vec![Finding::pass(CHECK, running(pid, word))];
    // An agent that has not written its row yet, or cannot, says nothing.
    if let Some(word) = word {
        findings.extend(told(word, now));
    }
    findings
}

fn running(pid: &str, word: Option<&Word>) -> String {
    use std::os::unix::fs::MetadataExt;
    let who = match std::fs::metadata(format!("/proc/{pid}")) {
        Ok(process) => format!(" of user {}", user(process.uid())),
        // The lock is held, so it lives: in another container, or hidden from who asks.
        Err(_) => ", which cannot be seen from here".to_owned(),
    };
    let since = word.map(|word| format!(", version {}, since {}", word.version, word.started_at)).unwrap_or_default();
    format!("running as process {pid}{who}{since}")
}

fn told(word: &Word, now: DateTime<Utc>) -> Vec<Finding> {
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
    if let Some(refused) = &word.refused {
        let text = format!("the queue refuses what it writes: {}", sentence(refused));
        findings.push(
            Finding::fail(CHECK, text).cure("mend or drop the trigger named; nothing is lost, it is tried again"),
        );
    }
    findings.extend(word.gate.as_ref().map(|gate| sends_nothing(gate, now)));
    findings.extend(word.default.as_ref().map(|default| {
        let text = format!("it sends nothing from a default, for {}", sentence(&default.words()));
        Finding::warn(CHECK, text).cure(default.cure(now))
    }));
    findings
}

fn sends_nothing(gate: &Gate, now: DateTime<Utc>) -> Finding {
    let said = |before: &str, text: String| if text.is_empty() { text } else { format!("{before}{text}") };
    let (code, hint) = (said(", ", short(&gate.code, 60)), said(": ", sentence(&gate.hint)));
    let cure = match gate.still(now).map(format_utc) {
        Some(until) if gate.kind == ErrorKind::Throttled.as_str() => {
            format!("it goes on by itself, not before {until}")
        }
        Some(until) if gate.kind == ErrorKind::Auth.as_str() => {
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
    Finding::warn(CHECK, format!("it sends nothing at all ({}{code}){hint}", gate.kind)).cure(cure)
}

/// Words a cure comes behind.
fn sentence(words: &str) -> String {
    short(words.trim_end().trim_end_matches('.'), 500)
}
