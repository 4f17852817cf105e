//! The producer's verb: jobs go into the queue, by the same columns and the same rules as for any other program.

use async_trait::async_trait;

use super::QueueError;
use crate::job::{Cell, JobInput, OperationKind};

/// What is asked of a queue by those who insert.
#[async_trait]
pub trait Produce: Send + Sync + 'static {
    /// Begins to insert: all that is added goes in together.
    ///
    /// # Errors
    /// Another program writes for longer than is waited for, or trouble with the storage.
    async fn begin(&self) -> Result<Box<dyn Insertion + '_>, InsertError>;

    /// Inserts all jobs or none, and gives their ids in the same order.
    ///
    /// # Errors
    /// The first job a rule of the queue refuses, or trouble with the storage.
    async fn insert(&self, jobs: &[NewJob]) -> Result<Vec<i64>, InsertError> {
        let mut insertion = self.begin().await?;
        let mut ids = Vec::with_capacity(jobs.len());
        for job in jobs {
            ids.push(insertion.add(job).await?);
        }
        insertion.commit().await?;
        Ok(ids)
    }

    /// Inserts what a rule of the queue does not refuse, a batch at a time, and pauses after each so that others have their
    /// turn. `on_batch` is called with each job's id or its refusal, in the same order, once they are in for good.
    ///
    /// # Errors
    /// Trouble with the storage. What was reported before is in, nothing else.
    async fn insert_with_gaps(&self, jobs: &[NewJob], on_batch: OnInserted<'_>) -> Result<(), InsertError>;
}

/// Called with the ids of a batch of jobs, or why one was refused.
pub type OnInserted<'c> = &'c mut (dyn FnMut(Vec<Result<i64, String>>) + Send);

/// Jobs going into the queue together. Dropped, nothing was inserted.
#[async_trait]
pub trait Insertion: Send {
    /// One more, and its id. One that is refused leaves those before it as they are.
    ///
    /// # Errors
    /// A rule of the queue refuses the job, or trouble with the storage.
    async fn add(&mut self, job: &NewJob) -> Result<i64, InsertError>;

    /// They are in, for good.
    ///
    /// # Errors
    /// Trouble with the storage; nothing was inserted.
    async fn commit(self: Box<Self>) -> Result<(), InsertError>;
}

/// Why nothing was inserted.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// A rule of the queue refuses one job; the others were not inserted either.
    #[error("{reason}")]
    Refused {
        /// Which one of those given, counted from 0.
        index: usize,
        reason: String,
    },
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The columns of one new job; none takes the column's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewJob {
    pub subject: Option<String>,
    pub body: Option<String>,
    pub start_time: Option<String>,
    pub end_time: Option<String>,
    pub location: Option<String>,
    pub attendees: Option<String>,
    pub mailbox: Option<String>,
    pub calendar_id: Option<String>,
    pub body_type: Option<String>,
    pub time_zone: Option<String>,
    pub extra: Option<String>,
    pub dedup_key: Option<String>,
    pub not_before: Option<String>,
    pub not_after: Option<String>,
    pub priority: Option<i64>,
    pub operation: Option<String>,
    pub event_key: Option<String>,
    pub target_event_id: Option<String>,
}

impl NewJob {
    /// As the agent would find it, for judging it before it is inserted.
    pub fn input(&self) -> JobInput {
        let cell = |value: &Option<String>| Cell::from(value.clone());
        JobInput {
            subject: cell(&self.subject),
            body: cell(&self.body),
            start_time: cell(&self.start_time),
            end_time: cell(&self.end_time),
            location: cell(&self.location),
            attendees: Cell::Text(self.attendees.clone().unwrap_or_else(|| "[]".into())),
            mailbox: cell(&self.mailbox),
            calendar_id: cell(&self.calendar_id),
            body_type: cell(&self.body_type),
            time_zone: cell(&self.time_zone),
            extra: cell(&self.extra),
            dedup_key: cell(&self.dedup_key),
            not_before: cell(&self.not_before),
            not_after: cell(&self.not_after),
            operation: Cell::Text(self.operation.clone().unwrap_or_else(|| OperationKind::Create.as_str().into())),
            event_key: cell(&self.event_key),
            target_event_id: cell(&self.target_event_id),
            // As long as the column's default, so that sizes come out right.
            transaction_id: "00000000-0000-4000-8000-000000000000".into(),
        }
    }
}
