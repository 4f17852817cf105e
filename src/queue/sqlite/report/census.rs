//! Counting everything, for who watches the agent: jobs by state and trouble, how long the first of them has been due,
//! and how much room the files take. It may take a second where there are millions, so it has a connection of its own,
//! which only reads, and is made anew each time: nothing of it is left when the queue is closed. Reads indexes, and no
//! row (migration 0003).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, FromRow};

use crate::job::{format_utc, parse_utc};
use crate::queue::QueueError;
use crate::queue::sqlite::store::{SqliteQueue, read};

/// A reader waits for nobody in WAL mode, but for a moment when the log begins anew.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Everything there is, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Census {
    /// Jobs that wait for their time or their turn.
    pub pending: u64,
    /// Those of them that are due.
    pub due: u64,
    /// Jobs the agent has taken.
    pub claimed: u64,
    /// Jobs sent.
    pub sent: u64,
    /// Jobs failed.
    pub failed: u64,
    /// Jobs called off.
    pub cancelled: u64,
    /// Jobs of which an event may exist that no answer has confirmed.
    pub in_doubt: u64,
    /// Jobs failed, by `error_kind`.
    pub failed_by_kind: Vec<(String, u64)>,
    /// Pending jobs that have met trouble, by the `error_kind` of the last.
    pub waiting_by_kind: Vec<(String, u64)>,
    /// Mailboxes on hold.
    pub held_mailboxes: u64,
    /// Since when the first job of mailboxes that may be sent to has been due.
    pub due_since: Option<DateTime<Utc>>,
    /// The same of mailboxes at rest, …
    pub due_since_paused: Option<DateTime<Utc>>,
    /// … and of those on hold.
    pub due_since_held: Option<DateTime<Utc>>,
    /// The files.
    pub room: Room,
    /// How long counting took.
    pub took: Duration,
}

/// What the queue's files take of their file system. What cannot be found out is not told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Room {
    /// Bytes of the database.
    pub database: Option<u64>,
    /// Bytes of the log beside it.
    pub log: Option<u64>,
    /// Bytes that may still be written to their file system, …
    pub free: Option<u64>,
    /// … of so many.
    pub size: Option<u64>,
}

/// What the index of pending jobs tells, lane by lane, in one go. `?1` is now, `?2` the mailbox of rows that name none.
/// Without the LIMIT, SQLite would merge the innermost SELECT with the one around it, and then read a row of each lane.
pub const PENDING: &str = "SELECT coalesce(sum(jobs), 0) AS jobs, coalesce(sum(due), 0) AS due,
        min(CASE WHEN standing = 0 THEN first END) AS open,
        min(CASE WHEN standing = 1 THEN first END) AS paused,
        min(CASE WHEN standing = 2 THEN first END) AS held
    FROM (SELECT l.jobs, l.due, l.first,
            CASE WHEN m.held_at IS NOT NULL THEN 2 WHEN m.paused_until > ?1 THEN 1 ELSE 0 END AS standing
        FROM (SELECT lane, count(*) AS jobs, sum(at <= ?1) AS due, min(at) AS first
            FROM (SELECT mailbox_key AS lane, next_attempt_at AS at FROM jobs WHERE state = 'pending'
                ORDER BY mailbox_key, next_attempt_at LIMIT -1)
            GROUP BY lane) AS l
        LEFT JOIN mailboxes AS m ON m.mailbox = CASE l.lane WHEN '' THEN ?2 ELSE l.lane END)";
pub const CLAIMED: &str = "SELECT count(*) FROM jobs WHERE state = 'claimed'";
pub const FINISHED: &str = "SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL";
pub const FAILED: &str =
    "SELECT coalesce(error_kind, ''), count(*) FROM jobs WHERE state = 'failed' GROUP BY error_kind";
pub const CANCELLED: &str = "SELECT count(*) FROM jobs WHERE state = 'cancelled'";
pub const IN_DOUBT: &str = "SELECT count(*) FROM jobs WHERE in_doubt = 1";
pub const TROUBLED: &str = "SELECT error_kind, count(*) FROM jobs WHERE state = 'pending' AND error_kind IS NOT NULL
    GROUP BY error_kind";
