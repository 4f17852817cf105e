//! The heads of the lanes: which mailboxes have pending jobs, and when the first job of each is due. A mailbox has up to six
//! lanes: for jobs that mail somebody and those that do not, of each priority. Walking over all
//! lanes costs by their number, so what was seen is kept until somebody else has written into the queue, and put right
//! lane by lane by the agent's own doings. Beside them the operator's words, which every look at the queue tells anew: the
//! mailboxes on hold, and those whose pause was ended.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use crate::job::{Cell, Job, JobId, parse_utc};
use crate::queue::sqlite::clock::steady;
use crate::queue::sqlite::text::{Flag, Text, lane_key};
use crate::queue::{LaneKey, MailboxNews};

/// The first job of the lane `l`, which is a mailbox (`k`), whether its jobs mail somebody (`m`) and a priority (`p`): when it is
/// due, and its id. A BLOB, which comes after all text and which JSON cannot hold, is not a time (see `unfit`): it would stand in the
/// way of all lanes.
macro_rules! first {
    () => {
        "(SELECT json_array(next_attempt_at, id) FROM jobs
            WHERE state = 'pending' AND behind IS NULL AND mailbox_key = l.k AND mails = l.m AND priority = l.p
                AND next_attempt_at < x'' ORDER BY next_attempt_at, id LIMIT 1)"
    };
}
pub(crate) use first;

/// The mailboxes on hold, and those whose pause somebody has ended of late, each with its time. Read from the indexes, which
/// have no others: where nothing is held it costs nothing to speak of, so that it goes along with statements that are made
/// anyway.
macro_rules! orders {
    () => {
        "('[' || (SELECT json_group_array(mailbox) FROM mailboxes WHERE held_at IS NOT NULL) || ','
    || (SELECT json_group_array(json_array(mailbox, CAST(resumed_at AS TEXT))) FROM mailboxes
        WHERE resumed_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-10 minutes')) || ']')"
    };
}
pub(crate) use orders;

const ORDERS: &str = concat!("SELECT ", orders!());

/// Every lane with jobs whose turn it is, as `l`, and its first job: when that is due, and its id. Jumps from lane to lane in the
/// index, with a look for each column: where three are compared as one, SQLite reads all of a lane. What is behind another job of its event is in no lane.
macro_rules! lanes {
    () => {
        "l(k, m, p, due, first) AS (
        SELECT * FROM (SELECT mailbox_key, mails, priority, next_attempt_at, id FROM jobs
            WHERE state = 'pending' AND behind IS NULL AND mailbox_key IS NOT NULL
            ORDER BY mailbox_key, mails, priority, next_attempt_at, id LIMIT 1)
        UNION ALL
        SELECT j.mailbox_key, j.mails, j.priority, j.next_attempt_at, j.id FROM l CROSS JOIN jobs AS j
            ON j.id = coalesce(
                (SELECT id FROM jobs WHERE state = 'pending' AND behind IS NULL AND mailbox_key = l.k AND mails = l.m
                    AND priority > l.p ORDER BY priority, next_attempt_at, id LIMIT 1),
                (SELECT id FROM jobs WHERE state = 'pending' AND behind IS NULL AND mailbox_key = l.k AND mails > l.m
                    ORDER BY mails, priority, next_attempt_at, id LIMIT 1),
                (SELECT id FROM jobs WHERE state = 'pending' AND behind IS NULL AND mailbox_key > l.k
                    ORDER BY mailbox_key, mails, priority, next_attempt_at, id LIMIT 1)))"
    };
}
pub(crate) use lanes;

/// The first job of each of them, and the operator's words. A BLOB for a time is as in `first!`.
const HEADS: &str = concat!(
    "WITH RECURSIVE ",
    lanes!(),
    " SELECT json_group_array(json_array(l.k, json_array(l.due, l.first), l.m, l.p)), ",
    orders!(),
    " FROM l WHERE l.due < x'' AND typeof(l.m) = 'integer' AND typeof(l.p) = 'integer'"
);

