//! The agent on this queue: whether one is running, and what it says of itself.

use chrono::{DateTime, Utc};

use super::findings::Finding;
use crate::accounts::user;
use crate::advice::standing::{default_cure, default_words};
use crate::cli::output::short;
use crate::format::{clock, clock_of};
use crate::job::ErrorKind;
use crate::queue::{AgentRow, AgentSaid, GateSaid};

const CHECK: &str = "agent";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `due`: jobs are.
pub(super) fn findings(agent: Option<&AgentRow>, due: bool, now: DateTime<Utc>) -> Vec<Finding> {
    let Some((agent, pid)) = agent.and_then(|agent| Some((agent, agent.pid.as_ref()?))) else {
        let none = "none is running on this queue";
        return vec![match due {
            true => Finding::warn(CHECK, format!("{none}, and jobs are due"))
                .cure("start it: 'systemctl start event-sender'"),
            false => Finding::pass(CHECK, none),
        }];
    };
    let mut findings = vec![Finding::pass(CHECK, running(pid, agent.said.as_ref()))];
    // An agent that has not written its row yet, or cannot, says nothing.
    if let Some(said) = &agent.said {
        findings.extend(of_itself(said, now));
    }
    findings
}

fn running(pid: &str, said: Option<&AgentSaid>) -> String {
    use std::os::unix::fs::MetadataExt;
    let who = match std::fs::metadata(format!("/proc/{pid}")) {
        Ok(process) => format!(" of user {}", user(process.uid())),
        // The lock is held, so it lives: in another container, or hidden from this user.
        Err(_) => ", which cannot be seen from here".to_owned(),
    };
    let since = said
        .map(|said| format!(", version {}, since {}", said.version, clock_of(&said.started_at.to_string(), Utc::now())))
        .unwrap_or_default();
    format!("running as process {pid}{who}{since}")
}

fn of_itself(said: &AgentSaid, now: DateTime<Utc>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if said.version != VERSION {
        let text = format!("version {} is running, and this is {VERSION}", said.version);
        findings.push(
            Finding::warn(CHECK, text).cure("restart it to run the new version: 'systemctl restart event-sender'"),
        );
    }
    if let Some(why) = &said.settings_refused {
        let text = format!("it keeps its earlier settings, because the present ones were refused: {}", sentence(why));
        findings.push(Finding::warn(CHECK, text).cure("correct them, then 'systemctl reload event-sender'"));
    }
    if let Some(refused) = &said.refused {
        let text = format!("the queue refuses what it writes: {}", sentence(refused));
        findings.push(
            Finding::fail(CHECK, text).cure("correct or drop the trigger named; nothing is lost, it is tried again"),
        );
    }
    findings.extend(said.gate.as_ref().map(|gate| sends_nothing(gate, now)));
    findings.extend(said.default.as_ref().map(|default| {
        let text = format!("it sends nothing from a default, for {}", sentence(&default_words(default)));
        Finding::warn(CHECK, text).cure(default_cure(default, now))
    }));
    findings
}

fn sends_nothing(gate: &GateSaid, now: DateTime<Utc>) -> Finding {
    let after = |before: &str, text: String| if text.is_empty() { text } else { format!("{before}{text}") };
    let (code, hint) = (after(", ", short(&gate.code, 60)), after(": ", sentence(&gate.hint)));
    let cure = match gate.closed_until(now).map(|until| clock(until, now)) {
        Some(until) if gate.kind.known() == Some(ErrorKind::Throttled) => {
            format!("it resumes by itself, not before {until}")
        }
        Some(until) if gate.kind.known() == Some(ErrorKind::Auth) => {
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
    Finding::warn(CHECK, format!("it sends nothing at all ({}{code}){hint}", gate.kind.word())).cure(cure)
}

/// Words a cure comes behind.
fn sentence(words: &str) -> String {
    short(words.trim_end().trim_end_matches('.'), 500)
}
