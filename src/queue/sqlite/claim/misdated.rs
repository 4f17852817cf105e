//! Rows with the times of a clock that has been set back since: inserted after the agent had moved the queue's times
//! along, by a program that had looked at the clock before. Nobody ever claimed them, so no wait of theirs is the
//! agent's, and the old clock's is none either: they are due now, or when their producer wishes.
//!
//! Looked for without a lock, among the rows that have come since, for as long as stamps of the old clock lie ahead.
//! Where the clock was never set back, only a start looks, and only among the newest rows.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::sqlite::SqliteConnection;

use crate::job::{JobId, format_utc};
use crate::queue::sqlite::batch::REPAIR_BATCH;
use crate::queue::sqlite::batch::change;
use crate::queue::sqlite::claim::lane_heads::lanes;
use crate::queue::sqlite::clock::steady;
use crate::queue::sqlite::fragments::wished;
use crate::queue::sqlite::write_pacer::WritePacer;

/// Two programs' idea of now on one machine differs by less.
pub const DRIFT: TimeDelta = TimeDelta::seconds(5);
/// Nobody takes longer from a look at the clock to the end of the transaction.
const LONGEST: TimeDelta = TimeDelta::hours(1);
/// Between two looks, …
const EVERY: Duration = Duration::from_secs(1);
/// … or so many times as long as one takes: to pass over a million jobs that are to be sent later takes a tenth of a
/// second if they came before the clock was set, and seconds if they came after it.
const SHARE: u32 = 20;
/// A start looks at so many of the newest rows.
const RECENT: i64 = 10_000;

/// A time in whatever form its writer chose, in the agent's form; NULL where it is not a time.
macro_rules! stamp {
    ($column:literal) => {
        concat!(
            "iif(",
            $column,
            " GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*', strftime('%Y-%m-%dT%H:%M:%fZ', ",
            $column,
            "), NULL)"
        )
    };
}
pub(crate) use stamp;

/// Of a pending job: nobody has claimed it, and it was stamped later than [`ahead_of`] now.
macro_rules! is_misdated {
    ($ahead:literal) => {
        concat!("(claims = 0 AND in_doubt = 0 AND coalesce(", stamp!("created_at"), ", '') > ", $ahead, ")")
    };
}
pub(crate) use is_misdated;

/// Those that wait for more than now, ?1, and their producer's wish; ?2 is [`ahead_of`] now. Only jobs inserted after ?3,
/// which the index tells, are looked at themselves. The plus keeps SQLite from looking for them by their ids.
const FIND: &str = concat!(
    "WITH RECURSIVE ",
    lanes!(),
    " SELECT id FROM l CROSS JOIN jobs INDEXED BY jobs_waiting
    WHERE state = 'pending' AND behind IS NULL AND mailbox_key = l.k AND mails = l.m AND priority = l.p
        AND next_attempt_at > ?1 AND +id > ?3 AND ",
    is_misdated!("?2"),
    " AND next_attempt_at > ",
    wished!(),
    " UNION ALL SELECT id FROM jobs INDEXED BY jobs_waiting
    WHERE state = 'pending' AND behind IS NOT NULL AND next_attempt_at > ?1 AND +id > ?3 AND ",
    is_misdated!("?2"),
    " AND next_attempt_at > ",
    wished!(),
    " LIMIT ?4 + 0"
);

/// The jobs in ?1, a JSON array of ids, as far as they still are what was found; ?2 is now, ?3 [`ahead_of`] it.
const BRING_FORWARD: &str = concat!(
    "UPDATE jobs SET next_attempt_at = max(?2, ",
    wished!(),
    ") WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'pending' AND ",
    is_misdated!("?3"),
    " RETURNING id"
);

const LAST: &str = "SELECT coalesce(max(id), 0) FROM jobs";

/// Whether to look for misdated jobs, and when.
#[derive(Debug, Default)]
pub struct MisdatedJobs(Option<Watch>);

