//! What people, programs and the monitor read of a queue. Nothing here writes, and nothing holds up the agent or a producer.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::rows::{AgentRow, AttemptRow, JobRow, JobSummary, MailboxRow, Stored};
use super::{LaneKey, QueueError};
use crate::job::{JobId, JobInput, JobState};

/// What is asked of a queue by those who only look.
#[async_trait]
pub trait Read: Send + Sync + 'static {
    /// What people call it: where it is.
    fn name(&self) -> String;

    /// The newest jobs that fit, the oldest of them first.
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobSummary>, QueueError>;

    /// How many jobs fit, whatever the filter's limit; none if counting them all takes longer than that.
    async fn count(&self, filter: &JobFilter, within: Duration) -> Result<Option<u64>, QueueError>;

    /// These jobs, as far as they are there, in the order of their ids.
    async fn jobs_by_id(&self, ids: &[JobId]) -> Result<Vec<JobSummary>, QueueError>;

    /// Jobs that an index knows by this, the newest first: by their id, dedup key, event key, transaction id, the EventID they
    /// change, or the mailbox they wait for.
    async fn known_by(&self, text: &str, limit: u32) -> Result<Vec<JobSummary>, QueueError>;

    /// Whether there are at most so many jobs in this state: an index that knows them is read as a whole to list them.
    async fn are_few(&self, state: JobState, most: u32) -> Result<bool, QueueError>;

    /// Jobs that no index knows, found by walking from the newest to older ones, so many rows at most: as long as there are more,
    /// the walk goes on where this step ended.
    async fn walk(&self, sought: &Sought, step: Step) -> Result<Walked, QueueError>;

    /// Jobs that have failed since then: their number, and of each kind of failure at most so many, the newest.
    async fn failures(&self, since: DateTime<Utc>, of_each_kind: u32) -> Result<Failures, QueueError>;

    /// All jobs of the event that its producer calls by this key, in the order they run in.
    async fn jobs_of_key(&self, key: &str) -> Result<Vec<JobSummary>, QueueError>;

    /// One job with its attempts, the oldest first.
    async fn job(&self, id: JobId) -> Result<Option<(JobRow, Vec<AttemptRow>)>, QueueError>;

    /// One job's input columns, as the agent would read them.
    async fn input(&self, id: JobId) -> Result<Option<JobInput>, QueueError>;

    /// The queue at a glance. `unnamed` is whose mailbox the rows are for that name none; at most so many `mailboxes` are
    /// named.
    async fn overview(&self, now: DateTime<Utc>, unnamed: Option<&str>, mailboxes: u32)
    -> Result<Overview, QueueError>;

    /// Counts for the monitor. May take a second where there are millions of jobs.
    async fn census(&self, now: DateTime<Utc>, unnamed: Option<&str>) -> Result<Census, QueueError>;

    /// Pending jobs of these mailboxes.
    async fn waiting_for(&self, lanes: &[LaneKey]) -> Result<u64, QueueError>;

    /// The mailboxes that are paused at `now` or on hold, by name.
    async fn mailboxes(&self, now: DateTime<Utc>) -> Result<Vec<MailboxRow>, QueueError>;

    /// What is known of this mailbox's pauses and holds.
    async fn mailbox(&self, lane: &LaneKey) -> Result<Option<MailboxRow>, QueueError>;

    /// The agents: those that run, and the one that ran last.
    async fn agents(&self) -> Result<Vec<AgentRow>, QueueError>;

    /// As [`Overview::sending_paused_until`].
    async fn sending_paused_until(&self) -> Result<Option<DateTime<Utc>>, QueueError>;

    /// What the storage says of itself, in about that time at most.
    async fn health(&self, within: Duration) -> Result<Vec<StorageFinding>, QueueError>;

    /// Gives the storage back.
    async fn close(&self);
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only this state.
    pub state: Option<JobState>,
    /// Only these mailboxes; any, if there are none.
    pub lanes: Vec<LaneKey>,
    /// Only this kind of failure.
    pub error_kind: Option<String>,
    /// Only those of the event that its producer calls by this key.
    pub event_key: Option<String>,
    /// Only the one that its producer calls by this key.
    pub dedup_key: Option<String>,
    /// Only those of which an event may exist that no answer has confirmed.
    pub in_doubt: bool,
    /// Only those that ended since then; of jobs that have not ended, those inserted since then.
    pub since: Option<DateTime<Utc>>,
    /// Only those with a smaller id.
    pub before: Option<JobId>,
    /// At most this many, the newest.
    pub limit: u32,
}

