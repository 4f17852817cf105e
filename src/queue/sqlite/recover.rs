//! What time has done while nobody looked: rows a dead agent left claimed, and times written by a clock that has been
//! set since.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::super::{LaneKey, Recovered};
use super::frontier::{lane, lane_key};
use super::settle::{self, rounded_up};
use super::strays::{self, DRIFT, Strays, ahead_of, stamp, stray};
use crate::job::{REPEAT_WAIT, format_utc, parse_utc};

/// The newest time any writer took from the clock, without a walk through the table: of the last row inserted, the
/// last attempt made, the last mailbox paused. Nothing of those that are no time.
const NEWEST_STAMP: &str = concat!(
    "SELECT max(
    coalesce((SELECT ",
    stamp!("created_at"),
    " FROM jobs ORDER BY id DESC LIMIT 1), ''),
    coalesce((SELECT ",
    stamp!("started_at"),
    " FROM attempts ORDER BY id DESC LIMIT 1), ''),
    coalesce((SELECT max(",
    stamp!("updated_at"),
    ") FROM mailboxes), ''))"
);

/// When the producer wishes the job to be sent, as the schema reads `not_before`; the empty text, which is before every
/// time, where nothing is wished or can be.
macro_rules! wished {
    () => {
        "iif(not_before IS NULL, '', coalesce((SELECT due FROM job_wishes WHERE job_wishes.id = jobs.id), ''))"
    };
}
pub(super) use wished;

/// The clock was set back: ?1 is the time now, ?2 how far as SQLite's modifier, ?3 [`ahead_of`] now. A wait the agent
/// imposed is not made longer, what was due stays due, and what is only stamped by the old clock is due; what the producer
/// wished is a time of day and stays.
const MOVE_WAITS: &str = concat!(
    "UPDATE jobs SET next_attempt_at = max(?1, iif(",
    stray!("?3"),
    ", '', coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', next_attempt_at, ?2), '')), ",
    wished!(),
    ") WHERE state = 'pending' AND next_attempt_at > ?1 AND next_attempt_at > ",
    wished!()
);

/// The same for the pauses a dead agent left, told by when they were written.
const MOVE_PAUSES: &str = "UPDATE mailboxes
    SET paused_until = coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', paused_until, ?2), paused_until), updated_at = ?1,
        asked_until = coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', asked_until, ?2), asked_until)
    WHERE updated_at > ?1";

/// The clock was set forward: nothing is given up earlier for it.
const MOVE_HORIZONS: [&str; 2] = [
    "UPDATE jobs SET give_up_at = coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', give_up_at, ?1), give_up_at)
    WHERE state = 'pending' AND give_up_at IS NOT NULL",
    "UPDATE jobs SET give_up_at = coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', give_up_at, ?1), give_up_at)
    WHERE state = 'claimed' AND give_up_at IS NOT NULL",
];

/// Not where somebody has ended it and the agent has not seen that yet.
const SET_PAUSE: &str = "UPDATE mailboxes SET paused_until = ?2, updated_at = ?3,
        asked_until = coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', asked_until, ?4), asked_until)
    WHERE mailbox = ?1 AND resumed_at IS NULL";

/// ?1 is when their requests may be repeated, however long ago the jobs were claimed; ?2 now.
const PUT_BACK: &str = concat!(
    "UPDATE jobs INDEXED BY jobs_claimed SET state = 'pending', in_doubt = 1, next_attempt_at = ?1,
        first_sent_at = coalesce(first_sent_at, strftime('%Y-%m-%dT%H:%M:%fZ', claimed_at), ?2)
    WHERE state = 'claimed'
    RETURNING CAST(",
    lane!(),
    " AS BLOB)"
);

pub(super) async fn recover(
    connection: &mut SqliteConnection,
    strays: &mut Strays,
    now: DateTime<Utc>,
) -> sqlx::Result<Recovered> {
    let any_stray = strays::any(connection, now).await?;
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let ahead = newest_stamp(&mut tx).await?.map(|stamp| stamp - now).filter(|ahead| *ahead > DRIFT);
    // Strays alone tell that the clock was set back, but not how far: by whom has been at work since.
    if let Some(ahead) = ahead.or(any_stray.then(TimeDelta::zero)) {
        set_back(&mut tx, now, -ahead).await?;
        sqlx::query(MOVE_PAUSES).bind(format_utc(now)).bind(modifier(-ahead)).execute(&mut *tx).await?;
    }
    let lanes: Vec<Vec<u8>> = sqlx::query_scalar(PUT_BACK)
        .bind(format_utc(now + REPEAT_WAIT))
        .bind(format_utc(now))
        .fetch_all(&mut *tx)
        .await?;
    let last = strays::last(&mut tx).await?;
    tx.commit().await?;
    // The default zone may be another one now.
    while settle::wake(connection, now).await? > 0 {}
    match ahead {
        Some(ahead) => strays.clock_set(now, -ahead, last),
        None if any_stray => strays.clock_was_set(now, last),
        None => {}
    }
    Ok(Recovered { jobs: lanes.len() as u64, lanes: lanes.iter().map(|raw| lane_key(raw, None)).collect() })
}

async fn newest_stamp(connection: &mut SqliteConnection) -> sqlx::Result<Option<DateTime<Utc>>> {
    let stamp: String = sqlx::query_scalar(NEWEST_STAMP).fetch_one(connection).await?;
    Ok(parse_utc(&stamp))
}

pub(super) async fn clock_set(
    connection: &mut SqliteConnection,
    strays: &mut Strays,
    now: DateTime<Utc>,
    by: TimeDelta,
    rests: &[(LaneKey, DateTime<Utc>)],
) -> sqlx::Result<()> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    if by < TimeDelta::zero() {
        set_back(&mut tx, now, by).await?;
    } else {
        for horizons in MOVE_HORIZONS {
            sqlx::query(horizons).bind(modifier(by)).execute(&mut *tx).await?;
        }
    }
    for (lane, until) in rests {
        let (until, now) = (format_utc(rounded_up(*until)), format_utc(now));
        sqlx::query(SET_PAUSE).bind(lane.as_str()).bind(until).bind(now).bind(modifier(by)).execute(&mut *tx).await?;
    }
    let last = strays::last(&mut tx).await?;
    tx.commit().await?;
    strays.clock_set(now, by, last);
    Ok(())
}

async fn set_back(connection: &mut SqliteConnection, now: DateTime<Utc>, by: TimeDelta) -> sqlx::Result<()> {
    sqlx::query(MOVE_WAITS).bind(format_utc(now)).bind(modifier(by)).bind(ahead_of(now)).execute(connection).await?;
    Ok(())
}

/// As strftime takes it.
fn modifier(by: TimeDelta) -> String {
    let sign = if by < TimeDelta::zero() { '-' } else { '+' };
    let milliseconds = by.num_milliseconds().unsigned_abs();
    format!("{sign}{}.{:03} seconds", milliseconds / 1000, milliseconds % 1000)
}