/// The lanes of a JSON array with mailbox, mails and priority of each.
macro_rules! heads_of {
    ($lanes:literal) => {
        concat!(
            "SELECT json_group_array(json_array(l.k, json(",
            first!(),
            "), l.m, l.p)) FROM (SELECT value ->> 0 AS k, value ->> 1 AS m, value ->> 2 AS p FROM jsonb_each(",
            $lanes,
            ")) AS l"
        )
    };
}
pub(crate) use heads_of;

const HEADS_OF: &str = heads_of!("?1");

/// The jobs of ?1, a JSON array of ids, behind which another one waits.
const FOLLOWED: &str = "SELECT value FROM json_each(?1) WHERE EXISTS (
        SELECT 1 FROM jobs INDEXED BY jobs_waiting WHERE state = 'pending' AND behind = json_each.value)";

/// While somebody else keeps writing and there is enough to do, the walk may take this part of the time.
const SHARE: u32 = 10;

/// A lane with pending jobs.
#[derive(Clone, Debug)]
pub struct Head {
    /// The mailbox as SQLite has it, which may be no UTF-8.
    pub raw: Vec<u8>,
    pub lane: LaneKey,
    /// Its jobs mail somebody.
    pub mails: bool,
    pub priority: i64,
    /// When its first job is due, as stored: the claim compares text, so what is not a time is judged here as it is there.
    pub due: String,
    /// That job. Of lanes due at the same time, the one whose job was inserted first has its turn first.
    pub id: i64,
}

impl Head {
    /// The lane as `heads_of!` takes it.
    pub fn key(&self) -> Option<(&str, bool, i64)> {
        Some((self.name()?, self.mails, self.priority))
    }

    /// The mailbox as text that JSON and SQLite read alike.
    pub fn name(&self) -> Option<&str> {
        std::str::from_utf8(&self.raw).ok().filter(|name| !name.contains('\0'))
    }
}

/// A lane as the statements tell it: mailbox, due time and id of its first job, mails and priority.
#[derive(Deserialize)]
struct Told(Text, Option<(Text, i64)>, Flag, i64);

/// The heads as they were seen last.
#[derive(Debug, Default)]
pub struct LaneHeads {
    /// By due time and id.
    heads: BTreeMap<(String, i64), Head>,
    /// Where those of a mailbox are.
    of_mailbox: HashMap<LaneKey, BTreeSet<(String, i64)>>,
    seen: Option<Seen>,
    connection: u64,
    /// Claims of events' jobs: when one of them ends, another job may have its turn.
    of_events: HashSet<(JobId, i64)>,
    /// Whose lane the jobs without mailbox are in.
    unnamed: Option<String>,
    orders: Orders,
}

/// The operator's words, as they were told last and as lanes: which are on hold, and which were resumed, and when.
#[derive(Debug, Default)]
struct Orders {
    told: Vec<u8>,
    held: Arc<HashSet<LaneKey>>,
    resumed: Arc<HashSet<(LaneKey, DateTime<Utc>)>>,
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

impl LaneHeads {
    /// What was seen can no longer be trusted: the agent itself put jobs back, or the connection is a new one.
    pub fn forget(&mut self) {
        self.seen = None;
    }

    /// `PRAGMA data_version` begins anew with every connection: `number` tells them apart.
    pub fn on_connection(&mut self, number: u64) {
        if self.connection != number {
            self.forget();
            self.connection = number;
        }
    }

    /// These jobs were claimed.
    pub fn took<'j>(&mut self, jobs: impl Iterator<Item = &'j Job>) {
        let is_of_an_event = |job: &&Job| job.input.event_key != Cell::Null || job.input.target_event_id != Cell::Null;
        self.of_events.extend(jobs.filter(is_of_an_event).map(|job| (job.id, job.claim)));
    }

