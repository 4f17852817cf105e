//! A row of `jobs` as the claim reads it: many as one JSON text, which costs one message between SQLite's thread and the
//! agent's, or one by one with the size of every column. Reading never fails for what a foreign program left in a column:
//! that is judged later, by the draft.

use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, TypeInfo, ValueRef};

use super::super::LaneKey;
use crate::job::{
    Cell, Created, Defaulted, EventId, Job, JobId, JobInput, JobState, MAX_REQUEST_BYTES, OperationKind, Target,
    parse_utc,
};
use crate::queue::sqlite::text::{Flag, Text, lane_key};

/// A column and its size, the column NULL if it is larger than any request.
macro_rules! sized {
    ($column:literal) => {
        concat!(
            "CASE WHEN octet_length(",
            $column,
            ") <= 4194304 THEN ",
            $column,
            " END AS ",
            $column,
            ", ",
            "octet_length(",
            $column,
            ") AS ",
            $column,
            "_bytes, "
        )
    };
}

/// The input columns, each with its size, ready for one more behind them.
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
            sized!("operation"),
            sized!("event_key"),
            sized!("target_event_id"),
            sized!("transaction_id"),
        )
    };
}

pub(super) use {input_columns, sized};

/// Bytes of all input columns together. SQLite knows a column's size without reading it.
macro_rules! octets {
    () => {
        "coalesce(octet_length(subject), 0) + coalesce(octet_length(body), 0) + coalesce(octet_length(start_time), 0) + coalesce(octet_length(end_time), 0)
        + coalesce(octet_length(location), 0) + octet_length(attendees) + coalesce(octet_length(mailbox), 0)
        + coalesce(octet_length(calendar_id), 0) + coalesce(octet_length(body_type), 0) + coalesce(octet_length(time_zone), 0)
        + coalesce(octet_length(extra), 0) + coalesce(octet_length(dedup_key), 0) + coalesce(octet_length(not_before), 0)
        + coalesce(octet_length(not_after), 0) + coalesce(octet_length(target_event_id), 0)
        + octet_length(transaction_id)"
    };
}
pub(super) use octets;

/// The last job before it that creates the event of its key, as [`CreatedColumns`].
macro_rules! created {
    ($and:literal) => {
        concat!(
            "(SELECT json_array(c.id, CAST(c.state AS TEXT), c.in_doubt = 1, CAST(c.event_id AS TEXT), CAST(c.mailbox AS TEXT),
                CAST(c.calendar_id AS TEXT), CAST(c.transaction_id AS TEXT))
            FROM jobs AS c WHERE c.event_key = jobs.event_key AND c.operation = 'create' AND c.id < jobs.id ",
            $and,
            " ORDER BY c.id DESC LIMIT 1)"
        )
    };
}
pub(super) use created;

/// What is known of the event of its key. For a job that changes one, the last job before it that creates the
/// event and was not cancelled, or else the last one. For a job that creates one, the same as long as its key names an event still,
/// because the delete before it did not come off; not if its own request may have left. NULL where there is none, or nothing is asked.
macro_rules! target {
    () => {
        concat!(
            "CASE WHEN event_key IS NOT NULL AND (operation <> 'create' OR in_doubt = 0 AND coalesce(
                (SELECT e.operation FROM jobs AS e WHERE e.event_key = jobs.event_key AND e.id < jobs.id
                    AND (e.state NOT IN ('failed', 'cancelled') OR e.operation = 'create' AND e.in_doubt = 1)
                ORDER BY e.id DESC LIMIT 1), 'delete') <> 'delete') THEN coalesce(",
            created!("AND NOT (c.state = 'cancelled' AND c.error_kind IS 'superseded')"),
            ", ",
            created!(""),
            ") END"
        )
    };
}
pub(super) use target;

/// A row as [`Columns`]. Fails where a column is a BLOB.
macro_rules! json_columns {
    () => {
        concat!(
            "json_array(id, claims, attempts, in_doubt, give_up_at, next_attempt_at, defaulted, mailbox_key, expires_at, json(",
            target!(),
            "),
            json_array(subject, body, start_time, end_time, location, attendees, mailbox, calendar_id, body_type, time_zone,
            extra, dedup_key, not_before, not_after, operation, event_key, target_event_id, transaction_id))"
        )
    };
}
pub(super) use json_columns;

/// A claimed job with its lane.
pub(super) struct Taken {
    pub lane: LaneKey,
    pub job: Job,
}

/// `json_columns!`: id, claims, attempts, in_doubt, give_up_at, next_attempt_at, defaulted, lane, expires_at, target, and the
/// input columns.
#[derive(serde::Deserialize)]
struct Columns(
    i64,
    i64,
    i64,
    i64,
    Option<Text>,
    Text,
    Option<Text>,
    Text,
    Option<Text>,
    Option<CreatedColumns>,
    [Option<Text>; 18],
);

/// `target!`: id, state, in doubt, event_id, mailbox, calendar_id and transaction_id of a create.
#[derive(serde::Deserialize)]
struct CreatedColumns(i64, Text, Flag, Option<Text>, Option<Text>, Option<Text>, Text);

impl CreatedColumns {
    /// None of a row in no state.
    fn target(self) -> Option<Target> {
        let Self(job, state, Flag(in_doubt), event_id, mailbox, calendar_id, transaction_id) = self;
        Some(Target::Created(Box::new(Created {
            job: JobId(job),
            state: JobState::parse(&state.lossy())?,
            in_doubt,
            event_id: event_id.map(|id| EventId(id.lossy())),
            mailbox: mailbox.map(|mailbox| mailbox.lossy()),
            calendar_id: calendar_id.map(|id| id.lossy()),
            transaction_id: transaction_id.lossy(),
        })))
    }
}

