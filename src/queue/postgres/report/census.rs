//! Counting everything, for monitoring: jobs by state and trouble, how long the first of them has been due, and how
//! much room the tables take. Reads indexes. How much room there is left the server does not tell.

use sqlx::postgres::PgConnection;
use sqlx::{Connection, FromRow};

use super::counted::counted;
use super::overview::ONE_MOMENT;
use super::server_time;
use crate::queue::postgres::clock::steady;
use crate::queue::postgres::time::Time;
use crate::queue::{Census, LaneKey, Room};

/// What the index of pending jobs tells, lane by lane. $1 is now, $2 the mailbox of rows that name none. What mails somebody waits
/// in a mailbox that has mailed its limit as in one that is paused.
pub const PENDING: &str = "WITH l AS MATERIALIZED (
        SELECT mailbox_key AS lane, mails, count(*) AS jobs, count(*) FILTER (WHERE next_attempt_at <= $1) AS due,
            min(next_attempt_at) AS first
        FROM jobs WHERE state = 'pending' AND behind IS NULL GROUP BY mailbox_key, mails)
    SELECT coalesce(sum(jobs), 0)::bigint AS jobs, coalesce(sum(due), 0)::bigint AS due,
        min(first) FILTER (WHERE m.held_at IS NULL AND NOT coalesce(m.paused_until > $1 OR (mails AND m.paced_until > $1), false))
            AS open,
        min(first) FILTER (WHERE m.held_at IS NULL AND (m.paused_until > $1 OR (mails AND m.paced_until > $1))) AS paused,
        min(first) FILTER (WHERE m.held_at IS NOT NULL) AS held
    FROM l LEFT JOIN mailboxes AS m ON m.mailbox = CASE lane WHEN '' THEN $2 COLLATE \"C\" ELSE lane END";
const TROUBLED: &str = "SELECT error_kind, count(*) FROM jobs WHERE state = 'pending' AND error_kind IS NOT NULL
    GROUP BY error_kind ORDER BY error_kind";
const HELD: &str = "SELECT count(*) FROM mailboxes WHERE held_at IS NOT NULL";
/// With their indexes.
const ROOM: &str = "SELECT pg_total_relation_size('jobs') + pg_total_relation_size('attempts')";

#[derive(FromRow)]
struct Pending {
    jobs: i64,
    due: i64,
    open: Option<Time>,
    paused: Option<Time>,
    held: Option<Time>,
}

/// Counts. Holds up neither an agent nor a producer.
pub async fn census(connection: &mut PgConnection, unnamed: Option<&str>) -> sqlx::Result<Census> {
    let begin = steady();
    let mut tx = connection.begin_with(ONE_MOMENT).await?;
    let census = count(&mut tx, unnamed).await;
    tx.rollback().await?;
    Ok(Census { took: begin.elapsed(), ..census? })
}

async fn count(db: &mut PgConnection, unnamed: Option<&str>) -> sqlx::Result<Census> {
    let now = server_time(db).await?;
    let unnamed = unnamed.map(LaneKey::of);
    let pending: Pending =
        sqlx::query_as(PENDING).bind(now).bind(unnamed.as_ref().map(LaneKey::as_str)).fetch_one(&mut *db).await?;
    let since = |due: Option<Time>| due.map(|Time(due)| due).filter(|due| *due <= now);
    let counted = counted(db, now).await?;
    let database: i64 = sqlx::query_scalar(ROOM).fetch_one(&mut *db).await?;
    Ok(Census {
        pending: natural(pending.jobs + counted.behind),
        behind: natural(counted.behind),
        due: natural(pending.due),
        claimed: natural(counted.claimed),
        sent: natural(counted.sent),
        failed: natural(counted.failed.jobs),
        cancelled: natural(counted.cancelled.jobs),
        in_doubt: natural(counted.in_doubt),
        failed_by_kind: counted
            .failed
            .kinds()
            .map(|(kind, jobs)| (kind.unwrap_or_default().to_owned(), natural(jobs)))
            .collect(),
        waiting_by_kind: troubled(db).await?,
        held_mailboxes: natural(sqlx::query_scalar(HELD).fetch_one(db).await?),
        due_since: since(pending.open),
        due_since_paused: since(pending.paused),
        due_since_held: since(pending.held),
        room: Room { database: Some(natural(database)), ..Room::default() },
        ..Census::default()
    })
}

async fn troubled(db: &mut PgConnection) -> sqlx::Result<Vec<(String, u64)>> {
    let kinds: Vec<(String, i64)> = sqlx::query_as(TROUBLED).fetch_all(db).await?;
    Ok(kinds.into_iter().map(|(kind, jobs)| (kind, natural(jobs))).collect())
}

fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
