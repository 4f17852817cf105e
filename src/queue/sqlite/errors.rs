//! SQLite's errors in the queue's words: which may pass by themselves, and which say that the file is damaged.

use crate::queue::QueueError;

/// SQLite's own number for an error, without what the extended codes add to it.
pub fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let sqlx::Error::Database(error) = error else { return None };
    Some(error.code()?.parse::<i32>().ok()? & 0xff)
}

/// SQLite's numbers.
pub const BUSY: i32 = 5;
pub const LOCKED: i32 = 6;
pub const READ_ONLY: i32 = 8;
pub const IO_ERROR: i32 = 10;
pub const CORRUPT: i32 = 11;
pub const FULL: i32 = 13;
pub const CANNOT_OPEN: i32 = 14;
/// The locks of the log's index are held, or its readers begin again and again.
pub const PROTOCOL: i32 = 15;
pub const CONSTRAINT: i32 = 19;
pub const NOT_A_DATABASE: i32 = 26;

/// Somebody holds the lock, the disk is full, read-only or in trouble; or nobody could be asked.
pub fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => {
            matches!(primary_code(error), Some(BUSY | LOCKED | READ_ONLY | IO_ERROR | FULL | PROTOCOL))
        }
        error => matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::Io(_)),
    }
}

/// What is in the file does not fit together.
pub fn is_damaged(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(CORRUPT | NOT_A_DATABASE))
}

pub fn read(source: sqlx::Error) -> QueueError {
    QueueError::Trouble { action: "read", may_pass: may_pass(&source), source: source.into() }
}

pub fn written(source: sqlx::Error) -> QueueError {
    QueueError::Trouble { action: "written", may_pass: may_pass(&source), source: source.into() }
}
