//! Mailboxes on hold: nothing is sent to them until they are released. A hold stands in the mailbox's row beside its
//! pause, so that neither makes the agent forget the other: a Retry-After goes on under a hold, and a hold under a pause.

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use crate::job::format_utc;
use crate::queue::sqlite::store::{SqliteQueue, read, written};
use crate::queue::{LaneKey, QueueError};

/// A mailbox on hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Whose, in lower case.
    pub mailbox: String,
    /// Since when.
    pub since: String,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

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

const HOLDS: &str = "SELECT mailbox, held_at, held_reason FROM mailboxes WHERE held_at IS NOT NULL ORDER BY mailbox";

const WAITING: &str =
    "SELECT count(*) FROM jobs WHERE state = 'pending' AND mailbox_key IN (SELECT value FROM json_each(?1))";

impl SqliteQueue {
    /// The mailboxes on hold, by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn holds(&self) -> Result<Vec<Hold>, QueueError> {
        let rows = sqlx::query(HOLDS).fetch_all(&self.pool).await.map_err(read)?;
        // A time somebody typed as something else holds all the same.
        let hold = |row: &sqlx::sqlite::SqliteRow| {
            Some(Hold {
                mailbox: row.try_get(0).ok()?,
                since: row.try_get_unchecked(1).ok()?,
                reason: row.try_get_unchecked(2).ok()?,
            })
        };
        Ok(rows.iter().filter_map(hold).collect())
    }

    /// Puts a mailbox on hold. The agent sends nothing more to it from its next look at the queue on; requests under way
    /// finish.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn hold_mailbox(
        &self,
        lane: &LaneKey,
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), QueueError> {
        let mut connection = self.connection().await?;
        let query = sqlx::query(HOLD).bind(lane.as_str()).bind(format_utc(now)).bind(reason);
        let done = query.execute(&mut *connection).await;
        self.lane_heads.lock().await.forget();
        self.handed_back(connection, done).map_err(written)?;
        Ok(())
    }

    /// Releases it, and tells whether it was on hold. A pause that is not over goes on.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn release_mailbox(&self, lane: &LaneKey) -> Result<bool, QueueError> {
        let mut connection = self.connection().await?;
        let done = release(&mut connection, lane).await;
        self.lane_heads.lock().await.forget();
        self.handed_back(connection, done).map_err(written)
    }

    /// Pending jobs of these mailboxes.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn waiting_for(&self, lanes: &[LaneKey]) -> Result<u64, QueueError> {
        let names: Vec<&str> = lanes.iter().map(LaneKey::as_str).collect();
        let names = serde_json::to_string(&names).unwrap_or_default();
        let count: i64 = sqlx::query_scalar(WAITING).bind(names).fetch_one(&self.pool).await.map_err(read)?;
        Ok(count.unsigned_abs())
    }
}

/// Two statements, of which at most one finds the row: no transaction is needed for them.
async fn release(connection: &mut SqliteConnection, lane: &LaneKey) -> sqlx::Result<bool> {
    let mut changed = 0;
    for statement in [FORGET, RELEASE] {
        changed += sqlx::query(statement).bind(lane.as_str()).execute(&mut *connection).await?.rows_affected();
    }
    Ok(changed > 0)
}
