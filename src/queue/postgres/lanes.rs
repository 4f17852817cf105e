//! The mailboxes this agent serves. A mailbox has one owner at a time, so that its slots, its pauses and its order are decided in one
//! memory. Whose it should be is told by a hash over the names of the living, which all of them reckon alike; whose it is, by
//! the row in `lanes`. An agent takes what it should have at once, and what another one should have only when that one does not
//! come. What another one should have is given back as soon as nothing of it is under way.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::clock::steady;
use super::member::{AgentId, me};
use super::time::time;
use crate::job::{JobId, REPEAT_WAIT};
use crate::queue::LaneKey;

/// How long one that comes second in line waits for the first, and the third for the second.
const WAIT_PER_PLACE: Duration = Duration::from_millis(50);
/// What another agent has is asked for again after that.
const FOREIGN_FOR: Duration = Duration::from_secs(1);
/// What was given back is left to whom it should belong for so long.
const HANDED_FOR: Duration = Duration::from_secs(2);
/// What was taken in another's place is kept for so long.
const TENURE: Duration = Duration::from_secs(10);
/// A mailbox for which nothing waits is kept for so long.
const IDLE: Duration = Duration::from_secs(60);

const LIVING: &str = "SELECT name FROM agents WHERE gone_at IS NULL ORDER BY name";

/// In the order of their names, so that two agents that take several never wait for each other.
const TAKE: &str = concat!(
    "WITH ",
    me!(),
    " INSERT INTO lanes AS l (lane, owner, epoch, taken_at)
    SELECT w.lane, me.id, 1, now() FROM me, unnest($2::text[]) AS w(lane) ORDER BY w.lane COLLATE \"C\"
    ON CONFLICT (lane) DO UPDATE SET owner = excluded.owner, epoch = l.epoch + 1, taken_at = now()
        WHERE l.owner IS NULL OR l.owner = excluded.owner
    RETURNING l.lane, l.epoch, l.suspect, l.ghosts, l.ghosts_until"
);

/// The next one finds them free, and hears of it. Of the epochs in $3: where this agent has taken one anew meanwhile, a statement that
/// was held up on its way frees nothing.
const GIVE_BACK: &str = "WITH free AS (UPDATE lanes AS l SET owner = NULL, suspect = false
        FROM unnest($2::text[], $3::bigint[]) AS w(lane, epoch)
        WHERE l.owner = $1 AND l.lane = w.lane COLLATE \"C\" AND l.epoch = w.epoch RETURNING 1)
    SELECT pg_notify('event_sender_jobs', current_schema() || E'\\n*') FROM (SELECT 1 FROM free LIMIT 1) AS any_free";

/// A mailbox that was taken.
#[derive(Debug)]
pub struct Taken {
    pub lane: LaneKey,
    /// A dead agent may have taken its last answer with it.
    pub suspect: bool,
    /// Until then requests of a dead agent take up places, by the server's clock.
    pub ghosts_until: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct Owned {
    at: Instant,
    /// Something of it waited or was under way then.
    used: Instant,
    /// Its jobs that this agent has claimed, by the numbers of the claims.
    claims: HashSet<(JobId, i64)>,
    epoch: i64,
    /// Requests of dead agents that may be under way until then, by the server's clock. There are no more of them while it is this
    /// agent's.
    ghosts: usize,
    ghosts_until: Option<DateTime<Utc>>,
}

impl Owned {
    /// What the dead owner was told is not known. Most pauses that Microsoft asks for are short, so it is left alone
    /// for a moment before one request finds out.
    fn pause(&self) -> Option<Duration> {
        REPEAT_WAIT.checked_sub(self.at.elapsed()).filter(|pause| !pause.is_zero())
    }
}

#[derive(Debug, Default)]
pub struct Lanes {
    owned: HashMap<LaneKey, Owned>,
    /// Those that another agent had, and when it was asked.
    foreign: HashMap<LaneKey, Instant>,
    /// Those that were given back, and when: others come for them first.
    handed: HashMap<LaneKey, Instant>,
    /// The names of those that live, this one's among them.
    living: Vec<String>,
    name: String,
    passes: Arc<Passes>,
}

/// Who may make requests now, by mailbox: kept beside the memory, which is held while the server is asked.
#[derive(Debug, Default)]
pub struct Passes(Mutex<HashMap<LaneKey, OwnPass>>);

#[derive(Debug)]
struct OwnPass {
    /// Held by each request.
    held: Arc<()>,
    /// The mailbox has been this agent's since then.
    since: Instant,
}

impl OwnPass {
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.held) > 1
    }
}

