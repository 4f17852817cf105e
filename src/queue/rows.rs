//! The queue's rows as they are read. Any program may write to the queue, so a column holds what its writer left there:
//! each is read as what it means where it means something, and as it stands where it does not. Reading a row never fails
//! for what is in it.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::types::{CAPPED, LaneKey, capped};
use crate::job::{Cause, ErrorKind, JobId, JobState, format_utc, parse_utc};

/// Longest wait that is obeyed when Microsoft asks for it, with some room for the way from there to here.
const LONGEST_OBEYED: TimeDelta = TimeDelta::minutes(24 * 60 + 1);

/// An agent signs four times as often (`worker/vitals.rs`).
const SILENT: TimeDelta = TimeDelta::seconds(20);

/// What stands in a column. Bytes that are not text are described by their number.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Stored {
    #[default]
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(usize),
    NotUtf8(usize),
}

impl Stored {
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The time it names, in any of the forms a time may be typed in.
    pub fn time(&self) -> Option<DateTime<Utc>> {
        self.text().and_then(parse_utc)
    }

    /// Not NULL, in words.
    pub fn words(&self) -> Option<String> {
        (!self.is_null()).then(|| self.to_string())
    }
}

impl From<&str> for Stored {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for Stored {
    /// NULL is nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Integer(number) => number.fmt(f),
            Self::Real(number) => serde_json::Number::from_f64(*number).map_or(Ok(()), |number| number.fmt(f)),
            Self::Text(text) => f.write_str(text),
            Self::Blob(bytes) => write!(f, "<BLOB of {bytes} bytes>"),
            Self::NotUtf8(bytes) => write!(f, "<{bytes} bytes that are not UTF-8>"),
        }
    }
}

/// A column that holds one of a few words or numbers, or whatever else stands there: NULL, or what another program wrote.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed<T> {
    Known(T),
    Other(Stored),
}

impl<T: Copy> Parsed<T> {
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Other(_) => None,
        }
    }
}

impl<T> Parsed<T> {
    pub(super) fn text(stored: Stored, parse: impl FnOnce(&str) -> Option<T>) -> Self {
        stored.text().and_then(parse).map_or(Self::Other(stored), Self::Known)
    }
}

impl<T> Default for Parsed<T> {
    fn default() -> Self {
        Self::Other(Stored::Null)
    }
}

impl<T> From<T> for Parsed<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl Parsed<bool> {
    /// SQL has 0 and 1.
    pub(super) fn flag(stored: Stored) -> Self {
        match stored {
            Stored::Integer(number @ (0 | 1)) => Self::Known(number == 1),
            other => Self::Other(other),
        }
    }
}

impl Parsed<JobState> {
    pub fn word(&self) -> String {
        self.known().map_or_else(|| self.other(), |state| state.as_str().to_owned())
    }
}

impl Parsed<ErrorKind> {
    pub fn word(&self) -> String {
        self.known().map_or_else(|| self.other(), |kind| kind.as_str().to_owned())
    }
}

impl<T> Parsed<T> {
    fn other(&self) -> String {
        match self {
            Self::Known(_) => String::new(),
            Self::Other(stored) => stored.to_string(),
        }
    }
}

/// What a list shows of a job. A long subject is cut off.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSummary {
    pub id: JobId,
    pub state: Parsed<JobState>,
    pub mailbox: Stored,
    pub start_time: Stored,
    pub end_time: Stored,
    pub subject: Stored,
    pub attempts: Stored,
    pub in_doubt: Parsed<bool>,
    pub next_attempt_at: Stored,
    pub event_id: Stored,
    pub error_kind: Parsed<ErrorKind>,
    pub http_status: Stored,
    pub error_code: Stored,
    pub error_message: Stored,
    pub created_at: Stored,
    pub finished_at: Stored,
    pub operation: Stored,
    /// The producer's own name of the event.
    pub event_key: Stored,
    pub target_event_id: Stored,
    pub not_after: Stored,
    pub priority: Stored,
    pub web_link: Stored,
    pub ical_uid: Stored,
    pub join_url: Stored,
    /// The unfinished job of the same event that it waits for.
    pub behind: Stored,
    /// Why it failed last; not known of a failure that an earlier version recorded.
    pub cause: Parsed<Cause>,
}

impl JobSummary {
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt.known().unwrap_or_default()
    }

    /// The cause of the last failure, also of one that an earlier version recorded.
    pub fn cause(&self) -> Option<Cause> {
        let told = || {
            let status = self.http_status.integer().and_then(|status| u16::try_from(status).ok());
            Cause::of_stored(self.error_kind.known()?, status, self.error_code.text())
        };
        self.cause.known().or_else(told)
    }
}

/// All of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// The columns a list shows; the subject is whole here.
    pub summary: JobSummary,
    pub body: Stored,
    pub location: Stored,
    pub attendees: Stored,
    pub calendar_id: Stored,
    pub body_type: Stored,
    pub time_zone: Stored,
    pub extra: Stored,
    pub dedup_key: Stored,
    pub not_before: Stored,
    pub claims: Stored,
    pub transaction_id: Stored,
    pub request_id: Stored,
    pub claimed_at: Stored,
    pub first_sent_at: Stored,
    pub give_up_at: Stored,
    /// The columns a default has filled, with blanks between them.
    pub defaulted: Stored,
    pub settled: Stored,
    /// The agent that has claimed it, while it has.
    pub claimed_by: Stored,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttemptRow {
    pub job_id: Stored,
    pub claim: Stored,
    pub started_at: Stored,
    pub duration_ms: Stored,
    pub outcome: Stored,
    pub http_status: Stored,
    pub error_code: Stored,
    pub message: Stored,
    pub request_id: Stored,
    pub client_request_id: Stored,
}

