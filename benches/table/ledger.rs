//! The floor under the promise: a table that has of each row what the agent's has, with nothing beside it (no trigger, no other
//! index, no history, no log), and the two changes that no program can do without which may be killed at any moment: claimed
//! before the request, sent with its EventID after it. In batches, each synced as the agent's are.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tokio::sync::{Mutex, Semaphore, mpsc};

use crate::Result;

/// Rows of one transaction.
const BATCH: usize = 64;
/// Claimed and not begun: while one batch is sent the next is claimed.
const AHEAD: usize = 2 * BATCH;

const COPY: &str = "CREATE TABLE ledger (id INTEGER PRIMARY KEY, state TEXT NOT NULL DEFAULT 'pending', claims INTEGER NOT NULL DEFAULT 0,
        event_id TEXT, subject TEXT, body TEXT, start_time TEXT, end_time TEXT, location TEXT, attendees TEXT, mailbox TEXT, transaction_id TEXT);
    INSERT INTO ledger (subject, body, start_time, end_time, location, attendees, mailbox, transaction_id)
    SELECT subject, body, start_time, end_time, location, attendees, mailbox, transaction_id FROM queue.jobs
    WHERE state = 'pending' ORDER BY next_attempt_at, id";
const CLAIM: &str = "BEGIN IMMEDIATE; UPDATE ledger SET state = 'claimed', claims = claims + 1
    WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'pending'; COMMIT";
const SENT: &str = "BEGIN IMMEDIATE; UPDATE ledger SET state = 'sent', event_id = s.value ->> 1 FROM json_each(?1) AS s
    WHERE ledger.id = s.value ->> 0 AND claims = 1 AND state = 'claimed'; COMMIT";

pub struct Ledger {
    connection: Mutex<SqliteConnection>,
    rows: usize,
    /// How many are claimed and not begun, …
    ready: Semaphore,
    /// … and how many more may be.
    room: Semaphore,
    ends: mpsc::UnboundedSender<(usize, String)>,
    ended: Mutex<mpsc::UnboundedReceiver<(usize, String)>>,
}

impl Ledger {
    /// With the waiting rows of the queue.
    pub async fn create(path: &Path, queue: &Path, rows: usize) -> Result<Self> {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", "-8192")
            .connect()
            .await?;
        let attach = format!("ATTACH '{}' AS queue; {COPY}; DETACH queue", queue.display());
        sqlx::raw_sql(AssertSqlSafe(attach)).execute(&mut connection).await?;
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
        let (ends, ended) = mpsc::unbounded_channel();
        Ok(Self {
            connection: Mutex::new(connection),
            rows,
            ready: Semaphore::new(0),
            room: Semaphore::new(AHEAD),
            ends,
            ended: Mutex::new(ended),
        })
    }

    /// Waits until another row is claimed. The rows are claimed in their order.
    pub async fn claimed(&self) -> Result<()> {
        self.ready.acquire().await?.forget();
        self.room.add_permits(1);
        Ok(())
    }

    /// The row with this number, counted from 0, was sent.
    pub fn sent(&self, number: usize, event_id: String) -> Result<()> {
        Ok(self.ends.send((number + 1, event_id))?)
    }

    /// Claims and records until all rows are.
    pub async fn write(&self) -> Result<()> {
        let done = tokio::try_join!(self.claim(), self.record());
        if done.is_err() {
            // Nobody waits for what will not come.
            self.ready.close();
        }
        done.map(|_| ())
    }

    async fn claim(&self) -> Result<()> {
        let numbers: Vec<usize> = (1..=self.rows).collect();
        for batch in numbers.chunks(BATCH) {
            self.room.acquire_many(u32::try_from(batch.len())?).await?.forget();
            self.commit(CLAIM, serde_json::to_string(batch)?).await?;
            self.ready.add_permits(batch.len());
        }
        // Each sender finds out that there are no more.
        self.ready.add_permits(Semaphore::MAX_PERMITS / 2);
        Ok(())
    }

    async fn record(&self) -> Result<()> {
        let mut ended = self.ended.lock().await;
        let mut left = self.rows;
        let mut batch = Vec::with_capacity(BATCH);
        while left > 0 {
            while let missing @ 1.. = BATCH.min(left) - batch.len() {
                ended.recv_many(&mut batch, missing).await;
            }
            self.commit(SENT, serde_json::to_string(&batch)?).await?;
            left -= batch.len();
            batch.clear();
        }
        Ok(())
    }

    async fn commit(&self, statement: &'static str, rows: String) -> Result<()> {
        sqlx::query(statement).bind(rows).execute(&mut *self.connection.lock().await).await?;
        Ok(())
    }
}
