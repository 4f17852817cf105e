//! What people, programs and the monitor read of a SQLite queue. Nothing here writes.

pub mod ages;
pub mod census;
pub mod columns;
pub mod counted;
pub mod failures;
pub mod find;
pub mod health;
pub mod jobs;
pub mod overview;
pub mod within;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::agents;
use super::batch::as_json;
use super::errors::read;
use super::store::SqliteQueue;
use crate::job::{JobId, JobInput, JobState};
use crate::queue::{
    AgentRow, AttemptRow, Census, Failures, JobFilter, JobRow, JobSummary, LaneKey, MailboxRow, Overview, QueueError,
    Read, Sought, Step, StorageFinding, Walked,
};

const WAITING_FOR: &str =
    "SELECT (SELECT count(*) FROM jobs WHERE state = 'pending' AND behind IS NULL AND mailbox_key IN (SELECT value FROM json_each(?1)))
        + (SELECT count(*) FROM jobs WHERE state = 'pending' AND behind IS NOT NULL AND mailbox_key IN (SELECT value FROM json_each(?1)))";

#[async_trait]
impl Read for SqliteQueue {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobSummary>, QueueError> {
        jobs::list(&self.pool, filter).await.map_err(read)
    }

    async fn count(&self, filter: &JobFilter, within: Duration) -> Result<Option<u64>, QueueError> {
        jobs::count(&self.pool, filter, within).await.map_err(read)
    }

    async fn jobs_by_id(&self, ids: &[JobId]) -> Result<Vec<JobSummary>, QueueError> {
        jobs::by_id(&self.pool, as_json(ids)).await.map_err(read)
    }

    async fn known_by(&self, text: &str, limit: u32) -> Result<Vec<JobSummary>, QueueError> {
        self.guard.check()?;
        find::known_by(&self.pool, text, limit).await.map_err(read)
    }

    async fn are_few(&self, state: JobState, most: u32) -> Result<bool, QueueError> {
        jobs::are_few(&self.pool, state, most).await.map_err(read)
    }

    async fn walk(&self, sought: &Sought, step: Step) -> Result<Walked, QueueError> {
        self.guard.check()?;
        find::walk(&self.pool, sought, step).await.map_err(read)
    }

    async fn failures(&self, since: DateTime<Utc>, of_each_kind: u32) -> Result<Failures, QueueError> {
        self.guard.check()?;
        failures::failures(&self.pool, since, of_each_kind).await.map_err(read)
    }

    async fn jobs_of_key(&self, key: &str) -> Result<Vec<JobSummary>, QueueError> {
        jobs::of_key(&self.pool, key).await.map_err(read)
    }

    async fn job(&self, id: JobId) -> Result<Option<(JobRow, Vec<AttemptRow>)>, QueueError> {
        jobs::one(&self.pool, id).await.map_err(read)
    }

    async fn input(&self, id: JobId) -> Result<Option<JobInput>, QueueError> {
        jobs::input(&self.pool, id).await.map_err(read)
    }

    async fn overview(
        &self,
        now: DateTime<Utc>,
        unnamed: Option<&str>,
        mailboxes: u32,
    ) -> Result<Overview, QueueError> {
        self.guard.check()?;
        overview::overview(self, now, unnamed, mailboxes).await.map_err(read)
    }

    async fn census(&self, now: DateTime<Utc>, unnamed: Option<&str>) -> Result<Census, QueueError> {
        census::census(self, now, unnamed).await
    }

    async fn waiting_for(&self, lanes: &[LaneKey]) -> Result<u64, QueueError> {
        let names: Vec<&str> = lanes.iter().map(LaneKey::as_str).collect();
        let names = serde_json::Value::from(names).to_string();
        let count: i64 = sqlx::query_scalar(WAITING_FOR).bind(names).fetch_one(&self.pool).await.map_err(read)?;
        Ok(count.unsigned_abs())
    }

    async fn mailboxes(&self, now: DateTime<Utc>) -> Result<Vec<MailboxRow>, QueueError> {
        let mut connection = self.pool.acquire().await.map_err(read)?;
        overview::stopped(&mut connection, now).await.map_err(read)
    }

    async fn mailbox(&self, lane: &LaneKey) -> Result<Option<MailboxRow>, QueueError> {
        let mut connection = self.pool.acquire().await.map_err(read)?;
        overview::one_mailbox(&mut connection, lane).await.map_err(read)
    }

    async fn agents(&self) -> Result<Vec<AgentRow>, QueueError> {
        let mut connection = self.pool.acquire().await.map_err(read)?;
        agents::agents(&mut connection, &self.path).await.map_err(read)
    }

    /// A file has no server that could be replaced.
    async fn sending_paused_until(&self) -> Result<Option<DateTime<Utc>>, QueueError> {
        Ok(None)
    }

    async fn health(&self, within: Duration) -> Result<Vec<StorageFinding>, QueueError> {
        health::health(self, within).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
