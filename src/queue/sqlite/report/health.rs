//! What `check` asks of a queue: whether the file is sound, what the agent on it says of itself, for which mailboxes jobs
//! wait, and which of them are at rest. Reads only, and never for long: other programs live on this file.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::Row;

use crate::job::{format_utc, parse_utc};
use crate::queue::LaneKey;
use crate::queue::sqlite::agents;
use crate::queue::sqlite::open::newest;
use crate::queue::sqlite::report::jobs::Record;
use crate::queue::sqlite::schema::Rules;
use crate::queue::sqlite::store::{CORRUPT, SqliteQueue, primary_code};

/// SQLite's number for a statement that was told to end.
const INTERRUPTED: i32 = 9;
/// Pages between two looks at the clock.
const PAGES_BETWEEN_LOOKS: i32 = 200;

/// The file, and who works on it.
#[derive(Clone, Debug)]
pub struct Health {
    /// `wal`, as it should be.
    pub journal_mode: String,
    /// Whether what is in it fits together.
    pub integrity: Integrity,
    /// What the agent that ran last says of itself.
    pub agent: Option<Record>,
    /// A job is due.
    pub due: bool,
    /// What is not as this program makes it.
    pub rules: Rules,
    /// The next job's id is beyond this one.
    pub last_id: i64,
}

/// The result of `PRAGMA quick_check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// All of it was looked at, and fits.
    Sound,
    /// The time was over before all of it was looked at.
    Unfinished,
    /// The file is in order, but a row breaks the rules of its table: in SQLite's words.
    Unruly(String),
    /// What does not fit, in SQLite's words.
    Broken(String),
}

/// What a writer leaves who has switched the checks off is no damage.
fn judged(mut faults: Vec<String>) -> Integrity {
    let breaks_a_rule =
        |fault: &str| ["CHECK constraint failed in", "NULL value in"].iter().any(|rule| fault.starts_with(rule));
    match faults.iter().position(|fault| !breaks_a_rule(fault)) {
        Some(damage) => Integrity::Broken(faults.swap_remove(damage)),
        None => Integrity::Unruly(faults.first().cloned().unwrap_or_default()),
    }
}

/// Jobs that wait for one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingMailbox {
    /// Which, in lower case; empty for rows that name none.
    pub lane: LaneKey,
    /// How many.
    pub jobs: i64,
}

/// Why nothing is sent to a mailbox at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Which.
    pub lane: LaneKey,
    /// It is not to be asked anything before then.
    pub paused_until: Option<DateTime<Utc>>,
    /// The same as it is stored.
    pub stored_until: String,
    /// Microsoft itself asked for that, until then.
    pub asked_until: Option<DateTime<Utc>>,
    /// When the pause was written.
    pub since: Option<DateTime<Utc>>,
    /// What the pause came from.
    pub kind: Option<String>,
    /// The same in words.
    pub reason: String,
    /// Somebody holds it, since then.
    pub held_at: Option<String>,
    /// For this reason.
    pub held_reason: Option<String>,
}

const WAITING: &str = "SELECT lane, jobs, count(*) OVER () AS lanes FROM (
         SELECT lane, sum(jobs) AS jobs FROM (
             SELECT mailbox_key AS lane, count(*) AS jobs FROM jobs INDEXED BY jobs_waiting WHERE state = 'pending' GROUP BY 1
             UNION ALL
             SELECT mailbox_key, 1 FROM jobs WHERE state = 'claimed')
         GROUP BY lane)
     ORDER BY jobs DESC, lane LIMIT ?1";

/// As AUTOINCREMENT sees it.
const LAST_ID: &str = "SELECT max(coalesce((SELECT max(id) FROM jobs), 0),
    coalesce((SELECT CAST(max(seq) AS INTEGER) FROM sqlite_sequence WHERE name = 'jobs'), 0))";

impl SqliteQueue {
    /// Looks the file over, taking about as long as `within` for it at most.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn health(&self, now: DateTime<Utc>, within: Duration) -> sqlx::Result<Health> {
        let journal_mode = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&self.pool).await?;
        let integrity = self.integrity(within).await?;
        if let Integrity::Broken(_) = integrity {
            // Nothing it says can be relied on.
            return Ok(Health {
                journal_mode,
                integrity,
                agent: None,
                due: false,
                rules: Rules::default(),
                last_id: 0,
            });
        }
        let agent = agents::read(&mut *self.pool.acquire().await?).await?;
        let due =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'pending' AND next_attempt_at <= ?1)")
                .bind(format_utc(now))
                .fetch_one(&self.pool)
                .await?;
        let rules = self.rules().await?;
        let last_id = sqlx::query_scalar(LAST_ID).fetch_one(&self.pool).await?;
        Ok(Health { journal_mode, integrity, agent, due, rules, last_id })
    }

    async fn integrity(&self, within: Duration) -> sqlx::Result<Integrity> {
        let mut connection = self.pool.acquire().await?;
        let until = Instant::now() + within;
        connection.lock_handle().await?.set_progress_handler(PAGES_BETWEEN_LOOKS, move || Instant::now() < until);
        let found = sqlx::query_scalar::<_, String>("PRAGMA quick_check").fetch_all(&mut *connection).await;
        connection.lock_handle().await?.remove_progress_handler();
        match found {
            Ok(words) if words == ["ok"] => Ok(Integrity::Sound),
            // Told to end, it may report the end as a fault of the page it was at.
            Ok(_) if Instant::now() >= until => Ok(Integrity::Unfinished),
            Ok(faults) => Ok(judged(faults)),
            Err(error) if primary_code(&error) == Some(INTERRUPTED) => Ok(Integrity::Unfinished),
            Err(error) if primary_code(&error) == Some(CORRUPT) => Ok(Integrity::Broken(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// The mailboxes most jobs wait for, and how many mailboxes there are in all.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn waiting(&self, limit: u32) -> sqlx::Result<(Vec<WaitingMailbox>, usize)> {
        let rows = sqlx::query(WAITING).bind(limit).fetch_all(&self.pool).await?;
        let count = rows.first().map_or(Ok(0), |row| row.try_get::<i64, _>("lanes"))?;
        // A name that is no text is no mailbox; its jobs fail with the reason.
        let waiting = rows.iter().filter_map(|row| {
            let lane: String = row.try_get("lane").ok()?;
            Some(WaitingMailbox { lane: LaneKey::of(&lane), jobs: row.try_get("jobs").ok()? })
        });
        Ok((waiting.collect(), usize::try_from(count).unwrap_or(0)))
    }

    /// The mailboxes that are paused at `now`, or on hold.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn rests(&self, now: DateTime<Utc>) -> sqlx::Result<Vec<Rest>> {
        let rows = sqlx::query("SELECT * FROM mailboxes WHERE paused_until > ?1 OR held_at IS NOT NULL")
            .bind(format_utc(now))
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let time = |column: &str| row.try_get::<String, _>(column).ok().and_then(|time| parse_utc(&time));
                Ok(Rest {
                    lane: LaneKey::of(&row.try_get::<String, _>("mailbox")?),
                    paused_until: time("paused_until").filter(|until| *until > now),
                    stored_until: row.try_get("paused_until")?,
                    asked_until: time("asked_until").filter(|until| *until > now),
                    since: time("updated_at"),
                    kind: row.try_get("error_kind")?,
                    reason: row.try_get("reason")?,
                    held_at: row.try_get("held_at")?,
                    held_reason: row.try_get("held_reason")?,
                })
            })
            .collect()
    }

    /// The schema of this program.
    pub fn newest_schema() -> i64 {
        newest()
    }
}
