//! The operator's writes: jobs put back, cancelled or deleted by hand, beside the running agent. First which jobs are
//! meant, without a lock; then the change, a few hundred rows at a time, each batch a transaction of its own that looks
//! again whether the change is still right. The schema's triggers do the rest, as for every other writer.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row, Sqlite, SqlitePool};

use crate::job::{Cause, ErrorKind, JobId, JobState, OperationKind, REPEAT_WAIT, format_utc};
use crate::queue::sqlite::batch::{as_json, change, ids_of};
use crate::queue::sqlite::errors::written;
use crate::queue::sqlite::fragments::{not_needed, wished};
use crate::queue::sqlite::store::SqliteQueue;
use crate::queue::sqlite::text::{json, lane_key};
use crate::queue::{Changed, Chosen, LaneKey, Purgeable, QueueError, Selection};

/// Ids of jobs to delete that are looked up at a time.
const PURGE_ROUND: u32 = 10_000;

/// Kinds of failures that an operator may be able to put right outside of the job. Of those whose attempts or time were used
/// up the cause tells.
const PERHAPS_OF_SETTINGS: [ErrorKind; 4] =
    [ErrorKind::Auth, ErrorKind::Denied, ErrorKind::NotFound, ErrorKind::Exhausted];

/// The columns of [`Chosen`].
macro_rules! chosen {
    () => {
        concat!(
            "SELECT id, state, in_doubt, error_kind, CAST(coalesce(mailbox_key, '') AS BLOB), next_attempt_at, ",
            wished!(),
            ", cause, http_status, error_code, operation FROM jobs WHERE "
        )
    };
}

const CHOSEN_BY_ID: &str = concat!(chosen!(), "id IN (SELECT value FROM json_each(?1)) ORDER BY id");

