//! Jobs for people: a list, one job with its history. Shows what is there, also in rows no program should have written.

use std::time::Duration;

use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, SqlitePool};

use super::ages;
use super::columns::listed_columns;
use super::within::within;
use crate::job::{JobId, JobInput, JobState, format_utc};
use crate::queue::columns::{attempt, job, summary};
use crate::queue::rows::{AttemptRow, JobRow, JobSummary};
use crate::queue::sqlite::row;
use crate::queue::sqlite::text::json;
use crate::queue::{JobFilter, LaneKey};

const BY_ID: &str =
    concat!("SELECT ", listed_columns!(), " FROM jobs WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id");

const OF_KEY: &str = concat!("SELECT ", listed_columns!(), " FROM jobs WHERE event_key = ?1 ORDER BY id");

/// What a job must be besides. The indexes end with the id, and so does the table: those before one are a part of each.
const FITS: &str =
    "AND id < ?5 AND (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR mailbox_key IN (SELECT value FROM json_each(?2)))
        AND (?3 IS NULL OR error_kind = ?3) AND (?4 IS NULL OR event_key = ?4) AND (?6 IS NULL OR dedup_key = ?6)
        AND (?7 IS NULL OR coalesce(finished_at, created_at) >= ?7)";

/// Of the newest jobs that fit. Where an index knows them they are found there, and no other row is read: `from` is that
/// index with its condition, which stands for what is not bound then.
fn listed(from: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "SELECT {}
        FROM jobs
        WHERE id IN (SELECT id FROM jobs {from} {FITS} ORDER BY id DESC LIMIT ?9)
        ORDER BY id DESC",
        listed_columns!()
    ))
}

/// Those that ended since ?7, and those that have not ended, from the first one on that was inserted since then.
const SINCE: &str = "NOT INDEXED WHERE id IN (SELECT id FROM jobs INDEXED BY jobs_finished WHERE finished_at >= ?7
        UNION ALL SELECT id FROM jobs NOT INDEXED WHERE id >= ?8 AND finished_at IS NULL)";

/// Every row has its entry there, and it is the smallest.
const ALL: &str = "SELECT count(*) FROM jobs INDEXED BY jobs_dedup_keys WHERE id < ?1";
/// What ended neither as failed nor as cancelled.
const SENT: &str =
    "SELECT (SELECT count(*) FROM jobs INDEXED BY jobs_finished WHERE finished_at IS NOT NULL AND id < ?1)
        - (SELECT count(*) FROM jobs INDEXED BY jobs_failed WHERE state = 'failed' AND id < ?1)
        - (SELECT count(*) FROM jobs INDEXED BY jobs_cancelled WHERE state = 'cancelled' AND id < ?1)";

impl JobFilter {
    /// Where the jobs are found, and the state that is still to be looked at.
    fn source(&self) -> (&'static str, Option<JobState>) {
        match (self.in_doubt, self.state) {
            (_, state) if self.dedup_key.is_some() => ("INDEXED BY jobs_dedup_keys WHERE dedup_key = ?6", state),
            (true, state) => ("INDEXED BY jobs_in_doubt WHERE in_doubt = 1", state),
            (_, state) if self.event_key.is_some() => ("INDEXED BY jobs_event_keys WHERE event_key = ?4", state),
            (_, state) if self.since.is_some() => (SINCE, state),
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

    /// How the jobs are counted without a look at their rows, where the table would have to be walked through otherwise.
    fn counted_by_index(&self) -> Option<&'static str> {
        let Self { lanes, error_kind, event_key, dedup_key, since, in_doubt, .. } = self;
        let by_text = !lanes.is_empty() || [error_kind, event_key, dedup_key].iter().any(|text| text.is_some());
        match self.state {
            _ if by_text || since.is_some() || *in_doubt => None,
            None => Some(ALL),
            Some(JobState::Sent) => Some(SENT),
            Some(_) => None,
        }
    }

    fn first_id_after(&self) -> i64 {
        self.before.map_or(i64::MAX, |before| before.0)
    }

    async fn arguments(&self, db: &mut SqliteConnection, state: Option<JobState>) -> sqlx::Result<SqliteArguments> {
        let since = self.since.map(format_utc);
        let first = match &since {
            Some(since) => Some(ages::first_of(db, since).await?),
            None => None,
        };
        let mut arguments = SqliteArguments::default();
        arguments.add(state.map(JobState::as_str)).map_err(sqlx::Error::Encode)?;
        for text in [&lanes_json(&self.lanes), &self.error_kind, &self.event_key] {
            arguments.add(text).map_err(sqlx::Error::Encode)?;
        }
        arguments.add(self.first_id_after()).map_err(sqlx::Error::Encode)?;
        arguments.add(&self.dedup_key).map_err(sqlx::Error::Encode)?;
        arguments.add(since).map_err(sqlx::Error::Encode)?;
        arguments.add(first).map_err(sqlx::Error::Encode)?;
        arguments.add(self.limit).map_err(sqlx::Error::Encode)?;
        Ok(arguments)
    }
}

/// As the statements take them: nothing stands for any.
pub fn lanes_json(lanes: &[LaneKey]) -> Option<String> {
    let names: Vec<&str> = lanes.iter().map(LaneKey::as_str).collect();
    (!names.is_empty()).then(|| json(&names))
}

pub async fn list(pool: &SqlitePool, filter: &JobFilter) -> sqlx::Result<Vec<JobSummary>> {
    let mut connection = pool.acquire().await?;
    let (from, state) = filter.source();
    let arguments = filter.arguments(&mut connection, state).await?;
    let rows = sqlx::query_with(listed(from), arguments).fetch_all(&mut *connection).await?;
    rows.iter().rev().map(summary).collect()
}

pub async fn count(pool: &SqlitePool, filter: &JobFilter, time: Duration) -> sqlx::Result<Option<u64>> {
    let mut connection = pool.acquire().await?;
    let counted = within(&mut connection, time, async |db| counted(db, filter).await).await?;
    Ok(counted.map(i64::unsigned_abs))
}

async fn counted(db: &mut SqliteConnection, filter: &JobFilter) -> sqlx::Result<i64> {
    if let Some(statement) = filter.counted_by_index() {
        return sqlx::query_scalar(statement).bind(filter.first_id_after()).fetch_one(db).await;
    }
    let (from, state) = filter.source();
    let arguments = filter.arguments(db, state).await?;
    let statement = format!("SELECT count(*) FROM jobs {from} {FITS} AND coalesce(?8, ?9, 1) IS NOT NULL");
    sqlx::query_scalar_with(AssertSqlSafe(statement), arguments).fetch_one(db).await
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
