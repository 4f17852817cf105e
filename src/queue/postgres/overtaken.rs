//! Jobs that end without an attempt, before a claim takes anything: those whose `not_after` has passed, and those that a later
//! delete of the same event cancels because no request for them has left. Where nothing is left to delete then, the delete is
//! cancelled with them. Any agent ends them, whoever serves the mailbox; of two only one finds the row.
//!
//! Events whose order could not be settled when one of their jobs moved are put in order here, too.

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::clock::steady;
use super::errors::{is_of_the_row, words};
use super::time::time;
use crate::job::{ErrorKind, JobId};
use crate::queue::withheld::WithheldJobs;
use crate::queue::{LaneKey, Refusal};

/// Most that are ended at a time, of both kinds: what is left is found by the next claim.
const MOST: i64 = 200;

/// A job of which no request can have left.
macro_rules! never_left {
    ($job:literal) => {
        concat!($job, ".state = 'pending' AND ", $job, ".first_sent_at IS NULL AND NOT ", $job, ".in_doubt")
    };
}

/// The jobs of the event of the delete `d` that it cancels.
macro_rules! cancelled_by {
    ($event:literal) => {
        concat!(
            "SELECT e.id FROM jobs AS e WHERE e.",
            $event,
            " = d.",
            $event,
            " AND e.id < d.id AND ",
            never_left!("e")
        )
    };
}

/// What is late, when the next will be, the deletes that have something to cancel, and when the next may have.
const LOOK: &str = concat!(
    "SELECT ARRAY(SELECT id FROM jobs WHERE state = 'pending' AND NOT in_doubt AND expires_at <= now()
            ORDER BY expires_at LIMIT $1) AS late,
        ARRAY(SELECT d.id FROM jobs AS d
            WHERE d.state = 'pending' AND d.behind IS NOT NULL AND d.operation = 'delete' AND d.next_attempt_at <= now()
                AND (d.expires_at IS NULL OR d.expires_at > now())
                AND CASE WHEN d.event_key IS NOT NULL THEN EXISTS (",
    cancelled_by!("event_key"),
    ") ELSE EXISTS (",
    cancelled_by!("target_event_id"),
    ") END
            ORDER BY d.next_attempt_at LIMIT $1) AS deletes,
        least((SELECT min(expires_at) FROM jobs WHERE state = 'pending' AND NOT in_doubt AND expires_at > now()),
            (SELECT min(next_attempt_at) FROM jobs
                WHERE state = 'pending' AND behind IS NOT NULL AND operation = 'delete' AND next_attempt_at > now())) AS next,
        EXISTS (SELECT 1 FROM unsettled_turns) AS unsettled"
);

/// The jobs in $1, as far as they are late.
const EXPIRE: &str = "UPDATE jobs SET state = 'failed', finished_at = clock_timestamp(), error_kind = 'expired',
        cause = 'not_after_passed', http_status = NULL, error_code = NULL,
        error_message = 'not_after: this time has passed, so nothing is sent any more; insert the job again if it is still wanted'
    WHERE id = ANY($1) AND state = 'pending' AND NOT in_doubt AND expires_at <= now() RETURNING id";

/// What the delete $1 cancels.
const CALL_OFF: &str = concat!(
    "UPDATE jobs SET state = 'cancelled', finished_at = clock_timestamp(), error_kind = 'superseded', cause = 'superseded',
        http_status = NULL, error_code = NULL,
        error_message = 'cancelled by job ' || $1 || ', which deletes the event; no request for this job had been sent'
    WHERE id IN (SELECT e.id FROM jobs AS d JOIN jobs AS e ON e.id < d.id
                AND (e.event_key = d.event_key OR d.event_key IS NULL AND e.event_key IS NULL AND e.target_event_id = d.target_event_id)
            WHERE d.id = $1 AND d.state = 'pending' AND d.operation = 'delete' AND ",
    never_left!("e"),
    ") AND ",
    never_left!("jobs"),
    " RETURNING id"
);

/// The delete $1 itself, if the event it means was cancelled just now and there is no other of its key: none that exists, none
/// that may exist. Where its create failed it is not cancelled, and fails in its turn.
const CALL_OFF_ITSELF: &str = concat!(
    "UPDATE jobs SET state = 'cancelled', finished_at = clock_timestamp(), error_kind = 'superseded', cause = 'superseded',
        http_status = NULL, error_code = NULL,
        error_message = 'cancelled together with the jobs before it: no request for this event had been sent, so there is nothing to delete'
    WHERE id = $1 AND ",
    never_left!("jobs"),
    " AND (SELECT c.state = 'cancelled' AND c.error_kind IS NOT DISTINCT FROM 'superseded' FROM jobs AS c
            WHERE c.event_key = jobs.event_key AND c.operation = 'create' AND c.id < jobs.id ORDER BY c.id DESC LIMIT 1)
        AND NOT EXISTS (SELECT 1 FROM jobs AS c
            WHERE c.event_key = jobs.event_key AND c.operation = 'create' AND c.id < jobs.id
                AND (c.in_doubt OR c.state IN ('pending', 'claimed') OR c.state = 'sent' AND NOT EXISTS (
                    SELECT 1 FROM jobs AS gone WHERE gone.event_key = jobs.event_key AND gone.operation = 'delete'
                        AND gone.state = 'sent' AND gone.id > c.id AND gone.id < jobs.id)))
    RETURNING id"
);

