//! The end of claims: settlements, pauses, and the end of finished rows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row, Sqlite, SqlitePool};

use super::super::{LaneKey, Pause, Settled, Settlement, Verdict};
use super::courtesy::{Courtesy, locked_at};
use super::primary_code;
use super::recover::wished;
use crate::job::{format_utc, parse_utc};

/// Rows of one write that wakes them: producers wait a few milliseconds at most.
const WAKE_BATCH: i64 = 500;
/// Longest message kept in a row.
const MESSAGE_CHARS: usize = 2000;

/// Ends that are all alike but for their values are written together, in statements of these many; what is missing to
/// the next of them is NULL and concerns no job.
const SIZES: [usize; 5] = [1, 4, 16, 64, 256];

/// The values of an attempt and of a job, in the order of [`bind_attempt`] and [`bind_job`]. None has a number: sqlx looks a
/// number up for every value, among all of the statement.
const ATTEMPT_VALUES: [&str; 7] =
    ["id", "claim", "started_at", "duration_ms", "status", "request_id", "client_request_id"];
const JOB_VALUES: [&str; 8] = ["id", "claim", "event_id", "at", "spent", "sent_at", "status", "request_id"];

// A claim that is over leaves no attempt either, so these are asked for before the state changes.
const SENT_ATTEMPTS: &str = "INSERT INTO attempts
        (job_id, claim, started_at, duration_ms, outcome, http_status, request_id, client_request_id)
    SELECT s.id, s.claim, s.started_at, s.duration_ms, 'sent', s.status, s.request_id, s.client_request_id
    FROM s CROSS JOIN jobs ON jobs.id = s.id AND jobs.claims = s.claim AND jobs.state = 'claimed'";

const SENT: &str = "UPDATE jobs SET state = 'sent', event_id = s.event_id, finished_at = s.at, in_doubt = 0,
        attempts = attempts + s.spent, first_sent_at = coalesce(first_sent_at, s.sent_at), error_kind = NULL,
        http_status = s.status, error_code = NULL, error_message = NULL, request_id = s.request_id
    FROM s WHERE jobs.id = s.id AND claims = s.claim AND state = 'claimed'";

/// Which of the ends in ?1, a JSON array with id, claim and event id of each, are recorded.
const RECORDED: &str = "SELECT jobs.id, jobs.claims FROM json_each(?1) AS s CROSS JOIN jobs
    ON jobs.id = s.value ->> 0 AND claims = s.value ->> 1 AND state = 'sent' AND event_id = s.value ->> 2";

const SENT_ONE: &str = "UPDATE jobs SET state = 'sent', event_id = ?3, finished_at = ?4, in_doubt = 0,
        attempts = attempts + ?5, first_sent_at = coalesce(first_sent_at, ?6), error_kind = NULL,
        http_status = ?7, error_code = NULL, error_message = NULL, request_id = ?8
    WHERE id = ?1 AND claims = ?2 AND state = 'claimed'";

const AGAIN: &str = "UPDATE jobs SET state = 'pending', next_attempt_at = ?3, attempts = attempts + ?4, in_doubt = ?5,
        first_sent_at = coalesce(first_sent_at, ?6), give_up_at = coalesce(give_up_at, ?7), error_kind = coalesce(?8, error_kind),
        http_status = iif(?8 IS NULL, http_status, ?9), error_code = iif(?8 IS NULL, error_code, ?10),
        error_message = iif(?8 IS NULL, error_message, ?11), request_id = iif(?8 IS NULL, request_id, ?12)
    WHERE id = ?1 AND claims = ?2 AND state = 'claimed'";

/// After [`AGAIN`]. Not of a job in doubt, whose row remembers nothing to take out.
const EMPTY_DEFAULTS: &str = "UPDATE jobs SET defaulted = '', mailbox = iif(instr(defaulted, 'mailbox'), NULL, mailbox),
        body_type = iif(instr(defaulted, 'body_type'), NULL, body_type), time_zone = iif(instr(defaulted, 'time_zone'), NULL, time_zone)
    WHERE id = ?1 AND claims = ?2 AND state = 'pending' AND in_doubt = 0 AND defaulted <> ''";

/// Some of the jobs that wait because the default zone was refused, for ?2 at a time: no other waits after a refusal.
const WAKE: &str = concat!(
    "UPDATE jobs SET next_attempt_at = max(?1, ",
    wished!(),
    ") WHERE id IN (SELECT id FROM jobs WHERE state = 'pending' AND error_kind = 'rejected' AND time_zone IS NULL
        AND next_attempt_at > ?1 AND next_attempt_at > ",
    wished!(),
    " LIMIT ?2 + 0)"
);

