//! Inserting jobs, as any other producer would: the same columns, the same rules of the schema.

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction};

use super::errors::written;
use super::store::SqliteQueue;
use super::transaction::refused_by_schema;
use crate::queue::operate::pause_after;
use crate::queue::sqlite::clock::steady;
use crate::queue::{InsertError, Insertion, NewJob, OnInserted, Produce};

/// Jobs of one transaction: some ten milliseconds of the write lock.
const BATCH: usize = 500;

const INSERT: &str = "INSERT INTO jobs (subject, body, start_time, end_time, location, attendees, mailbox, calendar_id,
        body_type, time_zone, extra, dedup_key, not_before, not_after, event_key, target_event_id, operation, priority)
    VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, '[]'), ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, coalesce(?17, 'create'),
        coalesce(?18, 0))";

/// One transaction: no other program writes meanwhile.
struct Open<'q> {
    queue: &'q SqliteQueue,
    tx: Transaction<'q, Sqlite>,
    given: usize,
}

#[async_trait]
impl Produce for SqliteQueue {
    async fn begin(&self) -> Result<Box<dyn Insertion + '_>, InsertError> {
        let tx = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(written)?;
        Ok(Box::new(Open { queue: self, tx, given: 0 }))
    }

    async fn insert_with_gaps(&self, jobs: &[NewJob], on_batch: OnInserted<'_>) -> Result<(), InsertError> {
        for batch in jobs.chunks(BATCH) {
            let begin = steady();
            let mut insertion = self.begin().await?;
            let mut inserted = Vec::with_capacity(batch.len());
            for job in batch {
                inserted.push(match insertion.add(job).await {
                    Ok(id) => Ok(id),
                    Err(InsertError::Refused { reason, .. }) => Err(reason),
                    Err(error) => return Err(error),
                });
            }
            insertion.commit().await?;
            on_batch(inserted);
            if batch.len() == BATCH {
                tokio::time::sleep(pause_after(begin.elapsed())).await;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Insertion for Open<'_> {
    async fn add(&mut self, job: &NewJob) -> Result<i64, InsertError> {
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
            &job.not_after,
            &job.event_key,
            &job.target_event_id,
            &job.operation,
        ];
        let index = self.given;
        self.given += 1;
        let query = columns.into_iter().fold(sqlx::query(INSERT), |query, column| query.bind(column));
        match query.bind(job.priority).execute(&mut *self.tx).await {
            Ok(done) => Ok(done.last_insert_rowid()),
            Err(error) if refused_by_schema(&error) => Err(refused(index, job, error)),
            Err(error) => Err(written(error).into()),
        }
    }

    async fn commit(self: Box<Self>) -> Result<(), InsertError> {
        let Self { queue, tx, .. } = *self;
        tx.commit().await.map_err(written)?;
        queue.memory.lane_heads.lock().await.forget();
        Ok(())
    }
}

fn refused(index: usize, job: &NewJob, error: sqlx::Error) -> InsertError {
    let sqlx::Error::Database(error) = error else { return written(error).into() };
    let reason = if error.is_unique_violation() {
        let key = job.dedup_key.as_deref().unwrap_or_default();
        format!("dedup_key: '{key}' is taken; a job with this key is in the queue already")
    } else {
        error.message().to_owned()
    };
    InsertError::Refused { index, reason }
}