/// The jobs in ?1, a JSON array of ids, are to be done at ?2, and no earlier than they wish. Whose request may have been at
/// work a moment ago waits until ?3. A job that waits already comes forward, and never goes back.
const RETRY: &str = concat!(
    "UPDATE jobs SET state = 'pending', finished_at = NULL, next_attempt_at = max(iif(in_doubt, ?3, ?2), ",
    wished!(),
    ") WHERE id IN (SELECT value FROM json_each(?1)) AND (state IN ('failed', 'cancelled') OR state = 'pending'
        AND next_attempt_at > max(iif(in_doubt, ?3, ?2), ",
    wished!(),
    ")) RETURNING id"
);

/// ?3: also jobs in doubt.
const CANCEL: &str = "UPDATE jobs SET state = 'cancelled', finished_at = ?2
    WHERE id IN (SELECT value FROM json_each(?1)) AND state IN ('pending', 'failed') AND (in_doubt = 0 OR ?3) RETURNING id";

/// The jobs in ?2, a JSON array of ids, as far as they still are what was chosen: a retry or a doubt may have come between.
pub const PURGE: &str = concat!(
    "DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?2)) AND +finished_at < ?1 AND in_doubt = 0
    AND state IN ('sent', 'failed', 'cancelled') AND ",
    not_needed!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now')")
);

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

impl SqliteQueue {
    pub(in crate::queue::sqlite) async fn retry_batch(
        &self,
        ids: &[JobId],
        now: DateTime<Utc>,
    ) -> Result<Changed, QueueError> {
        let (at, doubtful_at) = (format_utc(now), format_utc(now + REPEAT_WAIT));
        self.change(ids, RETRY, |query| query.bind(&at).bind(&doubtful_at)).await
    }

    pub(in crate::queue::sqlite) async fn cancel_batch(
        &self,
        ids: &[JobId],
        even_if_in_doubt: bool,
        now: DateTime<Utc>,
    ) -> Result<Changed, QueueError> {
        let at = format_utc(now);
        self.change(ids, CANCEL, |query| query.bind(&at).bind(even_if_in_doubt)).await
    }

    /// Deletes those of these jobs that ended before then and are not in doubt, and tells how many.
    pub(in crate::queue::sqlite) async fn purge_batch(
        &self,
        ids: &[JobId],
        before: DateTime<Utc>,
    ) -> Result<u64, QueueError> {
        let mut connection = self.connection().await?;
        let done = sqlx::query(PURGE).bind(format_utc(before)).bind(as_json(ids)).execute(&mut *connection).await;
        Ok(self.handed_back(connection, done).map_err(written)?.rows_affected())
    }

    async fn change<'q>(
        &self,
        ids: &[JobId],
        statement: &'static str,
        bind: impl Fn(Query<'q>) -> Query<'q> + Sync,
    ) -> Result<Changed, QueueError> {
        let mut connection = self.connection().await?;
        let done = change(&mut connection, ids, statement, bind).await;
        self.memory.lane_heads.lock().await.forget();
        self.handed_back(connection, done).map_err(written)
    }
}

pub async fn selected(pool: &SqlitePool, selection: &Selection) -> sqlx::Result<Vec<Chosen>> {
    let mut chosen = Vec::new();
    let kinds = if selection.settings_at_fault { &PERHAPS_OF_SETTINGS } else { selection.error_kinds.as_slice() };
    let words: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let lanes: Vec<&str> = selection.lanes.iter().map(LaneKey::as_str).collect();
    let limit = selection.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    for state in &selection.states {
        let mut found = sqlx::query(AssertSqlSafe(select(selection, *state)))
            .bind(json(&words))
            .bind(json(&lanes))
            .bind(selection.since.map(format_utc))
            .bind(if selection.settings_at_fault { -1 } else { selection.limit.map_or(-1, i64::from) })
            .fetch_all(pool)
            .await?;
        if selection.settings_at_fault {
            found.retain(|row| cause(row).is_some_and(Cause::is_fault_of_settings));
        }
        chosen.extend(found.iter().take(limit).filter_map(as_chosen));
    }
    Ok(chosen)
}

/// Why it failed last, also where an earlier version recorded that.
fn cause(row: &SqliteRow) -> Option<Cause> {
    let text = |column| row.try_get::<Option<String>, _>(column).ok().flatten();
    let told = || {
        let status = row.try_get::<Option<u16>, _>("http_status").ok().flatten();
        Cause::of_stored(ErrorKind::parse(&text("error_kind")?)?, status, text("error_code").as_deref())
    };
    text("cause").as_deref().and_then(Cause::parse).or_else(told)
}

pub async fn chosen(pool: &SqlitePool, ids: &[JobId]) -> sqlx::Result<Vec<Chosen>> {
    let rows = sqlx::query(CHOSEN_BY_ID).bind(as_json(ids)).fetch_all(pool).await?;
    Ok(rows.iter().filter_map(as_chosen).collect())
}

pub async fn purgeable(pool: &SqlitePool, before: DateTime<Utc>, states: &[JobState]) -> sqlx::Result<Purgeable> {
    let mut found = Purgeable::default();
    for statement in states.iter().filter_map(|state| ended(*state)).map(|ended| count_ended(&ended)) {
        let rows: Vec<(bool, i64)> =
            sqlx::query_as(AssertSqlSafe(statement)).bind(format_utc(before)).fetch_all(pool).await?;
        for (in_doubt, count) in rows {
            *(if in_doubt { &mut found.in_doubt } else { &mut found.jobs }) += count.unsigned_abs();
        }
    }
    Ok(found)
}

/// Some of them, the oldest first; none if there are no more. Read without the write lock, which the many jobs of
/// other states that are as old would make a long one.
pub async fn to_purge(pool: &SqlitePool, before: DateTime<Utc>, state: JobState) -> sqlx::Result<Vec<JobId>> {
    let Some(statement) = ended(state).map(|ended| find_ended(&ended)) else { return Ok(Vec::new()) };
    let query = sqlx::query(AssertSqlSafe(statement)).bind(format_utc(before)).bind(PURGE_ROUND);
    ids_of(&query.fetch_all(pool).await?)
}

/// Statements over many jobs, for the test that looks at their plans.
#[cfg(test)]
pub fn plans() -> Vec<String> {
    let of = |state, selection: Selection| select(&selection, state);
    let (kinds, lanes) = (vec![ErrorKind::Denied], vec![LaneKey::of("ann")]);
    let mut plans = vec![
        of(JobState::Failed, Selection { error_kinds: kinds, ..Selection::default() }),
        of(JobState::Failed, Selection { settings_at_fault: true, ..Selection::default() }),
        of(JobState::Pending, Selection { lanes, ..Selection::default() }),
        of(JobState::Claimed, Selection::default()),
        CHOSEN_BY_ID.into(),
        RETRY.into(),
        CANCEL.into(),
        PURGE.into(),
    ];
    plans.extend(purge_plans().into_iter().map(|(_, statement)| statement));
    plans
}

/// Those that look for jobs to delete, by the state they look for.
#[cfg(test)]
pub fn purge_plans() -> Vec<(JobState, String)> {
    let of = |state| ended(state).map(|ended| [(state, count_ended(&ended)), (state, find_ended(&ended))]);
    JobState::ALL.into_iter().filter_map(of).flatten().collect()
}

/// The state stands in the text, and what does not narrow is left out: only so are the partial indexes used.
fn select(selection: &Selection, state: JobState) -> String {
    let mut sql = format!("{}state = '{}'", chosen!(), state.as_str());
    if selection.settings_at_fault || !selection.error_kinds.is_empty() {
        sql.push_str(" AND error_kind IN (SELECT value FROM json_each(?1))");
    }
    if !selection.lanes.is_empty() {
        // What is behind another job stands apart in the index.
        let pending = " AND id IN (SELECT id FROM jobs WHERE state = 'pending' AND behind IS NULL
                AND mailbox_key IN (SELECT value FROM json_each(?2))
            UNION ALL SELECT id FROM jobs WHERE state = 'pending' AND behind IS NOT NULL
                AND mailbox_key IN (SELECT value FROM json_each(?2)))";
        let others = " AND mailbox_key IN (SELECT value FROM json_each(?2))";
        sql.push_str(if state == JobState::Pending { pending } else { others });
    }
    if selection.since.is_some() {
        let ended = matches!(state, JobState::Sent | JobState::Failed | JobState::Cancelled);
        _ = write!(sql, " AND {} >= ?3", if ended { "finished_at" } else { "created_at" });
    }
    // Every parameter is named, or SQLite would not know those that are left out.
    sql.push_str(" AND coalesce(?1, ?2, ?3, 1) IS NOT NULL ORDER BY id LIMIT ?4 + 0");
    sql
}