impl Passes {
    /// None: the mailbox is not this agent's, or was another one's after that was claimed, which may have sent it.
    pub fn of(&self, lane: &LaneKey, claimed: Instant) -> Option<Arc<()>> {
        self.all().get(lane).filter(|pass| pass.since <= claimed).map(|pass| pass.held.clone())
    }

    /// Mailboxes that are this agent's.
    pub fn count(&self) -> usize {
        self.all().len()
    }

    fn begin(&self, lane: LaneKey, since: Instant) {
        self.all().insert(lane, OwnPass { held: Arc::default(), since });
    }

    fn are_held(&self, lane: &LaneKey) -> bool {
        self.all().get(lane).is_some_and(OwnPass::is_held)
    }

    /// None from now on, if none is held.
    fn end(&self, lane: &LaneKey) -> bool {
        let mut all = self.all();
        let held = all.get(lane).is_some_and(OwnPass::is_held);
        if !held {
            all.remove(lane);
        }
        !held
    }

    fn all(&self) -> MutexGuard<'_, HashMap<LaneKey, OwnPass>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    pub fn of(name: &str, passes: Arc<Passes>) -> Self {
        Self { name: name.to_owned(), passes, ..Self::default() }
    }

    /// Agents that live, as was seen last.
    pub fn living(&self) -> usize {
        self.living.len()
    }

    pub fn owns(&self, lane: &LaneKey) -> bool {
        self.owned.contains_key(lane)
    }

    /// When there are places again, or more of them, beside the requests of dead agents.
    pub fn next_beside_ghosts(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = |owned: &Owned| {
            let until = owned.ghosts_until.filter(|until| *until > now)?;
            let pause = owned.pause().and_then(|pause| now.checked_add_signed(TimeDelta::from_std(pause).ok()?));
            Some(pause.map_or(until, |pause| pause.min(until)))
        };
        self.owned.values().filter_map(next).min()
    }

    /// How many jobs of it may be claimed: of its slots those that neither a claim nor a ghost is in, and none at first; where there
    /// are no ghosts, any number.
    pub fn places_beside_ghosts(&self, lane: &LaneKey, slots: usize, now: DateTime<Utc>) -> usize {
        match self.owned.get(lane) {
            Some(owned) if owned.ghosts_until.is_some_and(|until| until > now) => {
                if owned.pause().is_some() {
                    return 0;
                }
                slots.saturating_sub(owned.ghosts + owned.claims.len())
            }
            _ => usize::MAX,
        }
    }

    /// This agent is another one now, or others were told to have given something back: what they had may be free.
    pub fn ask_again(&mut self) {
        self.foreign.clear();
    }

    /// Nothing is this agent's any more.
    pub fn lost(&mut self) {
        self.passes.all().clear();
        self.owned.clear();
        self.foreign.clear();
    }

    /// Whether to take it now, its first job having been due for so long; or after how long.
    pub fn may_take(&self, lane: &LaneKey, due_for: Duration) -> Result<(), Duration> {
        if let Some(wait) = self.handed.get(lane).and_then(|at| HANDED_FOR.checked_sub(at.elapsed())) {
            return Err(wait);
        }
        let wait = WAIT_PER_PLACE.saturating_mul(u32::try_from(self.place_in_line(lane)).unwrap_or(u32::MAX));
        if due_for < wait {
            return Err(wait - due_for);
        }
        match self.foreign.get(lane).map(|asked| asked.elapsed()) {
            Some(since) if since < FOREIGN_FOR => Err(FOREIGN_FOR - since),
            _ => Ok(()),
        }
    }

    /// 0: it should be this agent's.
    fn place_in_line(&self, lane: &LaneKey) -> usize {
        let mine = preference(&self.name, lane);
        self.living.iter().filter(|name| **name != self.name && preference(name, lane) > mine).count()
    }

    /// Takes those that nobody has.
    pub async fn take(
        &mut self,
        connection: &mut PgConnection,
        id: AgentId,
        wanted: &[LaneKey],
    ) -> sqlx::Result<Vec<Taken>> {
        let names: Vec<&str> = wanted.iter().map(LaneKey::as_str).collect();
        let rows = sqlx::query(TAKE).bind(id.0).bind(names).fetch_all(connection).await?;
        let (now, mut taken) = (steady(), Vec::new());
        for row in rows {
            let lane = LaneKey::of(row.try_get("lane")?);
            let ghosts_until = time(&row, "ghosts_until")?;
            let (epoch, ghosts): (i64, i32) = (row.try_get("epoch")?, row.try_get("ghosts")?);
            let ghosts = usize::try_from(ghosts).unwrap_or_default();
            self.owned.insert(
                lane.clone(),
                Owned { at: now, used: now, claims: HashSet::new(), epoch, ghosts, ghosts_until },
            );
            self.foreign.remove(&lane);
            self.handed.remove(&lane);
            self.passes.begin(lane.clone(), now);
            taken.push(Taken { lane, suspect: row.try_get("suspect")?, ghosts_until });
        }
        self.foreign
            .extend(wanted.iter().filter(|lane| !self.owned.contains_key(*lane)).map(|lane| (lane.clone(), now)));
        Ok(taken)
    }

    /// A job of it was claimed.
    pub fn begin(&mut self, lane: &LaneKey, job: JobId, claim: i64) {
        if let Some(owned) = self.owned.get_mut(lane) {
            owned.claims.insert((job, claim));
            owned.used = steady();
        }
    }

    /// These claims are over.
    pub fn end(&mut self, claims: impl Iterator<Item = (JobId, i64)>) {
        let ended: HashSet<(JobId, i64)> = claims.collect();
        for owned in self.owned.values_mut() {
            owned.claims.retain(|claim| !ended.contains(claim));
        }
    }

    /// Something of it waits.
    pub fn used(&mut self, lane: &LaneKey) {
        if let Some(owned) = self.owned.get_mut(lane) {
            owned.used = steady();
        }
    }

    /// Whether to claim no more of it, so that it can be given back.
    pub fn is_anothers(&self, lane: &LaneKey) -> bool {
        self.owned.get(lane).is_some_and(|owned| owned.at.elapsed() >= TENURE) && self.place_in_line(lane) > 0
    }

    /// Learns who lives, and gives back what others should have, and what nothing waits for.
    pub async fn tidy(&mut self, connection: &mut PgConnection, id: AgentId) -> sqlx::Result<()> {
        self.living = sqlx::query_scalar(LIVING).fetch_all(&mut *connection).await?;
        let is_over = |lane: &LaneKey, owned: &Owned| {
            owned.claims.is_empty()
                && !self.passes.are_held(lane)
                && (self.is_anothers(lane) || owned.used.elapsed() >= IDLE)
        };
        let over: Vec<LaneKey> =
            self.owned.iter().filter(|(lane, owned)| is_over(lane, owned)).map(|(lane, _)| lane.clone()).collect();
        self.give_back(connection, id, &over).await
    }

    pub async fn give_back(
        &mut self,
        connection: &mut PgConnection,
        id: AgentId,
        lanes: &[LaneKey],
    ) -> sqlx::Result<()> {
        if lanes.is_empty() {
            return Ok(());
        }
        // From here on no request of them begins.
        let lanes: Vec<&LaneKey> = lanes.iter().filter(|lane| self.passes.end(lane)).collect();
        let names: Vec<&str> = lanes.iter().map(|lane| lane.as_str()).collect();
        let owned = |lane: &&LaneKey| self.owned.remove(*lane).map_or(0, |owned| owned.epoch);
        let epochs: Vec<i64> = lanes.iter().map(owned).collect();
        self.handed.retain(|_, at| at.elapsed() < HANDED_FOR);
        let anothers: Vec<LaneKey> =
            lanes.iter().filter(|lane| self.place_in_line(lane) > 0).map(|lane| (*lane).clone()).collect();
        self.handed.extend(anothers.into_iter().map(|lane| (lane, steady())));
        sqlx::query(GIVE_BACK).bind(id.0).bind(names).bind(epochs).execute(connection).await.map(drop)
    }
}

