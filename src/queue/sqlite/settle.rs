//! The end of claims: settlements, pauses, and the end of finished rows.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row, SqlitePool};

use super::super::{LaneKey, Pause, Settled, Settlement, Verdict};
use super::primary_code;
use crate::job::{format_utc, parse_utc};

/// Longest message kept in a row.
const MESSAGE_CHARS: usize = 2000;

/// Ends that are all alike but for their values are written together: ?1 is a JSON array with the values of each, in
/// the order of [`sent_values`].
const SENT: &str = "UPDATE jobs SET state = 'sent', event_id = s.value ->> 2, finished_at = s.value ->> 3, in_doubt = 0,
        attempts = attempts + (s.value ->> 4), first_sent_at = coalesce(first_sent_at, s.value ->> 5), error_kind = NULL,
        http_status = s.value ->> 6, error_code = NULL, error_message = NULL, request_id = s.value ->> 7
    FROM json_each(?1) AS s
    WHERE jobs.id = s.value ->> 0 AND claims = s.value ->> 1 AND state = 'claimed'
    RETURNING jobs.id, jobs.claims";

const SENT_ATTEMPTS: &str = "INSERT INTO attempts
        (job_id, claim, started_at, duration_ms, outcome, http_status, request_id, client_request_id)
    SELECT value ->> 0, value ->> 1, value ->> 8, value ->> 9, value ->> 10, value ->> 6, value ->> 7, value ->> 11
    FROM json_each(?1)";

const AGAIN: &str = "UPDATE jobs SET state = 'pending', next_attempt_at = ?3, attempts = attempts + ?4, in_doubt = ?5,
        first_sent_at = coalesce(first_sent_at, ?6), give_up_at = coalesce(give_up_at, ?7), error_kind = coalesce(?8, error_kind),
        http_status = iif(?8 IS NULL, http_status, ?9), error_code = iif(?8 IS NULL, error_code, ?10),
        error_message = iif(?8 IS NULL, error_message, ?11), request_id = iif(?8 IS NULL, request_id, ?12)
    WHERE id = ?1 AND claims = ?2 AND state = 'claimed'";

const FAILED: &str = "UPDATE jobs SET state = 'failed', finished_at = ?3, attempts = attempts + ?4, in_doubt = ?5,
        first_sent_at = iif(?13, NULL, coalesce(first_sent_at, ?6)), give_up_at = coalesce(give_up_at, ?7), error_kind = ?8, http_status = ?9,
        error_code = ?10, error_message = ?11, request_id = ?12
    WHERE id = ?1 AND claims = ?2 AND state = 'claimed'";

const ATTEMPT: &str = "INSERT INTO attempts
        (job_id, claim, started_at, duration_ms, outcome, http_status, error_code, message, request_id, client_request_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

// What somebody typed into paused_until may be of another form, or no time at all.
const PAUSE: &str = "INSERT INTO mailboxes (mailbox, paused_until, reason, error_kind, strikes, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (mailbox) DO UPDATE SET
        paused_until = max(coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', paused_until), ''), excluded.paused_until),
        reason = excluded.reason, error_kind = excluded.error_kind, strikes = excluded.strikes,
        updated_at = excluded.updated_at";

pub(super) async fn settle(connection: &mut SqliteConnection, batch: &[Settlement]) -> sqlx::Result<Vec<Settled>> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let alike: Vec<&Settlement> = batch.iter().filter(|settlement| is_plain(settlement)).collect();
    let together = match sent_together(&mut tx, &alike).await {
        Ok(recorded) => Some(recorded),
        // The statement is undone, the transaction goes on: one broken row holds up no other.
        Err(error) if refused_by_schema(&error) => None,
        Err(error) => return Err(error),
    };
    let mut settled = Vec::with_capacity(batch.len());
    for settlement in batch {
        settled.push(match &together {
            Some(recorded) if is_plain(settlement) && recorded.contains(&claim_of(settlement)) => Settled::Recorded,
            Some(_) if is_plain(settlement) => Settled::Stale,
            _ => one(&mut tx, settlement).await?,
        });
    }
    tx.commit().await?;
    Ok(settled)
}

/// The end nearly every job has.
fn is_plain(settlement: &Settlement) -> bool {
    matches!(settlement.verdict, Verdict::Sent(_)) && settlement.attempt.is_some() && settlement.pause.is_none()
}

/// Tells the claims that were not over. A batch may hold the ends of two claims of one job.
async fn sent_together(tx: &mut SqliteConnection, alike: &[&Settlement]) -> sqlx::Result<HashSet<(i64, i64)>> {
    if alike.is_empty() {
        return Ok(HashSet::new());
    }
    let values =
        |of: &[&Settlement]| of.iter().map(|settlement| sent_values(settlement)).collect::<Value>().to_string();
    let rows = sqlx::query_as(SENT).bind(values(alike)).fetch_all(&mut *tx).await?;
    let recorded: HashSet<(i64, i64)> = rows.into_iter().collect();
    // A stale writer leaves no trace.
    let of_recorded: Vec<&Settlement> = alike.iter().filter(|end| recorded.contains(&claim_of(end))).copied().collect();
    sqlx::query(SENT_ATTEMPTS).bind(values(&of_recorded)).execute(tx).await?;
    Ok(recorded)
}

fn claim_of(settlement: &Settlement) -> (i64, i64) {
    (settlement.id.0, settlement.claim)
}

fn sent_values(settlement: &Settlement) -> Value {
    let Verdict::Sent(event_id) = &settlement.verdict else { return Value::Null };
    let (attempt, answer) = (settlement.attempt.as_ref(), &settlement.answer);
    json!([
        settlement.id.0,
        settlement.claim,
        event_id.0,
        format_utc(settlement.at),
        i64::from(settlement.spent),
        settlement.sent_at.map(format_utc),
        answer.status,
        answer.request_id,
        attempt.map(|attempt| format_utc(attempt.started_at)),
        attempt.map(|attempt| attempt.duration_ms),
        attempt.map(|attempt| attempt.outcome),
        answer.client_request_id,
    ])
}

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
        Verdict::Sent(_) => sqlx::query(SENT).bind(Value::from(vec![sent_values(settlement)]).to_string()),
        verdict => {
            let (statement, time) = match verdict {
                Verdict::Again(due) => (AGAIN, *due),
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
    Ok(query.execute(tx).await?.rows_affected())
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
        .execute(tx)
        .await?;
    Ok(())
}

pub(super) async fn pauses(pool: &SqlitePool, now: DateTime<Utc>) -> sqlx::Result<Vec<Pause>> {
    let rows = sqlx::query("SELECT mailbox, paused_until, reason, strikes FROM mailboxes").fetch_all(pool).await?;
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
        })
    });
    Ok(pauses.filter(|pause| pause.until > now).collect())
}

pub(super) async fn purge(connection: &mut SqliteConnection, before: DateTime<Utc>, limit: u32) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM jobs WHERE id IN
             (SELECT id FROM jobs WHERE finished_at IS NOT NULL AND finished_at < ?1 AND in_doubt = 0
              ORDER BY finished_at LIMIT ?2)",
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