    /// Those of these claims, about to end, behind whose jobs another one waits: it will have its turn. What somebody else inserts
    /// from here on is seen as any other's writing.
    pub async fn followed(
        &self,
        connection: &mut SqliteConnection,
        claims: impl Iterator<Item = (JobId, i64)>,
    ) -> sqlx::Result<HashSet<JobId>> {
        let of_events: Vec<i64> = claims.filter(|claim| self.of_events.contains(claim)).map(|(id, _)| id.0).collect();
        if of_events.is_empty() {
            return Ok(HashSet::new());
        }
        let ids = serde_json::to_string(&of_events).unwrap_or_default();
        let followed: Vec<i64> = sqlx::query_scalar(FOLLOWED).bind(ids).fetch_all(connection).await?;
        Ok(followed.into_iter().map(JobId).collect())
    }

    /// These claims are over. Where that lets another job of the event have its turn, the lanes are not as they were seen.
    pub fn ended(&mut self, claims: impl Iterator<Item = (JobId, i64)>, followed: &HashSet<JobId>) {
        if self.of_events.is_empty() {
            return;
        }
        let ended = claims.filter(|claim| self.of_events.remove(claim));
        let frees = ended.filter(|(id, _)| followed.contains(id)).count() > 0;
        if let Some(seen) = self.seen.as_mut().filter(|_| frees) {
            seen.old = true;
        }
    }

    /// Somebody else has written since the lanes were looked at, or they never were.
    pub fn is_old(&self) -> bool {
        self.seen.as_ref().is_none_or(|seen| seen.old)
    }

    /// The lanes, the one waiting longest first.
    pub fn heads(&self) -> impl Iterator<Item = &Head> {
        self.heads.values()
    }

    /// Those of one mailbox.
    pub fn of(&self, lane: &LaneKey) -> impl Iterator<Item = &Head> {
        self.of_mailbox.get(lane).into_iter().flatten().filter_map(|place| self.heads.get(place))
    }

    /// The operator's words as they are known. The same sets as long as nothing in them changes.
    pub fn news(&self) -> MailboxNews {
        let Orders { held, resumed, .. } = &self.orders;
        MailboxNews { held: held.clone(), resumed: resumed.clone(), ..MailboxNews::default() }
    }

    /// Nothing is to be taken from this lane until it is released.
    pub fn is_held(&self, lane: &LaneKey) -> bool {
        !self.orders.held.is_empty() && self.orders.held.contains(lane)
    }

    /// Takes over the answer of `orders!`. A set in which nothing is new stays the same one.
    pub fn obey(&mut self, told: &[u8]) -> sqlx::Result<()> {
        if self.orders.told == told {
            return Ok(());
        }
        let (held, resumed): (Vec<Text>, Vec<(Text, Text)>) =
            serde_json::from_slice(told).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let held = held.iter().map(|Text(raw)| lane_key(raw, None)).collect();
        // A time that somebody typed as something else ends nothing.
        let time = |raw: &[u8]| parse_utc(&String::from_utf8_lossy(raw));
        let resumed =
            resumed.iter().filter_map(|(Text(raw), Text(at))| Some((lane_key(raw, None), time(at)?))).collect();
        self.orders.told = told.to_owned();
        keep(&mut self.orders.held, held);
        keep(&mut self.orders.resumed, resumed);
        Ok(())
    }

    /// Looks for the operator's words, and at nothing else.
    pub async fn look_for_orders(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        let told: Vec<u8> = sqlx::query_scalar(ORDERS).fetch_one(connection).await?;
        self.obey(&told)
    }

    /// Looks at all lanes if somebody else was seen to write, unless that was done a moment ago.
    pub async fn prepare(&mut self, connection: &mut SqliteConnection, unnamed: Option<&str>) -> sqlx::Result<()> {
        if self.unnamed.as_deref() != unnamed {
            self.unnamed = unnamed.map(str::to_owned);
            self.forget();
        }
        if self.seen.as_ref().is_some_and(|seen| !seen.old || seen.at.elapsed() < seen.took * SHARE) {
            return Ok(());
        }
        self.walk(connection, unnamed).await
    }

    /// Looks whether somebody else has written, and tells `PRAGMA data_version`.
    pub async fn look(&mut self, connection: &mut SqliteConnection) -> sqlx::Result<i64> {
        let version = data_version(connection).await?;
        self.compare(version);
        Ok(version)
    }