/// What a walk looks for: all of it must fit.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    /// Its mailbox, its EventID, or a request id of it or of one of its attempts.
    pub text: Option<String>,
    pub state: Option<JobState>,
    /// These mailboxes; any, if there are none.
    pub lanes: Vec<LaneKey>,
    pub error_kind: Option<String>,
}

/// How far one step of a walk goes.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Only jobs with a smaller id; all, if there is none.
    pub before: Option<JobId>,
    /// Rows that are looked at, …
    pub rows: u32,
    /// … and jobs that are found, at most.
    pub limit: u32,
}

/// What a step found.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    /// The newest first.
    pub jobs: Vec<JobSummary>,
    /// Rows that were looked at.
    pub rows: u32,
    /// Where the next step begins; none where there is no older job.
    pub before: Option<JobId>,
}

/// The queue at a glance: everything of one moment.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Jobs by state, every state once.
    pub counts: Vec<(JobState, i64)>,
    /// Jobs of which an event may exist that no answer has confirmed.
    pub in_doubt: i64,
    /// Pending jobs that wait for another of their event.
    pub behind: i64,
    /// What waits, by mailbox and age.
    pub waiting: WaitingReport,
    /// When the job waiting longest was inserted.
    pub oldest_pending: Option<String>,
    /// The same of those jobs that are due.
    pub oldest_due: Option<String>,
    pub last_minute: Ended,
    pub last_hour: Ended,
    /// Jobs that ended, minute by minute of the last hour, the oldest first; whatever their end.
    pub by_minute: Vec<i64>,
    /// Failed jobs by kind, the most frequent first.
    pub failed_by_kind: Vec<(Option<String>, i64)>,
    /// What pending jobs met last, the most frequent first.
    pub troubles: Vec<Trouble>,
    /// Pending jobs that met something, whatever it was.
    pub troubled: i64,
    /// Mailboxes whose pause is not over.
    pub paused: Vec<MailboxRow>,
    /// Mailboxes on hold.
    pub held: Vec<MailboxRow>,
    /// Mailboxes that have mailed as many attendees as they may for now.
    pub paced: Vec<MailboxRow>,
    pub agents: Vec<AgentRow>,
    /// Another database server has taken over: all sending is paused until then.
    pub sending_paused_until: Option<DateTime<Utc>>,
}

impl Overview {
    /// The agent by which sending is judged: of those that share the queue one that gets anywhere, if any does.
    pub fn agent(&self, now: DateTime<Utc>) -> AgentRow {
        judged(&self.agents, now).cloned().unwrap_or_default()
    }
}

/// The same of a list.
pub fn judged(agents: &[AgentRow], now: DateTime<Utc>) -> Option<&AgentRow> {
    let moves = agents.iter().find(|agent| agent.runs() && agent.silent_since(now).is_none());
    moves.or(agents.first())
}

/// Jobs that have failed lately.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    /// All of them.
    pub jobs: i64,
    /// Those of each kind that failed last.
    pub newest: Vec<JobSummary>,
}

/// Jobs that ended within a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// With an event.
    pub sent: i64,
    /// Without.
    pub failed: i64,
}

/// What pending jobs have met: so many the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trouble {
    pub kind: Stored,
    pub code: Stored,
    pub jobs: i64,
    /// What was said to the newest of them.
    pub message: Stored,
    /// When the first of them was inserted.
    pub oldest: Stored,
    pub newest_id: i64,
}

/// Where one age ends and the next begins, in seconds: a minute, 5, 15, an hour, 6, a day.
pub const AGE_LIMITS: [i64; 6] = [60, 300, 900, 3600, 21_600, 86_400];
/// The ages: below each limit, and beyond the last.
pub const AGE_COUNT: usize = AGE_LIMITS.len() + 1;

