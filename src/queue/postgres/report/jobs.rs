//! Jobs for people: a list, one job with its history.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::{Arguments, AssertSqlSafe, Connection};

use super::ages;
use super::columns::{listed_columns, stamp, stamped};
use crate::job::{JobId, JobInput, JobState};
use crate::queue::columns::{attempt, job, summary};
use crate::queue::postgres::errors::was_cancelled;
use crate::queue::postgres::row;
use crate::queue::rows::{AttemptRow, JobRow, JobSummary};
use crate::queue::{JobFilter, LaneKey};

/// What is behind another job of its event stands in an index of its own.
pub const WAITING: [&str; 2] = ["state = 'pending' AND behind IS NULL", "state = 'pending' AND behind IS NOT NULL"];

const BY_ID: &str = concat!("SELECT ", listed_columns!(), " FROM jobs WHERE id = ANY($1) ORDER BY id");
const OF_KEY: &str = concat!("SELECT ", listed_columns!(), " FROM jobs WHERE event_key = $1 ORDER BY id");
const ONE: &str = concat!(
    "SELECT ",
    listed_columns!(),
    ", subject, body, location, attendees, calendar_id, body_type, time_zone, extra, dedup_key, not_before, claims,
        transaction_id, request_id, defaulted, settled, claimed_by, ",
    stamped!("claimed_at"),
    ", ",
    stamped!("first_sent_at"),
    ", ",
    stamped!("give_up_at"),
    " FROM jobs WHERE id = $1"
);
const ATTEMPTS: &str = concat!(
    "SELECT job_id, claim, duration_ms, outcome, http_status, error_code, message, request_id, client_request_id, ",
    stamped!("started_at"),
    " FROM attempts WHERE job_id = $1 ORDER BY claim"
);

/// What a job must be besides.
const FITS: &str = "id < $5 AND ($1::text IS NULL OR state = $1) AND ($2::text[] IS NULL OR mailbox_key = ANY($2))
        AND ($3::text IS NULL OR error_kind = $3) AND ($4::text IS NULL OR event_key = $4)
        AND ($6::text IS NULL OR dedup_key = $6) AND ($7::timestamptz IS NULL OR coalesce(finished_at, created_at) >= $7)
        AND ($8::bigint IS NULL OR finished_at IS NOT NULL OR id >= $8)";

/// Those that ended since $7, and those that have not ended, from the first one on that was inserted since then.
const SINCE: [&str; 2] = ["finished_at IS NOT NULL AND finished_at >= $7", "finished_at IS NULL AND id >= $8"];

const ALL: &str = "SELECT count(*) FROM jobs WHERE id < $1";
/// What ended neither as failed nor as cancelled.
const SENT: &str = "SELECT (SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL AND id < $1)
        - (SELECT count(*) FROM jobs WHERE state = 'failed' AND id < $1)
        - (SELECT count(*) FROM jobs WHERE state = 'cancelled' AND id < $1)";

/// A filter as statements of this database.
struct Filter<'f>(&'f JobFilter);

impl Filter<'_> {
    /// The conditions of the indexes that know the jobs; none is as good as going back from the newest row.
    fn indexes(&self) -> &'static [&'static str] {
        match self.0.state {
            _ if self.0.dedup_key.is_some() => &["dedup_key = $6"],
            _ if self.0.in_doubt => &["in_doubt"],
            _ if self.0.event_key.is_some() => &["event_key = $4"],
            _ if self.0.since.is_some() => &SINCE,
            Some(JobState::Pending) if self.0.error_kind.is_some() => &["state = 'pending' AND error_kind IS NOT NULL"],
            Some(state) => of_state(state),
            None => &[],
        }
    }

    /// All that fit, for the statement around it. Those that an index of their own knows are found there before they are put in
    /// order: the planner would go back from the newest row, past all that have ended since.
    fn found(&self) -> String {
        let of = |index: &str| format!("SELECT id FROM jobs WHERE {index} AND {FITS}");
        match self.indexes() {
            [] => of("true"),
            indexes => indexes.iter().map(|index| of(index)).collect::<Vec<_>>().join(" UNION ALL "),
        }
    }

    fn listed(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(match self.indexes() {
            [] => format!("SELECT {} FROM jobs WHERE {FITS} ORDER BY id DESC LIMIT $9", listed_columns!()),
            _ => format!(
                "WITH found AS MATERIALIZED ({})
                SELECT {} FROM jobs WHERE id IN (SELECT id FROM found ORDER BY id DESC LIMIT $9) ORDER BY id DESC",
                self.found(),
                listed_columns!()
            ),
        })
    }

    /// How the jobs are counted without a look at their rows, where the table would have to be walked through otherwise.
    fn counted_by_index(&self) -> Option<&'static str> {
        let JobFilter { lanes, error_kind, event_key, dedup_key, since, in_doubt, .. } = self.0;
        let by_text = !lanes.is_empty() || [error_kind, event_key, dedup_key].iter().any(|text| text.is_some());
        match self.0.state {
            _ if by_text || since.is_some() || *in_doubt => None,
            None => Some(ALL),
            Some(JobState::Sent) => Some(SENT),
            Some(_) => None,
        }
    }

    fn first_id_after(&self) -> i64 {
        self.0.before.map_or(i64::MAX, |before| before.0)
    }

    async fn arguments(&self, connection: &mut PgConnection) -> sqlx::Result<PgArguments> {
        let first = match self.0.since {
            Some(since) => Some(ages::first_of(connection, since).await?),
            None => None,
        };
        let mut arguments = PgArguments::default();
        arguments.add(self.0.state.map(JobState::as_str)).map_err(sqlx::Error::Encode)?;
        arguments.add(lane_names(&self.0.lanes)).map_err(sqlx::Error::Encode)?;
        arguments.add(self.0.error_kind.as_deref()).map_err(sqlx::Error::Encode)?;
        arguments.add(self.0.event_key.as_deref()).map_err(sqlx::Error::Encode)?;
        arguments.add(self.first_id_after()).map_err(sqlx::Error::Encode)?;
        arguments.add(self.0.dedup_key.as_deref()).map_err(sqlx::Error::Encode)?;
        arguments.add(self.0.since).map_err(sqlx::Error::Encode)?;
        arguments.add(first).map_err(sqlx::Error::Encode)?;
        arguments.add(i64::from(self.0.limit)).map_err(sqlx::Error::Encode)?;
        Ok(arguments)
    }
}

