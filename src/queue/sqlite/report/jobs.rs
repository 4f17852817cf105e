//! Reading for people: a list, one job with its history. Shows what is there, also in rows no program should have
//! written.

use serde_json::{Map, Value};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Column, Decode, Row, Sqlite, TypeInfo, ValueRef};

use crate::job::{JobId, JobInput, JobState};
use crate::queue::sqlite::row;
use crate::queue::sqlite::store::SqliteQueue;

/// One row as name and value. BLOBs and broken text are described, not shown.
pub type Record = Map<String, Value>;

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// Only this state.
    pub state: Option<JobState>,
    /// Only this mailbox, in any case.
    pub mailbox: Option<String>,
    /// Only this kind of failure.
    pub error_kind: Option<String>,
    /// Only those of which an event may exist that no answer has confirmed.
    pub in_doubt: bool,
    /// At most this many, the newest.
    pub limit: u32,
}

/// What a list shows of a job; one list, wherever jobs are listed.
macro_rules! listed_columns {
    () => {
        "id, state, mailbox, start_time, end_time, substr(subject, 1, 200) AS subject, attempts, in_doubt,
            next_attempt_at, event_id, error_kind, http_status, error_code, error_message, created_at, finished_at"
    };
}
pub(crate) use listed_columns;

/// Of the newest jobs that fit. Where an index knows them they are found there, and no other row is read: `from` is that
/// index with its condition, which stands for what is not bound then.
fn listed(from: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "SELECT {}
        FROM jobs
        WHERE id IN (
            SELECT id FROM jobs {from}
                AND (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR lower(mailbox) = lower(?2))
                AND (?3 IS NULL OR error_kind = ?3)
            ORDER BY id DESC LIMIT ?4)
        ORDER BY id DESC",
        listed_columns!()
    ))
}

impl ListFilter {
    /// Where the jobs are found, and the state that is still to be looked at.
    fn source(&self) -> (&'static str, Option<JobState>) {
        match (self.in_doubt, self.state) {
            (true, state) => ("INDEXED BY jobs_in_doubt WHERE in_doubt = 1", state),
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

impl SqliteQueue {
    /// The newest jobs that fit, the oldest of them first. Bodies and attendees are left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn list(&self, filter: &ListFilter) -> sqlx::Result<Vec<Record>> {
        let (from, state) = filter.source();
        let rows = sqlx::query(listed(from))
            .bind(state.map(JobState::as_str))
            .bind(&filter.mailbox)
            .bind(&filter.error_kind)
            .bind(filter.limit)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().rev().map(record).collect()
    }

    /// One job, every column, and its attempts, the oldest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn show(&self, id: JobId) -> sqlx::Result<Option<(Record, Vec<Record>)>> {
        let row = sqlx::query("SELECT * FROM jobs WHERE id = ?1").bind(id.0).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let attempts = sqlx::query("SELECT * FROM attempts WHERE job_id = ?1 ORDER BY claim")
            .bind(id.0)
            .fetch_all(&self.pool)
            .await?;
        Ok(Some((record(&row)?, attempts.iter().map(record).collect::<sqlx::Result<_>>()?)))
    }

    /// One job's input columns, as the agent would read them.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn input(&self, id: JobId) -> sqlx::Result<Option<JobInput>> {
        let row = sqlx::query(row::INPUT).bind(id.0).fetch_optional(&self.pool).await?;
        row.as_ref().map(row::input).transpose()
    }
}

pub fn record(row: &SqliteRow) -> sqlx::Result<Record> {
    row.columns().iter().map(|column| Ok((column.name().to_owned(), value(row, column.ordinal())?))).collect()
}

fn value(row: &SqliteRow, index: usize) -> sqlx::Result<Value> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().name().to_owned();
    match kind.as_str() {
        "INTEGER" => row.try_get::<i64, _>(index).map(Value::from),
        "REAL" => row.try_get::<f64, _>(index).map(Value::from),
        _ => {
            let bytes = <&[u8] as Decode<Sqlite>>::decode(raw).map_err(sqlx::Error::Decode)?;
            Ok(match (kind.as_str(), std::str::from_utf8(bytes)) {
                ("BLOB", _) => format!("<BLOB of {} bytes>", bytes.len()).into(),
                (_, Ok(text)) => text.into(),
                (_, Err(_)) => format!("<{} bytes that are no UTF-8>", bytes.len()).into(),
            })
        }
    }
}
