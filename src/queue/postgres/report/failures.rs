//! Jobs that failed lately, to be grouped: counted on an index, and of each kind only the newest are read.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;

use super::columns::{listed_columns, stamp, stamped};
use crate::job::ErrorKind;
use crate::queue::Failures;
use crate::queue::columns::summary;

/// $1 is the kind, $2 since when.
const NUMBER: &str = "SELECT count(*) FROM jobs WHERE state = 'failed' AND error_kind = $1 AND finished_at > $2";
/// The same, and $3 how many.
const NEWEST: &str = concat!(
    "SELECT ",
    listed_columns!(),
    " FROM jobs WHERE id IN (SELECT id FROM jobs
        WHERE state = 'failed' AND error_kind = $1 AND finished_at > $2 ORDER BY finished_at DESC LIMIT $3)
    ORDER BY id DESC"
);

pub async fn failures(
    connection: &mut PgConnection,
    since: DateTime<Utc>,
    of_each_kind: u32,
) -> sqlx::Result<Failures> {
    let mut found = Failures::default();
    for kind in ErrorKind::ALL.map(ErrorKind::as_str) {
        let number: i64 = sqlx::query_scalar(NUMBER).bind(kind).bind(since).fetch_one(&mut *connection).await?;
        if number > 0 {
            found.jobs += number;
            let newest = sqlx::query(NEWEST).bind(kind).bind(since).bind(i64::from(of_each_kind));
            let rows = newest.fetch_all(&mut *connection).await?;
            found.newest.extend(rows.iter().map(summary).collect::<sqlx::Result<Vec<_>>>()?);
        }
    }
    Ok(found)
}
