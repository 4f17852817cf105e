//! Jobs that no claim would ever find, as a writer leaves them who has switched the checks off: waiting for a time that is
//! none, or in no state at all. The former end with the reason, before the next walk over the lanes; the latter are told by a
//! start, and left as they are: nobody knows what has become of them.

use sqlx::sqlite::SqliteConnection;

use crate::job::JobId;
use crate::queue::sqlite::claim::withheld::WithheldJobs;
use crate::queue::sqlite::clock::steady;
use crate::queue::sqlite::settle::{is_refusal, words};
use crate::queue::{LaneKey, Refusal};

/// As in the index `jobs_unfit`, to the letter: there are no others in it.
macro_rules! unfit {
    () => {
        "(state NOT IN ('pending', 'claimed', 'sent', 'failed', 'cancelled') OR state = 'pending' AND (
        typeof(next_attempt_at) <> 'text' OR next_attempt_at NOT GLOB
            '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]Z'))"
    };
}

/// A few at a time: what is left is found by the next walk. The plus keeps SQLite from putting the constant into the rest, which
/// would be another condition than the index has, and from walking over the table in the order of ids.
const WAITING: &str = concat!("SELECT id FROM jobs WHERE ", unfit!(), " AND +state = 'pending' LIMIT 100");
/// With a time in the place of what is none, so that the row is in order.
const END: &str = "UPDATE jobs SET state = 'failed', finished_at = ?2, next_attempt_at = ?2, error_kind = 'invalid_job',
        error_code = 'invalid_row', error_message = 'next_attempt_at: was no time, and the agent alone writes it, so this job was '
            || 'never due: insert it anew without this column'
    WHERE id = ?1 AND state = 'pending'";
const STATELESS: &str =
    concat!("SELECT id FROM jobs WHERE ", unfit!(), " AND +state <> 'pending' ORDER BY +id LIMIT 1000");

/// Ends those that wait and returns which. What a trigger refuses is withheld like a refused claim.
pub async fn end(
    connection: &mut SqliteConnection,
    withheld: &mut WithheldJobs,
    now: &str,
) -> sqlx::Result<(Vec<JobId>, Vec<Refusal>)> {
    let (mut ended, mut new) = (Vec::new(), Vec::new());
    for id in ids(connection, WAITING).await? {
        if withheld.rests(id, steady()) {
            continue;
        }
        match sqlx::query(END).bind(id).bind(now).execute(&mut *connection).await {
            Ok(_) => ended.push(JobId(id)),
            Err(error) if is_refusal(&error) => {
                new.extend(withheld.note(id, &LaneKey::of(""), words(&error), false, steady()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((ended, new))
}

/// Those in no state.
pub async fn stateless(connection: &mut SqliteConnection) -> sqlx::Result<Vec<Refusal>> {
    let why = "its state is none that a job can have; with the agent stopped, set it to 'failed' (with finished_at), and \
               look in the calendar whether there is an event";
    let found = ids(connection, STATELESS).await?;
    Ok(found.into_iter().map(|id| Refusal { id: JobId(id), why: why.to_owned() }).collect())
}

async fn ids(connection: &mut SqliteConnection, which: &'static str) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(which).fetch_all(connection).await
}

/// The statements, for the test that looks at their plans.
#[cfg(test)]
pub const STATEMENTS: [&str; 2] = [WAITING, STATELESS];
