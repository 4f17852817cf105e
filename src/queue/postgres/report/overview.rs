//! The queue at a glance: everything is counted on indexes, and of the table itself only a few rows are read, by their ids. One
//! read transaction, so that the figures belong together; it stands in nobody's way.

use chrono::{DateTime, Utc};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::agents::{agents, by_this_machine};
use super::ages::waiting;
use super::columns::stamp;
use super::counted::counted;
use super::{mailboxes, server_time};
use crate::job::JobState;
use crate::queue::columns::Columns;
use crate::queue::counted::minutes;
use crate::queue::{Overview, Trouble};

/// Everything of one moment.
pub const ONE_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// For each time of $1 but the last how many jobs ended between it and the next.
const BY_MINUTE: &str = "SELECT (SELECT count(*) FROM jobs WHERE finished_at > m.since AND finished_at <= m.until)
    FROM unnest($1::timestamptz[], $2::timestamptz[]) WITH ORDINALITY AS m(since, until, place) ORDER BY m.place";

const TROUBLES: &str = "SELECT error_kind, error_code, count(*) AS jobs, min(id) AS oldest, max(id) AS newest
    FROM jobs WHERE state = 'pending' AND error_kind IS NOT NULL GROUP BY error_kind, error_code
    ORDER BY jobs DESC, error_kind, error_code";
const TROUBLE: &str = concat!(
    "SELECT $1::text AS error_kind, $2::text AS error_code, (SELECT error_message FROM jobs WHERE id = $4) AS error_message,
        (SELECT ",
    stamp!("created_at"),
    " FROM jobs WHERE id = $3) AS oldest"
);
const CREATED: &str = concat!("SELECT ", stamp!("created_at"), " FROM jobs WHERE id = $1");

/// How long all sending pauses, because another server has taken over.
const PAUSED_FOR: &str = "SELECT extract(epoch FROM quarantine_until - clock_timestamp())::float8 FROM queue_state
    WHERE quarantine_until > clock_timestamp()";

/// Kinds of trouble that are named.
const NAMED: usize = 5;

pub async fn overview(connection: &mut PgConnection, unnamed: Option<&str>, mailboxes: u32) -> sqlx::Result<Overview> {
    let mut tx = connection.begin_with(ONE_MOMENT).await?;
    let report = glance(&mut tx, unnamed, mailboxes).await;
    tx.rollback().await?;
    report
}

async fn glance(db: &mut PgConnection, unnamed: Option<&str>, mailboxes: u32) -> sqlx::Result<Overview> {
    let now = server_time(db).await?;
    let waiting = waiting(db, now, unnamed, mailboxes).await?;
    let counted = counted(db, now).await?;
    let by_minute = by_minute(db, now).await?;
    let (troubles, troubled) = troubles(db).await?;
    Ok(Overview {
        counts: JobState::ALL.map(|state| (state, counted.of_state(state, waiting.total.jobs))).into(),
        in_doubt: counted.in_doubt,
        behind: counted.behind,
        oldest_pending: created(db, waiting.oldest).await?,
        oldest_due: created(db, waiting.oldest_due).await?,
        last_minute: counted.ended_in_minute(by_minute.last().copied().unwrap_or_default()),
        last_hour: counted.ended_in_hour(by_minute.iter().sum()),
        by_minute,
        failed_by_kind: counted.failed.most_frequent_kinds(),
        troubles,
        troubled,
        paused: mailboxes::paused(db).await?,
        held: mailboxes::held(db).await?,
        paced: mailboxes::paced(db).await?,
        agents: agents(db).await?,
        sending_paused_until: sending_paused_until(db).await?,
        waiting,
    })
}

pub async fn sending_paused_until(db: &mut PgConnection) -> sqlx::Result<Option<DateTime<Utc>>> {
    let paused_for: Option<f64> = sqlx::query_scalar(PAUSED_FOR).fetch_optional(db).await?;
    Ok(paused_for.and_then(by_this_machine))
}

async fn by_minute(db: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    let times: Vec<_> = minutes(now).collect();
    let (since, until) = (&times[..times.len() - 1], &times[1..]);
    sqlx::query_scalar(BY_MINUTE).bind(since).bind(until).fetch_all(db).await
}

/// Kind, code, jobs, the oldest and the newest of them.
type Met = (String, Option<String>, i64, i64, i64);

/// What pending jobs met most often, and how many met anything at all.
async fn troubles(db: &mut PgConnection) -> sqlx::Result<(Vec<Trouble>, i64)> {
    let groups: Vec<Met> = sqlx::query_as(TROUBLES).fetch_all(&mut *db).await?;
    let troubled = groups.iter().map(|(_, _, jobs, _, _)| jobs).sum();
    let mut troubles = Vec::new();
    for (kind, code, jobs, oldest, newest_id) in groups.into_iter().take(NAMED) {
        let row = sqlx::query(TROUBLE).bind(kind).bind(code).bind(oldest).bind(newest_id).fetch_one(&mut *db).await?;
        troubles.push(Trouble {
            kind: row.stored("error_kind")?,
            code: row.stored("error_code")?,
            jobs,
            message: row.stored("error_message")?,
            oldest: row.stored("oldest")?,
            newest_id,
        });
    }
    Ok((troubles, troubled))
}

async fn created(db: &mut PgConnection, id: Option<i64>) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(CREATED).bind(id).fetch_optional(db).await
}
