//! The end of claims: settlements, pauses, and the end of finished rows.

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row, SqlitePool};

use super::super::{LaneKey, Pause, Settled, Settlement, Verdict};
use super::primary_code;
use crate::job::{format_utc, parse_utc};

/// Longest message kept in a row.
const MESSAGE_CHARS: usize = 2000;

const SENT: &str = "UPDATE jobs SET state = 'sent', event_id = ?3, finished_at = ?4, in_doubt = 0,
        attempts = attempts + ?5, first_sent_at = coalesce(first_sent_at, ?6), error_kind = NULL, http_status = ?7,
        error_code = NULL, error_message = NULL, request_id = ?8
    WHERE id = ?1 AND claims = ?2 AND state = 'claimed'";

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
    let mut settled = Vec::with_capacity(batch.len());
    for settlement in batch {
        let rows = match update(&mut tx, settlement).await {
            Ok(rows) => rows,
            // The statement is undone, the transaction goes on: one broken row holds up no other.
            Err(error) if refused_by_schema(&error) => {
                settled.push(Settled::Refused);
                continue;
            }
            Err(error) => return Err(error),
        };
        // A stale writer leaves no trace but the mailbox's pause, which is true whoever learns it.
        if rows == 1 {
            attempt(&mut tx, settlement).await?;
        }
        if let Some(pause) = &settlement.pause {
            self::pause(&mut tx, pause, settlement.at).await?;
        }
        settled.push(if rows == 1 { Settled::Recorded } else { Settled::Stale });
    }
    tx.commit().await?;
    Ok(settled)
}

async fn update(tx: &mut SqliteConnection, settlement: &Settlement) -> sqlx::Result<u64> {
    let answer = &settlement.answer;
    let sent_at = settlement.sent_at.map(format_utc);
    let status = answer.status.map(i64::from);
    let query = match &settlement.verdict {
        Verdict::Sent(event_id) => sqlx::query(SENT)
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
        .bind(format_utc(pause.until))
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

/// SQLITE_CONSTRAINT: the schema's own rules refuse it, and no retry changes that.
pub(super) fn refused_by_schema(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(19)
}

fn shortened(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS).collect()
}