fn target_of(input: &JobInput, created: Option<CreatedColumns>) -> Target {
    match (input.operation_kind(), &input.event_key) {
        (OperationKind::Create, _) => created.map_or(Target::NotAsked, |created| Target::Taken(JobId(created.0))),
        (_, Cell::Null) => Target::NotAsked,
        _ => created.and_then(CreatedColumns::target).unwrap_or(Target::Unknown),
    }
}

/// The jobs of a JSON array of [`Columns`].
pub(super) fn from_json(rows: &[u8], unnamed: Option<&str>) -> sqlx::Result<Vec<Taken>> {
    let rows: Vec<Columns> = serde_json::from_slice(rows).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let taken = rows.into_iter().map(
        |Columns(id, claim, attempts, in_doubt, give_up_at, due, defaulted, lane, expires_at, created, input)| {
            let due = due.lossy();
            let input = ordered(input.map(Cell::from));
            let job = Job {
                id: JobId(id),
                claim,
                attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                in_doubt: in_doubt != 0,
                due: parse_utc(&due),
                give_up_at: give_up_at.and_then(|at| parse_utc(std::str::from_utf8(&at.0).ok()?)),
                operation: input.operation_kind(),
                expires_at: expires_at.and_then(|at| parse_utc(&at.lossy())),
                target: target_of(&input, created),
                input,
                defaulted: defaulted.map(|names| names_in(&names.0)).unwrap_or_default(),
            };
            Taken { lane: lane_key(&lane.0, unnamed), job }
        },
    );
    Ok(taken.collect())
}

fn names_in(stored: &[u8]) -> Defaulted {
    std::str::from_utf8(stored).map(Defaulted::parse).unwrap_or_default()
}

impl From<Option<Text>> for Cell {
    fn from(text: Option<Text>) -> Self {
        text.map_or(Cell::Null, |text| String::from_utf8(text.0).map_or(Cell::NotUtf8, Cell::Text))
    }
}

/// In the order of `json_columns!`.
fn ordered(cells: [Cell; 18]) -> JobInput {
    let [
        subject,
        body,
        start_time,
        end_time,
        location,
        attendees,
        mailbox,
        calendar_id,
        body_type,
        time_zone,
        extra,
        dedup_key,
        not_before,
        not_after,
        operation,
        event_key,
        target_event_id,
        transaction_id,
    ] = cells;
    JobInput {
        subject,
        body,
        start_time,
        end_time,
        location,
        attendees,
        mailbox,
        calendar_id,
        body_type,
        time_zone,
        extra,
        dedup_key,
        not_before,
        not_after,
        operation,
        event_key,
        target_event_id,
        transaction_id,
    }
}

/// A row of its own, of which everything that is larger than a request is left out. Nonsense in the agent's columns, which
/// only a program can have written that turned the schema's rules off, counts as the most careful value.
pub(super) fn from_row(row: &SqliteRow, unnamed: Option<&str>) -> sqlx::Result<Taken> {
    let give_up_at: Option<String> = row.try_get("give_up_at").unwrap_or(None);
    let due: String = row.try_get("next_attempt_at").unwrap_or_default();
    let expires_at: Option<String> = row.try_get("expires_at").unwrap_or(None);
    let created = row.try_get::<Option<Vec<u8>>, _>("target").unwrap_or(None);
    let created = created.and_then(|json| serde_json::from_slice(&json).ok());
    let input = input(row)?;
    let job = Job {
        id: JobId(row.try_get("id")?),
        claim: row.try_get("claims")?,
        attempts: row
            .try_get("attempts")
            .ok()
            .and_then(|attempts: i64| u32::try_from(attempts).ok())
            .unwrap_or(u32::MAX),
        in_doubt: row.try_get::<i64, _>("in_doubt").unwrap_or(1) != 0,
        due: parse_utc(&due),
        give_up_at: give_up_at.as_deref().and_then(parse_utc),
        operation: input.operation_kind(),
        expires_at: expires_at.as_deref().and_then(parse_utc),
        target: target_of(&input, created),
        input,
        defaulted: row.try_get::<Vec<u8>, _>("defaulted").map(|names| names_in(&names)).unwrap_or_default(),
    };
    let lane = lane_key(&row.try_get::<Vec<u8>, _>("lane")?, unnamed);
    Ok(Taken { lane, job })
}

/// One job's input columns, as the claim reads them.
pub(super) const INPUT: &str = concat!("SELECT ", input_columns!(), "1 FROM jobs WHERE id = ?1");

/// The input columns of a row that has each of them, and its size as `<column>_bytes`.
pub(super) fn input(row: &SqliteRow) -> sqlx::Result<JobInput> {
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
        operation: cell(row, "operation")?,
        event_key: cell(row, "event_key")?,
        target_event_id: cell(row, "target_event_id")?,
        transaction_id: cell(row, "transaction_id")?,
    })
}

fn cell(row: &SqliteRow, column: &str) -> sqlx::Result<Cell> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        let bytes: Option<i64> = row.try_get(format!("{column}_bytes").as_str())?;
        return Ok(match bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
            Some(bytes) if bytes > MAX_REQUEST_BYTES as u64 => Cell::TooLarge(bytes),
            _ => Cell::Null,
        });
    }
    if value.type_info().name() == "BLOB" {
        return Ok(Cell::Blob);
    }
    let bytes = <&[u8] as Decode<Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?;
    Ok(std::str::from_utf8(bytes).map_or(Cell::NotUtf8, |text| Cell::Text(text.to_owned())))
}
