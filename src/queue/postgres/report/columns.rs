//! Columns as they are read. Times come as the agent's text form, so that a row is the same whichever queue it is in.

use sqlx::postgres::PgRow;
use sqlx::{Row, TypeInfo, ValueRef};

use crate::queue::columns::Columns;
use crate::queue::rows::Stored;

/// A `timestamptz` as text, of the form that all times of the queue have.
macro_rules! stamp {
    ($column:literal) => {
        concat!("to_char(", $column, " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
    };
}
pub(crate) use stamp;

/// The same, under the column's own name.
macro_rules! stamped {
    ($column:literal) => {
        concat!(stamp!($column), " AS ", $column)
    };
}
pub(crate) use stamped;

/// What a list shows of a job; one list, wherever jobs are listed.
macro_rules! listed_columns {
    () => {
        concat!(
            "id, state, mailbox, start_time, end_time, left(subject, 200) AS subject, attempts, in_doubt, event_id, error_kind,
            http_status, error_code, error_message, operation, event_key, target_event_id, not_after, priority, web_link,
            ical_uid, join_url, behind, cause, ",
            stamped!("next_attempt_at"),
            ", ",
            stamped!("created_at"),
            ", ",
            stamped!("finished_at")
        )
    };
}
pub(crate) use listed_columns;

impl Columns for PgRow {
    fn stored(&self, column: &str) -> sqlx::Result<Stored> {
        let raw = self.try_get_raw(column)?;
        if raw.is_null() {
            return Ok(Stored::Null);
        }
        Ok(match raw.type_info().name() {
            "INT8" => Stored::Integer(self.try_get(column)?),
            "INT4" => Stored::Integer(self.try_get::<i32, _>(column)?.into()),
            "BOOL" => Stored::Integer(self.try_get::<bool, _>(column)?.into()),
            _ => Stored::Text(self.try_get(column)?),
        })
    }

    fn number(&self, column: &str) -> sqlx::Result<i64> {
        self.try_get(column)
    }
}
