//! The end of a pause by hand. A pause that Microsoft asked for goes on; of any other the operator may know that its cause is
//! gone. The row keeps when that was: an agent, which has its pauses in memory, sees it when it next asks the queue.

use sqlx::postgres::PgConnection;

use super::tell;
use crate::queue::MailboxRow;

/// Ends the pause that was looked at, and no other: $2 is its end.
const RESUME: &str = concat!(
    "WITH changed AS (
        UPDATE mailboxes SET paused_until = clock_timestamp(), asked_until = NULL, resumed_at = clock_timestamp()
        WHERE mailbox = $1 COLLATE \"C\" AND paused_until = $2::text::timestamptz RETURNING mailbox)",
    tell!("mailbox")
);

/// Whether it was still the same.
pub async fn resume(connection: &mut PgConnection, row: &MailboxRow) -> sqlx::Result<bool> {
    let query = sqlx::query(RESUME).bind(&row.mailbox).bind(row.pause.until.to_string());
    Ok(!query.fetch_all(connection).await?.is_empty())
}