/// The higher, the more the lane should be this agent's. The same on every machine and in every version.
fn preference(name: &str, lane: &LaneKey) -> u64 {
    let told = format!("{name}\n{}", lane.as_str());
    let hash = digest(&SHA256, told.as_bytes());
    hash.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn among(name: &str, living: &[&str]) -> Lanes {
        Lanes { living: living.iter().map(|name| (*name).to_owned()).collect(), ..Lanes::of(name, Arc::default()) }
    }

    #[test]
    fn each_lane_should_be_one_agents_and_all_of_them_reckon_alike() {
        let names = ["a", "b", "c"];
        let agents = names.map(|name| among(name, &names));
        let mut shares = [0; 3];
        for n in 0..3000 {
            let lane = LaneKey::of(&format!("user{n}@contoso.com"));
            let mut places: Vec<usize> = agents.iter().map(|agent| agent.place_in_line(&lane)).collect();
            shares[places.iter().position(|place| *place == 0).unwrap()] += 1;
            places.sort_unstable();
            assert_eq!(places, [0, 1, 2]);
        }
        assert!(shares.iter().all(|share| (800..1200).contains(share)), "{shares:?}");
    }

    /// In between the mailbox may have been another agent's, which has sent that job.
    #[test]
    fn what_was_claimed_before_a_mailbox_was_lost_is_not_sent_when_it_is_had_again() {
        let (passes, lane) = (Arc::new(Passes::default()), LaneKey::of("ann"));
        let mut lanes = Lanes::of("a", passes.clone());
        let taken = steady();
        passes.begin(lane.clone(), taken);
        let claimed = taken + Duration::from_secs(1);
        assert!(passes.of(&lane, claimed).is_some());
        lanes.lost();
        assert!(passes.of(&lane, claimed).is_none());
        passes.begin(lane.clone(), claimed + Duration::from_secs(1));
        assert!(passes.of(&lane, claimed).is_none());
        assert!(passes.of(&lane, claimed + Duration::from_secs(1)).is_some());
    }

    #[test]
    fn who_comes_second_waits_a_moment_for_the_first() {
        let names = ["a", "b"];
        let (a, b) = (among("a", &names), among("b", &names));
        let lane = (0..).map(|n| LaneKey::of(&format!("user{n}"))).find(|lane| a.place_in_line(lane) == 0).unwrap();
        assert_eq!(a.may_take(&lane, Duration::ZERO), Ok(()));
        assert_eq!(b.may_take(&lane, Duration::ZERO), Err(WAIT_PER_PLACE));
        assert_eq!(b.may_take(&lane, WAIT_PER_PLACE), Ok(()));
        assert_eq!(among("b", &["b"]).may_take(&lane, Duration::ZERO), Ok(()), "the first one is gone");
    }
}
