//! What the agent asks of a queue, and what it is told: claims, ends of claims, pauses, and its own status.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::settlement::{Settled, Settlement};
use super::{LaneKey, Pause, QueueError};
use crate::job::{DefaultKey, Defaults, ErrorKind, Job, JobId};

/// What a claim may take.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// The agent's time: nothing due later is taken.
    pub now: DateTime<Utc>,
    /// Most jobs to take in all.
    pub limit: usize,
    /// Most jobs of a mailbox that is not named in `free`.
    pub per_lane: usize,
    /// Free places of the mailboxes that have something under way or are paused (0).
    pub free: HashMap<LaneKey, usize>,
    /// Mailboxes in trouble, and most jobs to take of all of them together.
    pub troubled: (HashSet<LaneKey>, usize),
    /// Whose mailbox the rows are for that name none: they share its lane.
    pub unnamed: Option<String>,
    /// Nothing is taken of the rows that name none: their mailbox is refused.
    pub unnamed_rest: bool,
    /// What fills NULL columns, written into the row if no request of the job has left yet.
    pub defaults: Defaults,
}

/// What a claim took.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// The jobs, in order of due time and id within a mailbox.
    pub jobs: Vec<(LaneKey, Job)>,
    /// When the next job of a lane that had free slots becomes due, if one will, or when the queue wishes to be asked again.
    pub next_due: Option<DateTime<Utc>>,
    /// Jobs that failed, because the schema's own rules refuse their claim: somebody else wrote nonsense into the agent's
    /// columns.
    pub broken: Vec<JobId>,
    /// Jobs of which it is new that they cannot be claimed: somebody's trigger refuses it. They are tried again, after a rest.
    pub told: Vec<Refusal>,
    /// A claim was refused, told or not.
    pub met_refusal: bool,
    /// How many jobs cannot be claimed, and one of them.
    pub refusals: Option<(usize, Refusal)>,
    /// There is more to take than was taken in one go.
    pub more: bool,
    /// The mailboxes on hold: nothing was taken of them. The same set as the last time if nothing was held or released since.
    pub held: Arc<HashSet<LaneKey>>,
    /// The mailboxes whose pause somebody ended within the last minutes, and when. The same set as the last time if nothing was
    /// resumed since.
    pub resumed: Arc<HashSet<(LaneKey, DateTime<Utc>)>>,
}

/// What is refused of a job, in the queue's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whose row.
    pub id: JobId,
    /// Why: the rule's message. Whoever made the rule wrote it.
    pub why: String,
}

/// What the queue refuses to take from the agent at present: how many jobs of each kind, and one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Results that cannot be recorded.
    pub results: Option<(usize, Refusal)>,
    /// Jobs that cannot be claimed.
    pub claims: Option<(usize, Refusal)>,
    /// Jobs a dead agent left, which cannot be put back.
    pub left: Option<(usize, Refusal)>,
}

impl fmt::Display for Refusals {
    /// One sentence; nothing where nothing is refused.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (&self.results, "result cannot be recorded", "results cannot be recorded"),
            (&self.claims, "job cannot be claimed", "jobs cannot be claimed"),
            (&self.left, "job of an earlier run cannot be put back", "jobs of an earlier run cannot be put back"),
        ];
        let mut separator = "";
        for (refused, one, many) in kinds {
            let Some((jobs, Refusal { id, why })) = refused else { continue };
            let what = if *jobs == 1 { one } else { many };
            write!(f, "{separator}{jobs} {what} (job {id}: {why})")?;
            separator = "; ";
        }
        Ok(())
    }
}

/// What a dead agent left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Jobs that were claimed.
    pub jobs: u64,
    /// Their mailboxes. What they answered last may have been lost with the agent.
    pub lanes: HashSet<LaneKey>,
    /// Jobs that could not be put back, because the schema refuses it. They stay claimed.
    pub left: Vec<Refusal>,
}

