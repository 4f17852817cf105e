//! The SQLite queue: the only folder with SQL. `open` makes or checks the database, `claim` and `settle` are the
//! agent's verbs, `produce` inserts, `inspect` and `status` read for people, `repair`, `holds` and `resume` are the operator's
//! verbs, `census` counts for the monitor.

mod agent;
mod ages;
mod census;
mod claim;
mod courtesy;
mod frontier;
mod health;
mod holds;
mod inspect;
mod open;
mod presence;
mod produce;
mod recover;
mod refused;
mod repair;
mod restored;
mod resume;
mod row;
mod schema;
mod settle;
mod status;
mod strays;
mod unfit;

use std::borrow::Borrow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqlitePool};
use tokio::sync::{Mutex, MutexGuard};

pub use ages::{AGE_COUNT, AGE_LIMITS, Waiting, WaitingReport};
pub use census::{Census, Room};
pub use health::{Health, Integrity, Rest, WaitingMailbox};
pub use holds::Hold;
pub use inspect::{ListFilter, Record};
pub use open::OpenError;
pub use produce::{InsertError, Insertion, NewJob};
pub use repair::{Changed, Chosen, PURGE_BATCH, Purgeable, REPAIR_BATCH, Selection, rest_after};
pub use schema::{Mended, Rule, Rules};
pub use status::{Ended, StatusReport};

use self::courtesy::Courtesy;
use self::frontier::Frontier;
use self::presence::Presence;
use self::refused::Refused;
use self::settle::Together;
use self::strays::Strays;
use super::{
    AgentLock, AgentNote, ClaimRequest, Claimed, LaneKey, Pause, Queue, QueueError, Recovered, Settled, Settlement,
    Verdict, files,
};
use crate::job::JobId;

/// A queue in one SQLite file. One connection: SQLite has one writer, and the agent's reads are short.
#[derive(Clone)]
pub struct SqliteQueue {
    pool: SqlitePool,
    path: PathBuf,
    presence: Arc<Presence>,
    /// These four are taken only by who holds the one connection.
    frontier: Arc<Mutex<Frontier>>,
    courtesy: Arc<Mutex<Courtesy>>,
    strays: Arc<Mutex<Strays>>,
    refused: Arc<Mutex<Refused>>,
    together: Arc<Together>,
}

impl SqliteQueue {
    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the agent's lock for as long as the queue is open, and watches over it.
    pub fn hold(&self, lock: AgentLock) {
        self.presence.hold(lock);
    }

    /// A connection to write with, to the file that was opened and no other.
    async fn connection(&self) -> Result<PoolConnection<Sqlite>, QueueError> {
        // Asked first, so that no new connection is made to a file that took its place.
        self.presence.check()?;
        if self.pool.size() == 0 {
            // What lies beside it is opened anew, too.
            files::look(&self.path).map_err(|strange| written(sqlx::Error::Io(std::io::Error::other(strange))))?;
        }
        self.pool.acquire().await.map_err(written)
    }

