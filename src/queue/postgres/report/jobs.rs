//! Jobs for people: a list, one job with its history.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::columns::{listed_columns, stamp, stamped};
use crate::job::{JobId, JobInput, JobState};
use crate::queue::columns::{attempt, job, summary};
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

/// Of the newest jobs that fit. Those that an index of their own knows are found there before they are put in order: the planner
/// would go back from the newest row, past all that have ended since.
fn listed(indexes: &[&str]) -> AssertSqlSafe<String> {
    let found = indexes.iter().map(|index| {
        format!(
            "SELECT id FROM jobs WHERE {index}
                AND ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR mailbox_key = $2 COLLATE \"C\")
                AND ($3::text IS NULL OR error_kind = $3) AND ($4::text IS NULL OR event_key = $4)"
        )
    });
    AssertSqlSafe(format!(
        "WITH found AS MATERIALIZED ({})
        SELECT {} FROM jobs WHERE id IN (SELECT id FROM found ORDER BY id DESC LIMIT $5)
        ORDER BY id DESC",
        found.collect::<Vec<_>>().join(" UNION ALL "),
        listed_columns!()
    ))
}

/// From the newest row backwards, where most rows fit.
const FROM_THE_NEWEST: &str = concat!(
    "SELECT ",
    listed_columns!(),
    " FROM jobs WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR mailbox_key = $2 COLLATE \"C\")
        AND ($3::text IS NULL OR error_kind = $3) AND ($4::text IS NULL OR event_key = $4)
    ORDER BY id DESC LIMIT $5"
);

impl JobFilter {
    /// The conditions of the indexes that know the jobs; none is as good as going back from the newest row.
    fn indexes(&self) -> &'static [&'static str] {
        match self.state {
            _ if self.in_doubt => &["in_doubt"],
            _ if self.event_key.is_some() => &["event_key = $4"],
            Some(JobState::Pending) if self.error_kind.is_some() => &["state = 'pending' AND error_kind IS NOT NULL"],
            Some(JobState::Pending) => &WAITING,
            Some(JobState::Claimed) => &["state = 'claimed'"],
            Some(JobState::Failed) => &["state = 'failed'"],
            Some(JobState::Cancelled) => &["state = 'cancelled'"],
            Some(JobState::Sent) | None => &[],
        }
    }
}

pub async fn list(connection: &mut PgConnection, filter: &JobFilter) -> sqlx::Result<Vec<JobSummary>> {
    let query = match filter.indexes() {
        [] => sqlx::query(FROM_THE_NEWEST),
        indexes => sqlx::query(listed(indexes)),
    };
    let mailbox = filter.mailbox.as_deref().map(LaneKey::of);
    let rows = query
        .bind(filter.state.map(JobState::as_str))
        .bind(mailbox.as_ref().map(LaneKey::as_str))
        .bind(&filter.error_kind)
        .bind(&filter.event_key)
        .bind(i64::from(filter.limit))
        .fetch_all(connection)
        .await?;
    rows.iter().rev().map(summary).collect()
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
