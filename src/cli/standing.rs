//! What stands between waiting jobs and Exchange: the agent with its gate, and mailboxes that rest or are held. Read from
//! what the agent and the operator left in the queue, for `status`, `show` and `check`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::list::{column, plain};
use crate::agent::expiry::{self, Nearness};
use crate::format::moment;
use crate::job::{ErrorKind, parse_utc};
use crate::queue::Record;

/// The agent of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Agent {
    /// Process id of the one that runs.
    pub holder: Option<String>,
    /// What the one that ran last said of itself; the running one, if one runs.
    pub word: Option<Word>,
}

/// The row of table `agent`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub version: String,
    pub started_at: String,
    pub settings_at: String,
    pub settings_refused: Option<String>,
    pub gate: Option<Gate>,
    pub credential: Option<Credential>,
    pub default: Option<RefusedDefault>,
    /// What the queue does not take from it, and why.
    pub refused: Option<String>,
}

/// What the agent signs in with, and when that ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Credential {
    /// `certificate` or `client_secret`.
    pub name: String,
    pub expires: String,
}

/// Why nothing at all is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gate {
    pub since: String,
    pub until: String,
    pub kind: String,
    pub code: String,
    pub hint: String,
}

/// Why nothing is sent from a default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RefusedDefault {
    /// As in `agent.toml`.
    pub key: String,
    pub value: String,
    pub since: String,
    pub until: String,
    pub hint: String,
}

/// A mailbox at which nothing is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// An operator holds it.
    Held { since: String, reason: String },
    /// It rests by itself.
    Paused { until: String, kind: String, reason: String },
}

impl Agent {
    pub(super) fn new(holder: Option<String>, row: Option<&Record>) -> Self {
        Self { holder, word: row.map(Word::of) }
    }

    /// The gate of the agent that runs. One that is gone sends nothing anyway, and the next one starts with an open gate.
    pub(super) fn gate(&self) -> Option<&Gate> {
        self.holder.as_ref().and(self.word.as_ref()?.gate.as_ref())
    }

    /// The default the agent that runs cannot send from.
    pub(super) fn refused_default(&self) -> Option<&RefusedDefault> {
        self.holder.as_ref().and(self.word.as_ref()?.default.as_ref())
    }

    /// What the agent that ran last said it signs in with, if that ends; for programs.
    pub(super) fn credential_as_json(&self) -> Value {
        let credential = self.word.as_ref().and_then(|word| word.credential.as_ref());
        credential.map_or(Value::Null, |known| json!({ "name": known.name, "expires": known.expires }))
    }

    /// For programs; null if none has ever said anything of itself.
    pub(super) fn as_json(&self) -> Value {
        let Some(word) = &self.word else { return Value::Null };
        json!({
            "running": self.holder.is_some(),
            "version": word.version,
            "started_at": word.started_at,
            "settings_at": word.settings_at,
            "settings_refused": word.settings_refused,
            "refused": word.refused,
        })
    }
}

impl Word {
    pub(super) fn of(row: &Record) -> Self {
        let text = |column: &str| row.get(column).map(plain).unwrap_or_default();
        let some = |column: &str| Some(text(column)).filter(|text| !text.is_empty());
        Self {
            version: text("version"),
            started_at: text("started_at"),
            settings_at: text("settings_at"),
            settings_refused: some("settings_refused"),
            gate: some("gate_since").map(|since| Gate {
                since,
                until: text("gate_until"),
                kind: text("gate_kind"),
                code: text("gate_code"),
                hint: text("gate_hint"),
            }),
            default: some("default_key").map(|key| RefusedDefault {
                key,
                value: text("default_value"),
                since: text("default_since"),
                until: text("default_until"),
                hint: text("default_hint"),
            }),
            credential: some("credential").map(|name| Credential { name, expires: text("credential_expires") }),
            refused: some("refused"),
        }
    }
}

impl Credential {
    /// That it ends soon or has ended, and what to do; none while the end is far off, or is none that can be read.
    pub(super) fn warning(&self, now: DateTime<Utc>) -> Option<String> {
        let end = parse_utc(&self.expires)?;
        let nearness = Nearness::of(end, now);
        let words = || {
            format!(
                "the {} {}: {}",
                expiry::name(&self.name),
                expiry::sentence(end, now),
                expiry::cure(&self.name, nearness)
            )
        };
        (nearness > Nearness::Far).then(words)
    }
}

impl Gate {
    /// What is wrong: the hint, or at least the code.
    pub(super) fn words(&self) -> String {
        let code = if self.code.is_empty() { &self.kind } else { &self.code };
        match self.hint.trim_end_matches('.') {
            "" => format!("{} ({code})", self.kind),
            hint => format!("{hint} ({code})"),
        }
    }

    /// When it is tried again.
    pub(super) fn again(&self, now: DateTime<Utc>) -> String {
        match self.still(now) {
            Some(_) => format!("tried again at {}", moment(&self.until, now)),
            None => "being tried again now".into(),
        }
    }

    /// Until when nothing is asked, while that is to come.
    pub(super) fn still(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        parse_utc(&self.until).filter(|until| *until > now)
    }

    pub(super) fn as_json(&self) -> Value {
        json!({
            "since": self.since,
            "until": self.until,
            "kind": self.kind,
            "code": self.code,
            "hint": self.hint,
        })
    }
}

/// Whether the mailbox of this row of `mailboxes` rests because Microsoft asked for it, so that only time helps.
pub(super) fn rests_as_asked(row: &Record, now: DateTime<Utc>) -> bool {
    let asked = parse_utc(&plain(column(row, "asked_until"))).is_some_and(|until| until > now);
    asked || *column(row, "error_kind") == ErrorKind::Throttled.as_str()
}

impl RefusedDefault {
    /// Which setting is wrong, and what was said.
    pub(super) fn words(&self) -> String {
        let hint = self.hint.trim_end_matches('.');
        format!("{} is \"{}\", which Exchange refuses: {hint}", self.key, self.value)
    }

    /// What to do, and what happens by itself.
    pub(super) fn cure(&self, now: DateTime<Utc>) -> String {
        let again = match parse_utc(&self.until).filter(|until| *until > now) {
            Some(_) => format!("one request finds out at {}", moment(&self.until, now)),
            None => "one request is finding out".to_owned(),
        };
        format!("correct {}, then 'systemctl reload event-sender'; {again}, whether it is taken by then", self.key)
    }

    /// Whether a row with these columns takes it.
    pub(super) fn concerns(&self, job: &Record) -> bool {
        let column = self.key.rsplit('.').next().unwrap_or_default();
        let names = job.get("defaulted").map(plain).unwrap_or_default();
        job.get(column).is_some_and(Value::is_null) || names.split(' ').any(|name| name == column)
    }

    pub(super) fn as_json(&self) -> Value {
        json!({ "setting": self.key, "value": self.value, "since": self.since, "until": self.until, "hint": self.hint })
    }
}

impl Stop {
    /// Of a row of `mailboxes`; a hold comes first, for only a person ends it.
    pub(super) fn of(row: &Record, now: DateTime<Utc>) -> Option<Self> {
        let text = |column: &str| row.get(column).map(plain).unwrap_or_default();
        if !row.get("held_at").is_none_or(Value::is_null) {
            return Some(Stop::Held { since: text("held_at"), reason: text("held_reason") });
        }
        let until = text("paused_until");
        parse_utc(&until).is_some_and(|until| until > now).then(|| Stop::Paused {
            until,
            kind: text("error_kind"),
            reason: text("reason"),
        })
    }
}