    /// This is `PRAGMA data_version` now.
    pub fn compare(&mut self, version: i64) {
        if let Some(seen) = &mut self.seen {
            seen.old |= version != seen.version;
        }
    }

    /// Looks at all lanes if somebody else has written since they were looked at. Tells whether that is so.
    pub async fn look_again(&mut self, connection: &mut SqliteConnection, unnamed: Option<&str>) -> sqlx::Result<bool> {
        let old = self.is_old();
        if old {
            self.walk(connection, unnamed).await?;
        }
        Ok(old)
    }

    /// Looks at these lanes, of which jobs were taken.
    pub async fn look_at(
        &mut self,
        connection: &mut SqliteConnection,
        unnamed: Option<&str>,
        lanes: Vec<Head>,
    ) -> sqlx::Result<()> {
        // Text: JSON can hold it.
        let keys: Vec<_> = lanes.iter().filter_map(Head::key).collect();
        let keys = serde_json::to_string(&keys).unwrap_or_default();
        let left: Vec<u8> = sqlx::query_scalar(HEADS_OF).bind(keys).fetch_one(connection).await?;
        self.replace(lanes, &left, unnamed);
        Ok(())
    }

    /// Jobs of these lanes were taken, and this is left of them: the answer of `heads_of!` to their keys.
    pub fn replace(&mut self, lanes: Vec<Head>, left: &[u8], unnamed: Option<&str>) {
        for head in lanes {
            if head.name().is_none() {
                // Rare enough to be found by the next walk.
                self.forget();
            }
            self.remove(head);
        }
        if self.add(left, unnamed).is_err() {
            self.forget();
        }
    }

    async fn walk(&mut self, connection: &mut SqliteConnection, unnamed: Option<&str>) -> sqlx::Result<()> {
        let at = steady();
        // Asked before: what is written in between is seen twice rather than never.
        let version = data_version(connection).await?;
        let row = sqlx::query(HEADS).fetch_one(connection).await?;
        self.heads.clear();
        self.of_mailbox.clear();
        self.add(row.try_get(0)?, unnamed)?;
        self.obey(row.try_get(1)?)?;
        self.seen = Some(Seen { version, at: steady(), took: at.elapsed(), old: false });
        Ok(())
    }

    /// No job where the lane is empty now.
    fn add(&mut self, heads: &[u8], unnamed: Option<&str>) -> sqlx::Result<()> {
        let heads: Vec<Told> = serde_json::from_slice(heads).map_err(|error| sqlx::Error::Decode(error.into()))?;
        for Told(Text(raw), first, Flag(mails), priority) in heads {
            let Some((Text(due), id)) = first else { continue };
            let lane = lane_key(&raw, unnamed);
            let due = String::from_utf8_lossy(&due).into_owned();
            self.of_mailbox.entry(lane.clone()).or_default().insert((due.clone(), id));
            self.heads.insert((due.clone(), id), Head { raw, lane, mails, priority, due, id });
        }
        Ok(())
    }

    fn remove(&mut self, head: Head) {
        let place = (head.due, head.id);
        self.heads.remove(&place);
        if let Some(places) = self.of_mailbox.get_mut(&head.lane) {
            places.remove(&place);
            if places.is_empty() {
                self.of_mailbox.remove(&head.lane);
            }
        }
    }
}

/// Replaces a set only by another one: whoever compares sets by where they are sees at once that nothing is new.
fn keep<T: PartialEq>(known: &mut Arc<T>, told: T) {
    if **known != told {
        *known = Arc::new(told);
    }
}

/// Changes when another connection has written.
async fn data_version(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("PRAGMA data_version").fetch_one(connection).await
}

/// The statements, for the test that looks at their plans.
#[cfg(test)]
pub const STATEMENTS: [&str; 2] = [HEADS, HEADS_OF];
#[cfg(test)]
pub const OF_EVENTS: &str = FOLLOWED;