/// What waits for one mailbox, or for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// The mailbox in lower case; empty for the one of jobs that name none.
    pub mailbox: String,
    /// Pending jobs.
    pub jobs: i64,
    /// Those of them that are not due yet: for later by their producer's wish, after an attempt, or behind another job of their
    /// event.
    pub later: i64,
    /// Those that are due, by the time since their insertion: below the first of [`AGE_LIMITS`], the second, … and older.
    pub by_age: [i64; AGE_COUNT],
}

/// [`Waiting::by_age`] of jobs that are due: `within` counts those inserted within each of [`AGE_LIMITS`], so each holds all that
/// is younger.
pub fn by_age(within: [i64; AGE_LIMITS.len()], due: i64) -> [i64; AGE_COUNT] {
    let mut by_age = [0; AGE_COUNT];
    let mut younger = 0;
    for (age, within) in by_age.iter_mut().zip(within) {
        *age = within - younger;
        younger = within;
    }
    by_age[AGE_COUNT - 1] = due - younger;
    by_age
}

/// The waiting jobs by mailbox.
#[derive(Clone, Debug, Default)]
pub struct WaitingReport {
    /// All of them.
    pub total: Waiting,
    /// The mailboxes with the most.
    pub mailboxes: Vec<Waiting>,
    /// Number of mailboxes not among these.
    pub more: i64,
    /// The job inserted first, of all and of those that are due.
    pub oldest: Option<i64>,
    /// See `oldest`.
    pub oldest_due: Option<i64>,
    /// When the next one is due.
    pub next_due: Option<String>,
    /// Since when the first job of mailboxes that are neither paused, held nor paced has been due, or will be.
    pub open_due: Option<String>,
}

/// Jobs by state and trouble, how long the first of them has been due, and the room they take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Census {
    /// Jobs that wait for their time or their turn.
    pub pending: u64,
    /// Those of them that are due.
    pub due: u64,
    /// Those that wait for another job of their event.
    pub behind: u64,
    /// Jobs the agent has taken.
    pub claimed: u64,
    pub sent: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// Jobs of which an event may exist that no answer has confirmed.
    pub in_doubt: u64,
    /// Jobs failed, by `error_kind`.
    pub failed_by_kind: Vec<(String, u64)>,
    /// Pending jobs that have met trouble, by the `error_kind` of the last.
    pub waiting_by_kind: Vec<(String, u64)>,
    pub held_mailboxes: u64,
    /// Since when the first job of mailboxes that may be sent to has been due.
    pub due_since: Option<DateTime<Utc>>,
    /// The same of paused mailboxes, …
    pub due_since_paused: Option<DateTime<Utc>>,
    /// … and of those on hold.
    pub due_since_held: Option<DateTime<Utc>>,
    pub room: Room,
    /// How long counting took.
    pub took: Duration,
}

/// What the queue's files take of their file system. What cannot be found out is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Room {
    /// Bytes of the database.
    pub database: Option<u64>,
    /// Bytes of the log beside it.
    pub log: Option<u64>,
    /// Bytes that may still be written to their file system, …
    pub free: Option<u64>,
    /// … of so many.
    pub size: Option<u64>,
}

/// How bad a finding is. The order is that of badness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// In order.
    Pass,
    /// Works, or could not be looked at.
    Warn,
    /// Does not work.
    Fail,
}

/// What a queue finds of its own storage: what it means, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageFinding {
    pub grade: Grade,
    /// The file or the server it is about.
    pub about: String,
    pub means: String,
    pub cure: Option<String>,
}

impl StorageFinding {
    fn new(grade: Grade, means: impl Into<String>) -> Self {
        Self { grade, about: String::new(), means: means.into(), cure: None }
    }

    pub(super) fn pass(means: impl Into<String>) -> Self {
        Self::new(Grade::Pass, means)
    }

    pub(super) fn warn(means: impl Into<String>) -> Self {
        Self::new(Grade::Warn, means)
    }

    pub(super) fn fail(means: impl Into<String>) -> Self {
        Self::new(Grade::Fail, means)
    }

    pub(super) fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    pub(super) fn about(mut self, about: &std::path::Path) -> Self {
        self.about = about.display().to_string();
        self
    }
}
