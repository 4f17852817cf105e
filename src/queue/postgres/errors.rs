//! PostgreSQL's errors in the queue's words: which may pass by themselves, which end a connection, and which are a rule's.

use std::io;

use sqlx::postgres::PgDatabaseError;

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
/// that does not fit its column (22), or a function that fails (38, 39, 42 of a trigger that names what is not there). Whatever a
/// function of somebody else's fails of is of the rows that it is called for, also another server that it does not reach.
pub fn is_refusal(error: &sqlx::Error) -> bool {
    let Some(code) = code(error) else { return false };
    !is_of_the_server(&code) || is_of_a_strangers_function(error)
}

/// A rule refuses one of the rows, or somebody holds a lock on it.
pub fn is_of_the_row(error: &sqlx::Error) -> bool {
    is_refusal(error) || code(error).as_deref() == Some("55P03")
}

/// The server names the functions that it was in, the innermost first. The program's own begin with `job`.
fn is_of_a_strangers_function(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    let passes = |code: &str| code.starts_with("40") || code.starts_with("57P");
    error.filter(|error| !passes(error.code())).and_then(PgDatabaseError::r#where).is_some_and(names_a_stranger)
}

fn names_a_stranger(context: &str) -> bool {
    let name = |behind: &str| {
        let signature = behind.trim_start_matches('"');
        let end = signature.find(['(', '"', ' ', '\n']).unwrap_or(signature.len());
        signature[..end].rsplit('.').next().unwrap_or_default().trim_matches('"').to_owned()
    };
    context.split("function ").skip(1).any(|behind| !name(behind).starts_with("job"))
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
        Some(_) if is_of_a_strangers_function(error) => false,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_somebody_elses_is_told_from_the_programs_own() {
        for (context, is_a_strangers) in [
            ("PL/pgSQL function mirror() line 3 at PERFORM", true),
            ("SQL statement \"UPDATE x\"\nPL/pgSQL function crm.mirror(jobs) line 3 at SQL statement", true),
            ("SQL function \"mirror\" statement 1\nPL/pgSQL function job_is_updated() line 9 at IF", true),
            ("PL/Python function \"mirror\"", true),
            ("PL/pgSQL function job_is_updated() line 9 at IF", false),
            ("PL/pgSQL function queue.job_turns_again(queue.jobs,boolean) line 5 at SQL statement", false),
            ("while updating tuple (0,1) in relation \"jobs\"", false),
        ] {
            assert_eq!(names_a_stranger(context), is_a_strangers, "{context}");
        }
    }
}