/// As the statements take them: nothing stands for any.
pub fn lane_names(lanes: &[LaneKey]) -> Option<Vec<String>> {
    let names = || lanes.iter().map(|lane| lane.as_str().to_owned()).collect();
    (!lanes.is_empty()).then(names)
}

fn of_state(state: JobState) -> &'static [&'static str] {
    match state {
        JobState::Pending => &WAITING,
        JobState::Claimed => &["state = 'claimed'"],
        JobState::Failed => &["state = 'failed'"],
        JobState::Cancelled => &["state = 'cancelled'"],
        JobState::Sent => &[],
    }
}

pub async fn list(connection: &mut PgConnection, filter: &JobFilter) -> sqlx::Result<Vec<JobSummary>> {
    let filter = Filter(filter);
    let arguments = filter.arguments(connection).await?;
    let rows = sqlx::query_with(filter.listed(), arguments).fetch_all(connection).await?;
    rows.iter().rev().map(summary).collect()
}

/// None: it takes longer than that.
pub async fn count(connection: &mut PgConnection, filter: &JobFilter, within: Duration) -> sqlx::Result<Option<u64>> {
    // To the server, no time means any time.
    if within.is_zero() {
        return Ok(None);
    }
    let mut tx = connection.begin_with("BEGIN READ ONLY").await?;
    let limit = format!("SET LOCAL statement_timeout = {}", within.as_millis().max(1));
    sqlx::query(AssertSqlSafe(limit)).execute(&mut *tx).await?;
    let counted = counted(&mut tx, &Filter(filter)).await;
    tx.rollback().await?;
    match counted {
        Err(error) if was_cancelled(&error) => Ok(None),
        counted => counted.map(|jobs| Some(jobs.unsigned_abs())),
    }
}

async fn counted(connection: &mut PgConnection, filter: &Filter<'_>) -> sqlx::Result<i64> {
    if let Some(statement) = filter.counted_by_index() {
        return sqlx::query_scalar(statement).bind(filter.first_id_after()).fetch_one(connection).await;
    }
    let arguments = filter.arguments(connection).await?;
    let statement = format!("SELECT count(*) FROM ({}) AS found WHERE $9::bigint IS NOT NULL", filter.found());
    sqlx::query_scalar_with(AssertSqlSafe(statement), arguments).fetch_one(connection).await
}

/// Whether there are at most so many jobs of this state.
pub async fn are_few(connection: &mut PgConnection, state: JobState, most: u32) -> sqlx::Result<bool> {
    let own = format!("state = '{}'", state.as_str());
    let indexes = match of_state(state) {
        [] => vec![own.as_str()],
        indexes => indexes.to_vec(),
    };
    let some = indexes.iter().map(|index| format!("(SELECT 1 FROM jobs WHERE {index} LIMIT $1)"));
    let count = format!("SELECT count(*) FROM ({}) AS found", some.collect::<Vec<_>>().join(" UNION ALL "));
    let count: i64 = sqlx::query_scalar(AssertSqlSafe(count)).bind(i64::from(most) + 1).fetch_one(connection).await?;
    Ok(count <= i64::from(most))
}

/// All jobs of an event.
pub async fn of_key(connection: &mut PgConnection, key: &str) -> sqlx::Result<Vec<JobSummary>> {
    sqlx::query(OF_KEY).bind(key).fetch_all(connection).await?.iter().map(summary).collect()
}

pub async fn by_id(connection: &mut PgConnection, ids: &[JobId]) -> sqlx::Result<Vec<JobSummary>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    sqlx::query(BY_ID).bind(ids).fetch_all(connection).await?.iter().map(summary).collect()
}

pub async fn one(connection: &mut PgConnection, id: JobId) -> sqlx::Result<Option<(JobRow, Vec<AttemptRow>)>> {
    let row = sqlx::query(ONE).bind(id.0).fetch_optional(&mut *connection).await?;
    let Some(row) = row else { return Ok(None) };
    let attempts = sqlx::query(ATTEMPTS).bind(id.0).fetch_all(connection).await?;
    Ok(Some((job(&row)?, attempts.iter().map(attempt).collect::<sqlx::Result<_>>()?)))
}

pub async fn input(connection: &mut PgConnection, id: JobId) -> sqlx::Result<Option<JobInput>> {
    let row = sqlx::query(row::INPUT).bind(id.0).fetch_optional(connection).await?;
    row.as_ref().map(row::input).transpose()
}
