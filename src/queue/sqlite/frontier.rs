//! The heads of the lanes: which mailboxes have pending jobs, and when the first job of each is due. Walking over all
//! lanes costs by their number, so what was seen is kept until somebody else has written into the queue, and put right
//! lane by lane by the agent's own doings.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::super::LaneKey;

/// The lane of a row, as in the index `jobs_waiting`: the expression must be the same to the letter, or SQLite reads
/// the table instead.
macro_rules! lane {
    () => {
        "coalesce(lower(substr(trim(mailbox, char(9, 10, 11, 12, 13, 32)), 1, 320)), '')"
    };
}
pub(super) use lane;

/// When the first job of the lane `l.k` is due.
macro_rules! due {
    () => {
        concat!(
            "(SELECT next_attempt_at FROM jobs WHERE state = 'pending' AND ",
            lane!(),
            " = l.k ORDER BY next_attempt_at LIMIT 1) AS due"
        )
    };
}

/// Every lane with pending jobs. Jumps from lane to lane in the index.
const HEADS: &str = concat!(
    "WITH RECURSIVE l(k) AS (
        SELECT (SELECT ",
    lane!(),
    " FROM jobs WHERE state = 'pending' ORDER BY ",
    lane!(),
    " LIMIT 1)
        UNION ALL
        SELECT (SELECT ",
    lane!(),
    " FROM jobs WHERE state = 'pending' AND ",
    lane!(),
    " > l.k ORDER BY ",
    lane!(),
    " LIMIT 1)
        FROM l WHERE l.k IS NOT NULL)
    SELECT CAST(l.k AS BLOB) AS k, ",
    due!(),
    " FROM l WHERE l.k IS NOT NULL"
);

/// The lanes of a JSON array.
const HEADS_OF: &str =
    concat!("SELECT CAST(l.k AS BLOB) AS k, ", due!(), " FROM (SELECT value AS k FROM json_each(?1)) AS l");

/// While somebody else keeps writing and there is enough to do, the walk may take this part of the time.
const SHARE: u32 = 10;

/// A lane with pending jobs.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// The lane as SQLite has it, which may be no UTF-8.
    pub raw: Vec<u8>,
    pub lane: LaneKey,
    /// When its first job is due, as stored: the claim compares text, so what is no time is judged here as it is there.
    pub due: String,
}

impl Head {
    /// The lane as text that JSON and SQLite read alike.
    pub(super) fn name(&self) -> Option<&str> {
        std::str::from_utf8(&self.raw).ok().filter(|name| !name.contains('\0'))
    }
}

/// The heads as they were seen last.
#[derive(Debug, Default)]
pub(super) struct Frontier {
    /// By due time and lane.
    heads: BTreeMap<(String, Vec<u8>), Head>,
    seen: Option<Seen>,
    connection: u64,
}

#[derive(Debug)]
struct Seen {
    /// `PRAGMA data_version` of then: it changes when another connection has written.
    version: i64,
    at: Instant,
    took: Duration,
    /// Somebody has written since.
    old: bool,
}

impl Frontier {
    /// What was seen can no longer be trusted: the agent itself put jobs back, or the connection is a new one.
    pub(super) fn forget(&mut self) {
        self.seen = None;
    }

    /// `PRAGMA data_version` begins anew with every connection: `number` tells them apart.
    pub(super) fn through(&mut self, number: u64) {
        if self.connection != number {
            self.forget();
            self.connection = number;
        }
    }

    /// The lanes, the one waiting longest first.
    pub(super) fn heads(&self) -> impl Iterator<Item = &Head> {
        self.heads.values()
    }

    /// Looks at all lanes if somebody else has written, unless that was done a moment ago.
    pub(super) async fn look(
        &mut self,
        connection: &mut SqliteConnection,
        default_mailbox: Option<&str>,
    ) -> sqlx::Result<()> {
        let version = data_version(connection).await?;
        if let Some(seen) = &mut self.seen {
            seen.old |= version != seen.version;
            if !seen.old || seen.at.elapsed() < seen.took * SHARE {
                return Ok(());
            }
        }
        self.walk(connection, default_mailbox, version).await
    }

    /// Looks at all lanes if what [`Frontier::look`] left is old. Tells whether it was.
    pub(super) async fn look_again(
        &mut self,
        connection: &mut SqliteConnection,
        default_mailbox: Option<&str>,
    ) -> sqlx::Result<bool> {
        let old = self.seen.as_ref().is_none_or(|seen| seen.old);
        if old {
            let version = data_version(connection).await?;
            self.walk(connection, default_mailbox, version).await?;
        }
        Ok(old)
    }

    /// Looks at these lanes, of which jobs were taken.
    pub(super) async fn look_at(
        &mut self,
        connection: &mut SqliteConnection,
        default_mailbox: Option<&str>,
        lanes: impl Iterator<Item = Head>,
    ) -> sqlx::Result<()> {
        let mut names = Vec::new();
        for head in lanes {
            match head.name() {
                Some(name) => names.push(name.to_owned()),
                // Rare enough to be found by the next walk.
                None => self.forget(),
            }
            self.heads.remove(&(head.due, head.raw));
        }
        // Text: JSON can hold it.
        let names = serde_json::to_string(&names).unwrap_or_default();
        let rows = sqlx::query(HEADS_OF).bind(names).fetch_all(connection).await?;
        rows.iter().try_for_each(|row| self.add(row, default_mailbox))
    }

    /// `version` was asked before: what is written in between is seen twice rather than never.
    async fn walk(
        &mut self,
        connection: &mut SqliteConnection,
        default_mailbox: Option<&str>,
        version: i64,
    ) -> sqlx::Result<()> {
        let at = Instant::now();
        let rows = sqlx::query(HEADS).fetch_all(connection).await?;
        self.heads.clear();
        rows.iter().try_for_each(|row| self.add(row, default_mailbox))?;
        self.seen = Some(Seen { version, at: Instant::now(), took: at.elapsed(), old: false });
        Ok(())
    }

    fn add(&mut self, row: &SqliteRow, default_mailbox: Option<&str>) -> sqlx::Result<()> {
        // None: the lane is empty now.
        if let Some(due) = row.try_get::<Option<String>, _>("due")? {
            let raw: Vec<u8> = row.try_get("k")?;
            let lane = lane_key(&raw, default_mailbox);
            self.heads.insert((due.clone(), raw.clone()), Head { raw, lane, due });
        }
        Ok(())
    }
}

/// Changes when another connection has written.
async fn data_version(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("PRAGMA data_version").fetch_one(connection).await
}

/// Rows without mailbox go to the default one and share its lane.
pub(super) fn lane_key(raw: &[u8], default_mailbox: Option<&str>) -> LaneKey {
    match default_mailbox {
        Some(default) if raw.is_empty() => LaneKey::of(default),
        _ => LaneKey::of(&String::from_utf8_lossy(raw)),
    }
}

/// The statements, for the test that looks at their plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 2] = [HEADS, HEADS_OF];
