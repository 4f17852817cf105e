//! What time has done while nobody looked: rows a dead agent left claimed, and times written by a clock that has been
//! set since.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnection, SqliteExecutor};

use super::fragments::wished;
use super::settle::wake;
use super::transaction::{UNMOVED, begin, commit, end, is_refusal, roll_back, words};
use crate::job::{JobId, REPEAT_WAIT, format_utc, parse_utc};
use crate::queue::sqlite::claim::misdated::{self, DRIFT, MisdatedJobs, ahead_of, is_misdated, stamp};
use crate::queue::sqlite::claim::unfit;
use crate::queue::woken::Woken;
use crate::queue::{Recovered, Refusal};

/// A mailbox as the rows have it.
pub(super) type Lane = Vec<u8>;

/// What the first claim after a start tells beside the pauses: the mailboxes whose last answer a dead agent may have taken with
/// it, a Retry-After among them.
#[derive(Debug)]
pub(super) struct Untold(pub(super) Vec<Lane>);

/// The newest time any writer took from the clock, without a walk through the table: of the last row inserted, the last one
/// that an agent has ended, what is claimed, the attempts of the newest jobs, the last mailbox paused, and the last word of an
/// agent. Nothing of those that are not a time.
const NEWEST_STAMP: &str = concat!(
    "SELECT max(
    coalesce((SELECT ",
    stamp!("created_at"),
    " FROM jobs ORDER BY id DESC LIMIT 1), ''),
    coalesce((SELECT max(",
    stamp!("finished_at"),
    ") FROM (SELECT finished_at, settled, claims FROM jobs WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 100)
        WHERE settled = 'claim ' || claims), ''),
    coalesce((SELECT max(",
    stamp!("claimed_at"),
    ") FROM jobs WHERE state = 'claimed'), ''),
    coalesce((SELECT max(",
    stamp!("started_at"),
    ") FROM (SELECT started_at FROM attempts ORDER BY job_id DESC, claim DESC LIMIT 1000)), ''),
    coalesce((SELECT max(",
    stamp!("lease_until"),
    ") FROM agents), ''),
    coalesce((SELECT max(",
    stamp!("updated_at"),
    ") FROM mailboxes), ''))"
);

/// The clock was set back: ?1 is the time now, ?2 how far as SQLite's modifier, ?3 [`ahead_of`] now. A wait the agent
/// imposed is not made longer, what was due stays due, and what is only stamped by the old clock is due; what the producer
/// wished is a time of day and stays.
const MOVE_WAITS: &str = concat!(
    "UPDATE jobs SET next_attempt_at = max(?1, iif(",
    is_misdated!("?3"),
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

/// The clock was set while the agent runs: ?1 is the time now, ?2 how far, ?3 the time by the clock of before. A pause that was
/// not over goes on for as long as it was to. Not where an operator has ended it: that was by the clock of now.
const KEEP_PAUSES: &str = "UPDATE mailboxes
    SET paused_until = strftime('%Y-%m-%dT%H:%M:%fZ', paused_until, ?2), updated_at = ?1,
        asked_until = coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', asked_until, ?2), asked_until)
    WHERE strftime('%Y-%m-%dT%H:%M:%fZ', paused_until) > ?3 AND resumed_at IS NULL
        AND strftime('%Y-%m-%dT%H:%M:%fZ', paused_until, ?2) IS NOT NULL";

/// ?1 is when their requests may be repeated, however long ago the jobs were claimed; ?2 now. By the agent's own hand: it
/// knows of the doubt.
macro_rules! put_back {
    ($which:literal) => {
        concat!(
            "UPDATE jobs ",
            $which,
            " SET state = 'pending', settled = 'claim ' || claims, claimed_by = NULL, in_doubt = 1, next_attempt_at = ?1,
        first_sent_at = coalesce(first_sent_at, strftime('%Y-%m-%dT%H:%M:%fZ', claimed_at), ?2)
    WHERE state = 'claimed' AND (?3 IS NULL OR id = ?3 AND claims = ?4)
    RETURNING CAST(coalesce(mailbox_key, '') AS BLOB)"
        )
    };
}
const PUT_BACK: &str = put_back!("INDEXED BY jobs_claimed");

const CLAIMED: &str = "SELECT id, CAST(claims AS INTEGER) FROM jobs WHERE state = 'claimed' ORDER BY id";

/// What was put back, and the mailboxes whose jobs those were.
pub(super) async fn recover(
    connection: &mut SqliteConnection,
    misdated_jobs: &mut MisdatedJobs,
    now: DateTime<Utc>,
) -> sqlx::Result<(Recovered, Vec<Lane>)> {
    let any_stray = misdated::any(connection, now).await?;
    let ahead = newest_stamp(connection).await?.map(|stamp| stamp - now).filter(|ahead| *ahead > DRIFT);
    // Misdated jobs alone tell that the clock was set back, but not how far: by whom has been at work since.
    let by = ahead.or(any_stray.then(TimeDelta::zero)).map(|ahead| -ahead);
    let (mut recovered, lanes) = match in_one_go(connection, by, now).await {
        Ok(recovered) => recovered,
        Err(error) => {
            roll_back(connection).await;
            if !is_refusal(&error) {
                return Err(error);
            }
            one_by_one(connection, by, now).await?
        }
    };
    recovered.left.extend(unfit::stateless(connection).await?);
    let last = misdated::last(connection).await?;
    // The default zone may be another one now.
    let mut woken = Some(Woken::none());
    while let Some(so_far) = woken {
        woken = wake(connection, so_far, now).await?;
    }
    match ahead {
        Some(ahead) => misdated_jobs.clock_set(now, -ahead, last),
        None if any_stray => misdated_jobs.clock_was_set(now, last),
        None => {}
    }
    Ok((recovered, lanes))
}

async fn in_one_go(
    connection: &mut SqliteConnection,
    by: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> sqlx::Result<(Recovered, Vec<Lane>)> {
    begin(connection).await?;
    if let Some(by) = by {
        set_back(connection, now, by).await?;
        move_pauses(connection, now, by).await?;
    }
    let lanes = put_back(connection, None, now).await?;
    commit(connection).await?;
    let left = claimed(connection).await?;
    let left = left.into_iter().map(|(id, _)| Refusal { id, why: UNMOVED.into() }).collect();
    Ok((Recovered { jobs: lanes.len() as u64, left }, lanes))
}

/// A row that cannot be put back, because of what is in it or because of somebody's trigger, stays and holds up no other.
async fn one_by_one(
    connection: &mut SqliteConnection,
    by: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> sqlx::Result<(Recovered, Vec<Lane>)> {
    if let Some(by) = by {
        bearably(set_back(connection, now, by).await)?;
        bearably(move_pauses(connection, now, by).await)?;
    }
    let claims = claimed(&mut *connection).await?;
    put_back_each(connection, &claims, now).await
}

/// Each in a transaction of its own.
pub(super) async fn put_back_each(
    connection: &mut SqliteConnection,
    claims: &[(JobId, i64)],
    now: DateTime<Utc>,
) -> sqlx::Result<(Recovered, Vec<Lane>)> {
    let (mut lanes, mut left) = (Vec::new(), Vec::new());
    for claim in claims {
        begin(connection).await?;
        let done = put_back(connection, Some(*claim), now).await;
        let why = match end(connection, done).await {
            Ok(lane) if !lane.is_empty() => {
                lanes.extend(lane);
                continue;
            }
            Ok(_) if !claimed(&mut *connection).await?.contains(claim) => continue,
            Ok(_) => UNMOVED.to_owned(),
            Err(error) if is_refusal(&error) => words(&error),
            Err(error) => return Err(error),
        };
        left.push(Refusal { id: claim.0, why });
    }
    Ok((Recovered { jobs: lanes.len() as u64, left }, lanes))
}

/// Every claim that is not over.
pub(super) async fn claims(pool: &SqlitePool) -> sqlx::Result<Vec<(JobId, i64)>> {
    claimed(pool).await
}

async fn claimed(executor: impl SqliteExecutor<'_>) -> sqlx::Result<Vec<(JobId, i64)>> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(CLAIMED).fetch_all(executor).await?;
    Ok(rows.into_iter().map(|(id, claim)| (JobId(id), claim)).collect())
}

/// Without a claim: all of them.
async fn put_back(
    connection: &mut SqliteConnection,
    claim: Option<(JobId, i64)>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Lane>> {
    sqlx::query_scalar(PUT_BACK)
        .bind(format_utc(now + REPEAT_WAIT))
        .bind(format_utc(now))
        .bind(claim.map(|(id, _)| id.0))
        .bind(claim.map(|(_, claim)| claim))
        .fetch_all(connection)
        .await
}

/// Times that a rule keeps from being moved stay as they are: what is due later than it should be is sent later.
fn bearably(moved: sqlx::Result<()>) -> sqlx::Result<()> {
    moved.or_else(|error| if is_refusal(&error) { Ok(()) } else { Err(error) })
}

async fn newest_stamp(connection: &mut SqliteConnection) -> sqlx::Result<Option<DateTime<Utc>>> {
    let stamp: String = sqlx::query_scalar(NEWEST_STAMP).fetch_one(connection).await?;
    Ok(parse_utc(&stamp))
}

/// The wall clock was set to `now` from a time `by` earlier (negative: later). Moves the times the agent wrote along: nothing
/// waits longer than it was to, nothing is given up earlier, and what was due stays due. What a producer wished (`not_before`)
/// is a time of day and stays.
///
/// After the clock was set back, the claims to come look for jobs that came later with the old clock's times: never claimed,
/// stamped (`created_at`) ahead of now, and due later than now and later than wished. Such a job is due when its producer
/// wishes, at the earliest now. That ends when stamps of the old clock lie ahead no more, or after an hour.
pub(super) async fn clock_set(
    connection: &mut SqliteConnection,
    misdated_jobs: &mut MisdatedJobs,
    now: DateTime<Utc>,
    by: TimeDelta,
) -> sqlx::Result<()> {
    if let Err(error) = move_all(connection, now, by, |moved| moved).await {
        roll_back(connection).await;
        if !is_refusal(&error) {
            return Err(error);
        }
        move_all(connection, now, by, bearably).await?;
    }
    let last = misdated::last(connection).await?;
    misdated_jobs.clock_set(now, by, last);
    Ok(())
}

/// In one transaction; `bear` judges each statement.
async fn move_all(
    connection: &mut SqliteConnection,
    now: DateTime<Utc>,
    by: TimeDelta,
    bear: fn(sqlx::Result<()>) -> sqlx::Result<()>,
) -> sqlx::Result<()> {
    begin(connection).await?;
    if by < TimeDelta::zero() {
        bear(set_back(connection, now, by).await)?;
    } else {
        for horizons in MOVE_HORIZONS {
            bear(sqlx::query(horizons).bind(modifier(by)).execute(&mut *connection).await.map(drop))?;
        }
    }
    bear(keep_pauses(connection, now, by).await)?;
    // A rule that ends the transaction has taken what came before it along.
    bear(commit(connection).await)
}

async fn set_back(connection: &mut SqliteConnection, now: DateTime<Utc>, by: TimeDelta) -> sqlx::Result<()> {
    sqlx::query(MOVE_WAITS).bind(format_utc(now)).bind(modifier(by)).bind(ahead_of(now)).execute(connection).await?;
    Ok(())
}

async fn keep_pauses(connection: &mut SqliteConnection, now: DateTime<Utc>, by: TimeDelta) -> sqlx::Result<()> {
    let before = now.checked_sub_signed(by).unwrap_or(now);
    let query = sqlx::query(KEEP_PAUSES).bind(format_utc(now)).bind(modifier(by)).bind(format_utc(before));
    query.execute(connection).await.map(drop)
}

async fn move_pauses(connection: &mut SqliteConnection, now: DateTime<Utc>, by: TimeDelta) -> sqlx::Result<()> {
    sqlx::query(MOVE_PAUSES).bind(format_utc(now)).bind(modifier(by)).execute(connection).await.map(drop)
}

/// As strftime takes it.
fn modifier(by: TimeDelta) -> String {
    let sign = if by < TimeDelta::zero() { '-' } else { '+' };
    let milliseconds = by.num_milliseconds().unsigned_abs();
    format!("{sign}{}.{:03} seconds", milliseconds / 1000, milliseconds % 1000)
}
