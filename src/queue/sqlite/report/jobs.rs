//! Jobs for people: a list, one job with its history. Shows what is there, also in rows no program should have written.

use sqlx::{AssertSqlSafe, SqlitePool};

use super::columns::{attempt, job, listed_columns, summary};
use crate::job::{JobId, JobInput, JobState};
use crate::queue::JobFilter;
use crate::queue::rows::{AttemptRow, JobRow, JobSummary};
use crate::queue::sqlite::row;

const BY_ID: &str =
    concat!("SELECT ", listed_columns!(), " FROM jobs WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id");

const OF_KEY: &str = concat!("SELECT ", listed_columns!(), " FROM jobs WHERE event_key = ?1 ORDER BY id");

/// Of the newest jobs that fit. Where an index knows them they are found there, and no other row is read: `from` is that
/// index with its condition, which stands for what is not bound then.
fn listed(from: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "SELECT {}
        FROM jobs
        WHERE id IN (
            SELECT id FROM jobs {from}
                AND (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR lower(mailbox) = lower(?2))
                AND (?3 IS NULL OR error_kind = ?3) AND (?4 IS NULL OR event_key = ?4)
            ORDER BY id DESC LIMIT ?5)
        ORDER BY id DESC",
        listed_columns!()
    ))
}

impl JobFilter {
    /// Where the jobs are found, and the state that is still to be looked at.
    fn source(&self) -> (&'static str, Option<JobState>) {
        match (self.in_doubt, self.state) {
            (true, state) => ("INDEXED BY jobs_in_doubt WHERE in_doubt = 1", state),
            (_, state) if self.event_key.is_some() => ("INDEXED BY jobs_event_keys WHERE event_key = ?4", state),
            (_, Some(JobState::Pending)) if self.error_kind.is_some() => {
                ("INDEXED BY jobs_troubled WHERE state = 'pending' AND error_kind IS NOT NULL", None)
            }
            (_, Some(JobState::Pending)) => ("INDEXED BY jobs_waiting WHERE state = 'pending'", None),
            (_, Some(JobState::Claimed)) => ("INDEXED BY jobs_claimed WHERE state = 'claimed'", None),
            (_, Some(JobState::Failed)) => ("INDEXED BY jobs_failed WHERE state = 'failed'", None),
            (_, Some(JobState::Cancelled)) => ("INDEXED BY jobs_cancelled WHERE state = 'cancelled'", None),
            // From the newest row backwards.
            (_, state @ (Some(JobState::Sent) | None)) => ("NOT INDEXED WHERE true", state),
        }
    }
}

pub async fn list(pool: &SqlitePool, filter: &JobFilter) -> sqlx::Result<Vec<JobSummary>> {
    let (from, state) = filter.source();
    let rows = sqlx::query(listed(from))
        .bind(state.map(JobState::as_str))
        .bind(&filter.mailbox)
        .bind(&filter.error_kind)
        .bind(&filter.event_key)
        .bind(filter.limit)
        .fetch_all(pool)
        .await?;
    rows.iter().rev().map(summary).collect()
}

/// Whether an index has at most so many jobs of this state.
pub async fn are_few(pool: &SqlitePool, state: JobState, most: u32) -> sqlx::Result<bool> {
    let (from, _) = JobFilter { state: Some(state), ..JobFilter::default() }.source();
    let count = AssertSqlSafe(format!("SELECT count(*) FROM (SELECT 1 FROM jobs {from} AND state = ?1 LIMIT ?2)"));
    let count: i64 = sqlx::query_scalar(count).bind(state.as_str()).bind(i64::from(most) + 1).fetch_one(pool).await?;
    Ok(count <= i64::from(most))
}

/// All jobs of an event.
pub async fn of_key(pool: &SqlitePool, key: &str) -> sqlx::Result<Vec<JobSummary>> {
    sqlx::query(OF_KEY).bind(key).fetch_all(pool).await?.iter().map(summary).collect()
}

/// `ids` as a JSON array.
pub async fn by_id(pool: &SqlitePool, ids: String) -> sqlx::Result<Vec<JobSummary>> {
    sqlx::query(BY_ID).bind(ids).fetch_all(pool).await?.iter().map(summary).collect()
}

pub async fn one(pool: &SqlitePool, id: JobId) -> sqlx::Result<Option<(JobRow, Vec<AttemptRow>)>> {
    let row = sqlx::query("SELECT * FROM jobs WHERE id = ?1").bind(id.0).fetch_optional(pool).await?;
    let Some(row) = row else { return Ok(None) };
    let attempts =
        sqlx::query("SELECT * FROM attempts WHERE job_id = ?1 ORDER BY claim").bind(id.0).fetch_all(pool).await?;
    Ok(Some((job(&row)?, attempts.iter().map(attempt).collect::<sqlx::Result<_>>()?)))
}

pub async fn input(pool: &SqlitePool, id: JobId) -> sqlx::Result<Option<JobInput>> {
    let row = sqlx::query(row::INPUT).bind(id.0).fetch_optional(pool).await?;
    row.as_ref().map(row::input).transpose()
}