/// Jobs of this state that ended before ?1, by an index of their own; of sent ones, which are the most, by that of all.
/// Without those that an event to come needs. The planner must not choose: among few failed jobs and very many sent ones as
/// old it cannot know. None: the state is not final.
fn ended(state: JobState) -> Option<String> {
    let index = match state {
        JobState::Sent => "jobs_finished",
        JobState::Failed => "jobs_failed",
        JobState::Cancelled => "jobs_cancelled",
        JobState::Pending | JobState::Claimed => return None,
    };
    let word = state.as_str();
    let needed = not_needed!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now')");
    Some(format!(
        "FROM jobs INDEXED BY {index} WHERE state = '{word}' AND finished_at IS NOT NULL AND finished_at < ?1 AND {needed}"
    ))
}

fn count_ended(ended: &str) -> String {
    format!("SELECT in_doubt, count(*) {ended} GROUP BY in_doubt")
}

fn find_ended(ended: &str) -> String {
    format!("SELECT id {ended} AND in_doubt = 0 ORDER BY finished_at LIMIT ?2 + 0")
}

/// None of a row whose agent's columns hold what no agent writes.
fn as_chosen(row: &SqliteRow) -> Option<Chosen> {
    Some(Chosen {
        id: JobId(row.try_get(0).ok()?),
        operation: row
            .try_get::<Option<String>, _>(10)
            .ok()?
            .as_deref()
            .and_then(OperationKind::parse)
            .unwrap_or_default(),
        state: JobState::parse(row.try_get(1).ok()?)?,
        in_doubt: row.try_get(2).ok()?,
        error_kind: row.try_get::<Option<String>, _>(3).ok()?.as_deref().and_then(ErrorKind::parse),
        lane: lane_key(row.try_get(4).ok()?, None),
        due: row.try_get(5).ok()?,
        wished: row.try_get(6).ok()?,
    })
}
