//! Columns and rows as they stand in the file: no row is refused for what is in it.

use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, TypeInfo, ValueRef};

use crate::job::{Cause, ErrorKind, JobId, JobState};
use crate::queue::rows::{
    AttemptRow, HoldColumns, JobRow, JobSummary, MailboxRow, PacedColumns, Parsed, PauseColumns, Stored,
};

pub fn stored(row: &SqliteRow, column: &str) -> sqlx::Result<Stored> {
    let raw = row.try_get_raw(column)?;
    if raw.is_null() {
        return Ok(Stored::Null);
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        "INTEGER" => Stored::Integer(row.try_get(column)?),
        "REAL" => Stored::Real(row.try_get(column)?),
        _ => {
            let bytes = <&[u8] as Decode<Sqlite>>::decode(raw).map_err(sqlx::Error::Decode)?;
            match (kind.as_str(), std::str::from_utf8(bytes)) {
                ("BLOB", _) => Stored::Blob(bytes.len()),
                (_, Ok(text)) => Stored::Text(text.to_owned()),
                (_, Err(_)) => Stored::NotUtf8(bytes.len()),
            }
        }
    })
}

/// Text, whatever stands there; none for NULL and for nothing.
pub fn words(row: &SqliteRow, column: &str) -> sqlx::Result<Option<String>> {
    Ok(stored(row, column)?.words().filter(|words| !words.is_empty()))
}

pub fn error_kind(row: &SqliteRow, column: &str) -> sqlx::Result<Parsed<ErrorKind>> {
    Ok(Parsed::text(stored(row, column)?, ErrorKind::parse))
}

/// What a list shows of a job; one list, wherever jobs are listed.
macro_rules! listed_columns {
    () => {
        "id, state, mailbox, start_time, end_time, substr(subject, 1, 200) AS subject, attempts, in_doubt,
            next_attempt_at, event_id, error_kind, http_status, error_code, error_message, created_at, finished_at,
            operation, event_key, target_event_id, not_after, priority, web_link, ical_uid, join_url,
            behind, cause"
    };
}
pub(crate) use listed_columns;

pub fn summary(row: &SqliteRow) -> sqlx::Result<JobSummary> {
    let column = |name| stored(row, name);
    Ok(JobSummary {
        id: JobId(row.try_get("id")?),
        state: Parsed::text(column("state")?, JobState::parse),
        mailbox: column("mailbox")?,
        start_time: column("start_time")?,
        end_time: column("end_time")?,
        subject: column("subject")?,
        attempts: column("attempts")?,
        in_doubt: Parsed::flag(column("in_doubt")?),
        next_attempt_at: column("next_attempt_at")?,
        event_id: column("event_id")?,
        error_kind: error_kind(row, "error_kind")?,
        http_status: column("http_status")?,
        error_code: column("error_code")?,
        error_message: column("error_message")?,
        created_at: column("created_at")?,
        finished_at: column("finished_at")?,
        operation: column("operation")?,
        event_key: column("event_key")?,
        target_event_id: column("target_event_id")?,
        not_after: column("not_after")?,
        priority: column("priority")?,
        web_link: column("web_link")?,
        ical_uid: column("ical_uid")?,
        join_url: column("join_url")?,
        behind: column("behind")?,
        cause: Parsed::text(column("cause")?, Cause::parse),
    })
}

pub fn job(row: &SqliteRow) -> sqlx::Result<JobRow> {
    let column = |name| stored(row, name);
    Ok(JobRow {
        summary: summary(row)?,
        body: column("body")?,
        location: column("location")?,
        attendees: column("attendees")?,
        calendar_id: column("calendar_id")?,
        body_type: column("body_type")?,
        time_zone: column("time_zone")?,
        extra: column("extra")?,
        dedup_key: column("dedup_key")?,
        not_before: column("not_before")?,
        claims: column("claims")?,
        transaction_id: column("transaction_id")?,
        request_id: column("request_id")?,
        claimed_at: column("claimed_at")?,
        first_sent_at: column("first_sent_at")?,
        give_up_at: column("give_up_at")?,
        defaulted: column("defaulted")?,
        settled: column("settled")?,
        claimed_by: column("claimed_by")?,
    })
}

pub fn attempt(row: &SqliteRow) -> sqlx::Result<AttemptRow> {
    let column = |name| stored(row, name);
    Ok(AttemptRow {
        job_id: column("job_id")?,
        claim: column("claim")?,
        started_at: column("started_at")?,
        duration_ms: column("duration_ms")?,
        outcome: column("outcome")?,
        http_status: column("http_status")?,
        error_code: column("error_code")?,
        message: column("message")?,
        request_id: column("request_id")?,
        client_request_id: column("client_request_id")?,
    })
}

/// A time somebody typed as something else holds all the same.
pub fn mailbox(row: &SqliteRow) -> sqlx::Result<MailboxRow> {
    let column = |name| stored(row, name);
    let (since, paced_until) = (column("held_at")?, column("paced_until")?);
    Ok(MailboxRow {
        mailbox: column("mailbox")?.to_string(),
        pause: PauseColumns {
            until: column("paused_until")?,
            reason: column("reason")?.to_string(),
            kind: error_kind(row, "error_kind")?,
            pauses_in_a_row: column("strikes")?,
            written_at: column("updated_at")?,
            asked_until: column("asked_until")?,
        },
        hold: (!since.is_null()).then_some(HoldColumns { since, reason: column("held_reason")? }),
        paced: (!paced_until.is_null())
            .then_some(PacedColumns { until: paced_until, reason: column("paced_reason")?.to_string() }),
        resumed_at: column("resumed_at")?,
    })
}
