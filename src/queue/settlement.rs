//! The end of a claim: what becomes of the row, and whether that took hold.

use chrono::{DateTime, Utc};

use super::{LaneKey, Pause};
use crate::clock::Now;
use crate::job::{Answer, Ending, ErrorKind, EventRef, Job, JobId};

/// Longest message kept in a row.
const MESSAGE_CHARS: usize = 2000;

/// What was said, as a row keeps it: without NUL, which PostgreSQL does not store and SQLite cuts text at.
pub(super) fn shortened(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(MESSAGE_CHARS).collect()
}

/// What becomes of a claimed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `sent`, with what Graph gave back of the event.
    Sent(EventRef),
    /// `pending` again, not due before that.
    Pending(DateTime<Utc>),
    /// The same, and what defaults filled is taken out of the row: the next claim fills it anew.
    Unfilled(DateTime<Utc>),
    Failed,
}

/// A finished attempt, for the table `attempts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    pub started_at: DateTime<Utc>,
    pub duration_ms: i64,
    pub ending: Ending,
}

/// The end of one claim.
#[derive(Clone, Debug)]
pub struct Settlement {
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
    pub answer: Answer,
    /// A request may have left at this time.
    pub sent_at: Option<DateTime<Utc>>,
    /// No request can ever have left for it, so its content may be corrected. Only of a job that failed.
    pub never_left: bool,
    /// The attempt's row, if one was made.
    pub attempt: Option<AttemptRecord>,
    /// The mailbox's pause, if there is one.
    pub pause: Option<Pause>,
    /// How many the job has mailed, now that it is sent; counted for `delivery.recipients_per_day`.
    pub mailed: u32,
    /// When the event is over, where that is known and its key may be used again then.
    pub ends_at: Option<DateTime<Utc>>,
    /// Jobs of this mailbox that mail somebody wait until then, and why.
    pub paced: Option<Paced>,
}

/// Jobs of a mailbox that mail somebody wait; others do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paced {
    pub lane: LaneKey,
    pub until: DateTime<Utc>,
    /// Which limit it is, in words.
    pub reason: String,
}

/// What an attempt leaves in the row whatever becomes of the job.
#[derive(Clone, Debug)]
pub struct Trace {
    /// When it was decided.
    pub at: Now,
    /// Whether the attempt counts against `delivery.max_attempts`.
    pub spent: bool,
    pub answer: Answer,
    /// A request may have left at this time.
    pub sent_at: Option<DateTime<Utc>>,
    /// The attempt's row, if one was made.
    pub attempt: Option<AttemptRecord>,
}

/// What stays of an attempt that did not succeed.
#[derive(Clone, Copy, Debug)]
pub struct Setback {
    pub kind: Option<ErrorKind>,
    pub in_doubt: bool,
    pub give_up_at: Option<DateTime<Utc>>,
}

impl Settlement {
    pub fn sent(job: &Job, event: EventRef, trace: Trace) -> Self {
        let setback = Setback { kind: None, in_doubt: false, give_up_at: job.give_up_at };
        Self::new(job, Verdict::Sent(event), setback, trace)
    }

    /// To be tried again, not before `due`; the attempt is spent.
    pub fn retry(job: &Job, due: DateTime<Utc>, setback: Setback, trace: Trace) -> Self {
        Self::new(job, Verdict::Pending(due), setback, Trace { spent: true, ..trace })
    }

    /// To be tried again, not before `due`; the attempt is not spent.
    pub fn snooze(job: &Job, due: DateTime<Utc>, setback: Setback, trace: Trace) -> Self {
        Self::new(job, Verdict::Pending(due), setback, Trace { spent: false, ..trace })
    }

    /// The same, without what defaults filled.
    pub fn unfill(job: &Job, due: DateTime<Utc>, setback: Setback, trace: Trace) -> Self {
        Self::new(job, Verdict::Unfilled(due), setback, Trace { spent: false, ..trace })
    }

    /// Failed for good. `never_left`: no request can ever have left for it.
    pub fn fail(job: &Job, never_left: bool, setback: Setback, trace: Trace) -> Self {
        Self { never_left, ..Self::new(job, Verdict::Failed, setback, trace) }
    }

    /// Never begun: back to `due`, and nothing else changes.
    pub fn give_back(job: &Job, due: DateTime<Utc>, at: Now) -> Self {
        let setback = Setback { kind: None, in_doubt: job.in_doubt, give_up_at: job.give_up_at };
        let trace = Trace { at, spent: false, answer: Answer::default(), sent_at: None, attempt: None };
        Self::new(job, Verdict::Pending(due), setback, trace)
    }

    fn new(job: &Job, verdict: Verdict, setback: Setback, trace: Trace) -> Self {
        Self {
            id: job.id,
            claim: job.claim,
            verdict,
            spent: trace.spent,
            at: trace.at,
            in_doubt: setback.in_doubt,
            give_up_at: setback.give_up_at,
            kind: setback.kind,
            answer: trace.answer,
            sent_at: trace.sent_at,
            never_left: false,
            attempt: trace.attempt,
            pause: None,
            mailed: 0,
            ends_at: None,
            paced: None,
        }
    }
}

/// Whether a settlement took hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    Recorded,
    /// The claim was over: the row was claimed anew, changed by another program, or deleted. Nothing was changed.
    Stale,
    /// A rule of the schema refuses it, its own or a trigger beside it, in these words; the others of its batch are recorded.
    /// Worth another try, but not soon: rules are fixed by people.
    Refused(String),
}
