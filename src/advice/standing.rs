//! What stands between waiting jobs and Exchange, in words: the agent with its gate, a default it cannot send from, a
//! credential that ends. For `status`, `show`, `retry` and `check`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::expiry::{self, Nearness};
use crate::format::moment;
use crate::job::format_utc;
use crate::queue::{AgentRow, CredentialSaid, DefaultSaid, GateSaid, JobRow, Stored};

/// For programs; null if no agent has ever said anything of itself.
pub fn agent_json(agent: &AgentRow) -> Value {
    let Some(said) = &agent.said else { return Value::Null };
    json!({
        "id": said.id,
        "running": agent.runs(),
        "version": said.version,
        "started_at": text(&said.started_at),
        "settings_at": text(&said.settings_at),
        "settings_refused": said.settings_refused,
        "refused": said.refused,
        "signed_at": agent.signed_at.map(format_utc),
        "name": said.name,
        "host": said.host,
        "lanes": said.lanes,
        "lease_until": said.lease_until.time().map(format_utc),
    })
}

/// What the agent that ran last signed in with, if that ends; for programs.
pub fn credential_json(agent: &AgentRow) -> Value {
    let credential = agent.said.as_ref().and_then(|said| said.credential.as_ref());
    credential.map_or(Value::Null, |known| json!({ "name": known.name, "expires": text(&known.expires) }))
}

/// That a credential ends soon or has ended, and what to do; none while the end is far off, or cannot be read.
pub fn credential_warning(credential: &CredentialSaid, now: DateTime<Utc>) -> Option<String> {
    let end = credential.expires.time()?;
    let (name, nearness) = (&credential.name, Nearness::of(end, now));
    let words = || {
        let (known_as, sentence) = (expiry::name(name), expiry::sentence(end, now));
        format!("the {known_as} {sentence}: {}", expiry::cure(name, nearness))
    };
    (nearness > Nearness::Far).then(words)
}

/// What is wrong: the hint, or at least the code.
pub fn gate_words(gate: &GateSaid) -> String {
    let kind = gate.kind.word();
    let code = if gate.code.is_empty() { &kind } else { &gate.code };
    match gate.hint.trim_end_matches('.') {
        "" => format!("{kind} ({code})"),
        hint => format!("{hint} ({code})"),
    }
}

/// When it is tried again.
pub fn gate_again(gate: &GateSaid, now: DateTime<Utc>) -> String {
    match gate.closed_until(now) {
        Some(_) => format!("tried again at {}", moment(&text(&gate.until), now)),
        None => "being tried again now".into(),
    }
}

pub fn gate_json(gate: &GateSaid) -> Value {
    json!({
        "since": text(&gate.since),
        "until": text(&gate.until),
        "kind": gate.kind.word(),
        "code": gate.code,
        "hint": gate.hint,
    })
}

/// Which setting is wrong, and what was said.
pub fn default_words(default: &DefaultSaid) -> String {
    let hint = default.hint.trim_end_matches('.');
    format!("{} is \"{}\", which Exchange refuses: {hint}", default.key, default.value)
}

/// What to do, and what happens by itself.
pub fn default_cure(default: &DefaultSaid, now: DateTime<Utc>) -> String {
    let again = match default.until.time().filter(|until| *until > now) {
        Some(_) => format!("one request finds out at {}", moment(&text(&default.until), now)),
        None => "one request is finding out".to_owned(),
    };
    format!("correct {}, then 'systemctl reload event-sender'; {again}, whether it is taken by then", default.key)
}

/// Whether this job takes the default.
pub fn default_concerns(default: &DefaultSaid, job: &JobRow) -> bool {
    let (column, own) = match default.key.as_str() {
        "defaults.mailbox" => ("mailbox", &job.summary.mailbox),
        "defaults.time_zone" => ("time_zone", &job.time_zone),
        _ => return false,
    };
    own.is_null() || job.defaulted.to_string().split(' ').any(|name| name == column)
}

pub fn default_json(default: &DefaultSaid) -> Value {
    json!({
        "setting": default.key,
        "value": default.value,
        "since": text(&default.since),
        "until": text(&default.until),
        "hint": default.hint,
    })
}

/// A time as it was written.
fn text(time: &Stored) -> String {
    time.to_string()
}
