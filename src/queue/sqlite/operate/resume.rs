//! The end of a pause by hand. A pause that Microsoft asked for goes on; of any other the operator may know that its cause is
//! gone. The row keeps when that was: a running agent, which has its pauses in memory, sees it when it next asks the queue.

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteConnection;

use crate::job::format_utc;
use crate::queue::MailboxRow;

/// Ends the pause that was looked at, and no other: ?2 is now, ?3 its end.
const RESUME: &str = "UPDATE mailboxes SET paused_until = ?2, asked_until = NULL, resumed_at = ?2
    WHERE mailbox = ?1 AND paused_until = ?3";

/// Whether it was still the same.
pub async fn resume(connection: &mut SqliteConnection, row: &MailboxRow, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let until = row.pause.until.to_string();
    let query = sqlx::query(RESUME).bind(&row.mailbox).bind(format_utc(now)).bind(until);
    Ok(query.execute(connection).await?.rows_affected() > 0)
}