/// Puts events in order of which no producer is inserting a job any more. Others stay for the next look.
const SETTLE_TURNS: &str = "WITH free AS (DELETE FROM unsettled_turns AS u
        WHERE pg_try_advisory_xact_lock(hashtextextended(coalesce('k' || u.event_key, 't' || u.target_event_id), 7305))
        RETURNING u.event_key, u.target_event_id)
    UPDATE jobs SET behind = job_turn(jobs) FROM (SELECT DISTINCT event_key, target_event_id FROM free) AS f
    WHERE jobs.state = 'pending' AND jobs.behind IS DISTINCT FROM job_turn(jobs)
        AND (jobs.event_key = f.event_key OR f.event_key IS NULL AND jobs.event_key IS NULL AND jobs.target_event_id = f.target_event_id)";

/// When to look for them again.
#[derive(Debug, Default)]
pub struct OvertakenJobs {
    /// The next deadline, or the time of the next delete that waits behind another job, by the server's clock.
    next: Option<DateTime<Utc>>,
    /// Some events are not in order yet.
    unsettled: bool,
}

/// What was ended, and what a trigger refuses to have ended.
#[derive(Debug, Default)]
pub struct Overtaken {
    pub ended: Vec<(JobId, ErrorKind)>,
    pub refused: Vec<Refusal>,
    /// Jobs have got their turn by it.
    pub moved: bool,
}

impl OvertakenJobs {
    /// The time has come for one of them.
    pub fn are_due(&self, now: DateTime<Utc>) -> bool {
        self.unsettled || self.next.is_some_and(|next| next <= now)
    }

    /// When it comes for the next one.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.next
    }

    /// Looks, and ends what is found.
    pub async fn end(&mut self, connection: &mut PgConnection, withheld: &mut WithheldJobs) -> sqlx::Result<Overtaken> {
        let row = sqlx::query(LOOK).bind(MOST).fetch_one(&mut *connection).await?;
        let (late, mut deletes): (Vec<i64>, Vec<i64>) = (row.try_get("late")?, row.try_get("deletes")?);
        self.next = time(&row, "next")?;
        self.unsettled = row.try_get("unsettled")?;
        let most = usize::try_from(MOST).unwrap_or(usize::MAX);
        if late.len().max(deletes.len()) >= most {
            // There are more.
            self.next = Some(DateTime::UNIX_EPOCH);
        }
        let mut overtaken = Overtaken::default();
        if self.unsettled {
            let done = sqlx::query(SETTLE_TURNS).execute(&mut *connection).await?;
            overtaken.moved = done.rows_affected() > 0;
        }
        let awake = |ids: &mut Vec<i64>, withheld: &WithheldJobs| ids.retain(|id| !withheld.is_paused(*id, steady()));
        let mut late = late;
        awake(&mut late, withheld);
        if !late.is_empty() {
            expire(connection, withheld, &late, &mut overtaken).await?;
        }
        awake(&mut deletes, withheld);
        // The last one cancels those before it.
        deletes.sort_unstable_by(|a, b| b.cmp(a));
        for delete in deletes {
            call_off(connection, withheld, delete, &mut overtaken).await?;
        }
        overtaken.moved |= !overtaken.ended.is_empty();
        Ok(overtaken)
    }
}

/// All at once; where one is refused, each by itself.
async fn expire(
    connection: &mut PgConnection,
    withheld: &mut WithheldJobs,
    late: &[i64],
    overtaken: &mut Overtaken,
) -> sqlx::Result<()> {
    let mut parts: Vec<&[i64]> = vec![late];
    while let Some(part) = parts.pop() {
        match sqlx::query_scalar::<_, i64>(EXPIRE).bind(part).fetch_all(&mut *connection).await {
            Ok(ids) => overtaken.ended.extend(ids.into_iter().map(|id| (JobId(id), ErrorKind::Expired))),
            Err(error) if is_of_the_row(&error) => match part {
                [id] => overtaken.refused.extend(note(withheld, *id, &error)),
                part => parts.extend(part.chunks(1)),
            },
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What one delete cancels, and then perhaps the delete, in one transaction: a crash between the two would leave it to fail.
async fn call_off(
    connection: &mut PgConnection,
    withheld: &mut WithheldJobs,
    delete: i64,
    overtaken: &mut Overtaken,
) -> sqlx::Result<()> {
    let mut tx = sqlx::Connection::begin(&mut *connection).await?;
    let mut ended = Vec::new();
    for statement in [CALL_OFF, CALL_OFF_ITSELF] {
        match sqlx::query_scalar::<_, i64>(statement).bind(delete).fetch_all(&mut *tx).await {
            Ok(ids) => ended.extend(ids.into_iter().map(|id| (JobId(id), ErrorKind::Superseded))),
            Err(error) if is_of_the_row(&error) => {
                overtaken.refused.extend(note(withheld, delete, &error));
                return tx.rollback().await;
            }
            Err(error) => return Err(error),
        }
    }
    tx.commit().await?;
    overtaken.ended.extend(ended);
    Ok(())
}

fn note(withheld: &mut WithheldJobs, id: i64, error: &sqlx::Error) -> Option<Refusal> {
    withheld.note(id, &LaneKey::of(""), words(error), false, steady())
}