/// What the agent asks of a queue. SQLite has it today; a Postgres queue for several machines fits beside it.
///
/// All writes are durable when the call returns. No call holds a transaction over anything but its own statements.
pub trait Queue: Send + Sync + 'static {
    /// Puts every row left `claimed` by a dead agent back to `pending`, in doubt, and tells which. The caller must
    /// hold the queue's lock: then nobody alive can have claimed them. Times that lie in the future because the clock
    /// was set back since they were written are moved along, as by [`Queue::clock_set`]. A row that cannot be put back holds
    /// up no other.
    fn recover(&self, now: DateTime<Utc>) -> impl Future<Output = Result<Recovered, QueueError>> + Send;

    /// Every claim that is not over: whose, and its number.
    fn claims(&self) -> impl Future<Output = Result<Vec<(JobId, i64)>, QueueError>> + Send;

    /// Puts jobs back as [`Queue::recover`] does, as far as these claims are not over. The caller knows that nobody holds them.
    fn put_back(
        &self,
        claims: &[(JobId, i64)],
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Recovered, QueueError>> + Send;

    /// Whether the storage is still the one that was opened; cheap enough to be asked at every turn.
    ///
    /// # Errors
    /// It is gone.
    fn present(&self) -> Result<(), QueueError>;

    /// The wall clock was set to `now` from a time `by` earlier (negative: later). Moves the times the agent wrote
    /// along: nothing waits longer than it was to, nothing is given up earlier, and what was due stays due. What a
    /// producer wished (`not_before`) is a time of day and stays. `rests` is when the pauses known end from now on.
    ///
    /// After the clock was set back, the claims to come look for jobs that came later with the old clock's times: never
    /// claimed, stamped (`created_at`) ahead of now, and due later than now and later than wished. Such a job is due when its
    /// producer wishes, at the earliest now. That ends when stamps of the old clock lie ahead no more, or after an hour.
    fn clock_set(
        &self,
        now: DateTime<Utc>,
        by: TimeDelta,
        rests: &[(LaneKey, DateTime<Utc>)],
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// The pauses that are not over at `now`.
    fn pauses(&self, now: DateTime<Utc>) -> impl Future<Output = Result<Vec<Pause>, QueueError>> + Send;

    /// Claims due jobs, none of a mailbox on hold. Costs by the number of mailboxes with pending jobs, not by the number of jobs. Takes no
    /// write lock when there is nothing to take. The looks that [`Queue::clock_set`] speaks of take at most a twentieth of the time.
    fn claim(&self, request: &ClaimRequest) -> impl Future<Output = Result<Claimed, QueueError>> + Send;

    /// Claims nothing: tells the operator's words as a claim does, for who cannot claim now. Costs next to nothing.
    fn orders(&self) -> impl Future<Output = Result<Claimed, QueueError>> + Send;

    /// Records the ends of claims, all in one transaction, each fenced by its claim.
    fn settle<S: Borrow<Settlement> + Sync>(
        &self,
        batch: &[S],
    ) -> impl Future<Output = Result<Vec<Settled>, QueueError>> + Send;

    /// Jobs put off because the default zone was refused are due again, or when they wish.
    fn wake(&self, now: DateTime<Utc>) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Deletes at most `limit` jobs that ended before then, with their history, and tells how many. A job in doubt is
    /// kept: its row is all that says an event may exist.
    fn purge(&self, before: DateTime<Utc>, limit: u32) -> impl Future<Output = Result<u64, QueueError>> + Send;

    /// Forgets at most `limit` pauses that are over at `now` and tells how many. What is on hold is kept.
    fn forget_pauses(&self, now: DateTime<Utc>, limit: u32) -> impl Future<Output = Result<u64, QueueError>> + Send;

    /// Keeps what the agent says of itself, instead of what it said before.
    fn note(&self, note: &AgentNote) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Jobs that are pending or claimed.
    fn outstanding(&self) -> impl Future<Output = Result<u64, QueueError>> + Send;
}

/// What the agent says of itself, for programs beside it. Nothing is decided by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentNote {
    /// Its version.
    pub version: &'static str,
    /// Since when it runs.
    pub started_at: DateTime<Utc>,
    /// When the settings it goes by were read.
    pub settings_at: DateTime<Utc>,
    /// Why those found at the last reading are not gone by.
    pub settings_refused: Option<String>,
    /// Why nothing is sent at all.
    pub gate: Option<GateNote>,
    /// When what it signs in with ends, as far as it knows.
    pub credential: Option<CredentialNote>,
    /// Why nothing is sent from a default.
    pub default: Option<DefaultNote>,
    /// What the queue does not take from it.
    pub refused: Refusals,
}

/// What the agent signs in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialNote {
    /// `certificate` or `client_secret`.
    pub name: &'static str,
    /// Its end.
    pub expires: DateTime<Utc>,
}

/// All sending waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateNote {
    /// Since when.
    pub since: DateTime<Utc>,
    /// When one request finds out whether that is over.
    pub until: DateTime<Utc>,
    /// Kind of trouble.
    pub kind: ErrorKind,
    /// Its code.
    pub code: String,
    /// What it means and what to do.
    pub hint: String,
}

/// Sending from a default waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultNote {
    /// Which.
    pub key: DefaultKey,
    /// What it says.
    pub value: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When one request finds out whether that is over.
    pub until: DateTime<Utc>,
    /// What was said.
    pub hint: String,
}
