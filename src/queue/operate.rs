//! The operator's verbs: jobs put back, cancelled or deleted by hand, mailboxes held, released or resumed, a restored queue
//! marked. Each works beside a running agent, a batch at a time, and pauses in between so that agent and producers have their
//! turn; the caller is told of each batch.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::rows::MailboxRow;
use super::{LaneKey, QueueError};
use crate::job::{Defaults, ErrorKind, JobId, JobState, OperationKind};

/// Called with a batch of jobs and what became of them.
pub type OnBatch<'c> = &'c mut (dyn FnMut(&[JobId], Changed) + Send);

/// What is asked of a queue by those who set things right by hand.
#[async_trait]
pub trait Operate: Send + Sync + 'static {
    /// The jobs that are meant, in the order of the states given and of their ids.
    async fn select(&self, selection: &Selection) -> Result<Vec<Chosen>, QueueError>;

    /// These jobs, as far as they are there, in the order of their ids.
    async fn chosen(&self, ids: &[JobId]) -> Result<Vec<Chosen>, QueueError>;

    /// Puts jobs that failed or were cancelled back, to be sent at `now`, or when their `not_before` comes; brings those
    /// forward that wait for another try. They keep their `transaction_id`, and what is known of them: in doubt, the event is
    /// looked for first, and not before a request that may still be at work has had its time.
    async fn retry(&self, ids: &[JobId], now: DateTime<Utc>, on_batch: OnBatch<'_>) -> Result<(), QueueError>;

    /// Cancels jobs that wait or have failed. One in doubt only `even_if_in_doubt`: an event may exist.
    async fn cancel(
        &self,
        ids: &[JobId],
        even_if_in_doubt: bool,
        now: DateTime<Utc>,
        on_batch: OnBatch<'_>,
    ) -> Result<(), QueueError>;

    /// What there is to delete that ended before then in one of these states.
    async fn purgeable(&self, before: DateTime<Utc>, states: &[JobState]) -> Result<Purgeable, QueueError>;

    /// Deletes it, with its history, and says after each batch how many jobs went. Jobs in doubt are kept.
    async fn purge_ended(
        &self,
        before: DateTime<Utc>,
        states: &[JobState],
        on_batch: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), QueueError>;

    /// Puts a mailbox on hold. The agent begins nothing more for it; requests under way finish. A mailbox on hold keeps its
    /// time; a new reason replaces the old one.
    async fn hold_mailbox(&self, lane: &LaneKey, reason: Option<&str>, now: DateTime<Utc>) -> Result<(), QueueError>;

    /// Releases it, and says whether it was on hold. A pause that is not over goes on.
    async fn release_mailbox(&self, lane: &LaneKey) -> Result<bool, QueueError>;

    /// Ends this pause, and says whether it was still the same. The jobs of `lanes` that met what the mailbox was paused for
    /// come forward. Whether a pause may be ended is asked of [`MailboxRow::kept_until`].
    async fn resume_mailbox(&self, row: &MailboxRow, lanes: &[LaneKey], now: DateTime<Utc>)
    -> Result<bool, QueueError>;

    /// Waiting jobs that would be sent without being looked up.
    async fn not_in_doubt(&self) -> Result<u64, QueueError>;

    /// A backup was put back: what waits may have been sent since. Has all of it looked up before it is sent, and says how
    /// many jobs that are.
    ///
    /// # Errors
    /// An agent runs, which may be sending them already; or trouble with the storage: jobs marked before stay marked.
    async fn mark_in_doubt(&self, defaults: &Defaults, now: DateTime<Utc>) -> Result<u64, QueueError>;
}

/// Which jobs are meant; what is empty does not narrow.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// In one of these states. None of them: no job.
    pub states: Vec<JobState>,
    /// Whose last failure was of one of these kinds.
    pub error_kinds: Vec<ErrorKind>,
    /// Only those that failed for something an operator puts right outside of the job: sign-in, permission, a mailbox or
    /// calendar that is not there. Also those that waited for it until their time was used up.
    pub settings_at_fault: bool,
    /// Of one of these mailboxes.
    pub lanes: Vec<LaneKey>,
    /// Ended since then; for jobs that have not ended, inserted since then.
    pub since: Option<DateTime<Utc>>,
    /// At most so many of each state, the first inserted.
    pub limit: Option<u32>,
}

/// A job and whether it may be changed: what an operator's command judges by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub id: JobId,
    /// To create an event, where the queue does not know the word.
    pub operation: OperationKind,
    pub state: JobState,
    /// It may have taken effect.
    pub in_doubt: bool,
    pub error_kind: Option<ErrorKind>,
    /// Its mailbox; of a row that names none, the empty one.
    pub lane: LaneKey,
    /// Not due before this.
    pub due: String,
    /// When its producer wishes it to be sent, as UTC of the agent's form; empty if that is not said.
    pub wished: String,
}

/// What became of one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    pub done: Vec<JobId>,
    /// A rule of the queue refuses it, in these words. All others of the batch that are not `done` had moved on meanwhile.
    pub refused: Vec<(JobId, String)>,
}

/// What a purge would find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purgeable {
    pub jobs: u64,
    /// Jobs as old, but in doubt: they are kept.
    pub in_doubt: u64,
}

/// How long to leave the others alone after a batch that took so long: they have three quarters of the time.
pub fn pause_after(batch: Duration) -> Duration {
    (batch * 3).clamp(Duration::from_millis(5), Duration::from_secs(1))
}

/// Once a pause has been ended: the jobs of `lanes` that met what the mailbox was paused for wait for the end of that, each by itself.
pub async fn bring_forward(
    queue: &impl Operate,
    row: &MailboxRow,
    lanes: &[LaneKey],
    now: DateTime<Utc>,
) -> Result<(), QueueError> {
    let Some(kind) = row.pause.kind.known() else { return Ok(()) };
    let selection = Selection {
        states: vec![JobState::Pending],
        error_kinds: vec![kind],
        lanes: lanes.to_vec(),
        ..Selection::default()
    };
    let waiting: Vec<JobId> = queue.select(&selection).await?.iter().map(|job| job.id).collect();
    queue.retry(&waiting, now, &mut |_, _| {}).await
}
