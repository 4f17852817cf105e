//! The queue at a glance, also when it has millions of rows with long bodies: everything is counted on indexes, and of the
//! table itself only a few rows are read, by their ids. One read transaction, so that the figures belong together; it
//! stands in nobody's way.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use crate::job::{JobState, format_utc};
use crate::queue::sqlite::agents;
use crate::queue::sqlite::report::ages::{WaitingReport, waiting};
use crate::queue::sqlite::report::jobs::{Record, record};
use crate::queue::sqlite::store::SqliteQueue;

/// The queue at a glance.
#[derive(Clone, Debug, Default)]
pub struct StatusReport {
    /// Jobs by state, every state once.
    pub counts: Vec<(JobState, i64)>,
    /// Jobs of which an event may exist that no answer has confirmed.
    pub in_doubt: i64,
    /// What waits, by mailbox and age.
    pub waiting: WaitingReport,
    /// When the job waiting longest was inserted.
    pub oldest_pending: Option<String>,
    /// The same of those jobs that are due.
    pub oldest_due: Option<String>,
    /// Jobs that ended within the last minute.
    pub last_minute: Ended,
    /// Jobs that ended within the last hour.
    pub last_hour: Ended,
    /// Jobs that ended, minute by minute of the last hour, the oldest first; whatever their end.
    pub by_minute: Vec<i64>,
    /// Failed jobs by kind, the most frequent first.
    pub failed_by_kind: Vec<(Option<String>, i64)>,
    /// What pending jobs met last: `error_kind`, `error_code`, `jobs`, and of the newest of them `error_message`, the most
    /// frequent first.
    pub troubles: Vec<Record>,
    /// Pending jobs that met something, whatever it was.
    pub troubled: i64,
    /// Rows of `mailboxes` whose pause is not over.
    pub paused: Vec<Record>,
    /// Rows of `mailboxes` that an operator holds.
    pub held: Vec<Record>,
    /// What the agent that ran last said of itself. Whether it still runs tells the lock.
    pub agent: Option<Record>,
}

/// Jobs that ended within a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// With an event.
    pub sent: i64,
    /// Without.
    pub failed: i64,
}

/// Of those that ended, what neither failed nor was cancelled was sent.
pub const COUNTED: &str = "SELECT (SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL),
        (SELECT count(*) FROM jobs WHERE state = 'claimed'),
        (SELECT count(*) FROM jobs WHERE in_doubt = 1)";

/// For each time of the JSON array ?1 but the last how many jobs ended between it and the next.
pub const BY_MINUTE: &str = "SELECT (SELECT count(*) FROM jobs WHERE finished_at > m.value
            AND finished_at <= json_extract(?1, '$[' || (m.key + 1) || ']'))
    FROM json_each(?1) AS m WHERE m.key < json_array_length(?1) - 1 ORDER BY m.key";

/// ?1 is now, ?2 a minute ago, ?3 an hour ago.
pub const FAILED: &str = "SELECT error_kind, count(*) AS jobs, sum(finished_at > ?2 AND finished_at <= ?1),
        sum(finished_at > ?3 AND finished_at <= ?1)
    FROM jobs WHERE state = 'failed' GROUP BY error_kind ORDER BY jobs DESC, error_kind";
pub const CANCELLED: &str = "SELECT count(*), coalesce(sum(finished_at > ?2 AND finished_at <= ?1), 0),
        coalesce(sum(finished_at > ?3 AND finished_at <= ?1), 0)
    FROM jobs WHERE state = 'cancelled'";

pub const TROUBLES: &str = "SELECT error_kind, error_code, count(*) AS jobs, min(id) AS oldest, max(id) AS newest
    FROM jobs WHERE state = 'pending' AND error_kind IS NOT NULL GROUP BY error_kind, error_code
    ORDER BY jobs DESC";
const TROUBLE: &str = "SELECT ?1 AS error_kind, ?2 AS error_code, ?3 AS jobs,
        (SELECT error_message FROM jobs WHERE id = ?5) AS error_message,
        (SELECT created_at FROM jobs WHERE id = ?4) AS oldest, ?5 AS newest_id";

const PAUSED: &str = "SELECT * FROM mailboxes WHERE paused_until > ?1 ORDER BY paused_until, mailbox";
const HELD: &str = "SELECT * FROM mailboxes WHERE held_at IS NOT NULL ORDER BY mailbox";
const CREATED: &str = "SELECT created_at FROM jobs WHERE id = ?1";

const MINUTES: i64 = 60;
/// Kinds of trouble that are told.
const TOLD: usize = 5;

impl SqliteQueue {
    /// How things stand at `now`. `unnamed` is the mailbox of jobs that name none; at most so many `mailboxes` are named.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn status(
        &self,
        now: DateTime<Utc>,
        unnamed: Option<&str>,
        mailboxes: u32,
    ) -> sqlx::Result<StatusReport> {
        let mut connection = self.pool.acquire().await?;
        let mut tx = connection.begin().await?;
        let report = glance(&mut tx, now, unnamed, mailboxes).await;
        tx.rollback().await?;
        report
    }

    /// What the agent that ran last said of itself, and what is known of this mailbox's pauses and holds.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn standing(&self, mailbox: &str) -> sqlx::Result<(Option<Record>, Option<Record>)> {
        let mut connection = self.pool.acquire().await?;
        let agent = agents::read(&mut connection).await?;
        let lane = crate::queue::LaneKey::of(mailbox);
        let row = sqlx::query("SELECT * FROM mailboxes WHERE mailbox = ?1")
            .bind(lane.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        Ok((agent, row.as_ref().map(record).transpose()?))
    }
}

