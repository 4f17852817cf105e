//! PostgreSQL's errors in the queue's words: which may pass by themselves, which end a connection, and which are a rule's.

use std::io;

use crate::queue::QueueError;

/// Longest reason for a refusal.
const WORDS: usize = 200;

/// Why a row may stay as it was without an error: somebody's trigger returns NULL, or takes the update back.
pub const UNMOVED: &str = "the update had no effect; a trigger on the table ignores it or takes it back";

/// What is wrong there, and the cure.
pub const BY_TRANSACTION: &str = "a pooler in transaction mode, which hands one session to several connections; have it pool by session, or name the server itself";

pub fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// A rule of the schema refuses it, its own or somebody else's: integrity (23), an exception raised by a function (P0001), a value
/// that does not fit its column (22), or a function that fails (38, 39, 42 of a trigger that names what is not there).
pub fn is_refusal(error: &sqlx::Error) -> bool {
    let Some(code) = code(error) else { return false };
    !is_of_the_server(&code)
}

/// Classes that tell of the server, the session or another transaction, and nothing of the row.
fn is_of_the_server(code: &str) -> bool {
    matches!(
        code.get(..2),
        Some("08" | "25" | "28" | "40" | "53" | "54" | "55" | "57" | "58" | "72" | "F0" | "XX" | "3D" | "3F")
    ) || code == "42501"
}

/// The session is of no use any more: it ended, it is on a server that takes no writes, or it was asked for longer than is waited.
pub fn ends_the_session(error: &sqlx::Error) -> bool {
    match code(error) {
        // 57P01 to 57P05: the server shuts down or ends the session; 25006: a standby.
        Some(code) => code.starts_with("57P") || code == "25006" || code.starts_with("08"),
        None => !matches!(
            error,
            sqlx::Error::RowNotFound | sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnDecode { .. }
        ),
    }
}

/// Another transaction was in the way, and the server chose this one to give way: the same once more.
pub fn gave_way(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("40001" | "40P01"))
}

/// The server is away, starts or stops, is full or read-only, or somebody holds a lock.
pub fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => code(error).is_some_and(|code| {
            matches!(code.get(..2), Some("08" | "40" | "53" | "55" | "57" | "58")) || code == "25006"
        }),
        error => matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed),
    }
}

/// The server ended the statement: it took longer than its session allows.
pub fn was_cancelled(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("57014")
}

/// The server did not answer in time. Whether the statement took effect is not known.
pub fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"))
}

/// The rule's own words, as short as a note may be: whoever wrote the rule wrote them.
pub fn words(error: &sqlx::Error) -> String {
    let said = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    said.chars().take(WORDS).collect()
}

/// A statement of this session is not there, or one is that it has not made: a pooler hands the server's sessions out by
/// transaction.
pub fn shares_a_session(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("42P05" | "26000"))
}

/// A pooler takes nothing at the start of a session that it does not know.
pub fn refuses_options(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().contains("unsupported startup parameter"))
}

pub fn read(source: sqlx::Error) -> QueueError {
    trouble("read", source)
}

pub fn written(source: sqlx::Error) -> QueueError {
    trouble("written", source)
}

fn trouble(action: &'static str, source: sqlx::Error) -> QueueError {
    if shares_a_session(&source) {
        return QueueError::Unusable(format!("queue.url names {BY_TRANSACTION}"));
    }
    QueueError::Trouble { action, may_pass: may_pass(&source), source: source.into() }
}
