//! The SQLite queue: the only folder with SQL. `open` makes or checks the database, `claim` and `settle` are the
//! agent's verbs, `produce` inserts, `inspect` and `status` read for people, `repair`, `holds` and `resume` are the operator's
//! verbs, `census` counts for the monitor.

mod agents;
mod claim;
pub mod files;
mod open;
mod operate;
mod produce;
mod recover;
mod report;
mod row;
mod schema;
mod settle;
mod store;
mod upgrade;
mod write_pacer;

use std::borrow::Borrow;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

pub use files::permissions::Permissions;
pub use open::OpenError;
pub use report::health::examine;
pub use schema::Rule;

use super::{
    AgentNote, ClaimRequest, Claimed, LaneKey, Pause, Queue, QueueError, Recovered, Settled, Settlement, Verdict,
};
use crate::job::JobId;
use store::{read, written};

pub use store::SqliteQueue;

impl Queue for SqliteQueue {
    async fn recover(&self, now: DateTime<Utc>) -> Result<Recovered, QueueError> {
        let mut connection = self.connection().await?;
        let done = recover::recover(&mut connection, &mut *self.misdated.lock().await, now).await;
        self.lane_heads.lock().await.forget();
        self.handed_back(connection, done).map_err(written)
    }

    async fn claims(&self) -> Result<Vec<(JobId, i64)>, QueueError> {
        recover::claims(&self.pool).await.map_err(read)
    }

    async fn put_back(&self, claims: &[(JobId, i64)], now: DateTime<Utc>) -> Result<Recovered, QueueError> {
        let mut connection = self.connection().await?;
        let done = recover::put_back_each(&mut connection, claims, now).await;
        self.lane_heads.lock().await.forget();
        self.handed_back(connection, done).map_err(written)
    }

    fn present(&self) -> Result<(), QueueError> {
        self.guard.check()
    }

    async fn clock_set(
        &self,
        now: DateTime<Utc>,
        by: TimeDelta,
        rests: &[(LaneKey, DateTime<Utc>)],
    ) -> Result<(), QueueError> {
        let mut connection = self.connection().await?;
        let done = recover::clock_set(&mut connection, &mut *self.misdated.lock().await, now, by, rests).await;
        self.lane_heads.lock().await.forget();
        self.handed_back(connection, done).map_err(written)
    }

    async fn pauses(&self, now: DateTime<Utc>) -> Result<Vec<Pause>, QueueError> {
        settle::pauses(&self.pool, now).await.map_err(read)
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, QueueError> {
        let mut connection = self.connection().await?;
        let mut lane_heads = self.lane_heads.lock().await;
        lane_heads.through(self.guard.connections());
        let mut pacer = self.pacer().await;
        let mut strays = self.misdated.lock().await;
        let mut refused = self.refused.lock().await;
        let memory = claim::Memory {
            lane_heads: &mut lane_heads,
            pacer: &mut pacer,
            strays: &mut strays,
            refused: &mut refused,
        };
        let done = claim::claim(&mut connection, memory, request).await;
        self.handed_back(connection, done).map_err(written)
    }

    async fn orders(&self) -> Result<Claimed, QueueError> {
        let mut connection = self.connection().await?;
        let mut lane_heads = self.lane_heads.lock().await;
        let done = lane_heads.look_for_orders(&mut connection).await;
        let (held, resumed) = (lane_heads.held().clone(), lane_heads.resumed().clone());
        let done = done.map(|()| Claimed { held, resumed, ..Claimed::default() });
        self.handed_back(connection, done).map_err(read)
    }

    async fn settle<S: Borrow<Settlement> + Sync>(&self, batch: &[S]) -> Result<Vec<Settled>, QueueError> {
        let batch: Vec<&Settlement> = batch.iter().map(Borrow::borrow).collect();
        let mut connection = self.connection().await?;
        let mut pacer = self.pacer().await;
        pacer.keep_distance().await;
        let done = settle::settle(&mut connection, &mut pacer, &self.batch_insert, &batch).await;
        if batch.iter().any(|settlement| matches!(settlement.verdict, Verdict::Again(_) | Verdict::Anew(_))) {
            self.lane_heads.lock().await.forget();
        }
        self.handed_back(connection, done).map_err(written)
    }

    async fn wake(&self, now: DateTime<Utc>) -> Result<(), QueueError> {
        loop {
            let mut connection = self.connection().await?;
            let mut pacer = self.pacer().await;
            pacer.keep_distance().await;
            let begin = Instant::now();
            let done = settle::wake(&mut connection, now).await;
            pacer.held(begin.elapsed(), Instant::now());
            self.lane_heads.lock().await.forget();
            if self.handed_back(connection, done).map_err(written)? == 0 {
                return Ok(());
            }
        }
    }

    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, QueueError> {
        let mut connection = self.connection().await?;
        let mut pacer = self.pacer().await;
        pacer.keep_distance().await;
        let begin = Instant::now();
        let done = settle::purge(&mut connection, before, limit).await;
        pacer.held(begin.elapsed(), Instant::now());
        self.handed_back(connection, done).map_err(written)
    }

    async fn forget_pauses(&self, now: DateTime<Utc>, limit: u32) -> Result<u64, QueueError> {
        let mut connection = self.connection().await?;
        let done = settle::forget_pauses(&mut connection, now, limit).await;
        self.handed_back(connection, done).map_err(written)
    }

    async fn note(&self, note: &AgentNote) -> Result<(), QueueError> {
        let mut connection = self.connection().await?;
        let done = agents::write(&mut connection, note).await;
        self.handed_back(connection, done).map_err(written)
    }

    async fn outstanding(&self) -> Result<u64, QueueError> {
        settle::outstanding(&self.pool).await.map_err(read)
    }
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
