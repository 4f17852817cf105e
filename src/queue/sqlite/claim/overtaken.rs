//! Jobs that end without an attempt, before a claim takes anything: those whose `not_after` has passed, and those that a later
//! delete of the same event cancels because no request for them has left. Where nothing is left to delete then, the delete is
//! cancelled with them.
//!
//! Looked for when somebody has written, and when the next deadline or the time of a delete has come: else it costs nothing. It
//! does not depend on lanes: mailboxes on hold and paused ones are included.

use serde::Deserialize;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use crate::job::{ErrorKind, JobId};
use crate::queue::sqlite::batch::change;
use crate::queue::sqlite::clock::steady;
use crate::queue::sqlite::transaction::{begin, end, is_refusal, words};
use crate::queue::withheld::WithheldJobs;
use crate::queue::{LaneKey, Refusal};

/// Most that are ended at a time, of both kinds: what is left is found by the next claim.
const MOST: usize = 200;

/// A job of which no request can have left.
macro_rules! never_left {
    ($job:literal) => {
        concat!($job, ".state = 'pending' AND ", $job, ".first_sent_at IS NULL AND ", $job, ".in_doubt = 0")
    };
}

/// The jobs of a delete's event that it cancels, `$event` being the column that names the event. The other name is NULL.
macro_rules! cancelled_by {
    ($which:literal, $event:literal) => {
        concat!(
            "SELECT ",
            $which,
            " FROM jobs AS e WHERE e.",
            $event,
            " = d.",
            $event,
            " AND e.id < d.id AND ",
            never_left!("e")
        )
    };
}

/// What is late at ?1, when the next will be, the deletes that have something to cancel, and when the next may have.
macro_rules! look {
    () => {
        concat!(
            "SELECT (SELECT json_group_array(id) FROM (SELECT id FROM jobs
            WHERE state = 'pending' AND in_doubt = 0 AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2 + 0)),
        (SELECT json_group_array(id) FROM (SELECT d.id FROM jobs AS d
            WHERE d.state = 'pending' AND d.behind IS NOT NULL AND d.operation = 'delete' AND d.next_attempt_at <= ?1
                AND (d.expires_at IS NULL OR d.expires_at > ?1)
                AND CASE WHEN d.event_key IS NOT NULL THEN EXISTS (",
            cancelled_by!("1", "event_key"),
            ") ELSE EXISTS (",
            cancelled_by!("1", "target_event_id"),
            ") END
            ORDER BY d.next_attempt_at LIMIT ?2 + 0)),
        (SELECT min(expires_at) FROM jobs WHERE state = 'pending' AND in_doubt = 0 AND expires_at > ?1),
        (SELECT min(next_attempt_at) FROM jobs
            WHERE state = 'pending' AND behind IS NOT NULL AND operation = 'delete' AND next_attempt_at > ?1)"
        )
    };
}
const LOOK: &str = concat!("PRAGMA data_version; ", look!());

/// The jobs in ?1, a JSON array of ids, as far as they are late at ?2.
const EXPIRE: &str = "UPDATE jobs SET state = 'failed', finished_at = ?2, error_kind = 'expired', cause = 'not_after_passed',
        http_status = NULL, error_code = NULL,
        error_message = 'not_after: this time has passed, so nothing is sent any more; insert the job again if it is still wanted'
    WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'pending' AND in_doubt = 0 AND expires_at <= ?2 RETURNING id";

/// What the delete ?1 cancels at ?2.
const CALL_OFF: &str = concat!(
    "UPDATE jobs SET state = 'cancelled', finished_at = ?2, error_kind = 'superseded', cause = 'superseded',
        http_status = NULL, error_code = NULL,
        error_message = 'cancelled by job ' || ?1 || ', which deletes the event; no request for this job had been sent'
    WHERE id IN (SELECT e.id FROM jobs AS d CROSS JOIN jobs AS e ON e.event_key = d.event_key AND e.id < d.id
            WHERE d.id = ?1 AND d.state = 'pending' AND d.operation = 'delete' AND ",
    never_left!("e"),
    " UNION ALL SELECT e.id FROM jobs AS d CROSS JOIN jobs AS e ON e.target_event_id = d.target_event_id AND e.id < d.id
            WHERE d.id = ?1 AND d.state = 'pending' AND d.operation = 'delete' AND ",
    never_left!("e"),
    ") RETURNING id"
);

/// The delete ?1 itself, at ?2, if the event it means was cancelled just now and there is no other of its key: none that exists,
/// none that may exist. Where its create failed it is not cancelled, and fails in its turn.
const CALL_OFF_ITSELF: &str = concat!(
    "UPDATE jobs SET state = 'cancelled', finished_at = ?2, error_kind = 'superseded', cause = 'superseded',
        http_status = NULL, error_code = NULL,
        error_message = 'cancelled together with the jobs before it: no request for this event had been sent, so there is nothing to delete'
    WHERE id = ?1 AND ",
    never_left!("jobs"),
    " AND (SELECT c.state = 'cancelled' AND c.error_kind IS 'superseded' FROM jobs AS c
            WHERE c.event_key = jobs.event_key AND c.operation = 'create' AND c.id < jobs.id ORDER BY c.id DESC LIMIT 1)
        AND NOT EXISTS (SELECT 1 FROM jobs AS c
            WHERE c.event_key = jobs.event_key AND c.operation = 'create' AND c.id < jobs.id
                AND (c.in_doubt = 1 OR c.state IN ('pending', 'claimed') OR c.state = 'sent' AND NOT EXISTS (
                    SELECT 1 FROM jobs AS gone WHERE gone.event_key = jobs.event_key AND gone.operation = 'delete'
                        AND gone.state = 'sent' AND gone.id > c.id AND gone.id < jobs.id)))
    RETURNING id"
);

