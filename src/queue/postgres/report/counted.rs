//! Jobs that wait no longer, counted once for all that ask, on indexes. Counting takes time by their number, so that of all ended
//! jobs has a limit: where there are very many, the server's own estimate has to do.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::queue::counted::{Counted, Lately, lately};
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

pub async fn counted(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Counted> {
    let (claimed, in_doubt, behind) = sqlx::query_as(OTHERS).fetch_one(&mut *connection).await?;
    let failed = failed(connection, now).await?;
    let cancelled = cancelled(connection, now).await?;
    // An estimate may be below what was counted.
    let sent = (finished(connection).await? - failed.jobs - cancelled.jobs).max(0);
    Ok(Counted { claimed, sent, in_doubt, behind, failed, cancelled })
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
    let rows = sqlx::query_as(FAILED).bind(now).bind(minute).bind(hour).fetch_all(connection).await?;
    Ok(Lately::of_kinds(rows))
}

async fn cancelled(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Lately> {
    let [now, minute, hour] = lately(now);
    let all = sqlx::query_as(CANCELLED).bind(now).bind(minute).bind(hour).fetch_one(connection).await?;
    Ok(Lately::of(all))
}
