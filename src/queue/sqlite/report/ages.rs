//! Mailboxes by the age of what waits for them, as Postfix' qshape shows destinations: in one pass over the index of the
//! waiting jobs, which holds no time of insertion but ids.
//!
//! Ids only grow, so `created_at` grows with them, as far as producers leave that column to its default and nobody sets
//! the clock back. Where they do not, some jobs are told younger or older than they are; nothing else hangs on it.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::job::format_utc;
use crate::queue::read::by_age;
use crate::queue::sqlite::text::lane_key;
use crate::queue::{AGE_LIMITS, Waiting, WaitingReport};

/// ?1 is now, ?2 to ?7 the first ids within each age, ?8 the lane of the jobs without mailbox, ?9 how many mailboxes to
/// name. The first row is the sum. Grouped in the order of the index, and only then by the name: the unnamed go to a lane
/// that stands elsewhere. What is behind another job of its event is not due. The lane is an aggregate as all the others are: a bare expression is read from the row.
pub const BY_MAILBOX: &str = "WITH lanes AS MATERIALIZED (
        SELECT coalesce(max(mailbox_key), '') AS lane, count(*) AS jobs, sum(next_attempt_at > ?1) AS later, min(next_attempt_at) AS due, min(id) AS oldest,
            min(CASE WHEN next_attempt_at <= ?1 THEN id END) AS oldest_due,
            count(CASE WHEN id >= ?2 AND next_attempt_at <= ?1 THEN 1 END) AS a0,
            count(CASE WHEN id >= ?3 AND next_attempt_at <= ?1 THEN 1 END) AS a1,
            count(CASE WHEN id >= ?4 AND next_attempt_at <= ?1 THEN 1 END) AS a2,
            count(CASE WHEN id >= ?5 AND next_attempt_at <= ?1 THEN 1 END) AS a3,
            count(CASE WHEN id >= ?6 AND next_attempt_at <= ?1 THEN 1 END) AS a4,
            count(CASE WHEN id >= ?7 AND next_attempt_at <= ?1 THEN 1 END) AS a5
        FROM jobs INDEXED BY jobs_waiting WHERE state = 'pending' AND behind IS NULL GROUP BY mailbox_key
        UNION ALL
        SELECT lane, count(*), count(*), NULL, min(id), NULL, 0, 0, 0, 0, 0, 0
        FROM (SELECT coalesce(mailbox_key, '') AS lane, id FROM jobs INDEXED BY jobs_waiting
            WHERE state = 'pending' AND behind IS NOT NULL)
        GROUP BY lane), named AS MATERIALIZED (
        SELECT CAST(CASE lane WHEN '' THEN ?8 ELSE lane END AS BLOB) AS mailbox, sum(jobs) AS jobs, sum(later) AS later,
            sum(a0) AS a0, sum(a1) AS a1, sum(a2) AS a2, sum(a3) AS a3, sum(a4) AS a4, sum(a5) AS a5
        FROM lanes GROUP BY 1)
    SELECT 0 AS place, x'' AS mailbox, sum(jobs) AS jobs, sum(later) AS later, sum(a0) AS a0, sum(a1) AS a1, sum(a2) AS a2,
        sum(a3) AS a3, sum(a4) AS a4, sum(a5) AS a5, (SELECT count(*) FROM named) AS mailboxes, min(oldest) AS oldest,
        min(oldest_due) AS oldest_due, min(due) AS due,
        min(CASE WHEN CASE lane WHEN '' THEN ?8 ELSE lane END NOT IN (SELECT mailbox FROM mailboxes
            WHERE held_at IS NOT NULL OR paused_until > ?1 OR paced_until > ?1) THEN due END) AS open_due
    FROM lanes
    UNION ALL
    SELECT * FROM (SELECT 1, named.*, NULL, NULL, NULL, NULL, NULL FROM named ORDER BY jobs DESC, mailbox LIMIT ?9)";

