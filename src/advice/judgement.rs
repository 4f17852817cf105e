//! Whether an operator's verb may be done to a job, and if not, why. The queue looks again when it is done.

use chrono::{DateTime, Utc};

use crate::format::{clock, clock_of};
use crate::job::{ErrorKind, JobState, OperationKind, REPEAT_WAIT, format_utc};
use crate::queue::{Chosen, MailboxRow};

/// What may become of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It may be changed.
    Change,
    /// It is as it should be.
    Already(String),
    /// It must not be changed.
    Refuse(String),
}

/// Whether it may be put back to be sent. `invalid_too`: also one whose row was found invalid, for it was named.
pub fn retry(job: &Chosen, invalid_too: bool, now: DateTime<Utc>) -> Judgement {
    match job.state {
        JobState::Failed if !invalid_too && job.error_kind == Some(ErrorKind::InvalidJob) => Judgement::Refuse(
            "failed as invalid_job and would fail again: correct the row, or insert a new one, then retry it by its id"
                .into(),
        ),
        JobState::Failed | JobState::Cancelled => Judgement::Change,
        JobState::Pending => {
            let earliest = format_utc(if job.in_doubt { now + REPEAT_WAIT } else { now });
            if job.due > earliest && job.due > job.wished {
                Judgement::Change
            } else if job.wished > earliest {
                Judgement::Already(format!("waits for its not_before, {}", clock_of(&job.wished, now)))
            } else {
                Judgement::Already("waits for its turn already".into())
            }
        }
        JobState::Claimed => Judgement::Refuse("is being sent".into()),
        JobState::Sent => Judgement::Refuse(
            match job.operation {
                OperationKind::Create => "is sent, its event exists: insert a new job for another event",
                OperationKind::Update => "is sent, its event is changed: insert a new job for another change",
                OperationKind::Delete => "is sent, its event is gone",
            }
            .into(),
        ),
    }
}

/// Whether it may be cancelled.
pub fn cancel(job: &Chosen, even_if_in_doubt: bool) -> Judgement {
    match job.state {
        JobState::Pending | JobState::Failed if job.in_doubt && !even_if_in_doubt => Judgement::Refuse(format!(
            "{} that no answer has confirmed: look into the calendar ('event-sender show ID' says when and where), then say \
             --even-if-in-doubt",
            match job.operation {
                OperationKind::Create => "an event may exist",
                OperationKind::Update => "a change may have been made",
                OperationKind::Delete => "a deletion may have happened",
            }
        )),
        JobState::Pending | JobState::Failed => Judgement::Change,
        JobState::Claimed => {
            Judgement::Refuse("is being sent: to stop what is behind it, hold its mailbox first".into())
        }
        JobState::Sent => Judgement::Refuse(
            match job.operation {
                OperationKind::Create => {
                    "is sent, its event exists: delete the event in the calendar, or insert a job that does (event-sender enqueue --delete)"
                }
                OperationKind::Update => "is sent, its event is changed: insert a job that changes it again",
                OperationKind::Delete => "is sent, its event is gone",
            }
            .into(),
        ),
        JobState::Cancelled => Judgement::Already("is cancelled already".into()),
    }
}

/// Why the pause of this mailbox is not to be ended, if it is not: Microsoft's own word is kept.
pub fn kept_paused(row: &MailboxRow, now: DateTime<Utc>) -> Option<String> {
    let until = clock(row.kept_until(now)?, now);
    Some(format!(
        "is paused until {until} because Microsoft asked for that (Retry-After, throttling): it resumes by itself, and asking \
         earlier only makes it longer"
    ))
}

/// What to say where a pause was no longer the one that was to be ended.
pub const PAUSED_ANEW: &str = "has been paused anew meanwhile: look at it again";