    /// For who holds the connection.
    async fn courtesy(&self) -> MutexGuard<'_, Courtesy> {
        let mut courtesy = self.courtesy.lock().await;
        courtesy.through(self.presence.connections());
        courtesy
    }

    /// After a full disk or an I/O error SQLite has ended the transaction by itself, and sqlx, which counts transactions,
    /// could never begin another one on this connection. So a connection that met an error is not used again.
    fn handed_back<T>(&self, mut connection: PoolConnection<Sqlite>, done: sqlx::Result<T>) -> sqlx::Result<T> {
        if done.is_err() {
            self.presence.leave();
            connection.close_on_drop();
        }
        done
    }

    /// Waits for what is under way and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Queue for SqliteQueue {
    async fn recover(&self, now: DateTime<Utc>) -> Result<Recovered, QueueError> {
        let mut connection = self.connection().await?;
        let done = recover::recover(&mut connection, &mut *self.strays.lock().await, now).await;
        self.frontier.lock().await.forget();
        self.handed_back(connection, done).map_err(written)
    }

    async fn claims(&self) -> Result<Vec<(JobId, i64)>, QueueError> {
        recover::claims(&self.pool).await.map_err(read)
    }

    async fn put_back(&self, claims: &[(JobId, i64)], now: DateTime<Utc>) -> Result<Recovered, QueueError> {
        let mut connection = self.connection().await?;
        let done = recover::put_back_each(&mut connection, claims, now).await;
        self.frontier.lock().await.forget();
        self.handed_back(connection, done).map_err(written)
    }

    fn present(&self) -> Result<(), QueueError> {
        self.presence.check()
    }

    async fn clock_set(
        &self,
        now: DateTime<Utc>,
        by: TimeDelta,
        rests: &[(LaneKey, DateTime<Utc>)],
    ) -> Result<(), QueueError> {
        let mut connection = self.connection().await?;
        let done = recover::clock_set(&mut connection, &mut *self.strays.lock().await, now, by, rests).await;
        self.frontier.lock().await.forget();
        self.handed_back(connection, done).map_err(written)
    }

    async fn pauses(&self, now: DateTime<Utc>) -> Result<Vec<Pause>, QueueError> {
        settle::pauses(&self.pool, now).await.map_err(read)
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, QueueError> {
        let mut connection = self.connection().await?;
        let mut frontier = self.frontier.lock().await;
        frontier.through(self.presence.connections());
        let mut courtesy = self.courtesy().await;
        let mut strays = self.strays.lock().await;
        let mut refused = self.refused.lock().await;
        let memory = claim::Memory {
            frontier: &mut frontier,
            courtesy: &mut courtesy,
            strays: &mut strays,
            refused: &mut refused,
        };
        let done = claim::claim(&mut connection, memory, request).await;
        self.handed_back(connection, done).map_err(written)
    }

    async fn orders(&self) -> Result<Claimed, QueueError> {
        let mut connection = self.connection().await?;
        let mut frontier = self.frontier.lock().await;
        let done = frontier.look_for_orders(&mut connection).await;
        let (held, resumed) = (frontier.held().clone(), frontier.resumed().clone());
        let done = done.map(|()| Claimed { held, resumed, ..Claimed::default() });
        self.handed_back(connection, done).map_err(read)
    }

    async fn settle<S: Borrow<Settlement> + Sync>(&self, batch: &[S]) -> Result<Vec<Settled>, QueueError> {
        let batch: Vec<&Settlement> = batch.iter().map(Borrow::borrow).collect();
        let mut connection = self.connection().await?;
        let mut courtesy = self.courtesy().await;
        courtesy.keep_distance().await;
        let done = settle::settle(&mut connection, &mut courtesy, &self.together, &batch).await;
        if batch.iter().any(|settlement| matches!(settlement.verdict, Verdict::Again(_) | Verdict::Anew(_))) {
            self.frontier.lock().await.forget();
        }
        self.handed_back(connection, done).map_err(written)
    }

    async fn wake(&self, now: DateTime<Utc>) -> Result<(), QueueError> {
        loop {
            let mut connection = self.connection().await?;
            let mut courtesy = self.courtesy().await;
            courtesy.keep_distance().await;
            let begin = Instant::now();
            let done = settle::wake(&mut connection, now).await;
            courtesy.held(begin.elapsed(), Instant::now());
            self.frontier.lock().await.forget();
            if self.handed_back(connection, done).map_err(written)? == 0 {
                return Ok(());
            }
        }
    }

    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, QueueError> {
        let mut connection = self.connection().await?;
        let mut courtesy = self.courtesy().await;
        courtesy.keep_distance().await;
        let begin = Instant::now();
        let done = settle::purge(&mut connection, before, limit).await;
        courtesy.held(begin.elapsed(), Instant::now());
        self.handed_back(connection, done).map_err(written)
    }

    async fn forget_pauses(&self, now: DateTime<Utc>, limit: u32) -> Result<u64, QueueError> {
        let mut connection = self.connection().await?;
        let done = settle::forget_pauses(&mut connection, now, limit).await;
        self.handed_back(connection, done).map_err(written)
    }

    async fn note(&self, note: &AgentNote) -> Result<(), QueueError> {
        let mut connection = self.connection().await?;
        let done = agent::write(&mut connection, note).await;
        self.handed_back(connection, done).map_err(written)
    }

    async fn outstanding(&self) -> Result<u64, QueueError> {
        settle::outstanding(&self.pool).await.map_err(read)
    }
}

/// SQLite's own number for an error, without what the extended codes add to it.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let sqlx::Error::Database(error) = error else { return None };
    Some(error.code()?.parse::<i32>().ok()? & 0xff)
}

/// SQLite's numbers.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READ_ONLY: i32 = 8;
const IO_ERROR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
/// The locks of the log's index are held, or its readers begin again and again.
const PROTOCOL: i32 = 15;
const CONSTRAINT: i32 = 19;
const NOT_A_DATABASE: i32 = 26;

/// Somebody holds the lock, the disk is full, read-only or in trouble; or nobody could be asked.
pub(super) fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => {
            matches!(primary_code(error), Some(BUSY | LOCKED | READ_ONLY | IO_ERROR | FULL | PROTOCOL))
        }
        error => matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::Io(_)),
    }
}

/// What is in the file does not fit together.
fn is_damaged(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(CORRUPT | NOT_A_DATABASE))
}

fn read(source: sqlx::Error) -> QueueError {
    QueueError::Trouble { action: "read", source }
}

fn written(source: sqlx::Error) -> QueueError {
    QueueError::Trouble { action: "written", source }
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
