//! Reading for people: a list, one job with its history, the queue at a glance. Shows what is there, also in rows no
//! program should have written.

use serde_json::{Map, Value};
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, Decode, Row, Sqlite, TypeInfo, ValueRef};

use super::{SqliteQueue, row};
use crate::job::{JobId, JobInput, JobState};

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
    /// At most this many, the newest.
    pub limit: u32,
}

/// The queue at a glance.
#[derive(Clone, Debug)]
pub struct StatusReport {
    /// Jobs by state, every state once.
    pub counts: Vec<(JobState, i64)>,
    /// Jobs of which an event may exist that no answer has confirmed.
    pub in_doubt: i64,
    /// When the job waiting longest was inserted.
    pub oldest_pending: Option<String>,
    /// When the next pending job is due.
    pub next_due: Option<String>,
    /// Rows of `mailboxes` whose pause is not over.
    pub paused: Vec<Record>,
    /// What pending jobs met last: `error_kind`, `error_code`, `jobs` and one `error_message`, the most frequent first.
    pub troubles: Vec<Record>,
}

const LISTED: &str = "SELECT id, state, mailbox, start_time, end_time, substr(subject, 1, 200) AS subject, attempts,
        in_doubt, next_attempt_at, event_id, error_kind, http_status, error_code, error_message, created_at, finished_at
    FROM jobs
    WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR lower(mailbox) = lower(?2)) AND (?3 IS NULL OR error_kind = ?3)
    ORDER BY id DESC LIMIT ?4";

const TROUBLES: &str = "SELECT error_kind, error_code, count(*) AS jobs, max(error_message) AS error_message
    FROM jobs WHERE state = 'pending' AND error_kind IS NOT NULL GROUP BY error_kind, error_code
    ORDER BY jobs DESC LIMIT 5";

impl SqliteQueue {
    /// The newest jobs that fit, the oldest of them first. Bodies and attendees are left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn list(&self, filter: &ListFilter) -> sqlx::Result<Vec<Record>> {
        let rows = sqlx::query(LISTED)
            .bind(filter.state.map(JobState::as_str))
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
        let attempts = sqlx::query("SELECT * FROM attempts WHERE job_id = ?1 ORDER BY id")
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

    /// Counts, ages and pauses. `now` as the agent writes times.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn status(&self, now: &str) -> sqlx::Result<StatusReport> {
        let counted = sqlx::query("SELECT state, count(*) AS jobs, sum(in_doubt) AS doubtful FROM jobs GROUP BY state")
            .fetch_all(&self.pool)
            .await?;
        let oldest =
            sqlx::query("SELECT min(created_at) FROM jobs WHERE state = 'pending'").fetch_one(&self.pool).await?;
        let mut report = StatusReport {
            counts: JobState::ALL.into_iter().map(|state| (state, 0)).collect(),
            in_doubt: 0,
            oldest_pending: value(&oldest, 0)?.as_str().map(str::to_owned),
            next_due: sqlx::query_scalar("SELECT min(next_attempt_at) FROM jobs WHERE state = 'pending'")
                .fetch_one(&self.pool)
                .await?,
            paused: Vec::new(),
            troubles: Vec::new(),
        };
        for row in counted {
            let state: String = row.try_get("state")?;
            if let Some(count) = report.counts.iter_mut().find(|(known, _)| known.as_str() == state) {
                count.1 = row.try_get("jobs")?;
            }
            report.in_doubt += row.try_get::<i64, _>("doubtful")?;
        }
        let paused = sqlx::query("SELECT * FROM mailboxes WHERE paused_until > ?1 ORDER BY paused_until")
            .bind(now)
            .fetch_all(&self.pool)
            .await?;
        let troubles = sqlx::query(TROUBLES).fetch_all(&self.pool).await?;
        report.troubles = troubles.iter().map(record).collect::<sqlx::Result<_>>()?;
        report.paused = paused.iter().map(record).collect::<sqlx::Result<_>>()?;
        Ok(report)
    }
}

fn record(row: &SqliteRow) -> sqlx::Result<Record> {
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
