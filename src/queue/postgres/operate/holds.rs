//! Mailboxes on hold: nothing is sent to them until they are released. A hold stands in the mailbox's row beside its
//! pause, so that neither makes the agents forget the other: a Retry-After goes on under a hold, and a hold under a pause.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;

use super::tell;
use crate::queue::LaneKey;

/// A row that is only a hold has a pause that is long over. One hold keeps its first time, which no clock ahead of the server's puts
/// into the future; a new reason replaces the old one.
const HOLD: &str = concat!(
    "WITH changed AS (
        INSERT INTO mailboxes AS m (mailbox, paused_until, reason, held_at, held_reason)
        VALUES ($1, '1970-01-01T00:00:00Z', '', least($2, clock_timestamp()), $3)
        ON CONFLICT (mailbox) DO UPDATE SET held_at = coalesce(m.held_at, excluded.held_at),
            held_reason = coalesce(excluded.held_reason, CASE WHEN m.held_at IS NOT NULL THEN m.held_reason END)
        RETURNING mailbox)",
    tell!("mailbox")
);

/// What was only a hold is forgotten; what is a pause besides, or was one, stays.
const RELEASE: &str = concat!(
    "WITH forgotten AS (
        DELETE FROM mailboxes WHERE mailbox = $1 COLLATE \"C\" AND held_at IS NOT NULL AND reason = ''
            AND paused_until < '1971-01-01T00:00:00Z' RETURNING mailbox),
    released AS (
        UPDATE mailboxes SET held_at = NULL, held_reason = NULL
        WHERE mailbox = $1 COLLATE \"C\" AND held_at IS NOT NULL
            AND NOT (reason = '' AND paused_until < '1971-01-01T00:00:00Z') RETURNING mailbox),
    changed AS (SELECT mailbox FROM forgotten UNION ALL SELECT mailbox FROM released)",
    tell!("mailbox")
);

pub async fn hold(
    connection: &mut PgConnection,
    lane: &LaneKey,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(HOLD).bind(lane.as_str()).bind(now).bind(reason).execute(connection).await.map(drop)
}

pub async fn release(connection: &mut PgConnection, lane: &LaneKey) -> sqlx::Result<bool> {
    let released = sqlx::query(RELEASE).bind(lane.as_str()).fetch_all(connection).await?;
    Ok(!released.is_empty())
}
