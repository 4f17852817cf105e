//! What the agent asks of a queue: claims, ends of claims, and its own status.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::settlement::{Settled, Settlement};
use super::{LaneKey, Pause, QueueError};
use crate::clock::Now;
use crate::job::{DefaultKey, Defaults, ErrorKind, Job, JobId};

/// The agent's side of a queue.
///
/// All writes are durable when the call returns. No call holds a transaction over anything but its own statements.
///
/// Time is the queue's: what is due, paused or old enough to be deleted is compared with the queue's own clock. A queue
/// whose clock may be set keeps the length of every wait by itself.
#[async_trait]
pub trait Agent: Send + Sync + 'static {
    /// The agent begins: it gets a number of its own, which every row it claims names until the claim is over. Every row that
    /// a dead agent left `claimed` goes back to `pending`, in doubt; one that cannot does not keep the others from it. The
    /// first claim after this one tells what the agent must know before it sends anything.
    async fn join(&self) -> Result<Recovered, QueueError>;

    /// Claims due jobs, none of a mailbox on hold, and tells what is new of the mailboxes. The first claim after
    /// [`Agent::join`] takes nothing, and so does one with limit 0, which costs next to nothing.
    ///
    /// Costs by the number of mailboxes with pending jobs, not by the number of jobs. Takes no write lock when there is
    /// nothing to take.
    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, QueueError>;

    /// Records the ends of claims, all in one transaction, each fenced by its claim.
    async fn settle(&self, batch: &[&Settlement]) -> Result<Vec<Settled>, QueueError>;

    /// Every claim that is not over, with its number.
    async fn claims(&self) -> Result<Vec<(JobId, i64)>, QueueError>;

    /// Puts jobs back as [`Agent::join`] does, as far as these claims are not over. The caller knows that no agent works on
    /// them.
    async fn put_back(&self, claims: &[(JobId, i64)]) -> Result<Recovered, QueueError>;

    /// Makes the jobs due that were put off for a setting, which may be another one now: because the default zone was refused, or
    /// because their mailbox had mailed as many as it might. Those with a wish of their own, when they wish.
    async fn wake(&self) -> Result<(), QueueError>;

    /// Keeps a pause that no end of a claim brings, by this machine's time `at`.
    async fn note_pause(&self, pause: &Pause, at: Now) -> Result<(), QueueError>;

    /// Deletes at most `limit` jobs that ended longer than `age` ago, with their history, and returns how many. A job in
    /// doubt stays: its row is all that says an event may exist.
    async fn purge(&self, age: Duration, limit: u32) -> Result<u64, QueueError>;

    /// Forgets at most `limit` pauses that are over, and as many accounts of what was mailed long ago; returns how many of
    /// whichever were more. What is on hold stays.
    async fn forget_pauses(&self, limit: u32) -> Result<u64, QueueError>;

    /// Replaces what the agent last reported of itself.
    async fn report(&self, status: &AgentStatus) -> Result<(), QueueError>;

    /// A sign of life for those who look. Given every few seconds as long as the agent gets anywhere; costs no write of the queue.
    async fn sign(&self) -> Result<(), QueueError>;

    /// Adds to a sent job the link of its online meeting, which came later than the event. Nothing happens if it has one.
    async fn add_join_url(&self, id: JobId, join_url: &str) -> Result<(), QueueError>;

    /// Counts the jobs that are pending or claimed.
    async fn outstanding(&self) -> Result<u64, QueueError>;

    /// Leave to make a request of this mailbox now, for what was claimed of it then. None: another agent may have taken over, or may
    /// have had the mailbox since.
    fn pass(&self, lane: &LaneKey, claimed: Instant) -> Option<Pass>;

    /// How this agent stands among the others. None: the queue is its own.
    fn membership(&self) -> Option<Membership>;

    /// Returns when there may be something new to claim. Only a hint: it may come for nothing, and where the queue has no
    /// notices, it never comes.
    ///
    /// # Errors
    /// The queue is gone. Found out as soon as this is called, and while it is awaited when something changes.
    async fn changes(&self) -> Result<(), QueueError>;
}

/// How an agent stands among the others of its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Which of the queues in its database it is.
    pub schema: String,
    /// Agents that live, this one among them.
    pub agents: usize,
    /// Mailboxes that it serves.
    pub mailboxes: usize,
    /// The least that was left of its leave to send when its lease was renewed, lately.
    pub lease_margin: Option<Duration>,
    /// Times its leave to send ended before the lease was renewed.
    pub lease_lapses: u64,
    /// Agents that it has found silent for longer than their lease.
    pub buried: u64,
    /// Events that were told of after the claim they belong to was over.
    pub late_answers: u64,
}

/// Leave to make a request of a mailbox: as long as it is held, the mailbox is handed to no other agent.
#[derive(Debug, Default)]
pub struct Pass {
    _held: Option<Arc<()>>,
}

impl Pass {
    /// Kept by the agent that hands the mailbox over.
    pub(super) fn of(held: Arc<()>) -> Self {
        Self { _held: Some(held) }
    }
}

