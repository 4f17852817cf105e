//! A queue that was put back from a backup: what waits in it may have been sent since. Marked as in doubt, a job is looked
//! up in its calendar before it is sent.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;

use crate::job::{Defaults, format_utc};
use crate::queue::sqlite::claim::{fillable, freeze, recurs};

/// Rows of one write: producers wait a few milliseconds at most.
const BATCH: usize = 500;

const NOT_IN_DOUBT: &str = "SELECT id FROM jobs WHERE state = 'pending' AND in_doubt = 0";

/// The mailbox that the create of a change's key has, or is getting: that of the last create that was not cancelled, or else of the
/// last one.
macro_rules! creates_mailbox {
    () => {
        concat!(
            "(SELECT CASE WHEN ",
            fillable!(),
            " THEN coalesce(c.mailbox, ?3) ELSE c.mailbox END FROM jobs AS c
        WHERE c.event_key = jobs.event_key AND c.operation = 'create' AND c.id < jobs.id
        ORDER BY c.state = 'cancelled' AND c.error_kind IS 'superseded', c.id DESC LIMIT 1)"
        )
    };
}

/// What would have left was what the defaults made of it, so they are frozen as a claim would have frozen them. A change of an event
/// by its key gets its create's mailbox now: once it is in doubt nothing fills its row any more. The lane follows (trigger
/// `jobs_stay_in_their_lane`).
const MARK_IN_DOUBT: &str = concat!(
    "UPDATE jobs SET in_doubt = 1, first_sent_at = coalesce(first_sent_at, ?2), mailbox = CASE WHEN ",
    fillable!(),
    " THEN coalesce(mailbox, CASE WHEN operation = 'create' OR event_key IS NULL THEN ?3 ELSE ",
    creates_mailbox!(),
    " END) ELSE mailbox END, ",
    freeze!(named),
    " WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'pending' AND in_doubt = 0"
);

/// Waiting jobs that would be sent without being looked up.
pub async fn not_in_doubt(connection: &mut SqliteConnection) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(NOT_IN_DOUBT).fetch_all(connection).await
}

/// Has these jobs looked up before they are sent, as far as they still wait; says how many. No agent may be running: it
/// might send one of them meanwhile.
pub async fn mark_in_doubt(
    connection: &mut SqliteConnection,
    ids: &[i64],
    defaults: &Defaults,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let mut marked = 0;
    for batch in ids.chunks(BATCH) {
        marked += mark(connection, batch, defaults, now).await?;
    }
    Ok(marked)
}

async fn mark(
    connection: &mut SqliteConnection,
    ids: &[i64],
    defaults: &Defaults,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let done = sqlx::query(MARK_IN_DOUBT)
        .bind(serde_json::to_string(ids).unwrap_or_default())
        .bind(format_utc(now))
        .bind(&defaults.mailbox)
        .bind(defaults.body_type.as_str())
        .bind(&defaults.time_zone)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}