async fn glance(
    db: &mut SqliteConnection,
    now: DateTime<Utc>,
    unnamed: Option<&str>,
    mailboxes: u32,
) -> sqlx::Result<StatusReport> {
    let waiting = waiting(db, now, unnamed, mailboxes).await?;
    let (finished, claimed, in_doubt): (i64, i64, i64) = sqlx::query_as(COUNTED).fetch_one(&mut *db).await?;
    let failed = failed(db, now).await?;
    let cancelled = cancelled(db, now).await?;
    let by_minute = by_minute(db, now).await?;
    let pending = waiting.total.jobs;
    let sent = finished - failed.jobs - cancelled.jobs;
    let ended = |all: i64, failed: i64, cancelled: i64| Ended { sent: all - failed - cancelled, failed };
    let (troubles, troubled) = troubles(db).await?;
    let paused = sqlx::query(PAUSED).bind(format_utc(now)).fetch_all(&mut *db).await?;
    let held = sqlx::query(HELD).fetch_all(&mut *db).await?;
    let agent = agents::read(db).await?;
    Ok(StatusReport {
        counts: JobState::ALL
            .map(|state| {
                let count = match state {
                    JobState::Pending => pending,
                    JobState::Claimed => claimed,
                    JobState::Sent => sent,
                    JobState::Failed => failed.jobs,
                    JobState::Cancelled => cancelled.jobs,
                };
                (state, count)
            })
            .into(),
        in_doubt,
        oldest_pending: created(db, waiting.oldest).await?,
        oldest_due: created(db, waiting.oldest_due).await?,
        last_minute: ended(by_minute.last().copied().unwrap_or_default(), failed.minute, cancelled.minute),
        last_hour: ended(by_minute.iter().sum(), failed.hour, cancelled.hour),
        by_minute,
        failed_by_kind: failed.by_kind,
        troubles,
        troubled,
        paused: paused.iter().map(record).collect::<sqlx::Result<_>>()?,
        held: held.iter().map(record).collect::<sqlx::Result<_>>()?,
        agent,
        waiting,
    })
}

/// Jobs that ended in one way: all, and lately.
#[derive(Default)]
struct Lately {
    jobs: i64,
    minute: i64,
    hour: i64,
    by_kind: Vec<(Option<String>, i64)>,
}

async fn failed(db: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<Lately> {
    let [now, minute, hour] = lately(now);
    let rows: Vec<(Option<String>, i64, i64, i64)> =
        sqlx::query_as(FAILED).bind(now).bind(minute).bind(hour).fetch_all(db).await?;
    let mut failed = Lately::default();
    for (kind, jobs, minute, hour) in rows {
        failed.jobs += jobs;
        failed.minute += minute;
        failed.hour += hour;
        failed.by_kind.push((kind, jobs));
    }
    Ok(failed)
}

async fn cancelled(db: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<Lately> {
    let [now, minute, hour] = lately(now);
    let (jobs, minute, hour) = sqlx::query_as(CANCELLED).bind(now).bind(minute).bind(hour).fetch_one(db).await?;
    Ok(Lately { jobs, minute, hour, by_kind: Vec::new() })
}

/// Now, a minute ago, an hour ago.
fn lately(now: DateTime<Utc>) -> [String; 3] {
    [0, 1, MINUTES].map(|minutes| format_utc(now - TimeDelta::minutes(minutes)))
}

async fn by_minute(db: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    let times = (0..=MINUTES).map(|minute| format_utc(now - TimeDelta::minutes(MINUTES - minute)));
    let times = serde_json::Value::from_iter(times);
    sqlx::query_scalar(BY_MINUTE).bind(times.to_string()).fetch_all(db).await
}

/// Kind, code, jobs, the oldest and the newest of them.
type Met = (String, Option<Vec<u8>>, i64, i64, i64);

/// What pending jobs met most often, and how many met anything at all.
async fn troubles(db: &mut SqliteConnection) -> sqlx::Result<(Vec<Record>, i64)> {
    let groups: Vec<Met> = sqlx::query_as(TROUBLES).fetch_all(&mut *db).await?;
    let troubled = groups.iter().map(|(_, _, jobs, _, _)| jobs).sum();
    let mut troubles = Vec::new();
    for (kind, code, jobs, oldest, newest) in groups.into_iter().take(TOLD) {
        let code = code.map(|code| String::from_utf8_lossy(&code).into_owned());
        let row = sqlx::query(TROUBLE).bind(kind).bind(code).bind(jobs).bind(oldest).bind(newest).fetch_one(&mut *db);
        troubles.push(record(&row.await?)?);
    }
    Ok((troubles, troubled))
}

async fn created(db: &mut SqliteConnection, id: Option<i64>) -> sqlx::Result<Option<String>> {
    let row = sqlx::query(CREATED).bind(id).fetch_optional(db).await?;
    let created = row.as_ref().map(record).transpose()?;
    Ok(created.and_then(|created| created["created_at"].as_str().map(str::to_owned)))
}

/// The statements that count, for the test that looks at their plans.
#[cfg(test)]
pub const COUNTING: [&str; 6] =
    [COUNTED, BY_MINUTE, FAILED, CANCELLED, TROUBLES, crate::queue::sqlite::report::ages::BY_MAILBOX];
