//! The operator's writes: jobs put back, cancelled or deleted by hand, beside the running agents. First which jobs are
//! meant; then the change, a few hundred rows at a time, each batch a statement of its own that looks again whether the change is
//! still right. The schema's triggers do the rest, as for every other writer.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row};

use super::batch::change;
use super::tell;
use crate::job::{Cause, ErrorKind, JobId, JobState, OperationKind, REPEAT_WAIT};
use crate::queue::postgres::report::columns::stamp;
use crate::queue::postgres::report::jobs::WAITING;
use crate::queue::postgres::settle::not_needed;
use crate::queue::{Changed, Chosen, LaneKey, Purgeable, Selection};

/// Kinds of failures that an operator may be able to put right outside of the job. Of those whose attempts or time were used
/// up the cause tells.
const PERHAPS_OF_SETTINGS: [ErrorKind; 4] =
    [ErrorKind::Auth, ErrorKind::Denied, ErrorKind::NotFound, ErrorKind::Exhausted];

/// The columns of [`Chosen`].
macro_rules! chosen {
    () => {
        concat!(
            "SELECT id, state, in_doubt, error_kind, mailbox_key, ",
            stamp!("next_attempt_at"),
            " AS due, coalesce(",
            stamp!("job_wish(jobs)"),
            ", '') AS wished, cause, http_status, error_code, operation FROM jobs WHERE "
        )
    };
}

const CHOSEN_BY_ID: &str = concat!(chosen!(), "id = ANY($1) ORDER BY id");

/// When a job that is put back is due: now, by the server's clock. Whose request may have been at work a moment ago waits for as long
/// as $2 says.
macro_rules! due_again {
    () => {
        "greatest(date_trunc('milliseconds', clock_timestamp()) + CASE WHEN in_doubt THEN $2 * interval '1 millisecond'
            ELSE interval '0' END, job_wish(jobs))"
    };
}

/// A job that waits already comes forward, and never goes back.
const RETRY: &str = concat!(
    "WITH changed AS (UPDATE jobs SET state = 'pending', finished_at = NULL, next_attempt_at = ",
    due_again!(),
    " WHERE id = ANY($1) AND (state IN ('failed', 'cancelled') OR state = 'pending' AND next_attempt_at > ",
    due_again!(),
    ") RETURNING id)",
    tell!("id")
);

/// $2: also jobs in doubt.
const CANCEL: &str = concat!(
    "WITH changed AS (UPDATE jobs SET state = 'cancelled', finished_at = date_trunc('milliseconds', clock_timestamp())
        WHERE id = ANY($1) AND state IN ('pending', 'failed') AND (NOT in_doubt OR $2) RETURNING id)",
    tell!("id")
);

/// Ids of jobs to delete that are looked up at a time.
const PURGE_ROUND: i64 = 10_000;

/// Jobs that were sent and are to be deleted, by the index of all that ended: they are the most.
const OLD_SENT: &str = concat!(
    "SELECT id FROM jobs WHERE state = 'sent' AND finished_at < $1 AND NOT in_doubt AND ",
    not_needed!(),
    " ORDER BY finished_at LIMIT $2"
);

/// The same of another state, by that one's own index, before they are put in order: the planner would go through all that ended.
macro_rules! old {
    ($state:literal) => {
        concat!(
            "WITH old AS MATERIALIZED (SELECT id, finished_at FROM jobs WHERE state = '",
            $state,
            "' AND finished_at < $1)
    SELECT id FROM old WHERE id NOT IN (SELECT id FROM jobs WHERE in_doubt) ORDER BY finished_at LIMIT $2"
        )
    };
}

/// The jobs in $1, as far as they still are what was chosen: a retry or a doubt may have come between.
const PURGE: &str = concat!(
    "DELETE FROM jobs WHERE id = ANY($1) AND finished_at < $2 AND NOT in_doubt AND state IN ('sent', 'failed', 'cancelled') AND ",
    not_needed!()
);
const PURGEABLE: &str = concat!(
    "SELECT in_doubt, count(*) FROM jobs WHERE state = ANY($1) AND finished_at < $2 AND ",
    not_needed!(),
    " GROUP BY in_doubt"
);

pub async fn retry(connection: &mut PgConnection, ids: &[JobId]) -> sqlx::Result<Changed> {
    let wait = REPEAT_WAIT.as_millis() as f64;
    change(connection, ids, RETRY, |query| query.bind(wait)).await
}

pub async fn cancel(connection: &mut PgConnection, ids: &[JobId], even_if_in_doubt: bool) -> sqlx::Result<Changed> {
    change(connection, ids, CANCEL, |query| query.bind(even_if_in_doubt)).await
}

/// Some of the jobs to delete, the oldest first; none if there are no more.
pub async fn to_purge(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    state: JobState,
) -> sqlx::Result<Vec<JobId>> {
    let statement = match state {
        JobState::Sent => OLD_SENT,
        JobState::Failed => old!("failed"),
        JobState::Cancelled => old!("cancelled"),
        JobState::Pending | JobState::Claimed => return Ok(Vec::new()),
    };
    let mut tx = patient(connection).await?;
    let ids: Vec<i64> = sqlx::query_scalar(statement).bind(before).bind(PURGE_ROUND).fetch_all(&mut *tx).await?;
    tx.rollback().await?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// Deletes those of these jobs that ended before then and are not in doubt, and tells how many.
pub async fn purge(connection: &mut PgConnection, ids: &[JobId], before: DateTime<Utc>) -> sqlx::Result<u64> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    Ok(sqlx::query(PURGE).bind(ids).bind(before).execute(connection).await?.rows_affected())
}

