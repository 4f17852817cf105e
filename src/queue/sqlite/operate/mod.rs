//! The operator's verbs on a SQLite queue. Between two batches the agent and the producers have three quarters of the time.

pub mod holds;
pub mod jobs;
pub mod restored;
pub mod resume;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::errors::{read, written};
use super::files::{AgentLock, LockError};
use super::store::SqliteQueue;
use crate::job::{Defaults, JobId, JobState};
use crate::queue::operate::{bring_forward, pause_after};
use crate::queue::sqlite::batch::REPAIR_BATCH;
use crate::queue::sqlite::clock::steady;
use crate::queue::{Chosen, LaneKey, MailboxRow, OnBatch, Operate, Purgeable, QueueError, Selection};

/// Jobs deleted in one, with their history.
pub const PURGE_BATCH: usize = 100;

#[async_trait]
impl Operate for SqliteQueue {
    async fn select(&self, selection: &Selection) -> Result<Vec<Chosen>, QueueError> {
        jobs::selected(&self.pool, selection).await.map_err(read)
    }

    async fn chosen(&self, ids: &[JobId]) -> Result<Vec<Chosen>, QueueError> {
        jobs::chosen(&self.pool, ids).await.map_err(read)
    }

    async fn retry(&self, ids: &[JobId], now: DateTime<Utc>, on_batch: OnBatch<'_>) -> Result<(), QueueError> {
        self.in_batches(Change::Retry, ids, now, on_batch).await
    }

    async fn cancel(
        &self,
        ids: &[JobId],
        even_if_in_doubt: bool,
        now: DateTime<Utc>,
        on_batch: OnBatch<'_>,
    ) -> Result<(), QueueError> {
        self.in_batches(Change::Cancel { even_if_in_doubt }, ids, now, on_batch).await
    }

    async fn purgeable(&self, before: DateTime<Utc>, states: &[JobState]) -> Result<Purgeable, QueueError> {
        jobs::purgeable(&self.pool, before, states).await.map_err(read)
    }

    async fn purge_ended(
        &self,
        before: DateTime<Utc>,
        states: &[JobState],
        on_batch: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), QueueError> {
        for state in states {
            loop {
                let mut deleted = 0;
                for batch in jobs::to_purge(&self.pool, before, *state).await.map_err(read)?.chunks(PURGE_BATCH) {
                    let begin = steady();
                    let gone = self.purge_batch(batch, before).await?;
                    deleted += gone;
                    on_batch(gone);
                    tokio::time::sleep(pause_after(begin.elapsed())).await;
                }
                // None, or none of them any more.
                if deleted == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn hold_mailbox(&self, lane: &LaneKey, reason: Option<&str>, now: DateTime<Utc>) -> Result<(), QueueError> {
        let mut connection = self.connection().await?;
        let done = holds::hold(&mut connection, lane, reason, now).await;
        self.memory.lane_heads.lock().await.forget();
        self.handed_back(connection, done).map_err(written)
    }

    async fn release_mailbox(&self, lane: &LaneKey) -> Result<bool, QueueError> {
        let mut connection = self.connection().await?;
        let done = holds::release(&mut connection, lane).await;
        self.memory.lane_heads.lock().await.forget();
        self.handed_back(connection, done).map_err(written)
    }

    async fn resume_mailbox(
        &self,
        row: &MailboxRow,
        lanes: &[LaneKey],
        now: DateTime<Utc>,
    ) -> Result<bool, QueueError> {
        let mut connection = self.connection().await?;
        let done = resume::resume(&mut connection, row, now).await;
        if !self.handed_back(connection, done).map_err(written)? {
            return Ok(false);
        }
        bring_forward(self, row, lanes, now).await?;
        Ok(true)
    }

    async fn not_in_doubt(&self) -> Result<u64, QueueError> {
        let mut connection = self.pool.acquire().await.map_err(read)?;
        Ok(restored::not_in_doubt(&mut connection).await.map_err(read)?.len() as u64)
    }

    async fn mark_in_doubt(&self, defaults: &Defaults, now: DateTime<Utc>) -> Result<u64, QueueError> {
        // Held to the end: an agent that starts meanwhile would send what is not marked yet.
        let _lock = AgentLock::acquire_for_a_moment(&self.path).map_err(|error| match error {
            LockError::Held { .. } => {
                QueueError::AgentRuns(format!("{error}; stop it first, it may be sending these jobs already"))
            }
            LockError::Strange(_) | LockError::Io { .. } => QueueError::Unusable(error.to_string()),
        })?;
        let mut connection = self.connection().await?;
        let ids = restored::not_in_doubt(&mut connection).await.map_err(read)?;
        let done = restored::mark_in_doubt(&mut connection, &ids, defaults, now).await;
        self.handed_back(connection, done).map_err(written)
    }
}

#[derive(Clone, Copy)]
enum Change {
    Retry,
    Cancel { even_if_in_doubt: bool },
}

impl SqliteQueue {
    async fn in_batches(
        &self,
        change: Change,
        ids: &[JobId],
        now: DateTime<Utc>,
        on_batch: OnBatch<'_>,
    ) -> Result<(), QueueError> {
        let mut batches = ids.chunks(REPAIR_BATCH).peekable();
        while let Some(batch) = batches.next() {
            let begin = steady();
            let changed = match change {
                Change::Retry => self.retry_batch(batch, now).await?,
                Change::Cancel { even_if_in_doubt } => self.cancel_batch(batch, even_if_in_doubt, now).await?,
            };
            on_batch(batch, changed);
            if batches.peek().is_some() {
                tokio::time::sleep(pause_after(begin.elapsed())).await;
            }
        }
        Ok(())
    }
}
