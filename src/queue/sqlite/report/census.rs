//! Counting everything, for monitoring: jobs by state and trouble, how long the first of them has been due,
//! and how much room the files take. It may take a second where there are millions, so it has a connection of its own,
//! which only reads, and is made anew each time: nothing of it is left when the queue is closed. Reads indexes, and no
//! row (migration 0003).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, FromRow};

use super::counted::counted;
use crate::job::{format_utc, parse_utc};
use crate::queue::counted::Counted;
use crate::queue::sqlite::errors::read;
use crate::queue::sqlite::store::SqliteQueue;
use crate::queue::{Census, QueueError, Room};

/// A reader waits for nobody in WAL mode, but for a moment when the log begins anew.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// What the index of pending jobs tells, lane by lane, in one go. `?1` is now, `?2` the mailbox of rows that name none.
/// What mails somebody waits in a mailbox that has mailed its limit as in one that is paused. Without the LIMIT, SQLite would merge the innermost SELECT with the one around it, and then read a row of each lane.
pub const PENDING: &str = "SELECT coalesce(sum(jobs), 0) AS jobs, coalesce(sum(due), 0) AS due,
        min(CASE WHEN standing = 0 THEN first END) AS open,
        min(CASE WHEN standing = 1 THEN first END) AS paused,
        min(CASE WHEN standing = 2 THEN first END) AS held
    FROM (SELECT l.jobs, l.due, l.first,
            CASE WHEN m.held_at IS NOT NULL THEN 2 WHEN m.paused_until > ?1 OR (l.mails = 1 AND m.paced_until > ?1) THEN 1
                ELSE 0 END AS standing
        FROM (SELECT lane, mails, count(*) AS jobs, sum(at <= ?1) AS due, min(at) AS first
            FROM (SELECT mailbox_key AS lane, mails, next_attempt_at AS at FROM jobs WHERE state = 'pending' AND behind IS NULL
                ORDER BY mailbox_key, mails LIMIT -1)
            GROUP BY lane, mails) AS l
        LEFT JOIN mailboxes AS m ON m.mailbox = CASE l.lane WHEN '' THEN ?2 ELSE l.lane END)";
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

/// Counts. Holds up neither the agent nor a producer.
pub async fn census(queue: &SqliteQueue, now: DateTime<Utc>, unnamed: Option<&str>) -> Result<Census, QueueError> {
    queue.guard.check()?;
    let begin = Instant::now();
    let options = SqliteConnectOptions::new()
        .filename(&queue.path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    let mut connection = options.connect().await.map_err(read)?;
    let counted = count(&mut connection, now, unnamed).await;
    let _ = connection.close().await;
    let mut census = counted.map_err(read)?;
    let path = queue.path.clone();
    // A file system that hangs holds up a thread of its own.
    census.room = tokio::task::spawn_blocking(move || Room::of(&path)).await.unwrap_or_default();
    census.took = begin.elapsed();
    Ok(census)
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
    let Counted { claimed, sent, in_doubt, behind, failed, cancelled } = counted(db, now).await?;
    Ok(Census {
        pending: natural(pending.jobs + behind),
        behind: natural(behind),
        due: natural(pending.due),
        claimed: natural(claimed),
        sent: natural(sent),
        failed: natural(failed.jobs),
        cancelled: natural(cancelled.jobs),
        in_doubt: natural(in_doubt),
        failed_by_kind: failed
            .kinds()
            .map(|(kind, jobs)| (kind.unwrap_or_default().to_owned(), natural(jobs)))
            .collect(),
        waiting_by_kind: troubled(db).await?,
        held_mailboxes: natural(sqlx::query_scalar(HELD).fetch_one(&mut *db).await?),
        due_since: since(pending.open),
        due_since_paused: since(pending.paused),
        due_since_held: since(pending.held),
        ..Census::default()
    })
}

async fn troubled(db: &mut SqliteConnection) -> sqlx::Result<Vec<(String, u64)>> {
    let kinds: Vec<(String, i64)> = sqlx::query_as(TROUBLED).fetch_all(db).await?;
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
