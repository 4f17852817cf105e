//! The heads of the lanes: which mailboxes have pending jobs, and when the first job of each is due. A mailbox has up to six
//! lanes: for jobs that mail somebody and those that do not, of each priority. Walking over all of them costs by their number, so
//! what was seen is kept until a notice tells of something new, and put right mailbox by mailbox by the agent's own doings.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::clock::steady;
use super::time::Time;
use crate::queue::LaneKey;

/// Jumps from lane to lane in the index.
const HEADS: &str = "WITH RECURSIVE l AS (
        (SELECT mailbox_key, mails, priority, next_attempt_at, id FROM jobs WHERE state = 'pending' AND behind IS NULL
            ORDER BY mailbox_key, mails, priority, next_attempt_at, id LIMIT 1)
        UNION ALL
        SELECT n.* FROM l CROSS JOIN LATERAL (
            SELECT mailbox_key, mails, priority, next_attempt_at, id FROM jobs WHERE state = 'pending' AND behind IS NULL
                AND (mailbox_key, mails, priority) > (l.mailbox_key, l.mails, l.priority)
            ORDER BY mailbox_key, mails, priority, next_attempt_at, id LIMIT 1) AS n)
    SELECT * FROM l";

/// Those of the mailboxes in $1.
const HEADS_OF: &str = "SELECT h.* FROM unnest($1::text[]) AS k(k) CROSS JOIN (VALUES (false), (true)) AS m(m)
        CROSS JOIN generate_series(-1, 1) AS p(p)
        CROSS JOIN LATERAL (SELECT mailbox_key, mails, priority, next_attempt_at, id FROM jobs
            WHERE state = 'pending' AND behind IS NULL AND mailbox_key = k.k COLLATE \"C\" AND mails = m.m AND priority = p.p
            ORDER BY next_attempt_at, id LIMIT 1) AS h";

/// While there is enough to do, the walk over all lanes may take this part of the time.
const SHARE: u32 = 10;

/// Rows without mailbox go to the default one and share its lane.
pub fn lane_key(raw: &str, unnamed: Option<&str>) -> LaneKey {
    match unnamed {
        Some(default) if raw.is_empty() => LaneKey::of(default),
        _ => LaneKey::of(raw),
    }
}

/// A lane with pending jobs.
#[derive(Clone, Debug)]
pub struct Head {
    /// `mailbox_key`.
    pub raw: String,
    pub lane: LaneKey,
    /// Its jobs mail somebody.
    pub mails: bool,
    pub priority: i32,
    /// When its first job is due, by the server's clock.
    pub due: DateTime<Utc>,
}

/// The heads as they were seen last.
#[derive(Debug, Default)]
pub struct Heads {
    /// By due time and id of the first job: of lanes due at the same time, the one whose job was inserted first comes first.
    heads: BTreeMap<(DateTime<Utc>, i64), Head>,
    /// Where those of a mailbox are.
    of_mailbox: HashMap<String, BTreeSet<(DateTime<Utc>, i64)>>,
    /// Mailboxes, by `mailbox_key`, that are to be looked at again.
    dirty: HashSet<String>,
    walked: Option<Walked>,
    /// All are to be looked at again.
    old: bool,
    /// Whose lane the jobs without mailbox are in.
    unnamed: Option<String>,
}

#[derive(Debug)]
struct Walked {
    at: Instant,
    took: Duration,
}

impl Heads {
    /// All are to be looked at again.
    pub fn are_old(&mut self) {
        self.old = true;
    }

    /// They are, however lately that was done.
    pub fn are_unknown(&mut self) {
        self.walked = None;
    }

    /// Those of this mailbox are.
    pub fn is_old(&mut self, raw: &str) {
        self.dirty.insert(raw.to_owned());
    }

    /// The lanes, the one waiting longest first.
    pub fn all(&self) -> impl Iterator<Item = &Head> {
        self.heads.values()
    }

    /// Looks at what is to be looked at again. Tells whether that was all of them. `every`: all of them at least so often.
    pub async fn look(
        &mut self,
        connection: &mut PgConnection,
        unnamed: Option<&str>,
        every: Duration,
    ) -> sqlx::Result<bool> {
        if self.unnamed.as_deref() != unnamed {
            self.unnamed = unnamed.map(str::to_owned);
            self.walked = None;
        }
        let is_due = self.walked.as_ref().is_none_or(|walked| {
            let since = walked.at.elapsed();
            since >= every || self.old && since >= walked.took * SHARE
        });
        if is_due {
            self.walk(connection).await?;
            return Ok(true);
        }
        if !self.dirty.is_empty() {
            let dirty: Vec<String> = self.dirty.iter().cloned().collect();
            let rows = sqlx::query(HEADS_OF).bind(&dirty).fetch_all(connection).await?;
            dirty.iter().for_each(|raw| self.forget(raw));
            self.dirty.clear();
            self.add(&rows)?;
        }
        Ok(false)
    }

    /// When all are to be looked at again, if they are and may not be yet.
    pub fn again(&self) -> Option<Duration> {
        let walked = self.walked.as_ref().filter(|_| self.old)?;
        Some((walked.took * SHARE).saturating_sub(walked.at.elapsed()))
    }

    async fn walk(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let at = steady();
        let rows = sqlx::query(HEADS).fetch_all(connection).await?;
        self.heads.clear();
        self.of_mailbox.clear();
        self.dirty.clear();
        self.add(&rows)?;
        self.old = false;
        self.walked = Some(Walked { at: steady(), took: at.elapsed() });
        Ok(())
    }

    fn add(&mut self, rows: &[PgRow]) -> sqlx::Result<()> {
        for row in rows {
            let raw: String = row.try_get(0)?;
            let (mails, priority, Time(due), id) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
            let lane = lane_key(&raw, self.unnamed.as_deref());
            self.of_mailbox.entry(raw.clone()).or_default().insert((due, id));
            self.heads.insert((due, id), Head { raw, lane, mails, priority, due });
        }
        Ok(())
    }

    fn forget(&mut self, raw: &str) {
        for place in self.of_mailbox.remove(raw).into_iter().flatten() {
            self.heads.remove(&place);
        }
    }
}