const FAILED: &str = "UPDATE jobs SET state = 'failed', finished_at = ?3, attempts = attempts + ?4, in_doubt = ?5,
        first_sent_at = iif(?13, NULL, coalesce(first_sent_at, ?6)), give_up_at = coalesce(give_up_at, ?7), error_kind = ?8, http_status = ?9,
        error_code = ?10, error_message = ?11, request_id = ?12
    WHERE id = ?1 AND claims = ?2 AND state = 'claimed'";

const ATTEMPT: &str = "INSERT INTO attempts
        (job_id, claim, started_at, duration_ms, outcome, http_status, error_code, message, request_id, client_request_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

// What somebody typed into paused_until may be of another form, or no time at all.
const PAUSE: &str =
    "INSERT INTO mailboxes (mailbox, paused_until, reason, error_kind, strikes, updated_at, asked_until)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (mailbox) DO UPDATE SET
        paused_until = max(coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', paused_until), ''), excluded.paused_until),
        reason = excluded.reason, error_kind = excluded.error_kind, strikes = excluded.strikes,
        updated_at = excluded.updated_at, resumed_at = NULL,
        asked_until = nullif(max(coalesce(asked_until, ''), coalesce(excluded.asked_until, '')), '')";

/// The statements for ends that are all alike, by how many they take.
#[derive(Debug)]
pub(super) struct Together([OfSize; SIZES.len()]);

#[derive(Debug)]
struct OfSize {
    size: usize,
    /// Within a transaction.
    part: Arc<str>,
    /// The transaction.
    whole: Arc<str>,
}

impl Together {
    pub(super) fn new() -> Self {
        Self(SIZES.map(|size| {
            let part = together(size);
            OfSize {
                size,
                whole: format!("BEGIN IMMEDIATE; {}; PRAGMA data_version; {part}; COMMIT", locked_at!()).into(),
                part: part.into(),
            }
        }))
    }

    fn of(&self, count: usize) -> Option<&OfSize> {
        self.0.iter().find(|of| of.size >= count)
    }
}

/// Attempts, jobs, and how many jobs there were.
fn together(size: usize) -> String {
    let with = |values: &[&str]| {
        let row = format!("({})", vec!["?"; values.len()].join(","));
        format!("WITH s({}) AS (VALUES {})", values.join(", "), vec![row; size].join(","))
    };
    format!("{} {SENT_ATTEMPTS}; {} {SENT}; SELECT changes()", with(&ATTEMPT_VALUES), with(&JOB_VALUES))
}

pub(super) async fn settle(
    connection: &mut SqliteConnection,
    courtesy: &mut Courtesy,
    together: &Together,
    batch: &[&Settlement],
) -> sqlx::Result<Vec<Settled>> {
    let alike: Vec<&Settlement> = batch.iter().copied().filter(|settlement| is_plain(settlement)).collect();
    if alike.len() == batch.len()
        && let Some(statements) = together.of(alike.len())
    {
        match sent_together(connection, statements, &statements.whole, &alike).await {
            Ok((recorded, told)) => {
                if let [locked_at, version] = told.as_slice() {
                    courtesy.compare(*version, Instant::now());
                    courtesy.wrote(*locked_at, Instant::now(), Utc::now());
                }
                return Ok(alike.iter().map(|end| recorded.of(end)).collect());
            }
            Err(error) => {
                // Where SQLite has rolled back by itself there is nothing to do, and this says so.
                let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await;
                if !refused_by_schema(&error) {
                    return Err(error);
                }
            }
        }
    }
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let locked = Instant::now();
    let recorded = match together.of(alike.len()) {
        Some(statements) if !alike.is_empty() => {
            let mut part = tx.begin().await?;
            match sent_together(&mut part, statements, &statements.part, &alike).await {
                Ok((recorded, _)) => {
                    part.commit().await?;
                    Some(recorded)
                }
                // One broken row holds up no other. What the first of the statements wrote is undone.
                Err(error) if refused_by_schema(&error) => {
                    part.rollback().await?;
                    None
                }
                Err(error) => return Err(error),
            }
        }
        _ => None,
    };
    let mut settled = Vec::with_capacity(batch.len());
    for settlement in batch {
        settled.push(match &recorded {
            Some(recorded) if is_plain(settlement) => recorded.of(settlement),
            _ => one(&mut tx, settlement).await?,
        });
    }
    tx.commit().await?;
    courtesy.held(locked.elapsed(), Instant::now());
    Ok(settled)
}

/// The end nearly every job has.
fn is_plain(settlement: &Settlement) -> bool {
    let attempt = settlement.attempt.as_ref();
    matches!(settlement.verdict, Verdict::Sent(_))
        && attempt.is_some_and(|attempt| attempt.outcome == "sent")
        && settlement.pause.is_none()
}

/// Which claims of a batch were not over. A batch may hold the ends of two claims of one job.
enum Recorded {
    All,
    Only(HashSet<(i64, i64)>),
}

impl Recorded {
    fn of(&self, end: &Settlement) -> Settled {
        match self {
            Self::Only(claims) if !claims.contains(&(end.id.0, end.claim)) => Settled::Stale,
            _ => Settled::Recorded,
        }
    }
}

/// Tells which are recorded, and what else the statements told.
async fn sent_together(
    connection: &mut SqliteConnection,
    statements: &OfSize,
    sql: &Arc<str>,
    alike: &[&Settlement],
) -> sqlx::Result<(Recorded, Vec<i64>)> {
    let missing = statements.size - alike.len();
    let mut query = sqlx::query_scalar(AssertSqlSafe(sql.clone()));
    query = alike.iter().fold(query, |query, end| bind_attempt(query, end));
    query = (0..missing * ATTEMPT_VALUES.len()).fold(query, |query, _| query.bind(NONE));
    query = alike.iter().fold(query, |query, end| bind_job(query, end));
    query = (0..missing * JOB_VALUES.len()).fold(query, |query, _| query.bind(NONE));
    let mut told: Vec<i64> = query.fetch_all(&mut *connection).await?;
    if told.pop() == i64::try_from(alike.len()).ok() {
        return Ok((Recorded::All, told));
    }
    let ends: Vec<_> = alike.iter().map(|end| (end.id.0, end.claim, event_id(end))).collect();
    let ends = serde_json::to_string(&ends).unwrap_or_default();
    let rows: Vec<(i64, i64)> = sqlx::query_as(RECORDED).bind(ends).fetch_all(connection).await?;
    Ok((Recorded::Only(rows.into_iter().collect()), told))
}

fn event_id(end: &Settlement) -> Option<&str> {
    match &end.verdict {
        Verdict::Sent(event_id) => Some(&event_id.0),
        _ => None,
    }
}

/// In the order of [`ATTEMPT_VALUES`].
fn bind_attempt<'q>(query: Scalar<'q>, end: &'q Settlement) -> Scalar<'q> {
    let (attempt, answer) = (end.attempt.as_ref(), &end.answer);
    query
        .bind(end.id.0)
        .bind(end.claim)
        .bind(attempt.map(|attempt| format_utc(attempt.started_at)))
        .bind(attempt.map(|attempt| attempt.duration_ms))
        .bind(answer.status.map(i64::from))
        .bind(&answer.request_id)
        .bind(&answer.client_request_id)
}

/// In the order of [`JOB_VALUES`].
fn bind_job<'q>(query: Scalar<'q>, end: &'q Settlement) -> Scalar<'q> {
    query
        .bind(end.id.0)
        .bind(end.claim)
        .bind(event_id(end))
        .bind(format_utc(end.at))
        .bind(i64::from(end.spent))
        .bind(end.sent_at.map(format_utc))
        .bind(end.answer.status.map(i64::from))
        .bind(&end.answer.request_id)
}

const NONE: Option<i64> = None;

type Scalar<'q> = sqlx::query::QueryScalar<'q, Sqlite, i64, SqliteArguments>;

async fn one(tx: &mut SqliteConnection, settlement: &Settlement) -> sqlx::Result<Settled> {
    let settled = match update(tx, settlement).await {
        Ok(1) => Settled::Recorded,
        Ok(_) => Settled::Stale,
        Err(error) if refused_by_schema(&error) => Settled::Refused,
        Err(error) => return Err(error),
    };
    // A stale writer leaves no trace but the mailbox's pause, which is true whoever learns it.
    if settled == Settled::Recorded {
        attempt(tx, settlement).await?;
    }
    if let Some(pause) = &settlement.pause {
        self::pause(tx, pause, settlement.at).await?;
    }
    Ok(settled)
}

async fn update(tx: &mut SqliteConnection, settlement: &Settlement) -> sqlx::Result<u64> {
    let answer = &settlement.answer;
    let sent_at = settlement.sent_at.map(format_utc);
    let status = answer.status.map(i64::from);
    let query = match &settlement.verdict {
        Verdict::Sent(event_id) => sqlx::query(SENT_ONE)
            .bind(settlement.id.0)
            .bind(settlement.claim)
            .bind(&event_id.0)
            .bind(format_utc(settlement.at))
            .bind(i64::from(settlement.spent))
            .bind(sent_at)
            .bind(status)
            .bind(&answer.request_id),
        verdict => {
            let (statement, time) = match verdict {
                Verdict::Again(due) | Verdict::Anew(due) => (AGAIN, *due),
                _ => (FAILED, settlement.at),
            };
            let query = sqlx::query(statement)
                .bind(settlement.id.0)
                .bind(settlement.claim)
                .bind(format_utc(time))
                .bind(i64::from(settlement.spent))
                .bind(settlement.in_doubt)
                .bind(sent_at)
                .bind(settlement.give_up_at.map(format_utc))
                .bind(settlement.kind.map(|kind| kind.as_str()))
                .bind(status)
                .bind(&answer.code)
                .bind(answer.message.as_deref().map(shortened))
                .bind(&answer.request_id);
            if *verdict == Verdict::Failed { query.bind(settlement.never_left) } else { query }
        }
    };
    let done = query.execute(&mut *tx).await?.rows_affected();
    if matches!(settlement.verdict, Verdict::Anew(_)) {
        sqlx::query(EMPTY_DEFAULTS).bind(settlement.id.0).bind(settlement.claim).execute(tx).await?;
    }
    Ok(done)
}

/// Tells how many were woken; none: there are no more.
pub(super) async fn wake(connection: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query(WAKE).bind(format_utc(now)).bind(WAKE_BATCH).execute(connection).await?;
    Ok(done.rows_affected())
}

async fn attempt(tx: &mut SqliteConnection, settlement: &Settlement) -> sqlx::Result<()> {
    let Some(attempt) = &settlement.attempt else { return Ok(()) };
    let answer = &settlement.answer;
    sqlx::query(ATTEMPT)
        .bind(settlement.id.0)
        .bind(settlement.claim)
        .bind(format_utc(attempt.started_at))
        .bind(attempt.duration_ms)
        .bind(attempt.outcome)
        .bind(answer.status.map(i64::from))
        .bind(&answer.code)
        .bind(answer.message.as_deref().map(shortened))
        .bind(&answer.request_id)
        .bind(&answer.client_request_id)
        .execute(tx)
        .await?;
    Ok(())
}

async fn pause(tx: &mut SqliteConnection, pause: &Pause, at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query(PAUSE)
        .bind(pause.lane.as_str())
        .bind(format_utc(rounded_up(pause.until)))
        .bind(shortened(&pause.reason))
        .bind(pause.kind.map(|kind| kind.as_str()))
        .bind(pause.strikes)
        .bind(format_utc(at))
        .bind(pause.asked_until.map(|until| format_utc(rounded_up(until))))
        .execute(tx)
        .await?;
    Ok(())
}

pub(super) async fn pauses(pool: &SqlitePool, now: DateTime<Utc>) -> sqlx::Result<Vec<Pause>> {
    let query = sqlx::query("SELECT mailbox, paused_until, reason, strikes, asked_until FROM mailboxes");
    let rows = query.fetch_all(pool).await?;
    let pauses = rows.iter().filter_map(|row| {
        // A row somebody typed wrong pauses nothing.
        let until = parse_utc(&row.try_get::<String, _>("paused_until").ok()?)?;
        let mailbox: String = row.try_get("mailbox").ok()?;
        Some(Pause {
            lane: LaneKey::of(&mailbox),
            until,
            reason: row.try_get("reason").unwrap_or_default(),
            kind: None,
            strikes: row.try_get("strikes").unwrap_or(1),
            asked_until: row.try_get::<String, _>("asked_until").ok().and_then(|until| parse_utc(&until)),
        })
    });
    Ok(pauses.filter(|pause| pause.until > now).collect())
}

pub(super) async fn purge(connection: &mut SqliteConnection, before: DateTime<Utc>, limit: u32) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM jobs WHERE id IN
             (SELECT id FROM jobs WHERE finished_at IS NOT NULL AND finished_at < ?1 AND in_doubt = 0
              ORDER BY finished_at LIMIT ?2 + 0)",
    )
    .bind(format_utc(before))
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn outstanding(pool: &SqlitePool) -> sqlx::Result<u64> {
    let count: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM jobs WHERE state = 'pending') + (SELECT count(*) FROM jobs WHERE state = 'claimed')",
    )
    .fetch_one(pool)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Stored to the millisecond, a pause must not end earlier than it was to.
pub(super) fn rounded_up(until: DateTime<Utc>) -> DateTime<Utc> {
    until.checked_add_signed(TimeDelta::microseconds(999)).unwrap_or(until)
}

/// SQLITE_CONSTRAINT: the schema's own rules refuse it, and no retry changes that.
pub(super) fn refused_by_schema(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(19)
}

fn shortened(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS).collect()
}
