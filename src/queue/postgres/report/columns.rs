//! Columns and rows as they are read. Times come as the agent's text form, so that a row is the same whichever queue it is in.

use sqlx::postgres::PgRow;
use sqlx::{Row, TypeInfo, ValueRef};

use crate::queue::rows::Stored;

/// A `timestamptz` as text, of the form that all times of the queue have.
macro_rules! stamp {
    ($column:literal) => {
        concat!("to_char(", $column, " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
    };
}
pub(crate) use stamp;

pub fn stored(row: &PgRow, column: &str) -> sqlx::Result<Stored> {
    let raw = row.try_get_raw(column)?;
    if raw.is_null() {
        return Ok(Stored::Null);
    }
    Ok(match raw.type_info().name() {
        "INT8" => Stored::Integer(row.try_get(column)?),
        "INT4" => Stored::Integer(row.try_get::<i32, _>(column)?.into()),
        "BOOL" => Stored::Integer(row.try_get::<bool, _>(column)?.into()),
        _ => Stored::Text(row.try_get(column)?),
    })
}
