//! Inserting jobs, as any other producer would: the same columns, the same rules of the schema.

use sqlx::{Sqlite, Transaction};

use super::settle::refused_by_schema;
use crate::job::{Cell, JobInput};
use crate::queue::sqlite::store::SqliteQueue;

/// The columns of one new job; none takes the column's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the columns of the contract")]
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
            // As long as the column's default, so that sizes come out right.
            transaction_id: "00000000-0000-4000-8000-000000000000".into(),
        }
    }
}

/// Why nothing was inserted.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// One job is refused by the schema; the others were not inserted either.
    #[error("{reason}")]
    Refused {
        /// Which one of those given, counted from 0.
        index: usize,
        /// Why.
        reason: String,
    },
    /// The database cannot be written.
    #[error("the queue cannot be written: {0}")]
    Sqlite(#[from] sqlx::Error),
}

const INSERT: &str = "INSERT INTO jobs (subject, body, start_time, end_time, location, attendees, mailbox, calendar_id,
        body_type, time_zone, extra, dedup_key, not_before)
    VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, '[]'), ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

/// Jobs going into the queue, in one transaction: nobody else writes meanwhile. Dropped, nothing was inserted.
pub struct Insertion<'q> {
    queue: &'q SqliteQueue,
    tx: Transaction<'q, Sqlite>,
    given: usize,
}

impl SqliteQueue {
    /// Inserts all jobs or none, and gives their ids in the same order.
    ///
    /// # Errors
    /// The first job the schema refuses, or trouble with the database.
    pub async fn insert(&self, jobs: &[NewJob]) -> Result<Vec<i64>, InsertError> {
        let mut insertion = self.insertion().await?;
        let mut ids = Vec::with_capacity(jobs.len());
        for job in jobs {
            ids.push(insertion.add(job).await?);
        }
        insertion.commit().await?;
        Ok(ids)
    }

    /// Begins to insert.
    ///
    /// # Errors
    /// Somebody else writes for longer than is waited for, or trouble with the database.
    pub async fn insertion(&self) -> Result<Insertion<'_>, InsertError> {
        Ok(Insertion { queue: self, tx: self.pool.begin_with("BEGIN IMMEDIATE").await?, given: 0 })
    }
}

impl Insertion<'_> {
    /// One more, and its id. One that is refused leaves those before it as they are.
    ///
    /// # Errors
    /// The schema refuses the job, or trouble with the database.
    pub async fn add(&mut self, job: &NewJob) -> Result<i64, InsertError> {
        let columns = [
            &job.subject,
            &job.body,
            &job.start_time,
            &job.end_time,
            &job.location,
            &job.attendees,
            &job.mailbox,
            &job.calendar_id,
            &job.body_type,
            &job.time_zone,
            &job.extra,
            &job.dedup_key,
            &job.not_before,
        ];
        let index = self.given;
        self.given += 1;
        let query = columns.into_iter().fold(sqlx::query(INSERT), |query, column| query.bind(column));
        match query.execute(&mut *self.tx).await {
            Ok(done) => Ok(done.last_insert_rowid()),
            Err(error) if refused_by_schema(&error) => Err(refused(index, job, error)),
            Err(error) => Err(error.into()),
        }
    }

    /// They are in, for good.
    ///
    /// # Errors
    /// Trouble with the database; nothing was inserted.
    pub async fn commit(self) -> Result<(), InsertError> {
        self.tx.commit().await?;
        self.queue.lane_heads.lock().await.forget();
        Ok(())
    }
}

fn refused(index: usize, job: &NewJob, error: sqlx::Error) -> InsertError {
    let sqlx::Error::Database(error) = error else { return error.into() };
    let reason = if error.is_unique_violation() {
        let key = job.dedup_key.as_deref().unwrap_or_default();
        format!("dedup_key: '{key}' is taken; a job with this key is in the queue already")
    } else {
        error.message().to_owned()
    };
    InsertError::Refused { index, reason }
}
