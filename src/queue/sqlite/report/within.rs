//! Questions that must not take long, however many rows there are: SQLite looks at the clock between pages, and gives up.

use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnection;

use crate::queue::sqlite::errors::primary_code;

/// SQLite's number for a statement that was told to end.
const INTERRUPTED: i32 = 9;
/// Steps of its machine between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 200;

/// Asks, for so long. None: the time was over first.
pub async fn within<T>(
    db: &mut SqliteConnection,
    time: Duration,
    ask: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>,
) -> sqlx::Result<Option<T>> {
    let until = Instant::now() + time;
    db.lock_handle().await?.set_progress_handler(STEPS_BETWEEN_LOOKS, move || Instant::now() < until);
    let answer = ask(db).await;
    db.lock_handle().await?.remove_progress_handler();
    match answer {
        Ok(_) if Instant::now() >= until => Ok(None),
        Err(error) if primary_code(&error) == Some(INTERRUPTED) => Ok(None),
        answer => answer.map(Some),
    }
}