pub async fn purgeable(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    states: &[JobState],
) -> sqlx::Result<Purgeable> {
    let words: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
    let mut tx = patient(connection).await?;
    let rows: Vec<(bool, i64)> = sqlx::query_as(PURGEABLE).bind(words).bind(before).fetch_all(&mut *tx).await?;
    tx.rollback().await?;
    let mut found = Purgeable::default();
    for (in_doubt, count) in rows {
        *(if in_doubt { &mut found.in_doubt } else { &mut found.jobs }) += count.unsigned_abs();
    }
    Ok(found)
}

/// Reads what may be most of the table, for longer than a statement of an agent may take.
async fn patient(connection: &mut PgConnection) -> sqlx::Result<sqlx::Transaction<'_, sqlx::Postgres>> {
    let mut tx = connection.begin_with("BEGIN READ ONLY").await?;
    let limit = format!("SET LOCAL statement_timeout = {}", super::COUNT.as_millis());
    sqlx::query(AssertSqlSafe(limit)).execute(&mut *tx).await?;
    Ok(tx)
}

pub async fn selected(connection: &mut PgConnection, selection: &Selection) -> sqlx::Result<Vec<Chosen>> {
    let mut chosen = Vec::new();
    let kinds = if selection.settings_at_fault { &PERHAPS_OF_SETTINGS } else { selection.error_kinds.as_slice() };
    let words: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let lanes: Vec<&str> = selection.lanes.iter().map(LaneKey::as_str).collect();
    let limit = selection.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut tx = patient(connection).await?;
    for state in &selection.states {
        let mut found = sqlx::query(AssertSqlSafe(select(selection, *state)))
            .bind(&words)
            .bind(&lanes)
            .bind(selection.since)
            .bind(selection.limit.filter(|_| !selection.settings_at_fault).map(i64::from))
            .fetch_all(&mut *tx)
            .await?;
        if selection.settings_at_fault {
            found.retain(|row| cause(row).is_some_and(Cause::is_fault_of_settings));
        }
        chosen.extend(found.iter().take(limit).filter_map(as_chosen));
    }
    tx.rollback().await?;
    Ok(chosen)
}

/// Why it failed last, also where an earlier version recorded that.
fn cause(row: &PgRow) -> Option<Cause> {
    let text = |column| row.try_get::<Option<String>, _>(column).ok().flatten();
    let told = || {
        let status = row.try_get::<Option<i32>, _>("http_status").ok().flatten();
        let status = status.and_then(|status| u16::try_from(status).ok());
        Cause::of_stored(ErrorKind::parse(&text("error_kind")?)?, status, text("error_code").as_deref())
    };
    text("cause").as_deref().and_then(Cause::parse).or_else(told)
}

pub async fn chosen(connection: &mut PgConnection, ids: &[JobId]) -> sqlx::Result<Vec<Chosen>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query(CHOSEN_BY_ID).bind(ids).fetch_all(connection).await?;
    Ok(rows.iter().filter_map(as_chosen).collect())
}

/// The state stands in the text: only so are the partial indexes used. Found first and put in order then, or the planner would go
/// through all rows in the order of their ids.
fn select(selection: &Selection, state: JobState) -> String {
    let by_kind = selection.settings_at_fault || !selection.error_kinds.is_empty();
    let mut narrow = String::new();
    if by_kind {
        narrow.push_str(" AND error_kind IS NOT NULL AND error_kind = ANY($1)");
    }
    if !selection.lanes.is_empty() {
        narrow.push_str(" AND mailbox_key = ANY($2 COLLATE \"C\")");
    }
    if selection.since.is_some() {
        let ended = matches!(state, JobState::Sent | JobState::Failed | JobState::Cancelled);
        _ = write!(narrow, " AND {} >= $3", if ended { "finished_at" } else { "created_at" });
    }
    let indexes = match state {
        JobState::Pending if !by_kind => WAITING.map(str::to_owned).to_vec(),
        state => vec![format!("state = '{}'", state.as_str())],
    };
    let found = indexes.iter().map(|index| format!("SELECT id FROM jobs WHERE {index}{narrow}"));
    // Every parameter is named, with its type.
    format!(
        "WITH found AS MATERIALIZED ({})
        {}id IN (SELECT id FROM found WHERE ($1::text[], $2::text[], $3::timestamptz) IS NOT DISTINCT FROM ($1, $2, $3)
            ORDER BY id LIMIT $4) ORDER BY id",
        found.collect::<Vec<_>>().join(" UNION ALL "),
        chosen!()
    )
}

/// None of a row whose agent's columns hold what no agent writes.
fn as_chosen(row: &PgRow) -> Option<Chosen> {
    Some(Chosen {
        id: JobId(row.try_get("id").ok()?),
        operation: OperationKind::parse(row.try_get("operation").ok()?).unwrap_or_default(),
        state: JobState::parse(row.try_get("state").ok()?)?,
        in_doubt: row.try_get("in_doubt").ok()?,
        error_kind: row.try_get::<Option<String>, _>("error_kind").ok()?.as_deref().and_then(ErrorKind::parse),
        lane: LaneKey::of(row.try_get("mailbox_key").ok()?),
        due: row.try_get("due").ok()?,
        wished: row.try_get("wished").ok()?,
    })
}
