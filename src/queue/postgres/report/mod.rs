//! What people, programs and the monitor read of a queue in PostgreSQL. Nothing here writes. What is due, paused or lately ended is
//! told by the server's clock: this machine's may show another time.

pub mod agents;
pub mod ages;
pub mod census;
pub mod columns;
pub mod counted;
pub mod failures;
pub mod find;
pub mod health;
pub mod jobs;
pub mod mailboxes;
pub mod overview;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;

use super::errors::read;
use super::link::{Linked, STATEMENT, within};
use super::store::PostgresQueue;
use crate::job::{JobId, JobInput, JobState};
use crate::queue::{
    AgentRow, AttemptRow, Census, Failures, JobFilter, JobRow, JobSummary, LaneKey, MailboxRow, Overview, QueueError,
    Read, Sought, Step, StorageFinding, Walked,
};

/// For all that one look asks, which may be millions of rows to count.
pub const LOOK: Duration = Duration::from_secs(60);

impl PostgresQueue {
    /// The connection of those who ask now and then.
    pub(super) async fn now_and_then(&self) -> Result<Linked<'_>, QueueError> {
        self.links.others.open_alive().await.map_err(read)
    }
}

/// What the server's clock shows, in the milliseconds that all times of the queue have.
pub async fn server_time(connection: &mut PgConnection) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar("SELECT date_trunc('milliseconds', clock_timestamp())").fetch_one(connection).await
}

#[async_trait]
impl Read for PostgresQueue {
    fn name(&self) -> String {
        self.server.name().to_owned()
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobSummary>, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, jobs::list(&mut link, filter)).await;
        link.done(found).map_err(read)
    }

    async fn jobs_by_id(&self, ids: &[JobId]) -> Result<Vec<JobSummary>, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, jobs::by_id(&mut link, ids)).await;
        link.done(found).map_err(read)
    }

    async fn count(&self, filter: &JobFilter, time: Duration) -> Result<Option<u64>, QueueError> {
        let mut link = self.links.counts.open_alive().await.map_err(read)?;
        let counted = within(time + STATEMENT, jobs::count(&mut link, filter, time)).await;
        link.done(counted).map_err(read)
    }

    async fn known_by(&self, text: &str, limit: u32) -> Result<Vec<JobSummary>, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, find::known_by(&mut link, text, limit)).await;
        link.done(found).map_err(read)
    }

    async fn are_few(&self, state: JobState, most: u32) -> Result<bool, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, jobs::are_few(&mut link, state, most)).await;
        link.done(found).map_err(read)
    }

    async fn walk(&self, sought: &Sought, step: Step) -> Result<Walked, QueueError> {
        let mut link = self.now_and_then().await?;
        let walked = within(STATEMENT, find::walk(&mut link, sought, step)).await;
        link.done(walked).map_err(read)
    }

    async fn failures(&self, since: DateTime<Utc>, of_each_kind: u32) -> Result<Failures, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, failures::failures(&mut link, since, of_each_kind)).await;
        link.done(found).map_err(read)
    }

    async fn jobs_of_key(&self, key: &str) -> Result<Vec<JobSummary>, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, jobs::of_key(&mut link, key)).await;
        link.done(found).map_err(read)
    }

    async fn job(&self, id: JobId) -> Result<Option<(JobRow, Vec<AttemptRow>)>, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, jobs::one(&mut link, id)).await;
        link.done(found).map_err(read)
    }

    async fn input(&self, id: JobId) -> Result<Option<JobInput>, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, jobs::input(&mut link, id)).await;
        link.done(found).map_err(read)
    }

    async fn overview(
        &self,
        _now: DateTime<Utc>,
        unnamed: Option<&str>,
        mailboxes: u32,
    ) -> Result<Overview, QueueError> {
        let mut link = self.links.counts.open_alive().await.map_err(read)?;
        let found = within(LOOK, overview::overview(&mut link, unnamed, mailboxes)).await;
        link.done(found).map_err(read)
    }

    async fn census(&self, _now: DateTime<Utc>, unnamed: Option<&str>) -> Result<Census, QueueError> {
        let mut link = self.links.counts.open_alive().await.map_err(read)?;
        let found = within(LOOK, census::census(&mut link, unnamed)).await;
        link.done(found).map_err(read)
    }

    async fn waiting_for(&self, lanes: &[LaneKey]) -> Result<u64, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, mailboxes::waiting_for(&mut link, lanes)).await;
        link.done(found).map_err(read)
    }

    async fn mailboxes(&self, _now: DateTime<Utc>) -> Result<Vec<MailboxRow>, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, mailboxes::stopped(&mut link)).await;
        link.done(found).map_err(read)
    }

    async fn mailbox(&self, lane: &LaneKey) -> Result<Option<MailboxRow>, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, mailboxes::one(&mut link, lane)).await;
        link.done(found).map_err(read)
    }

    async fn agents(&self) -> Result<Vec<AgentRow>, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, agents::agents(&mut link)).await;
        link.done(found).map_err(read)
    }

    async fn sending_paused_until(&self) -> Result<Option<DateTime<Utc>>, QueueError> {
        let mut link = self.now_and_then().await?;
        let found = within(STATEMENT, overview::sending_paused_until(&mut link)).await;
        link.done(found).map_err(read)
    }

    async fn health(&self, within: Duration) -> Result<Vec<StorageFinding>, QueueError> {
        health::health(self, within).await
    }

    async fn close(&self) {
        if let Err(error) = self.leave().await {
            tracing::debug!(%error, "not handed over; the others take over when the lease ends");
        }
        self.links.close().await;
    }
}
