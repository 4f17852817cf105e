//! Rows of the queue out of their columns, whichever database they come from: no row is refused for what is in it.

use super::rows::{
    AgentSaid, AttemptRow, CredentialSaid, DefaultSaid, GateSaid, HoldColumns, JobRow, JobSummary, MailboxRow,
    PacedColumns, Parsed, PauseColumns, Stored,
};
use crate::job::{Cause, ErrorKind, JobId, JobState};

/// A row of a database.
pub trait Columns {
    /// What stands in a column.
    fn stored(&self, column: &str) -> sqlx::Result<Stored>;

    /// A column that holds a number and nothing else.
    fn number(&self, column: &str) -> sqlx::Result<i64>;

    /// Text, whatever stands there; none for NULL and for nothing.
    fn words(&self, column: &str) -> sqlx::Result<Option<String>> {
        Ok(self.stored(column)?.words().filter(|words| !words.is_empty()))
    }

    fn error_kind(&self, column: &str) -> sqlx::Result<Parsed<ErrorKind>> {
        Ok(Parsed::text(self.stored(column)?, ErrorKind::parse))
    }
}

pub fn summary(row: &impl Columns) -> sqlx::Result<JobSummary> {
    let column = |name| row.stored(name);
    Ok(JobSummary {
        id: JobId(row.number("id")?),
        state: Parsed::text(column("state")?, JobState::parse),
        mailbox: column("mailbox")?,
        start_time: column("start_time")?,
        end_time: column("end_time")?,
        subject: column("subject")?,
        attempts: column("attempts")?,
        in_doubt: Parsed::flag(column("in_doubt")?),
        next_attempt_at: column("next_attempt_at")?,
        event_id: column("event_id")?,
        error_kind: row.error_kind("error_kind")?,
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

pub fn job(row: &impl Columns) -> sqlx::Result<JobRow> {
    let column = |name| row.stored(name);
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

pub fn attempt(row: &impl Columns) -> sqlx::Result<AttemptRow> {
    let column = |name| row.stored(name);
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
pub fn mailbox(row: &impl Columns) -> sqlx::Result<MailboxRow> {
    let column = |name| row.stored(name);
    let (since, paced_until) = (column("held_at")?, column("paced_until")?);
    Ok(MailboxRow {
        mailbox: column("mailbox")?.to_string(),
        pause: PauseColumns {
            until: column("paused_until")?,
            reason: column("reason")?.to_string(),
            kind: row.error_kind("error_kind")?,
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

/// What an agent says of itself.
pub fn said(row: &impl Columns) -> sqlx::Result<AgentSaid> {
    let text = |column| Ok::<_, sqlx::Error>(row.words(column)?.unwrap_or_default());
    Ok(AgentSaid {
        id: row.number("id")?,
        name: text("name")?,
        host: row.words("host")?,
        version: text("version")?,
        started_at: row.stored("started_at")?,
        lease_until: row.stored("lease_until")?,
        lanes: None,
        settings_at: row.stored("settings_at")?,
        settings_refused: row.words("settings_refused")?,
        gate: gate(row)?,
        credential: match row.words("credential")? {
            Some(name) => Some(CredentialSaid { name, expires: row.stored("credential_expires")? }),
            None => None,
        },
        default: default(row)?,
        refused: row.words("refused")?,
    })
}

fn gate(row: &impl Columns) -> sqlx::Result<Option<GateSaid>> {
    if row.words("gate_since")?.is_none() {
        return Ok(None);
    }
    Ok(Some(GateSaid {
        since: row.stored("gate_since")?,
        until: row.stored("gate_until")?,
        kind: row.error_kind("gate_kind")?,
        code: row.words("gate_code")?.unwrap_or_default(),
        hint: row.words("gate_hint")?.unwrap_or_default(),
    }))
}

fn default(row: &impl Columns) -> sqlx::Result<Option<DefaultSaid>> {
    let Some(key) = row.words("default_key")? else { return Ok(None) };
    Ok(Some(DefaultSaid {
        key,
        value: row.words("default_value")?.unwrap_or_default(),
        since: row.stored("default_since")?,
        until: row.stored("default_until")?,
        hint: row.words("default_hint")?.unwrap_or_default(),
    }))
}