/// A mailbox that is on hold, or is or was paused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MailboxRow {
    /// In lower case.
    pub mailbox: String,
    /// The last pause; of a mailbox that was never paused one that is long over.
    pub pause: PauseColumns,
    pub hold: Option<HoldColumns>,
    /// Its jobs that mail somebody wait, or waited last.
    pub paced: Option<PacedColumns>,
    /// When an operator ended a pause.
    pub resumed_at: Stored,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct PauseColumns {
    pub until: Stored,
    pub reason: String,
    pub kind: Parsed<ErrorKind>,
    pub pauses_in_a_row: Stored,
    pub written_at: Stored,
    /// Until when Microsoft itself asked for it.
    pub asked_until: Stored,
}

/// The mailbox has mailed as many as it may.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PacedColumns {
    pub until: Stored,
    /// Which limit it is, in words.
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct HoldColumns {
    pub since: Stored,
    pub reason: Stored,
}

impl MailboxRow {
    pub fn lane(&self) -> LaneKey {
        LaneKey::of(&self.mailbox)
    }

    /// Until when nothing is asked of it, while that is to come.
    pub fn paused_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.pause.until.time().filter(|until| *until > now)
    }

    /// Until when its jobs that mail somebody wait, while that is to come, and which limit it is.
    pub fn paced(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, &str)> {
        let paced = self.paced.as_ref()?;
        let until = paced.until.time().filter(|until| *until > now)?;
        Some((until, &paced.reason))
    }

    fn asked_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.pause.asked_until.time().filter(|until| *until > now)
    }

    /// Whether it is paused because Microsoft asked for that, so that only time helps.
    pub fn paused_as_asked(&self, now: DateTime<Utc>) -> bool {
        self.asked_until(now).is_some() || self.is_throttled()
    }

    /// Until when Microsoft's word keeps the mailbox from being asked anything, whatever an operator knows: it named a time, or
    /// it throttles. A wait beyond all measure does not count, though it was obeyed for as long as any is.
    pub fn kept_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = self.paused_until(now)?;
        if let Some(asked) = self.asked_until(now) {
            return Some(asked);
        }
        (self.is_throttled() && self.beyond_measure().is_none()).then_some(until)
    }

    /// Microsoft limits it.
    pub fn is_throttled(&self) -> bool {
        self.pause.kind.known() == Some(ErrorKind::Throttled)
    }

    /// What Microsoft asked for, in words, where that is longer than what is obeyed.
    pub fn beyond_measure(&self) -> Option<String> {
        if let Some(sentence) = capped(&self.pause.reason) {
            return Some(sentence.to_owned());
        }
        // Of a version that obeyed everything.
        let until = self.pause.until.time().filter(|_| self.is_throttled())?;
        (until - self.pause.written_at.time()? > LONGEST_OBEYED).then(|| format!("{CAPPED}until {}", format_utc(until)))
    }
}

/// An agent of the queue: the one that runs, or the one that ran last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentRow {
    /// Process id of one that runs.
    pub pid: Option<String>,
    /// When one that runs gave its last sign of life, as far as that is known.
    pub signed_at: Option<DateTime<Utc>>,
    /// What it says of itself; not yet, of one that has just begun.
    pub said: Option<AgentSaid>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentSaid {
    /// What the jobs it has claimed name in `claimed_by`.
    pub id: i64,
    /// What it is called among the agents that run.
    pub name: String,
    pub host: Option<String>,
    pub version: String,
    pub started_at: Stored,
    /// Where agents share a queue: until when it counts as alive unless it is heard of again, …
    pub lease_until: Stored,
    /// … and how many mailboxes it serves.
    pub lanes: Option<i64>,
    /// When the settings it goes by were read.
    pub settings_at: Stored,
    /// Why those found at the last reading are not gone by.
    pub settings_refused: Option<String>,
    /// Why nothing at all is sent.
    pub gate: Option<GateSaid>,
    pub credential: Option<CredentialSaid>,
    /// Why nothing is sent from a default.
    pub default: Option<DefaultSaid>,
    /// What the queue does not take from it, and why.
    pub refused: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct GateSaid {
    pub since: Stored,
    pub until: Stored,
    pub kind: Parsed<ErrorKind>,
    pub code: String,
    pub hint: String,
}

/// What the agent signs in with, and when that ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CredentialSaid {
    /// `certificate` or `client_secret`.
    pub name: String,
    pub expires: Stored,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DefaultSaid {
    pub key: String,
    pub value: String,
    pub since: Stored,
    pub until: Stored,
    pub hint: String,
}

impl AgentRow {
    pub fn runs(&self) -> bool {
        self.pid.is_some()
    }

    /// Since when one that runs gives no sign of life, if that is too long: it is stopped, or stuck.
    pub fn silent_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let signed_at = self.signed_at.filter(|_| self.runs())?;
        // A clock that was set back is followed by the next sign.
        ((now - signed_at).abs() > SILENT).then_some(signed_at)
    }

    /// What the agent that runs says of itself. One that is gone decides nothing any more, and the next one starts afresh.
    pub fn running(&self) -> Option<&AgentSaid> {
        self.pid.as_ref().and(self.said.as_ref())
    }

    pub fn gate(&self) -> Option<&GateSaid> {
        self.running()?.gate.as_ref()
    }

    /// The default it cannot send from.
    pub fn refused_default(&self) -> Option<&DefaultSaid> {
        self.running()?.default.as_ref()
    }
}

impl GateSaid {
    /// Until when nothing is asked, while that is to come.
    pub fn closed_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.until.time().filter(|until| *until > now)
    }
}
