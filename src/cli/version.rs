//! `--version`: what a report of a fault should begin with. `-V` is the number alone.

use crate::queue;

/// Number, sources, and what the queue is made of.
pub(super) fn long() -> String {
    format!(
        "{}\ncommit  {} ({})\nschema  {}\nSQLite  {}",
        env!("CARGO_PKG_VERSION"),
        env!("EVENT_SENDER_COMMIT"),
        env!("EVENT_SENDER_DATE"),
        queue::newest_schema(),
        queue::SQLITE_VERSION.to_string_lossy(),
    )
}
