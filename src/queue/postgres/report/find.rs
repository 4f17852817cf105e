//! Jobs by whatever somebody has in hand: an id, a key, a mailbox, an EventID, a request id. What an index knows is found among
//! all rows at once. An index of the rest would cost every event something; it is found by walking back from the newest row, in
//! steps that whoever asks may end.

use sqlx::Postgres;
use sqlx::Row;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;

use super::columns::{listed_columns, stamp, stamped};
use super::jobs;
use crate::job::{JobId, JobState};
use crate::queue::columns::summary;
use crate::queue::rows::JobSummary;
use crate::queue::{LaneKey, Sought, Step, Walked};

/// $1 is the text, $2 the mailbox's lane, $3 the id, if it is a number, $4 how many jobs are wanted.
const KNOWN_BY: &str = concat!(
    "WITH found AS MATERIALIZED (
        SELECT id FROM jobs WHERE id = $3
        UNION SELECT id FROM jobs WHERE dedup_key = $1
        UNION SELECT id FROM jobs WHERE lower(transaction_id) = lower($1)
        UNION (SELECT id FROM jobs WHERE event_key = $1 ORDER BY id DESC LIMIT $4)
        UNION (SELECT id FROM jobs WHERE target_event_id = $1 ORDER BY id DESC LIMIT $4)
        UNION (SELECT id FROM jobs WHERE state = 'pending' AND behind IS NULL AND mailbox_key = $2 COLLATE \"C\"
            ORDER BY mails, priority, next_attempt_at, id LIMIT $4))
    SELECT ",
    listed_columns!(),
    " FROM jobs WHERE id IN (SELECT id FROM found) ORDER BY id DESC LIMIT $4"
);

/// Of the $2 newest jobs below $1: their number, the smallest id, and the ids of those that fit.
const STEP: &str = "SELECT count(*) AS rows, min(id) AS down_to, coalesce(array_agg(id) FILTER (WHERE
            ($3::text IS NULL OR mailbox_key = $4::text COLLATE \"C\" OR event_id = $3 OR request_id = $3)
            AND ($5::text IS NULL OR state = $5) AND ($6::text[] IS NULL OR mailbox_key = ANY($6))
            AND ($7::text IS NULL OR error_kind = $7)), '{}') AS fit
    FROM (SELECT id, state, mailbox_key, error_kind, event_id, request_id FROM jobs WHERE id < $1 ORDER BY id DESC LIMIT $2)
        AS newest";

/// The same for jobs from $2 to below $1 of which an attempt has the text as a request id.
const ATTEMPTED: &str = "SELECT id FROM jobs
    WHERE id IN (SELECT job_id FROM attempts WHERE job_id < $1 AND job_id >= $2 AND (request_id = $3 OR client_request_id = $3))
        AND $4::text IS NOT NULL AND ($5::text IS NULL OR state = $5)
        AND ($6::text[] IS NULL OR mailbox_key = ANY($6)) AND ($7::text IS NULL OR error_kind = $7)";

pub async fn known_by(connection: &mut PgConnection, text: &str, limit: u32) -> sqlx::Result<Vec<JobSummary>> {
    let text = text.trim();
    let lane = LaneKey::of(text);
    let id = text.strip_prefix('#').unwrap_or(text).parse::<i64>().ok();
    let query = sqlx::query(KNOWN_BY).bind(text).bind(lane.as_str()).bind(id).bind(i64::from(limit));
    query.fetch_all(connection).await?.iter().map(summary).collect()
}

/// One step of a walk.
pub async fn walk(connection: &mut PgConnection, sought: &Sought, step: Step) -> sqlx::Result<Walked> {
    let below = step.before.map_or(i64::MAX, |id| id.0);
    let seen = asked(STEP, below, i64::from(step.rows), sought).fetch_one(&mut *connection).await?;
    let rows = u32::try_from(seen.try_get::<i64, _>("rows")?).unwrap_or(u32::MAX);
    let Some(down_to) = seen.try_get::<Option<i64>, _>("down_to")? else { return Ok(Walked::default()) };
    let mut fit: Vec<i64> = seen.try_get("fit")?;
    if sought.text.is_some() {
        for row in asked(ATTEMPTED, below, down_to, sought).fetch_all(&mut *connection).await? {
            fit.push(row.try_get("id")?);
        }
    }
    let (jobs, left_out) = newest(connection, fit, step.limit).await?;
    let before = match jobs.last() {
        Some(last) if left_out => Some(last.id),
        _ => (rows == step.rows).then_some(JobId(down_to)),
    };
    Ok(Walked { jobs, rows, before })
}

/// One of the two statements of a step; `bound` is its second parameter.
fn asked(statement: &'static str, below: i64, bound: i64, sought: &Sought) -> Query<'static, Postgres, PgArguments> {
    let lane = |name: &str| LaneKey::of(name).as_str().to_owned();
    let text = sought.text.as_deref().map(str::trim);
    sqlx::query(statement)
        .bind(below)
        .bind(bound)
        .bind(text.map(str::to_owned))
        .bind(text.map(lane))
        .bind(sought.state.map(JobState::as_str))
        .bind(jobs::lane_names(&sought.lanes))
        .bind(sought.error_kind.clone())
}

/// The newest of these, and whether others were left out.
async fn newest(connection: &mut PgConnection, mut ids: Vec<i64>, limit: u32) -> sqlx::Result<(Vec<JobSummary>, bool)> {
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let left_out = ids.len() > limit;
    let ids: Vec<JobId> = ids.into_iter().take(limit).map(JobId).collect();
    let mut jobs = jobs::by_id(connection, &ids).await?;
    jobs.reverse();
    Ok((jobs, left_out))
}
