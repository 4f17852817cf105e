//! What every write is made of: a transaction's ends, and how a refusal of one row is told from trouble with the storage.

use sqlx::sqlite::SqliteConnection;

use super::errors::{CONSTRAINT, is_damaged, may_pass, primary_code};

/// Longest reason for a refusal.
const WORDS: usize = 200;

/// Why a row may stay as it was without an error: a trigger with RAISE(IGNORE), or with an update of its own.
pub const UNMOVED: &str = "the update had no effect; a trigger on the table ignores it or takes it back";

/// A transaction that somebody's trigger may end: sqlx would go on counting one of its own.
pub async fn begin(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(connection).await.map(drop)
}

pub async fn commit(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::raw_sql("COMMIT").execute(connection).await.map(drop)
}

/// Ends a transaction by what came of it. What a trigger with RAISE(FAIL) has let through is taken back, too.
pub async fn end<T>(connection: &mut SqliteConnection, done: sqlx::Result<T>) -> sqlx::Result<T> {
    let done = match done {
        Ok(done) => commit(connection).await.map(|()| done),
        Err(error) => Err(error),
    };
    if done.is_err() {
        roll_back(connection).await;
    }
    done
}

/// Where SQLite has rolled back by itself there is nothing to do, and this says so.
pub async fn roll_back(connection: &mut SqliteConnection) {
    let _ = sqlx::raw_sql("ROLLBACK").execute(connection).await;
}

/// SQLITE_CONSTRAINT: the schema's rules refuse it, its own or somebody else's.
pub fn refused_by_schema(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(CONSTRAINT)
}

/// The fault is with what was to be written, or with a rule, and not with the storage: another row may be written all the same.
/// Somebody's trigger may also name a table that is not there, or set a type that does not fit.
pub fn is_refusal(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_)) && !may_pass(error) && !is_damaged(error)
}

/// SQLite's own words, as short as a note may be: whoever wrote the rule wrote them.
pub fn words(error: &sqlx::Error) -> String {
    let said = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    said.chars().take(WORDS).collect()
}
