//! The operator's verbs on a queue in PostgreSQL. Each change is one statement, which takes nothing of the server's after its own
//! end, and tells all agents at once. Between two batches the agents and the producers have three quarters of the time.

mod batch;
mod holds;
mod jobs;
mod restored;
mod resume;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::clock::steady;
use super::errors::{read, written};
use super::link::{STATEMENT, within};
use super::store::PostgresQueue;
use crate::job::{Defaults, JobId, JobState};
use crate::queue::operate::{bring_forward, pause_after};
use crate::queue::{Chosen, LaneKey, MailboxRow, OnBatch, Operate, Purgeable, QueueError, Selection};

/// Gives what `changed` holds, and has all agents look again if that is anything.
macro_rules! tell {
    ($column:literal) => {
        concat!(
            ", heard AS MATERIALIZED (
        SELECT pg_notify('event_sender_jobs', current_schema() || E'\\n*') WHERE EXISTS (SELECT 1 FROM changed))
    SELECT ",
            $column,
            " FROM changed WHERE (SELECT count(*) FROM heard) > 0"
        )
    };
}
use tell;

/// Jobs changed by one statement: some ten milliseconds in which their rows are locked.
const REPAIR_BATCH: usize = 200;
/// Jobs deleted by one, with their history.
const PURGE_BATCH: usize = 500;
/// For counting what may be most of the table.
const COUNT: Duration = Duration::from_secs(300);

#[async_trait]
impl Operate for PostgresQueue {
    async fn select(&self, selection: &Selection) -> Result<Vec<Chosen>, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(COUNT, jobs::selected(&mut link, selection)).await;
        link.done(found).map_err(read)
    }

    async fn chosen(&self, ids: &[JobId]) -> Result<Vec<Chosen>, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, jobs::chosen(&mut link, ids)).await;
        link.done(found).map_err(read)
    }

    async fn retry(&self, ids: &[JobId], _now: DateTime<Utc>, on_batch: OnBatch<'_>) -> Result<(), QueueError> {
        self.in_batches(Change::Retry, ids, on_batch).await
    }

    async fn cancel(
        &self,
        ids: &[JobId],
        even_if_in_doubt: bool,
        _now: DateTime<Utc>,
        on_batch: OnBatch<'_>,
    ) -> Result<(), QueueError> {
        self.in_batches(Change::Cancel { even_if_in_doubt }, ids, on_batch).await
    }

    async fn purgeable(&self, before: DateTime<Utc>, states: &[JobState]) -> Result<Purgeable, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(COUNT, jobs::purgeable(&mut link, before, states)).await;
        link.done(found).map_err(read)
    }

    async fn purge_ended(
        &self,
        before: DateTime<Utc>,
        states: &[JobState],
        on_batch: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), QueueError> {
        for state in states {
            loop {
                let mut link = self.now_and_then().await?;
                let old = within(COUNT, jobs::to_purge(&mut link, before, *state)).await;
                let mut deleted = 0;
                for batch in link.done(old).map_err(read)?.chunks(PURGE_BATCH) {
                    let begin = steady();
                    let mut link = self.now_and_then().await?;
                    let purged = within(STATEMENT, jobs::purge(&mut link, batch, before)).await;
                    let gone = link.done(purged).map_err(written)?;
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
        let mut link = self.now_and_then().await?;
        let done = within(STATEMENT, holds::hold(&mut link, lane, reason, now)).await;
        link.done(done).map_err(written)
    }

    async fn release_mailbox(&self, lane: &LaneKey) -> Result<bool, QueueError> {
        let mut link = self.now_and_then().await?;
        let done = within(STATEMENT, holds::release(&mut link, lane)).await;
        self.look_again();
        link.done(done).map_err(written)
    }

    async fn resume_mailbox(
        &self,
        row: &MailboxRow,
        lanes: &[LaneKey],
        now: DateTime<Utc>,
    ) -> Result<bool, QueueError> {
        let mut link = self.now_and_then().await?;
        let done = within(STATEMENT, resume::resume(&mut link, row)).await;
        if !link.done(done).map_err(written)? {
            return Ok(false);
        }
        bring_forward(self, row, lanes, now).await?;
        Ok(true)
    }

    async fn not_in_doubt(&self) -> Result<u64, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, restored::not_in_doubt(&mut link)).await;
        link.done(found).map_err(read)
    }

    async fn mark_in_doubt(&self, defaults: &Defaults, _now: DateTime<Utc>) -> Result<u64, QueueError> {
        let mut link = self.now_and_then().await?;
        let done = within(COUNT, restored::mark_in_doubt(&mut link, defaults)).await;
        link.done(done).map_err(written)?.map_err(|running| {
            QueueError::AgentRuns(format!("{running}; stop it first, it may be sending these jobs already"))
        })
    }
}

#[derive(Clone, Copy)]
enum Change {
    Retry,
    Cancel { even_if_in_doubt: bool },
}

impl PostgresQueue {
    async fn in_batches(&self, change: Change, ids: &[JobId], on_batch: OnBatch<'_>) -> Result<(), QueueError> {
        let mut batches = ids.chunks(REPAIR_BATCH).peekable();
        while let Some(batch) = batches.next() {
            let begin = steady();
            let mut link = self.now_and_then().await?;
            let changed = match change {
                Change::Retry => jobs::retry(&mut link, batch).await,
                Change::Cancel { even_if_in_doubt } => jobs::cancel(&mut link, batch, even_if_in_doubt).await,
            };
            let changed = link.done(changed).map_err(written)?;
            self.look_again();
            on_batch(batch, changed);
            if batches.peek().is_some() {
                tokio::time::sleep(pause_after(begin.elapsed())).await;
            }
        }
        Ok(())
    }
}
