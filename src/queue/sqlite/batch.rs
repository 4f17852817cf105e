//! One change of many rows by their ids, where what others have made of one row stands in the way of no other.

use sqlx::Row;
use sqlx::Sqlite;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};

use super::transaction::{begin, end, is_refusal, words};
use crate::job::JobId;
use crate::queue::Changed;

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// Jobs changed in one transaction: some ten milliseconds of the write lock.
pub const REPAIR_BATCH: usize = 200;

/// All at once; where one row is refused, one by one, each in a transaction of its own, so that no row somebody broke and no
/// trigger of theirs stands in the way of the others.
pub async fn change<'q>(
    connection: &mut SqliteConnection,
    ids: &[JobId],
    statement: &'static str,
    bind: impl Fn(Query<'q>) -> Query<'q> + Sync,
) -> sqlx::Result<Changed> {
    let mut changed = Changed::default();
    match change_together(connection, bind(sqlx::query(statement).bind(as_json(ids)))).await {
        Ok(done) => changed.done = done,
        Err(error) if is_refusal(&error) => {
            for id in ids {
                match change_together(connection, bind(sqlx::query(statement).bind(as_json(&[*id])))).await {
                    Ok(done) => changed.done.extend(done),
                    Err(error) if is_refusal(&error) => changed.refused.push((*id, words(&error))),
                    Err(error) => return Err(error),
                }
            }
        }
        Err(error) => return Err(error),
    }
    changed.done.sort_unstable();
    Ok(changed)
}

/// All of it or nothing, whatever a trigger does.
async fn change_together(connection: &mut SqliteConnection, query: Query<'_>) -> sqlx::Result<Vec<JobId>> {
    begin(connection).await?;
    let done = query.fetch_all(&mut *connection).await;
    end(connection, done).await.and_then(|rows| ids_of(&rows))
}

pub fn ids_of(rows: &[SqliteRow]) -> sqlx::Result<Vec<JobId>> {
    rows.iter().map(|row| row.try_get(0).map(JobId)).collect()
}

pub fn as_json(ids: &[JobId]) -> String {
    serde_json::to_string(&ids.iter().map(|id| id.0).collect::<Vec<_>>()).unwrap_or_default()
}
