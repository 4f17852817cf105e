//! The end of a claim: what becomes of the row, and whether that took hold.

use chrono::{DateTime, Utc};

use super::Pause;
use crate::clock::Now;
use crate::job::{Answer, ErrorKind, EventId, JobId};

/// What becomes of a claimed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `sent`, with the event's id.
    Sent(EventId),
    /// `pending` again, not due before that.
    Again(DateTime<Utc>),
    /// The same, and what defaults filled is taken out of the row: the next claim fills it anew.
    Anew(DateTime<Utc>),
    /// `failed`.
    Failed,
}

/// A finished attempt, for the table `attempts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// Begin.
    pub started_at: DateTime<Utc>,
    /// Milliseconds.
    pub duration_ms: i64,
    /// `sent`, `retry`, `snoozed`, `failed` or `interrupted`.
    pub outcome: &'static str,
}

/// The end of one claim.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Which row.
    pub id: JobId,
    /// The claim it was made under.
    pub claim: i64,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Whether the attempt counts against `delivery.max_attempts`.
    pub spent: bool,
    /// When it was decided, on both clocks: a queue whose wall clock shows another time than this one's then reads the times
    /// in here as the waits they are.
    pub at: Now,
    /// `in_doubt` from now on.
    pub in_doubt: bool,
    /// `give_up_at` from now on.
    pub give_up_at: Option<DateTime<Utc>>,
    /// `error_kind`; none leaves the last failure as it is.
    pub kind: Option<ErrorKind>,
    /// What was said.
    pub answer: Answer,
    /// A request may have left at this time.
    pub sent_at: Option<DateTime<Utc>>,
    /// No request can ever have left for it, so its content may be corrected. Only of a job that failed.
    pub never_left: bool,
    /// The attempt's row, if one was made.
    pub attempt: Option<AttemptRecord>,
    /// The mailbox's pause, if it must rest.
    pub pause: Option<Pause>,
}

/// Whether a settlement took hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Recorded.
    Recorded,
    /// The claim was over: somebody else has the row, or it is gone. Nothing was changed.
    Stale,
    /// A rule of the schema refuses it, its own or somebody's trigger, in these words; the others of its batch are recorded.
    /// Worth another try, but not soon: rules are mended by people.
    Refused(String),
}