const HELD: &str = "SELECT count(*) FROM mailboxes WHERE held_at IS NOT NULL";

#[derive(FromRow)]
struct Pending {
    jobs: i64,
    due: i64,
    open: Option<String>,
    paused: Option<String>,
    held: Option<String>,
}

impl SqliteQueue {
    /// Counts. `unnamed` is whose mailbox the rows are for that name none. Holds up neither the agent nor a producer.
    ///
    /// # Errors
    /// The queue is gone or cannot be read.
    pub async fn census(&self, now: DateTime<Utc>, unnamed: Option<&str>) -> Result<Census, QueueError> {
        self.guard.check()?;
        let begin = Instant::now();
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .read_only(true)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let mut connection = options.connect().await.map_err(read)?;
        let counted = count(&mut connection, now, unnamed).await;
        let _ = connection.close().await;
        let mut census = counted.map_err(read)?;
        let path = self.path.clone();
        // A file system that hangs holds up a thread of its own.
        census.room = tokio::task::spawn_blocking(move || Room::of(&path)).await.unwrap_or_default();
        census.took = begin.elapsed();
        Ok(census)
    }
}

/// In one transaction, so that no job is counted twice on its way from one state to the next. While it lasts SQLite's log
/// cannot begin anew: it grows by what is written meanwhile, and is cut back after.
async fn count(db: &mut SqliteConnection, now: DateTime<Utc>, unnamed: Option<&str>) -> sqlx::Result<Census> {
    let mut transaction = db.begin().await?;
    let census = count_in(&mut transaction, now, unnamed).await?;
    transaction.rollback().await?;
    Ok(census)
}

async fn count_in(db: &mut SqliteConnection, now: DateTime<Utc>, unnamed: Option<&str>) -> sqlx::Result<Census> {
    let pending: Pending = sqlx::query_as(PENDING)
        .bind(format_utc(now))
        .bind(unnamed.map(|mailbox| mailbox.trim().to_ascii_lowercase()))
        .fetch_one(&mut *db)
        .await?;
    let since = |due: Option<String>| due.and_then(|due| parse_utc(&due)).filter(|due| *due <= now);
    let failed_by_kind = by_kind(db, FAILED).await?;
    let failed = failed_by_kind.iter().map(|(_, jobs)| jobs).sum();
    let cancelled = number(db, CANCELLED).await?;
    Ok(Census {
        pending: natural(pending.jobs),
        due: natural(pending.due),
        claimed: number(db, CLAIMED).await?,
        sent: number(db, FINISHED).await?.saturating_sub(failed + cancelled),
        failed,
        cancelled,
        in_doubt: number(db, IN_DOUBT).await?,
        failed_by_kind,
        waiting_by_kind: by_kind(db, TROUBLED).await?,
        held_mailboxes: number(db, HELD).await?,
        due_since: since(pending.open),
        due_since_paused: since(pending.paused),
        due_since_held: since(pending.held),
        ..Census::default()
    })
}

async fn number(db: &mut SqliteConnection, statement: &'static str) -> sqlx::Result<u64> {
    sqlx::query_scalar(statement).fetch_one(db).await.map(natural)
}

async fn by_kind(db: &mut SqliteConnection, statement: &'static str) -> sqlx::Result<Vec<(String, u64)>> {
    let kinds: Vec<(String, i64)> = sqlx::query_as(statement).fetch_all(db).await?;
    Ok(kinds.into_iter().map(|(kind, jobs)| (kind, natural(jobs))).collect())
}

fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Room {
    fn of(database: &Path) -> Self {
        // SQLite keeps its log beside the real file.
        let real = std::fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
        let mut log = real.clone().into_os_string();
        log.push("-wal");
        let bytes = |path: &Path| std::fs::metadata(path).ok().map(|file| file.len());
        let system = rustix::fs::statvfs(&real).ok();
        Self {
            database: bytes(&real),
            log: bytes(&PathBuf::from(log)),
            free: system.as_ref().map(|system| system.f_bavail.saturating_mul(system.f_frsize)),
            size: system.as_ref().map(|system| system.f_blocks.saturating_mul(system.f_frsize)),
        }
    }
}
