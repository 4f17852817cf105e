//! The open file: its one connection, and what is remembered beside it. Everything
//! else in this folder stands on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqlitePool};
use tokio::sync::{Mutex, MutexGuard};

use super::claim::lane_heads::LaneHeads;
use super::claim::misdated::MisdatedJobs;
use super::claim::overtaken::OvertakenJobs;
use super::clock::QueueClock;
use super::errors::written;
use super::files;
use super::files::guard::FileGuard;
use super::files::watch::ChangeWatch;
use super::recover::Untold;
use super::settle::{BatchInsert, PurgeCursor};
use super::write_pacer::WritePacer;
use crate::clock::Clock;
use crate::queue::QueueError;
use crate::queue::sqlite::files::AgentLock;
use crate::queue::withheld::WithheldJobs;

/// An agent's row in `agents`: one start of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentId(pub i64);

/// A queue in one SQLite file. One connection: SQLite has one writer, and the agent's reads are short.
#[derive(Clone)]
pub struct SqliteQueue {
    pub(super) pool: SqlitePool,
    pub(super) path: PathBuf,
    pub(super) guard: Arc<FileGuard>,
    pub(super) memory: Arc<Memory>,
    pub(super) clock: Arc<QueueClock>,
    pub(super) watch: Arc<ChangeWatch>,
    pub(super) batch_insert: Arc<BatchInsert>,
}

/// What is remembered between two calls. Taken only with the one connection held.
#[derive(Default)]
pub(super) struct Memory {
    /// Who this is, once it has joined.
    pub agent: Mutex<Option<AgentId>>,
    pub lane_heads: Mutex<LaneHeads>,
    pub pacer: Mutex<WritePacer>,
    pub misdated: Mutex<MisdatedJobs>,
    pub withheld: Mutex<WithheldJobs>,
    pub overtaken: Mutex<OvertakenJobs>,
    pub purge_cursor: Mutex<PurgeCursor>,
    pub untold: Mutex<Option<Untold>>,
}

impl SqliteQueue {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its times are kept by this clock, which is the machine's unless said otherwise.
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock: Arc::new(QueueClock::new(clock)), ..self }
    }

    /// Keeps the agent's lock for as long as the queue is open, and watches over it.
    pub fn hold(&self, lock: AgentLock) {
        self.guard.hold(lock);
    }

    /// A connection to write with, to the file that was opened and no other.
    pub async fn connection(&self) -> Result<PoolConnection<Sqlite>, QueueError> {
        // Asked first, so that no new connection is made to a file that took its place.
        self.guard.check()?;
        if self.pool.size() == 0 {
            // What lies beside it is opened anew, too.
            files::look(&self.path).map_err(|strange| written(sqlx::Error::Io(std::io::Error::other(strange))))?;
        }
        self.pool.acquire().await.map_err(written)
    }

    /// # Errors
    /// The files are no longer those that were opened.
    pub fn present(&self) -> Result<(), QueueError> {
        self.guard.check()
    }

    /// For the holder of the connection.
    pub async fn pacer(&self) -> MutexGuard<'_, WritePacer> {
        let mut pacer = self.memory.pacer.lock().await;
        pacer.on_connection(self.guard.connections());
        pacer
    }

    /// After a full disk or an I/O error SQLite has ended the transaction by itself, and sqlx, which counts transactions,
    /// could never begin another one on this connection. So a connection that met an error is not used again.
    pub fn handed_back<T>(&self, mut connection: PoolConnection<Sqlite>, done: sqlx::Result<T>) -> sqlx::Result<T> {
        if done.is_err() {
            self.guard.leave();
            connection.close_on_drop();
        }
        done
    }

    /// Waits for what is under way and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
