//! Mailboxes on hold: nothing is sent to them until they are released. A hold stands in the mailbox's row beside its
//! pause, so that neither makes the agent forget the other: a Retry-After goes on under a hold, and a hold under a pause.

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteConnection;

use crate::job::format_utc;
use crate::queue::LaneKey;

/// A row that is only a hold has a pause that is long over. One hold keeps its first time; a new reason replaces the old one.
const HOLD: &str = "INSERT INTO mailboxes (mailbox, paused_until, reason, held_at, held_reason)
    VALUES (?1, '1970-01-01T00:00:00.000Z', '', ?2, ?3)
    ON CONFLICT (mailbox) DO UPDATE SET held_at = coalesce(held_at, excluded.held_at),
        held_reason = coalesce(excluded.held_reason, iif(held_at IS NULL, NULL, held_reason))";

/// What was only a hold …
const FORGET: &str =
    "DELETE FROM mailboxes WHERE mailbox = ?1 AND held_at IS NOT NULL AND reason = '' AND paused_until < '1971'";
/// … and what is a pause besides, or was one.
const RELEASE: &str =
    "UPDATE mailboxes SET held_at = NULL, held_reason = NULL WHERE mailbox = ?1 AND held_at IS NOT NULL";

pub async fn hold(
    connection: &mut SqliteConnection,
    lane: &LaneKey,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(HOLD).bind(lane.as_str()).bind(format_utc(now)).bind(reason).execute(connection).await.map(drop)
}

/// Two statements, of which at most one finds the row: no transaction is needed for them.
pub async fn release(connection: &mut SqliteConnection, lane: &LaneKey) -> sqlx::Result<bool> {
    let mut changed = 0;
    for statement in [FORGET, RELEASE] {
        changed += sqlx::query(statement).bind(lane.as_str()).execute(&mut *connection).await?.rows_affected();
    }
    Ok(changed > 0)
}
