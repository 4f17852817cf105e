//! Jobs that wait no longer, counted once for all that ask, on indexes. Counting takes time by their number, so that of all ended
//! jobs has a limit: where there are very many, the server's own estimate has to do.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::queue::postgres::errors::was_cancelled;

/// Of those that ended, what neither failed nor was cancelled was sent.
const FINISHED: &str = "SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL";
/// As vacuum counted them last; -1 of an index that it never saw.
const ABOUT: &str = "SELECT reltuples::bigint FROM pg_class
    WHERE oid = to_regclass(quote_ident(current_schema()) || '.jobs_finished')";
/// Some ten million.
const COUNT_WITHIN: Duration = Duration::from_secs(5);

const OTHERS: &str = "SELECT (SELECT count(*) FROM jobs WHERE state = 'claimed'),
        (SELECT count(*) FROM jobs WHERE in_doubt), (SELECT count(*) FROM jobs WHERE state = 'pending' AND behind IS NOT NULL)";

/// $1 is now, $2 a minute ago, $3 an hour ago.
const FAILED: &str = "SELECT error_kind, count(*), count(*) FILTER (WHERE finished_at > $2 AND finished_at <= $1),
        count(*) FILTER (WHERE finished_at > $3 AND finished_at <= $1)
    FROM jobs WHERE state = 'failed' GROUP BY error_kind ORDER BY error_kind";
const CANCELLED: &str = "SELECT count(*), count(*) FILTER (WHERE finished_at > $2 AND finished_at <= $1),
        count(*) FILTER (WHERE finished_at > $3 AND finished_at <= $1)
    FROM jobs WHERE state = 'cancelled'";

const MINUTES: i64 = 60;

pub struct Counted {
    pub claimed: i64,
    /// All that ended in whatever way.
    pub finished: i64,
    pub in_doubt: i64,
    /// Pending jobs that wait for another of their event.
    pub behind: i64,
    pub failed: Lately,
    pub cancelled: Lately,
}

/// Jobs that ended in one way: all, and lately.
#[derive(Default)]
pub struct Lately {
    pub jobs: i64,
    pub minute: i64,
    pub hour: i64,
    by_kind: Vec<(Option<String>, i64)>,
}

impl Lately {
    /// In the order of their names.
    pub fn kinds(&self) -> impl Iterator<Item = (Option<&str>, i64)> {
        self.by_kind.iter().map(|(kind, jobs)| (kind.as_deref(), *jobs))
    }
}

impl Counted {
    pub fn sent(&self) -> i64 {
        // An estimate may be below what was counted.
        (self.finished - self.failed.jobs - self.cancelled.jobs).max(0)
    }
}

pub async fn counted(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Counted> {
    let (claimed, in_doubt, behind) = sqlx::query_as(OTHERS).fetch_one(&mut *connection).await?;
    let failed = failed(connection, now).await?;
    let cancelled = cancelled(connection, now).await?;
    Ok(Counted { claimed, finished: finished(connection).await?, in_doubt, behind, failed, cancelled })
}

/// In a transaction of the caller's, which goes on whatever becomes of the count.
async fn finished(connection: &mut PgConnection) -> sqlx::Result<i64> {
    let mut attempt = connection.begin().await?;
    let limit = format!("SET LOCAL statement_timeout = {}", COUNT_WITHIN.as_millis());
    sqlx::query(AssertSqlSafe(limit)).execute(&mut *attempt).await?;
    let counted = sqlx::query_scalar(FINISHED).fetch_one(&mut *attempt).await;
    // With it the limit is gone.
    attempt.rollback().await?;
    match counted {
        Err(error) if was_cancelled(&error) => sqlx::query_scalar(ABOUT).fetch_one(connection).await,
        counted => counted,
    }
}

async fn failed(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Lately> {
    let [now, minute, hour] = lately(now);
    let rows: Vec<(Option<String>, i64, i64, i64)> =
        sqlx::query_as(FAILED).bind(now).bind(minute).bind(hour).fetch_all(connection).await?;
    let mut failed = Lately::default();
    for (kind, jobs, minute, hour) in rows {
        failed.jobs += jobs;
        failed.minute += minute;
        failed.hour += hour;
        failed.by_kind.push((kind, jobs));
    }
    Ok(failed)
}

async fn cancelled(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Lately> {
    let [now, minute, hour] = lately(now);
    let (jobs, minute, hour) =
        sqlx::query_as(CANCELLED).bind(now).bind(minute).bind(hour).fetch_one(connection).await?;
    Ok(Lately { jobs, minute, hour, by_kind: Vec::new() })
}

/// Now, a minute ago, an hour ago.
fn lately(now: DateTime<Utc>) -> [DateTime<Utc>; 3] {
    [0, 1, MINUTES].map(|minutes| now - TimeDelta::minutes(minutes))
}
