//! Mailboxes by the age of what waits for them, as Postfix' qshape shows destinations: in one pass over the index of the
//! waiting jobs, which holds no time of insertion but ids.
//!
//! Ids grow, and `created_at` grows with them, as far as producers leave both to their defaults and commit soon. Where they do
//! not, some jobs are told younger or older than they are; nothing else hangs on it.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use crate::job::format_utc;
use crate::queue::postgres::time::time;
use crate::queue::read::by_age;
use crate::queue::{AGE_LIMITS, LaneKey, Waiting, WaitingReport};

/// $1 is now, $2 the first id within each age, $3 the lane of the jobs without mailbox, $4 how many mailboxes to name. The first
/// row is the sum. What is behind another job of its event is not due.
pub const BY_MAILBOX: &str = "WITH lanes AS MATERIALIZED (
        SELECT mailbox_key AS lane, count(*) AS jobs, count(*) FILTER (WHERE next_attempt_at > $1) AS later,
            min(next_attempt_at) AS due, min(id) AS oldest, min(id) FILTER (WHERE next_attempt_at <= $1) AS oldest_due,
            count(*) FILTER (WHERE id >= $2[1] AND next_attempt_at <= $1) AS a0,
            count(*) FILTER (WHERE id >= $2[2] AND next_attempt_at <= $1) AS a1,
            count(*) FILTER (WHERE id >= $2[3] AND next_attempt_at <= $1) AS a2,
            count(*) FILTER (WHERE id >= $2[4] AND next_attempt_at <= $1) AS a3,
            count(*) FILTER (WHERE id >= $2[5] AND next_attempt_at <= $1) AS a4,
            count(*) FILTER (WHERE id >= $2[6] AND next_attempt_at <= $1) AS a5
        FROM jobs WHERE state = 'pending' AND behind IS NULL GROUP BY mailbox_key
        UNION ALL
        SELECT mailbox_key, count(*), count(*), NULL, min(id), NULL, 0, 0, 0, 0, 0, 0
        FROM jobs WHERE state = 'pending' AND behind IS NOT NULL GROUP BY mailbox_key), named AS MATERIALIZED (
        SELECT CASE lane WHEN '' THEN $3 COLLATE \"C\" ELSE lane END AS mailbox, sum(jobs)::bigint AS jobs,
            sum(later)::bigint AS later, sum(a0)::bigint AS a0, sum(a1)::bigint AS a1, sum(a2)::bigint AS a2,
            sum(a3)::bigint AS a3, sum(a4)::bigint AS a4, sum(a5)::bigint AS a5
        FROM lanes GROUP BY 1)
    SELECT '' AS mailbox, sum(jobs)::bigint AS jobs, sum(later)::bigint AS later, sum(a0)::bigint AS a0,
        sum(a1)::bigint AS a1, sum(a2)::bigint AS a2, sum(a3)::bigint AS a3, sum(a4)::bigint AS a4, sum(a5)::bigint AS a5,
        (SELECT count(*) FROM named) AS mailboxes, min(oldest) AS oldest, min(oldest_due) AS oldest_due, min(due) AS due,
        min(due) FILTER (WHERE CASE lane WHEN '' THEN $3 COLLATE \"C\" ELSE lane END NOT IN (SELECT mailbox FROM mailboxes
            WHERE held_at IS NOT NULL OR paused_until > $1 OR paced_until > $1)) AS open_due
    FROM lanes
    UNION ALL
    (SELECT named.*, NULL, NULL, NULL, NULL, NULL FROM named ORDER BY jobs DESC, mailbox LIMIT $4)";

/// The first id inserted since each of the times in $1, beyond all others if there is none: each by halves between the first id and
/// the last, of which deleted jobs leave gaps. Reads one row for each halving.
pub const FIRSTS: &str = "WITH RECURSIVE s AS (
        SELECT t.place, t.since, (SELECT min(id) FROM jobs) AS low, (SELECT max(id) + 1 FROM jobs) AS high
        FROM unnest($1::timestamptz[]) WITH ORDINALITY AS t(since, place)
        UNION ALL
        SELECT s.place, s.since, CASE WHEN n.created_at < s.since THEN n.id + 1 ELSE s.low END,
            CASE WHEN n.created_at < s.since THEN s.high ELSE s.low + (s.high - s.low) / 2 END
        FROM s LEFT JOIN LATERAL (SELECT id, created_at FROM jobs
            WHERE id >= s.low + (s.high - s.low) / 2 AND id < s.high ORDER BY id LIMIT 1) AS n ON true
        WHERE s.low < s.high)
    SELECT coalesce(max(low) FILTER (WHERE low >= high), 9223372036854775807) FROM s GROUP BY place ORDER BY place";

/// Counts what waits. `unnamed` is whose lane the jobs without mailbox share.
pub async fn waiting(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    unnamed: Option<&str>,
    mailboxes: u32,
) -> sqlx::Result<WaitingReport> {
    let since: Vec<_> = AGE_LIMITS.iter().map(|limit| now - TimeDelta::seconds(*limit)).collect();
    let firsts: Vec<i64> = sqlx::query_scalar(FIRSTS).bind(since).fetch_all(&mut *connection).await?;
    let unnamed = LaneKey::of(unnamed.unwrap_or_default());
    let rows = sqlx::query(BY_MAILBOX)
        .bind(now)
        .bind(firsts)
        .bind(unnamed.as_str())
        .bind(i64::from(mailboxes))
        .fetch_all(connection)
        .await?;
    let Some((sum, rows)) = rows.split_first() else { return Ok(WaitingReport::default()) };
    let mailboxes: Vec<Waiting> = rows.iter().map(of_row).collect::<sqlx::Result<_>>()?;
    Ok(WaitingReport {
        total: of_row(sum)?,
        more: sum.try_get::<i64, _>("mailboxes")? - mailboxes.len() as i64,
        mailboxes,
        oldest: sum.try_get("oldest")?,
        oldest_due: sum.try_get("oldest_due")?,
        next_due: time(sum, "due")?.map(format_utc),
        open_due: time(sum, "open_due")?.map(format_utc),
    })
}

/// The first id inserted at `since` or later; beyond all others if there is none.
pub async fn first_of(connection: &mut PgConnection, since: DateTime<Utc>) -> sqlx::Result<i64> {
    let first: Option<i64> = sqlx::query_scalar(FIRSTS).bind(vec![since]).fetch_optional(connection).await?;
    Ok(first.unwrap_or(i64::MAX))
}

fn of_row(row: &PgRow) -> sqlx::Result<Waiting> {
    let number = |name: &str| row.try_get::<Option<i64>, _>(name).map(Option::unwrap_or_default);
    let (jobs, later) = (number("jobs")?, number("later")?);
    let mut within = [0; AGE_LIMITS.len()];
    for (within, name) in within.iter_mut().zip(["a0", "a1", "a2", "a3", "a4", "a5"]) {
        *within = number(name)?;
    }
    Ok(Waiting { mailbox: row.try_get("mailbox")?, jobs, later, by_age: by_age(within, jobs - later) })
}
