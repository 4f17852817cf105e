//! A row of `jobs` as the claim reads it. A column that is larger than any request is left out, and its size told in its place.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::clock::ServerClock;
use super::heads::lane_key;
use super::time::time;
use crate::clock::Now;
use crate::job::{
    Cell, Created, Defaulted, EventId, Job, JobId, JobInput, JobState, MAX_REQUEST_BYTES, OperationKind, Target,
};
use crate::queue::LaneKey;

/// A column, NULL if it is larger than any request, and its size where it is.
macro_rules! sized {
    ($column:literal) => {
        concat!(
            "CASE WHEN octet_length(jobs.",
            $column,
            ") <= 4194304 THEN jobs.",
            $column,
            " END AS ",
            $column,
            ", CASE WHEN octet_length(jobs.",
            $column,
            ") > 4194304 THEN octet_length(jobs.",
            $column,
            ") END AS ",
            $column,
            "_bytes, "
        )
    };
}

/// The input columns of `jobs`, ready for one more behind them.
macro_rules! input_columns {
    () => {
        concat!(
            sized!("subject"),
            sized!("body"),
            sized!("start_time"),
            sized!("end_time"),
            sized!("location"),
            sized!("attendees"),
            sized!("mailbox"),
            sized!("calendar_id"),
            sized!("body_type"),
            sized!("time_zone"),
            sized!("extra"),
            sized!("dedup_key"),
            sized!("not_before"),
            sized!("not_after"),
            sized!("target_event_id"),
            "jobs.operation, jobs.event_key, jobs.transaction_id, "
        )
    };
}
pub(super) use {input_columns, sized};

/// What is known of the event of its key. For a job that changes one, the last job before it that creates the event and was not
/// cancelled, or else the last one. For a job that creates one, the same as long as its key names an event still,
/// because the delete before it did not come off; not if its own request may have left. NULL where there is none, or nothing is asked.
macro_rules! created {
    () => {
        "CASE WHEN jobs.event_key IS NOT NULL AND (jobs.operation <> 'create' OR NOT jobs.in_doubt AND coalesce(
            (SELECT e.operation FROM jobs AS e WHERE e.event_key = jobs.event_key AND e.id < jobs.id
                AND (e.state NOT IN ('failed', 'cancelled') OR e.operation = 'create' AND e.in_doubt)
            ORDER BY e.id DESC LIMIT 1), 'delete') <> 'delete') THEN
        (SELECT ARRAY[c.id::text, c.state, c.in_doubt::text, c.event_id, c.mailbox, c.calendar_id, c.transaction_id]
        FROM jobs AS c WHERE c.event_key = jobs.event_key AND c.operation = 'create' AND c.id < jobs.id
        ORDER BY c.state = 'cancelled' AND c.error_kind IS NOT DISTINCT FROM 'superseded', c.id DESC LIMIT 1) END AS created"
    };
}
pub(super) use created;

/// One job's input columns, as the claim reads them.
pub const INPUT: &str = concat!("SELECT ", input_columns!(), "1 FROM jobs WHERE id = $1");

pub fn input(row: &PgRow) -> sqlx::Result<JobInput> {
    let whole = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<String>, _>(column)?.map_or(Cell::Null, Cell::Text));
    Ok(JobInput {
        subject: cell(row, "subject")?,
        body: cell(row, "body")?,
        start_time: cell(row, "start_time")?,
        end_time: cell(row, "end_time")?,
        location: cell(row, "location")?,
        attendees: cell(row, "attendees")?,
        mailbox: cell(row, "mailbox")?,
        calendar_id: cell(row, "calendar_id")?,
        body_type: cell(row, "body_type")?,
        time_zone: cell(row, "time_zone")?,
        extra: cell(row, "extra")?,
        dedup_key: cell(row, "dedup_key")?,
        not_before: cell(row, "not_before")?,
        not_after: cell(row, "not_after")?,
        target_event_id: cell(row, "target_event_id")?,
        operation: whole("operation")?,
        event_key: whole("event_key")?,
        transaction_id: whole("transaction_id")?,
    })
}

fn cell(row: &PgRow, column: &str) -> sqlx::Result<Cell> {
    if let Some(text) = row.try_get(column)? {
        return Ok(Cell::Text(text));
    }
    let bytes: Option<i32> = row.try_get(format!("{column}_bytes").as_str())?;
    let bytes = bytes.map(|bytes| u64::from(bytes.unsigned_abs()));
    Ok(bytes.filter(|bytes| *bytes > MAX_REQUEST_BYTES as u64).map_or(Cell::Null, Cell::TooLarge))
}

/// A claimed job with its mailbox; its times by this machine's clock.
pub fn taken(row: &PgRow, unnamed: Option<&str>, clock: &ServerClock, now: Now) -> sqlx::Result<(LaneKey, Job)> {
    let local = |column| {
        let time = time(row, column)?;
        Ok::<_, sqlx::Error>(time.map(|time| clock.by_this_machine(time, now)))
    };
    let input = input(row)?;
    let operation = input.operation_kind();
    let attempts: i32 = row.try_get("attempts")?;
    let defaulted: Option<String> = row.try_get("defaulted")?;
    let job = Job {
        id: JobId(row.try_get("id")?),
        claim: row.try_get("claims")?,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        in_doubt: row.try_get("in_doubt")?,
        due: local("next_attempt_at")?,
        give_up_at: local("give_up_at")?,
        expires_at: local("expires_at")?,
        operation,
        target: target(row, operation, &input)?,
        input,
        defaulted: defaulted.as_deref().map(Defaulted::parse).unwrap_or_default(),
    };
    Ok((lane_key(row.try_get("mailbox_key")?, unnamed), job))
}

fn target(row: &PgRow, operation: OperationKind, input: &JobInput) -> sqlx::Result<Target> {
    if input.event_key == Cell::Null {
        return Ok(Target::NotAsked);
    }
    let created: Option<Vec<Option<String>>> = row.try_get("created")?;
    let created = created.and_then(of_created);
    Ok(match operation {
        OperationKind::Create => created.map_or(Target::NotAsked, |created| Target::Taken(created.job)),
        _ => created.map_or(Target::Unknown, |created| Target::Created(Box::new(created))),
    })
}

/// In the order of `created!`.
fn of_created(columns: Vec<Option<String>>) -> Option<Created> {
    let [job, state, in_doubt, event_id, mailbox, calendar_id, transaction_id] = columns.try_into().ok()?;
    Some(Created {
        job: JobId(job?.parse().ok()?),
        state: JobState::parse(&state?)?,
        in_doubt: in_doubt? == "true",
        event_id: event_id.map(EventId),
        mailbox,
        calendar_id,
        transaction_id: transaction_id?,
    })
}
