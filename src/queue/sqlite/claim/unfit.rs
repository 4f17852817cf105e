//! Jobs that no claim would ever find: in no lane, or in no state at all. A job is in no lane where a writer has switched the
//! checks off and had it wait for a time that is none: it ends with the reason, before the next walk over the lanes. So is one
//! that was inserted while the queue's triggers were missing: it is put into its lane. What is in no state is told by a start,
//! and left as it is: nobody knows what has become of it.

use sqlx::sqlite::SqliteConnection;

use crate::job::JobId;
use crate::queue::sqlite::clock::steady;
use crate::queue::sqlite::transaction::{is_refusal, words};
use crate::queue::withheld::WithheldJobs;
use crate::queue::{LaneKey, Refusal};

/// A few at a time: what is left is found by the next walk. They stand before all lanes in the index.
const WAITING: &str =
    "SELECT id FROM jobs WHERE state = 'pending' AND behind IS NULL AND mailbox_key IS NULL LIMIT 100";
/// Only if it can wait there.
const INTO_ITS_LANE: &str =
    "UPDATE jobs SET (mailbox_key, mails) = (SELECT mailbox_key, mails FROM job_lanes WHERE job_lanes.id = jobs.id)
    WHERE id = ?1 AND state = 'pending' AND (SELECT mailbox_key FROM job_lanes WHERE job_lanes.id = jobs.id) IS NOT NULL";
/// With a time in the place of what is none, so that the row is in order.
const END: &str = "UPDATE jobs SET state = 'failed', finished_at = ?2, next_attempt_at = ?2, error_kind = 'invalid_job',
        cause = 'invalid_row',
        error_code = 'invalid_row', error_message = iif(typeof(priority) = 'integer',
            'next_attempt_at: was not a time, and only the agent writes it, so this job was never due: insert it again without this column',
            'priority: is not -1, 0 or 1, so this job had no turn: insert it again with one of these')
    WHERE id = ?1 AND state = 'pending'";
/// As in the index `jobs_unfit`, to the letter: there are no others in it.
const STATELESS: &str = "SELECT id FROM jobs
    WHERE state <> 'pending' AND state <> 'claimed' AND state <> 'sent' AND state <> 'failed' AND state <> 'cancelled'
    ORDER BY id LIMIT 1000";

/// Ends those that wait and returns which. What a trigger refuses is withheld like a refused claim.
pub async fn end(
    connection: &mut SqliteConnection,
    withheld: &mut WithheldJobs,
    now: &str,
) -> sqlx::Result<(Vec<JobId>, Vec<Refusal>)> {
    let (mut ended, mut new) = (Vec::new(), Vec::new());
    for id in ids(connection, WAITING).await? {
        if withheld.is_paused(id, steady()) {
            continue;
        }
        match put_right(connection, id, now).await {
            Ok(true) => ended.push(JobId(id)),
            Ok(false) => {}
            Err(error) if is_refusal(&error) => {
                new.extend(withheld.note(id, &LaneKey::of(""), words(&error), false, steady()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((ended, new))
}

/// Whether it has ended.
async fn put_right(connection: &mut SqliteConnection, id: i64, now: &str) -> sqlx::Result<bool> {
    if sqlx::query(INTO_ITS_LANE).bind(id).execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(false);
    }
    Ok(sqlx::query(END).bind(id).bind(now).execute(connection).await?.rows_affected() > 0)
}

/// Those in no state.
pub async fn stateless(connection: &mut SqliteConnection) -> sqlx::Result<Vec<Refusal>> {
    let why = "its state is not one that a job can have; with the agent stopped, set it to 'failed' (with finished_at), and check the calendar for an event";
    let found = ids(connection, STATELESS).await?;
    Ok(found.into_iter().map(|id| Refusal { id: JobId(id), why: why.to_owned() }).collect())
}

async fn ids(connection: &mut SqliteConnection, which: &'static str) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(which).fetch_all(connection).await
}

/// The statements, for the test that looks at their plans.
#[cfg(test)]
pub const STATEMENTS: [&str; 2] = [WAITING, STATELESS];