/// When to look for them again.
#[derive(Debug, Default)]
pub struct OvertakenJobs {
    /// The next deadline, or the time of the next delete that waits behind another job.
    next: Option<String>,
    /// `PRAGMA data_version` of the last look.
    seen: Option<i64>,
}

/// What was ended, and what a trigger refuses to have ended.
#[derive(Debug, Default)]
pub struct Overtaken {
    pub ended: Vec<(JobId, ErrorKind)>,
    pub refused: Vec<Refusal>,
}

#[derive(Deserialize)]
struct Ids(Vec<i64>);

impl OvertakenJobs {
    /// The time has come for one of them.
    pub fn are_due(&self, now: &str) -> bool {
        self.next.as_deref().is_some_and(|next| next <= now)
    }

    /// Nobody else has written since the last look, if this is `PRAGMA data_version` now.
    pub fn saw(&self, version: i64) -> bool {
        self.seen == Some(version)
    }

    /// When it comes for the next one.
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Looks, and ends what is found.
    pub async fn end(
        &mut self,
        connection: &mut SqliteConnection,
        withheld: &mut WithheldJobs,
        now: &str,
    ) -> sqlx::Result<Overtaken> {
        let most = i64::try_from(MOST).unwrap_or(i64::MAX);
        let rows = sqlx::query(LOOK).bind(now).bind(most).fetch_all(&mut *connection).await?;
        let [version, row] = rows.as_slice() else { return Err(sqlx::Error::RowNotFound) };
        self.seen = Some(version.try_get(0)?);
        let (late, deletes) = (ids(row.try_get(0)?)?, ids(row.try_get(1)?)?);
        let times: [Option<String>; 2] = [row.try_get(2)?, row.try_get(3)?];
        self.next = times.into_iter().flatten().min();
        if late.len().max(deletes.len()) == MOST {
            // There are more.
            self.next = Some(now.to_owned());
        }
        let mut overtaken = Overtaken::default();
        let awake = |ids: Vec<i64>, withheld: &WithheldJobs| -> Vec<i64> {
            ids.into_iter().filter(|id| !withheld.is_paused(*id, steady())).collect()
        };
        let late = awake(late, withheld);
        if !late.is_empty() {
            expire(connection, withheld, &late, now, &mut overtaken).await?;
        }
        let mut deletes = awake(deletes, withheld);
        // The last one cancels those before it.
        deletes.sort_unstable_by(|a, b| b.cmp(a));
        if !deletes.is_empty() {
            call_off(connection, withheld, &deletes, now, &mut overtaken).await?;
        }
        Ok(overtaken)
    }
}

async fn expire(
    connection: &mut SqliteConnection,
    withheld: &mut WithheldJobs,
    late: &[i64],
    now: &str,
    overtaken: &mut Overtaken,
) -> sqlx::Result<()> {
    let late: Vec<JobId> = late.iter().copied().map(JobId).collect();
    let changed = change(connection, &late, EXPIRE, |query| query.bind(now)).await?;
    overtaken.ended.extend(changed.done.into_iter().map(|id| (id, ErrorKind::Expired)));
    for (id, why) in changed.refused {
        overtaken.refused.extend(note(withheld, id.0, why));
    }
    Ok(())
}

/// All in one transaction; where one is refused, each in its own.
async fn call_off(
    connection: &mut SqliteConnection,
    withheld: &mut WithheldJobs,
    deletes: &[i64],
    now: &str,
    overtaken: &mut Overtaken,
) -> sqlx::Result<()> {
    let error = match call_off_together(connection, deletes, now).await {
        Ok(ended) => {
            overtaken.ended.extend(ended);
            return Ok(());
        }
        Err(error) => error,
    };
    if !is_refusal(&error) {
        return Err(error);
    }
    for delete in deletes {
        match call_off_together(connection, &[*delete], now).await {
            Ok(ended) => overtaken.ended.extend(ended),
            Err(error) if is_refusal(&error) => overtaken.refused.extend(note(withheld, *delete, words(&error))),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn call_off_together(
    connection: &mut SqliteConnection,
    deletes: &[i64],
    now: &str,
) -> sqlx::Result<Vec<(JobId, ErrorKind)>> {
    begin(connection).await?;
    let done = call_off_each(connection, deletes, now).await;
    let ended = end(connection, done).await?;
    Ok(ended.into_iter().map(|id| (JobId(id), ErrorKind::Superseded)).collect())
}

async fn call_off_each(connection: &mut SqliteConnection, deletes: &[i64], now: &str) -> sqlx::Result<Vec<i64>> {
    let mut ended = Vec::new();
    for delete in deletes {
        for statement in [CALL_OFF, CALL_OFF_ITSELF] {
            let ids: Vec<i64> =
                sqlx::query_scalar(statement).bind(delete).bind(now).fetch_all(&mut *connection).await?;
            ended.extend(ids);
        }
    }
    Ok(ended)
}

fn note(withheld: &mut WithheldJobs, id: i64, why: String) -> Option<Refusal> {
    withheld.note(id, &LaneKey::of(""), why, false, steady())
}

fn ids(json: &[u8]) -> sqlx::Result<Vec<i64>> {
    let Ids(ids) = serde_json::from_slice(json).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(ids)
}

/// The statements, for the test that looks at their plans.
#[cfg(test)]
pub const STATEMENTS: [&str; 4] = [look!(), EXPIRE, CALL_OFF, CALL_OFF_ITSELF];