/// The next job at ?1 or behind it, before ?2. Deleted jobs leave gaps.
pub const NEXT: &str = "SELECT id, CAST(created_at AS BLOB) FROM jobs WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1";
pub const FIRST_AND_LAST: &str = "SELECT (SELECT min(id) FROM jobs), (SELECT max(id) FROM jobs)";

/// Counts what waits. `unnamed` is whose lane the jobs without mailbox share.
pub async fn waiting(
    db: &mut SqliteConnection,
    now: DateTime<Utc>,
    unnamed: Option<&str>,
    mailboxes: u32,
) -> sqlx::Result<WaitingReport> {
    let firsts = firsts(db, now).await?;
    let unnamed = lane_key(b"", unnamed);
    let mut query = sqlx::query(BY_MAILBOX).bind(format_utc(now));
    for first in firsts {
        query = query.bind(first);
    }
    let rows = query.bind(unnamed.as_str()).bind(mailboxes).fetch_all(db).await?;
    let Some((sum, rows)) = rows.split_first() else { return Ok(WaitingReport::default()) };
    let mailboxes: Vec<Waiting> = rows.iter().map(of_row).collect::<sqlx::Result<_>>()?;
    Ok(WaitingReport {
        total: of_row(sum)?,
        more: sum.try_get::<i64, _>("mailboxes")? - mailboxes.len() as i64,
        mailboxes,
        oldest: sum.try_get("oldest")?,
        oldest_due: sum.try_get("oldest_due")?,
        next_due: sum.try_get("due")?,
        open_due: sum.try_get("open_due")?,
    })
}

/// For each age the first id within it.
async fn firsts(db: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<[i64; AGE_LIMITS.len()]> {
    let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(FIRST_AND_LAST).fetch_one(&mut *db).await?;
    let mut firsts = [i64::MAX; AGE_LIMITS.len()];
    let (Some(mut from), Some(last)) = (first, last) else { return Ok(firsts) };
    // From the oldest to the youngest: each begins where the one before it ended.
    for (place, limit) in firsts.iter_mut().zip(AGE_LIMITS).rev() {
        from = first_since(db, from, last + 1, &format_utc(now - TimeDelta::seconds(limit))).await?;
        *place = from;
    }
    Ok(firsts)
}

/// The first id inserted at `since` or later; beyond the last one if there is none.
pub async fn first_of(db: &mut SqliteConnection, since: &str) -> sqlx::Result<i64> {
    let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(FIRST_AND_LAST).fetch_one(&mut *db).await?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(0) };
    first_since(db, first, last + 1, since).await
}

/// The first id in `from..end` inserted at `since` or later, `end` if there is none. Reads one row for each halving.
async fn first_since(db: &mut SqliteConnection, mut from: i64, mut end: i64, since: &str) -> sqlx::Result<i64> {
    while from < end {
        let middle = from + (end - from) / 2;
        let next: Option<(i64, Vec<u8>)> = sqlx::query_as(NEXT).bind(middle).bind(end).fetch_optional(&mut *db).await?;
        match next {
            Some((id, created_at)) if created_at.as_slice() < since.as_bytes() => from = id + 1,
            _ => end = middle,
        }
    }
    Ok(from)
}

fn of_row(row: &SqliteRow) -> sqlx::Result<Waiting> {
    let number = |name: &str| row.try_get::<Option<i64>, _>(name).map(Option::unwrap_or_default);
    let (jobs, later) = (number("jobs")?, number("later")?);
    let mailbox = String::from_utf8_lossy(&row.try_get::<Vec<u8>, _>("mailbox")?).into_owned();
    let mut within = [0; AGE_LIMITS.len()];
    for (within, name) in within.iter_mut().zip(["a0", "a1", "a2", "a3", "a4", "a5"]) {
        *within = number(name)?;
    }
    Ok(Waiting { mailbox, jobs, later, by_age: by_age(within, jobs - later) })
}
