//! Jobs that failed lately, to be grouped: counted on an index, and of each kind only the newest are read.

use chrono::{DateTime, Utc};
use sqlx::SqlitePool;

use super::columns::listed_columns;
use crate::job::{ErrorKind, format_utc};
use crate::queue::Failures;
use crate::queue::columns::summary;

/// ?1 is the kind, ?2 since when.
pub const NUMBER: &str = "SELECT count(*) FROM jobs INDEXED BY jobs_failed
    WHERE state = 'failed' AND error_kind = ?1 AND finished_at > ?2";
/// The same, and ?3 how many.
pub const NEWEST: &str = concat!(
    "SELECT ",
    listed_columns!(),
    " FROM jobs WHERE id IN (SELECT id FROM jobs INDEXED BY jobs_failed
        WHERE state = 'failed' AND error_kind = ?1 AND finished_at > ?2 ORDER BY finished_at DESC LIMIT ?3)
    ORDER BY id DESC"
);

pub async fn failures(pool: &SqlitePool, since: DateTime<Utc>, of_each_kind: u32) -> sqlx::Result<Failures> {
    let since = format_utc(since);
    let mut found = Failures::default();
    for kind in ErrorKind::ALL.map(ErrorKind::as_str) {
        let number: i64 = sqlx::query_scalar(NUMBER).bind(kind).bind(&since).fetch_one(pool).await?;
        if number > 0 {
            found.jobs += number;
            let rows = sqlx::query(NEWEST).bind(kind).bind(&since).bind(of_each_kind).fetch_all(pool).await?;
            found.newest.extend(rows.iter().map(summary).collect::<sqlx::Result<Vec<_>>>()?);
        }
    }
    Ok(found)
}
