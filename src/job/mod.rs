//! The domain: a job of the queue, what its row may hold, the event it asks for, and what can become of it.
//!
//! Everything here is plain data and pure functions, but that the rules of time zones are the system's. This module
//! imports nothing else of the program but `characters` and `hint`, and knows neither SQL nor HTTP; the queue fills these types,
//! `graph` sends them, `policy` decides over them.

pub mod address;
mod attendees;
mod cause;
mod cell;
mod change;
mod draft;
mod ending;
mod event;
mod guests;
mod input;
pub mod json;
mod numbers;
mod operation;
mod outcome;
mod rules;
mod span;
mod state;
mod target;
mod times;
mod timestamp;
mod zone;

pub use attendees::{Attendee, AttendeeType};
pub use cause::Cause;
pub use cell::Cell;
pub use change::{Cancellation, EventChange};
pub use draft::{Body, EventDraft, EventTime, MAX_ATTENDEES, MAX_REQUEST_BYTES};
pub use ending::Ending;
pub use event::{EventRef, EventType, Seen, Snapshot};
pub use guests::{Guest, attendees_json, guests};
pub use input::{BodyType, DefaultKey, Defaulted, Defaults, JobInput};
pub use operation::{Operation, OperationKind, Undraftable, Verified};
pub use outcome::{Answer, CallResult, Challenge, ErrorKind, EventId, Explained, GateReason, Outcome, REPEAT_WAIT};
pub use rules::{Rules, ZoneSources};
pub use state::JobState;
pub use target::{Created, EventTarget, Target};
pub use timestamp::{format_utc, parse_utc};
pub use zone::Zone;

use chrono::{DateTime, Utc};

/// Primary key of a row of `jobs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub i64);

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A job as the agent claimed it.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: JobId,
    pub operation: OperationKind,
    /// The claim counter at this claim; every write about this attempt is fenced by it.
    pub claim: i64,
    /// Attempts spent before this one.
    pub attempts: u32,
    /// An event may exist already: an earlier request of this job was never answered clearly.
    pub in_doubt: bool,
    /// When it was due; none if its row has something else than a time.
    pub due: Option<DateTime<Utc>>,
    /// End of the time horizon, set at the first failure that may pass.
    pub give_up_at: Option<DateTime<Utc>>,
    /// End of `not_after`: from then on no request is begun but to find out what became of an earlier one.
    pub expires_at: Option<DateTime<Utc>>,
    /// What the queue knows of the event that it means.
    pub target: Target,
    /// What the producer wrote, defaults filled in.
    pub input: JobInput,
    /// Which of it a default filled. Nothing of a job in doubt.
    pub defaulted: Defaulted,
}

/// A row that cannot become an event: the column, what is wrong with it and what to do.
///
/// The message goes into `jobs.error_message`; the code (`invalid_start_time`) into `jobs.error_code` and the log,
/// so it must not contain anything the producer wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{column}: {fault}")]
pub struct InvalidJob {
    /// The column at fault.
    pub column: &'static str,
    /// What is wrong and what would be right, as one sentence without the column's name.
    pub fault: String,
}

impl InvalidJob {
    /// A fault of `column`.
    pub fn new(column: &'static str, fault: impl Into<String>) -> Self {
        Self { column, fault: fault.into() }
    }

    /// Stable word for `jobs.error_code`: `invalid_` and the column.
    pub fn code(&self) -> String {
        format!("invalid_{}", self.column)
    }
}