/// What a claim may take.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Most jobs in all.
    pub limit: usize,
    /// Most jobs of a mailbox that is not named in `free`.
    pub per_lane: usize,
    /// Requests at once to a mailbox in good health.
    pub slots: usize,
    /// Free places of the mailboxes that have something under way or are paused (0).
    pub free: HashMap<LaneKey, usize>,
    pub suspects: Suspects,
    /// The mailbox of rows that name none: they share its lane.
    pub unnamed: Option<String>,
    /// Take no row that names no mailbox: the mailbox they would get is refused.
    pub unnamed_paused: bool,
    /// Mailboxes that have mailed as many as they may: take none of their jobs that mail somebody.
    pub paced: HashSet<LaneKey>,
    /// What fills NULL columns, written into the row if no request of the job has left yet.
    pub defaults: Defaults,
}

/// Mailboxes in trouble.
#[derive(Clone, Debug, Default)]
pub struct Suspects {
    pub lanes: HashSet<LaneKey>,
    /// Most jobs to take of all of them together.
    pub limit: usize,
}

/// What a claim took, and what it tells.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The queue's time of this claim, and the moment of this machine's steady clock it belongs to. All times in here are to be
    /// read by it.
    pub as_of: Now,
    /// In order of priority, due time and id within a mailbox.
    pub jobs: Vec<(LaneKey, Job)>,
    /// When the next job of a lane that had free slots becomes due, if one will, or when the queue wishes to be asked again.
    pub next_due: Option<DateTime<Utc>>,
    /// There is more to take than was taken in one go.
    pub more: bool,
    /// Jobs that failed because the schema's own rules refuse their claim: another program wrote nonsense into the agent's
    /// columns.
    pub broken: Vec<JobId>,
    /// Jobs that ended without an attempt, and how: `not_after` has passed, or a later delete cancelled them.
    pub ended: Vec<(JobId, ErrorKind)>,
    pub withheld: Withheld,
    pub news: MailboxNews,
}

impl Claimed {
    /// Nothing was taken, and nothing is new.
    pub fn nothing(as_of: Now) -> Self {
        Self {
            as_of,
            jobs: Vec::new(),
            next_due: None,
            more: false,
            broken: Vec::new(),
            ended: Vec::new(),
            withheld: Withheld::default(),
            news: MailboxNews::default(),
        }
    }
}

/// What of the mailboxes the agent does not know yet, whoever found it out: another agent, an operator, an earlier run.
#[derive(Clone, Debug, Default)]
pub struct MailboxNews {
    /// Pauses: in the first claim all that are not over, later those of other agents. A queue with one agent has none of those.
    pub pauses: Vec<Pause>,
    /// Mailboxes that get this many slots until their next success: a dead agent may have taken their last answer with it.
    pub limits: Vec<(LaneKey, usize)>,
    /// What was mailed within the last 24 hours: only in the first claim after [`Agent::join`].
    pub mailed: Vec<Mailed>,
    /// All mailboxes on hold: nothing was taken of them. The same `Arc` as last time if nothing was held or released since.
    pub held: Arc<HashSet<LaneKey>>,
    /// The mailboxes whose pause an operator ended within the last minutes, and when. The same `Arc` as last time if nothing was
    /// resumed since.
    pub resumed: Arc<HashSet<(LaneKey, DateTime<Utc>)>>,
}

/// What the jobs of a mailbox have mailed within a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailed {
    pub lane: LaneKey,
    /// The minute's beginning.
    pub minute: DateTime<Utc>,
    pub jobs: u32,
    pub recipients: u32,
}

/// Jobs that cannot be claimed although they are due, because a trigger refuses it. They are tried again after a while.
#[derive(Clone, Debug, Default)]
pub struct Withheld {
    /// Those found in this claim.
    pub new: Vec<Refusal>,
    /// This claim met a refusal, new or not.
    pub met: bool,
    /// How many there are, and one of them.
    pub all: Option<(usize, Refusal)>,
}

/// A job of which the queue refuses something, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub id: JobId,
    /// The rule's message, as whoever made the rule wrote it.
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
    /// How many jobs were put back.
    pub jobs: u64,
    /// Jobs that could not be put back because the schema refuses it. They stay claimed.
    pub left: Vec<Refusal>,
}

/// What the agent reports of itself, for programs beside it. Nothing is decided by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentStatus {
    pub version: &'static str,
    pub started_at: DateTime<Utc>,
    /// When the settings in use were read.
    pub settings_at: DateTime<Utc>,
    /// Why the settings read last are not in use.
    pub settings_refused: Option<String>,
    /// Set while nothing is sent at all.
    pub gate: Option<GateNote>,
    /// When what it signs in with ends, if it knows.
    pub credential: Option<CredentialNote>,
    /// Set while nothing is sent from a default.
    pub default: Option<DefaultNote>,
    pub refused: Refusals,
}

/// What the agent signs in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialNote {
    /// `certificate` or `client_secret`.
    pub name: &'static str,
    pub expires: DateTime<Utc>,
}

/// All sending waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateNote {
    pub since: DateTime<Utc>,
    /// When one request finds out whether that is over.
    pub until: DateTime<Utc>,
    pub kind: ErrorKind,
    pub code: String,
    /// What it means, and what to do.
    pub hint: String,
}

/// Sending from a default waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultNote {
    pub key: DefaultKey,
    pub value: String,
    pub since: DateTime<Utc>,
    /// When one request finds out whether that is over.
    pub until: DateTime<Utc>,
    /// What Graph said.
    pub hint: String,
}