#[derive(Clone, Copy, Debug)]
struct Watch {
    /// Rows inserted before that have been moved along.
    after: i64,
    next: DateTime<Utc>,
    /// From then on the old clock's stamps are not ahead any more.
    until: DateTime<Utc>,
}

impl MisdatedJobs {
    /// The clock was set to `now` from a time `by` earlier (negative: later); all jobs up to `last` were moved along.
    pub fn clock_set(&mut self, now: DateTime<Utc>, by: TimeDelta, last: i64) {
        let before = self.0.take();
        if before.is_none() && by >= -DRIFT {
            return;
        }
        let ahead = (-by).clamp(TimeDelta::zero(), LONGEST);
        let mut watch = Watch { after: last, next: now, until: plus(now, ahead) };
        if let Some(before) = before {
            watch.after = watch.after.min(before.after);
            watch.until = watch.until.max(plus(before.until, by));
        }
        self.0 = Some(watch);
    }

    /// A start found misdated jobs: the clock was set back, and nobody knows when and how far.
    pub fn clock_was_set(&mut self, now: DateTime<Utc>, last: i64) {
        self.clock_set(now, -LONGEST, last);
    }

    /// When to look again.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.0.map(|watch| watch.next)
    }

    /// Looks, if it is time to, and brings forward what is found. Tells whether there was anything.
    pub async fn look(
        &mut self,
        connection: &mut SqliteConnection,
        pacer: &mut WritePacer,
        now: DateTime<Utc>,
    ) -> sqlx::Result<bool> {
        let Some(watch) = self.0.filter(|watch| watch.next <= now) else { return Ok(false) };
        let begin = steady();
        let found = find(connection, now, watch.after, REPAIR_BATCH).await?;
        let took = begin.elapsed();
        let moved = if found.is_empty() { 0 } else { bring_forward(connection, pacer, now, &found).await? };
        let wait = TimeDelta::from_std(EVERY.max(took * SHARE)).unwrap_or(LONGEST);
        self.0 = match moved == REPAIR_BATCH {
            // There are more, for the next claim: it lets others in between.
            true => Some(Watch { next: now, ..watch }),
            false => (now < watch.until).then(|| Watch { next: plus(now, wait).min(watch.until), ..watch }),
        };
        Ok(moved > 0)
    }
}

/// Whether there is one among the rows inserted last.
pub async fn any(connection: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let after = last(connection).await? - RECENT;
    Ok(!find(connection, now, after, 1).await?.is_empty())
}

/// The id of the job inserted last.
pub async fn last(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar(LAST).fetch_one(connection).await
}

async fn find(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
    after: i64,
    limit: usize,
) -> sqlx::Result<Vec<JobId>> {
    let ids: Vec<i64> = sqlx::query_scalar(FIND)
        .bind(format_utc(now))
        .bind(ahead_of(now))
        .bind(after)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// Tells how many were.
async fn bring_forward(
    connection: &mut SqliteConnection,
    pacer: &mut WritePacer,
    now: DateTime<Utc>,
    found: &[JobId],
) -> sqlx::Result<usize> {
    pacer.delay().await;
    let begin = steady();
    let (at, ahead) = (format_utc(now), ahead_of(now));
    let changed = change(connection, found, BRING_FORWARD, |query| query.bind(&at).bind(&ahead)).await?;
    pacer.write_took(begin.elapsed(), steady());
    Ok(changed.done.len())
}

/// What was stamped later than this was stamped by another clock.
pub fn ahead_of(now: DateTime<Utc>) -> String {
    format_utc(plus(now, DRIFT))
}

/// The end of the calendar, should it come to that, is as good as any time of it.
fn plus(time: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    time.checked_add_signed(by).unwrap_or(time)
}

/// The statements, for the test that looks at their plans.
#[cfg(test)]
pub const STATEMENTS: [&str; 2] = [FIND, BRING_FORWARD];
