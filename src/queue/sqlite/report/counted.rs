//! Jobs that wait no longer, counted once for all that ask: by index, no row is read.

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteConnection;

use crate::job::format_utc;
use crate::queue::counted::{Counted, Lately, lately};

/// Of those that ended, what neither failed nor was cancelled was sent.
pub const COUNTED: &str = "SELECT (SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL),
        (SELECT count(*) FROM jobs WHERE state = 'claimed'),
        (SELECT count(*) FROM jobs WHERE in_doubt = 1), (SELECT count(*) FROM jobs WHERE state = 'pending' AND behind IS NOT NULL)";

/// ?1 is now, ?2 a minute ago, ?3 an hour ago.
pub const FAILED: &str = "SELECT error_kind, count(*) AS jobs, sum(finished_at > ?2 AND finished_at <= ?1),
        sum(finished_at > ?3 AND finished_at <= ?1)
    FROM jobs WHERE state = 'failed' GROUP BY error_kind";
pub const CANCELLED: &str = "SELECT count(*), coalesce(sum(finished_at > ?2 AND finished_at <= ?1), 0),
        coalesce(sum(finished_at > ?3 AND finished_at <= ?1), 0)
    FROM jobs WHERE state = 'cancelled'";

pub async fn counted(db: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<Counted> {
    let (finished, claimed, in_doubt, behind): (i64, _, _, _) = sqlx::query_as(COUNTED).fetch_one(&mut *db).await?;
    let failed = failed(db, now).await?;
    let cancelled = cancelled(db, now).await?;
    Ok(Counted { claimed, sent: finished - failed.jobs - cancelled.jobs, in_doubt, behind, failed, cancelled })
}

async fn failed(db: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<Lately> {
    let [now, minute, hour] = lately(now).map(format_utc);
    let rows = sqlx::query_as(FAILED).bind(now).bind(minute).bind(hour).fetch_all(db).await?;
    Ok(Lately::of_kinds(rows))
}

async fn cancelled(db: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<Lately> {
    let [now, minute, hour] = lately(now).map(format_utc);
    let all = sqlx::query_as(CANCELLED).bind(now).bind(minute).bind(hour).fetch_one(db).await?;
    Ok(Lately::of(all))
}
