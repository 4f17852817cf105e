//! The queue at a glance, also when it has millions of rows with long bodies: everything is counted on indexes, and of the
//! table itself only a few rows are read, by their ids. One read transaction, so that the figures belong together; it
//! stands in nobody's way.

use chrono::{DateTime, Utc};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::ages::waiting;
use super::columns::stored;
use super::counted::counted;
use crate::job::{JobState, format_utc};
use crate::queue::columns::mailbox;
use crate::queue::counted::minutes;
use crate::queue::rows::MailboxRow;
use crate::queue::sqlite::agents::agents;
use crate::queue::sqlite::store::SqliteQueue;
use crate::queue::{LaneKey, Overview, Trouble};

/// For each time of the JSON array ?1 but the last how many jobs ended between it and the next.
pub const BY_MINUTE: &str = "SELECT (SELECT count(*) FROM jobs WHERE finished_at > m.value
            AND finished_at <= json_extract(?1, '$[' || (m.key + 1) || ']'))
    FROM json_each(?1) AS m WHERE m.key < json_array_length(?1) - 1 ORDER BY m.key";

pub const TROUBLES: &str = "SELECT error_kind, error_code, count(*) AS jobs, min(id) AS oldest, max(id) AS newest
    FROM jobs WHERE state = 'pending' AND error_kind IS NOT NULL GROUP BY error_kind, error_code
    ORDER BY jobs DESC";
const TROUBLE: &str = "SELECT ?1 AS error_kind, ?2 AS error_code,
        (SELECT error_message FROM jobs WHERE id = ?4) AS error_message,
        (SELECT created_at FROM jobs WHERE id = ?3) AS oldest";

const PAUSED: &str = "SELECT * FROM mailboxes WHERE paused_until > ?1 ORDER BY paused_until, mailbox";
const HELD: &str = "SELECT * FROM mailboxes WHERE held_at IS NOT NULL ORDER BY mailbox";
const PACED: &str = "SELECT * FROM mailboxes WHERE paced_until > ?1 ORDER BY paced_until, mailbox";
const STOPPED: &str = "SELECT * FROM mailboxes WHERE paused_until > ?1 OR held_at IS NOT NULL ORDER BY mailbox";
const MAILBOX: &str = "SELECT * FROM mailboxes WHERE mailbox = ?1";
const CREATED: &str = "SELECT created_at FROM jobs WHERE id = ?1";

/// Kinds of trouble that are named.
const NAMED: usize = 5;

pub async fn overview(
    queue: &SqliteQueue,
    now: DateTime<Utc>,
    unnamed: Option<&str>,
    mailboxes: u32,
) -> sqlx::Result<Overview> {
    let mut connection = queue.pool.acquire().await?;
    let mut tx = connection.begin().await?;
    let report = glance(&mut tx, now, unnamed, mailboxes).await;
    let agents = agents(&mut tx, &queue.path).await;
    tx.rollback().await?;
    Ok(Overview { agents: agents?, ..report? })
}

/// The mailboxes that are paused at `now` or on hold.
pub async fn stopped(db: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<MailboxRow>> {
    sqlx::query(STOPPED).bind(format_utc(now)).fetch_all(db).await?.iter().map(mailbox).collect()
}

pub async fn one_mailbox(db: &mut SqliteConnection, lane: &LaneKey) -> sqlx::Result<Option<MailboxRow>> {
    sqlx::query(MAILBOX).bind(lane.as_str()).fetch_optional(db).await?.as_ref().map(mailbox).transpose()
}

async fn glance(
    db: &mut SqliteConnection,
    now: DateTime<Utc>,
    unnamed: Option<&str>,
    mailboxes: u32,
) -> sqlx::Result<Overview> {
    let waiting = waiting(db, now, unnamed, mailboxes).await?;
    let counted = counted(db, now).await?;
    let by_minute = by_minute(db, now).await?;
    let (troubles, troubled) = troubles(db).await?;
    let paused = sqlx::query(PAUSED).bind(format_utc(now)).fetch_all(&mut *db).await?;
    let held = sqlx::query(HELD).fetch_all(&mut *db).await?;
    let paced = sqlx::query(PACED).bind(format_utc(now)).fetch_all(&mut *db).await?;
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
        paused: paused.iter().map(mailbox).collect::<sqlx::Result<_>>()?,
        held: held.iter().map(mailbox).collect::<sqlx::Result<_>>()?,
        paced: paced.iter().map(mailbox).collect::<sqlx::Result<_>>()?,
        agents: Vec::new(),
        sending_paused_until: None,
        waiting,
    })
}

async fn by_minute(db: &mut SqliteConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    let times = serde_json::Value::from_iter(minutes(now).map(format_utc));
    sqlx::query_scalar(BY_MINUTE).bind(times.to_string()).fetch_all(db).await
}

/// Kind, code, jobs, the oldest and the newest of them.
type Met = (String, Option<Vec<u8>>, i64, i64, i64);

/// What pending jobs met most often, and how many met anything at all.
async fn troubles(db: &mut SqliteConnection) -> sqlx::Result<(Vec<Trouble>, i64)> {
    let groups: Vec<Met> = sqlx::query_as(TROUBLES).fetch_all(&mut *db).await?;
    let troubled = groups.iter().map(|(_, _, jobs, _, _)| jobs).sum();
    let mut troubles = Vec::new();
    for (kind, code, jobs, oldest, newest_id) in groups.into_iter().take(NAMED) {
        let code = code.map(|code| String::from_utf8_lossy(&code).into_owned());
        let row = sqlx::query(TROUBLE).bind(kind).bind(code).bind(oldest).bind(newest_id).fetch_one(&mut *db).await?;
        troubles.push(Trouble {
            kind: stored(&row, "error_kind")?,
            code: stored(&row, "error_code")?,
            jobs,
            message: stored(&row, "error_message")?,
            oldest: stored(&row, "oldest")?,
            newest_id,
        });
    }
    Ok((troubles, troubled))
}

async fn created(db: &mut SqliteConnection, id: Option<i64>) -> sqlx::Result<Option<String>> {
    let row = sqlx::query(CREATED).bind(id).fetch_optional(db).await?;
    let created = row.as_ref().map(|row| stored(row, "created_at")).transpose()?;
    Ok(created.and_then(|created| created.words()))
}

/// The statements that count, for the test that looks at their plans.
#[cfg(test)]
pub const COUNTING: [&str; 6] = [
    super::counted::COUNTED,
    BY_MINUTE,
    super::counted::FAILED,
    super::counted::CANCELLED,
    TROUBLES,
    super::ages::BY_MAILBOX,
];
