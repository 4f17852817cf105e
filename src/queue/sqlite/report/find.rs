//! Jobs by whatever somebody has in hand: an id, a key, a mailbox, an EventID, a request id. What an index knows is found among
//! all rows; the rest among the newest, so that a search takes as long with a thousand rows as with millions.

use sqlx::SqlitePool;

use super::columns::listed_columns;
use crate::queue::LaneKey;
use crate::queue::columns::summary;
use crate::queue::rows::JobSummary;

/// ?1 is the text, ?2 the mailbox's lane, ?3 the id, if it is a number, ?4 how many jobs are wanted.
pub const FIND: &str = concat!(
    "SELECT ",
    listed_columns!(),
    " FROM jobs WHERE id IN (
        SELECT id FROM jobs WHERE id = ?3
        UNION SELECT id FROM jobs WHERE dedup_key = ?1
        UNION SELECT id FROM jobs WHERE transaction_id = ?1
        UNION SELECT id FROM (SELECT id FROM jobs INDEXED BY jobs_event_keys WHERE event_key = ?1 ORDER BY id DESC LIMIT ?4)
        UNION SELECT id FROM (SELECT id FROM jobs INDEXED BY jobs_targets WHERE target_event_id = ?1 ORDER BY id DESC LIMIT ?4)
        UNION SELECT id FROM (SELECT id FROM jobs INDEXED BY jobs_waiting
            WHERE state = 'pending' AND behind IS NULL AND mailbox_key = ?2 LIMIT ?4)
        UNION SELECT id FROM (SELECT id, mailbox_key, event_id, request_id FROM jobs NOT INDEXED ORDER BY id DESC LIMIT 20000)
            WHERE mailbox_key = ?2 OR event_id = ?1 OR request_id = ?1
        UNION SELECT job_id FROM (SELECT job_id, request_id, client_request_id FROM attempts ORDER BY job_id DESC LIMIT 20000) WHERE request_id = ?1 OR client_request_id = ?1)
    ORDER BY id DESC LIMIT ?4"
);

pub async fn find(pool: &SqlitePool, text: &str, limit: u32) -> sqlx::Result<Vec<JobSummary>> {
    let text = text.trim();
    let lane = LaneKey::of(text);
    let id = text.strip_prefix('#').unwrap_or(text).parse::<i64>().ok();
    let rows = sqlx::query(FIND).bind(text).bind(lane.as_str()).bind(id).bind(limit).fetch_all(pool).await?;
    rows.iter().map(summary).collect()
}
