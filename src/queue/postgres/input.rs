//! The columns of a job that its producer wrote, as the agent reads them: what is larger than any request stays where it is.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::job::{Cell, JobInput};

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
            ", octet_length(",
            $column,
            ") AS ",
            $column,
            "_bytes"
        )
    };
}
pub(super) use sized;

/// All of them, each with its size.
macro_rules! input_columns {
    () => {
        concat!(
            sized!("subject"),
            ", ",
            sized!("body"),
            ", ",
            sized!("start_time"),
            ", ",
            sized!("end_time"),
            ", ",
            sized!("location"),
            ", ",
            sized!("attendees"),
            ", ",
            sized!("mailbox"),
            ", ",
            sized!("calendar_id"),
            ", ",
            sized!("body_type"),
            ", ",
            sized!("time_zone"),
            ", ",
            sized!("extra"),
            ", ",
            sized!("dedup_key"),
            ", ",
            sized!("not_before"),
            ", ",
            sized!("not_after"),
            ", ",
            sized!("operation"),
            ", ",
            sized!("event_key"),
            ", ",
            sized!("target_event_id"),
            ", ",
            sized!("transaction_id")
        )
    };
}
pub(super) use input_columns;

/// Of a row that has each of them, and its size as `<column>_bytes`.
pub(super) fn input(row: &PgRow) -> sqlx::Result<JobInput> {
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

fn cell(row: &PgRow, column: &str) -> sqlx::Result<Cell> {
    let bytes: Option<i32> = row.try_get(format!("{column}_bytes").as_str())?;
    let text: Option<String> = row.try_get(column)?;
    Ok(match (text, bytes) {
        (None, Some(bytes)) => Cell::TooLarge(u64::from(bytes.unsigned_abs())),
        (text, _) => Cell::from(text),
    })
}
