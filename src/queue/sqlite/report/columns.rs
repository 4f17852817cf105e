//! Columns as they stand in the file: no row is refused for what is in it.

use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, TypeInfo, ValueRef};

use crate::queue::columns::Columns;
use crate::queue::rows::Stored;

impl Columns for SqliteRow {
    fn stored(&self, column: &str) -> sqlx::Result<Stored> {
        stored(self, column)
    }

    fn number(&self, column: &str) -> sqlx::Result<i64> {
        self.try_get(column)
    }
}

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
