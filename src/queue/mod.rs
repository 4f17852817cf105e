//! The queue: what the agent may ask of it, in prose, and its one implementation so far.
//!
//! A row is claimed, attempted and settled. Between claim and settlement it belongs to the agent that claimed it,
//! and every settlement carries the claim's number: a late writer whose claim is over changes nothing.

mod sqlite;

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

pub use sqlite::files::{AgentLock, ChangeNotice, LockError, Strange, WatchError, network_file_system, watch};
pub use sqlite::{
    AGE_COUNT, AGE_LIMITS, Census, Changed, Chosen, Ended, Health, Hold, InsertError, Insertion, Integrity, ListFilter,
    Mended, NewJob, OpenError, PURGE_BATCH, Purgeable, REPAIR_BATCH, Record, Rest, Room, Rule, Rules, Selection,
    SqliteQueue, StatusReport, Waiting, WaitingMailbox, WaitingReport, rest_after,
};

use crate::job::{Answer, DefaultKey, Defaults, ErrorKind, EventId, Job, JobId};

/// A mailbox's key among the lanes: its name in lower case, empty for the signed-in user's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneKey(Arc<str>);

impl LaneKey {
    /// Of a mailbox as written, without the white space around it; SQLite's idea of lower case (ASCII only) is ours too.
    pub fn of(mailbox: &str) -> Self {
        let name = mailbox.trim_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
        Self(name.chars().take(320).collect::<String>().to_ascii_lowercase().into())
    }

    /// The key as stored in `mailboxes.mailbox`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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

/// How the sentence begins that a reason has in it where a pause is not as long as Microsoft asked for, but as long as any is
/// obeyed.
const CAPPED: &str = "Microsoft asked to wait ";

/// That sentence of a reason, if it has it. What a server said stands behind the agent's own words, and says nothing here.
pub fn capped(reason: &str) -> Option<&str> {
    let own = reason.split_once(" Graph said: ").map_or(reason, |(own, _)| own);
    own.find(CAPPED).map(|begin| own[begin..].trim_end())
}

/// A pause to be kept over restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Whose.
    pub lane: LaneKey,
    /// Until when.
    pub until: DateTime<Utc>,
    /// Why, in words.
    pub reason: String,
    /// Why, as a kind.
    pub kind: Option<ErrorKind>,
    /// Pauses in a row.
    pub strikes: u32,
    /// Until when Microsoft itself asked for it.
    pub asked_until: Option<DateTime<Utc>>,
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
    /// Time of the decision.
    pub at: DateTime<Utc>,
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

/// Why the queue could not be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Trouble with the storage. Always worth another try: the agent keeps what it knows and says so.
    #[error("the queue cannot be {action}: {source}")]
    Trouble {
        /// `read` or `written`.
        action: &'static str,
        /// The storage's own words.
        source: sqlx::Error,
    },
    /// The storage is no longer the one that was opened. Nothing can be read from it or written to it any more.
    #[error("{} was {fate} while the agent was running; it stops, so that nothing is lost or sent twice", path.display())]
    Gone {
        /// Which file.
        path: PathBuf,
        /// `deleted` or `replaced`.
        fate: &'static str,
    },
}

impl QueueError {
    /// Whether it may pass by itself. A running agent tries again whatever it is, for it has results to keep.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Trouble { source, .. } if sqlite::may_pass(source))
    }
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
