//! Jobs by whatever somebody has in hand: an id, a key, a mailbox, an EventID, a request id. What an index knows is found among
//! all rows at once. An index of the rest would cost every event something; it is found by walking back from the newest row, in
//! steps that whoever asks may end.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Row, Sqlite, SqlitePool};

use super::columns::{listed_columns, summary};
use super::jobs;
use crate::job::{JobId, JobState};
use crate::queue::rows::JobSummary;
use crate::queue::{LaneKey, Sought, Step, Walked};

/// ?1 is the text, ?2 the mailbox's lane, ?3 the id, if it is a number, ?4 how many jobs are wanted.
pub const KNOWN_BY: &str = concat!(
    "SELECT ",
    listed_columns!(),
    " FROM jobs WHERE id IN (
        SELECT id FROM jobs WHERE id = ?3
        UNION SELECT id FROM jobs WHERE dedup_key = ?1
        UNION SELECT id FROM jobs WHERE transaction_id = ?1
        UNION SELECT id FROM (SELECT id FROM jobs INDEXED BY jobs_event_keys WHERE event_key = ?1 ORDER BY id DESC LIMIT ?4)
        UNION SELECT id FROM (SELECT id FROM jobs INDEXED BY jobs_targets WHERE target_event_id = ?1 ORDER BY id DESC LIMIT ?4)
        UNION SELECT id FROM (SELECT id FROM jobs INDEXED BY jobs_waiting
            WHERE state = 'pending' AND behind IS NULL AND mailbox_key = ?2 LIMIT ?4))
    ORDER BY id DESC LIMIT ?4"
);

/// Of the ?2 newest jobs below ?1: their number, the smallest id, and the ids of those that fit.
pub const STEP: &str = "SELECT count(*) AS rows, min(id) AS down_to, json_group_array(id) FILTER (WHERE
        (?3 IS NULL OR mailbox_key = ?4 OR event_id = ?3 OR request_id = ?3)
        AND (?5 IS NULL OR state = ?5) AND (?6 IS NULL OR mailbox_key = ?6) AND (?7 IS NULL OR error_kind = ?7)) AS fit
    FROM (SELECT id, state, mailbox_key, error_kind, event_id, request_id FROM jobs NOT INDEXED
        WHERE id < ?1 ORDER BY id DESC LIMIT ?2)";

/// The same for jobs from ?2 to below ?1 of which an attempt has the text as a request id.
pub const ATTEMPTED: &str = "SELECT id FROM jobs
    WHERE id IN (SELECT job_id FROM attempts WHERE job_id < ?1 AND job_id >= ?2 AND (request_id = ?3 OR client_request_id = ?3))
        AND (?5 IS NULL OR state = ?5) AND (?6 IS NULL OR mailbox_key = ?6) AND (?7 IS NULL OR error_kind = ?7)";

pub async fn known_by(pool: &SqlitePool, text: &str, limit: u32) -> sqlx::Result<Vec<JobSummary>> {
    let text = text.trim();
    let lane = LaneKey::of(text);
    let id = text.strip_prefix('#').unwrap_or(text).parse::<i64>().ok();
    let rows = sqlx::query(KNOWN_BY).bind(text).bind(lane.as_str()).bind(id).bind(limit).fetch_all(pool).await?;
    rows.iter().map(summary).collect()
}

/// One step of a walk.
pub async fn walk(pool: &SqlitePool, sought: &Sought, step: Step) -> sqlx::Result<Walked> {
    let below = step.before.map_or(i64::MAX, |id| id.0);
    let seen = asked(STEP, below, i64::from(step.rows), sought).fetch_one(pool).await?;
    let rows: u32 = seen.try_get("rows")?;
    let Some(down_to) = seen.try_get::<Option<i64>, _>("down_to")? else { return Ok(Walked::default()) };
    let mut fit: Vec<i64> = serde_json::from_str(seen.try_get("fit")?).unwrap_or_default();
    if sought.text.is_some() {
        for row in asked(ATTEMPTED, below, down_to, sought).fetch_all(pool).await? {
            fit.push(row.try_get("id")?);
        }
    }
    let (jobs, left_out) = newest(pool, fit, step.limit).await?;
    let before = match jobs.last() {
        Some(last) if left_out => Some(last.id),
        _ => (rows == step.rows).then_some(JobId(down_to)),
    };
    Ok(Walked { jobs, rows, before })
}

/// One of the two statements of a step; `bound` is its second parameter.
fn asked(statement: &'static str, below: i64, bound: i64, sought: &Sought) -> Query<'static, Sqlite, SqliteArguments> {
    let lane = |name: &str| LaneKey::of(name).as_str().to_owned();
    let text = sought.text.as_deref().map(str::trim);
    sqlx::query(statement)
        .bind(below)
        .bind(bound)
        .bind(text.map(str::to_owned))
        .bind(text.map(lane))
        .bind(sought.state.map(JobState::as_str))
        .bind(sought.mailbox.as_deref().map(lane))
        .bind(sought.error_kind.clone())
}

/// The newest of these, and whether others were left out.
async fn newest(pool: &SqlitePool, mut ids: Vec<i64>, limit: u32) -> sqlx::Result<(Vec<JobSummary>, bool)> {
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let left_out = ids.len() > limit;
    ids.truncate(limit);
    let mut jobs = jobs::by_id(pool, serde_json::Value::from(ids).to_string()).await?;
    jobs.reverse();
    Ok((jobs, left_out))
}
