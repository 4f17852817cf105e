//! Jobs that wait no longer, counted once for all that ask: by index, no row is read.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::sqlite::SqliteConnection;

use crate::job::format_utc;

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

const MINUTES: i64 = 60;

pub struct Counted {
    pub claimed: i64,
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

pub async fn counted(db: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<Counted> {
    let (finished, claimed, in_doubt, behind) = sqlx::query_as(COUNTED).fetch_one(&mut *db).await?;
    let failed = failed(db, now).await?;
    Ok(Counted { claimed, finished, in_doubt, behind, failed, cancelled: cancelled(db, now).await? })
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
