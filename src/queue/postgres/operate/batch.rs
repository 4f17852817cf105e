//! One change of many rows by their ids, where what others have made of one row stands in the way of no other.

use sqlx::Postgres;
use sqlx::Row;
use sqlx::postgres::{PgArguments, PgConnection};

use crate::job::JobId;
use crate::queue::Changed;
use crate::queue::postgres::errors::{gave_way, is_refusal, words};
use crate::queue::postgres::link::{STATEMENT, within};

type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// How often a change is tried again that had to give way to somebody else's.
const GIVE_WAY: u32 = 5;

/// All at once; where one row is refused, one by one, so that no row somebody broke and no trigger of theirs stands in the way of
/// the others.
pub async fn change<'q>(
    connection: &mut PgConnection,
    ids: &[JobId],
    statement: &'static str,
    bind: impl Fn(Query<'q>) -> Query<'q> + Sync,
) -> sqlx::Result<Changed> {
    let mut changed = Changed::default();
    match change_together(connection, ids, statement, &bind).await {
        Ok(done) => changed.done = done,
        Err(error) if is_refusal(&error) => {
            for id in ids {
                match change_together(connection, &[*id], statement, &bind).await {
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

async fn change_together<'q>(
    connection: &mut PgConnection,
    ids: &[JobId],
    statement: &'static str,
    bind: &(impl Fn(Query<'q>) -> Query<'q> + Sync),
) -> sqlx::Result<Vec<JobId>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let mut tries = 0;
    loop {
        let query = bind(sqlx::query(statement).bind(ids.clone()));
        match within(STATEMENT, query.fetch_all(&mut *connection)).await {
            Err(error) if gave_way(&error) && tries < GIVE_WAY => tries += 1,
            done => return done?.iter().map(|row| row.try_get(0).map(JobId)).collect(),
        }
    }
}
