//! The agent's verbs. What keeps it a member of the agents stands in `membership`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row;
use sqlx::postgres::PgConnection;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;

use super::claim::{self, Taker};
use super::clock::{ServerClock, now, steady};
use super::errors::{read, written};
use super::heads::{Heads, lane_key};
use super::lanes::{Lanes, Passes};
use super::life::Life;
use super::link::{STATEMENT, within};
use super::member::{self, AgentId, Cleaning, Member, claims_of};
use super::notices::Notices;
use super::overtaken::OvertakenJobs;
use super::report::agents::write;
use super::settle::{self, PurgeCursor};
use super::store::PostgresQueue;
use super::time::Time;
use super::trust::Trust;
use crate::clock::Now;
use crate::job::JobId;
use crate::queue::withheld::WithheldJobs;
use crate::queue::{
    Agent, AgentStatus, ClaimRequest, Claimed, LaneKey, MailboxNews, Membership, Pass, Pause, QueueError, Recovered,
    Settled, Settlement, Withheld,
};

/// All mailboxes are looked at at least so often, whatever was told.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Whom a lane should belong to is looked at so often.
const TIDY_EVERY: Duration = Duration::from_millis(2500);
/// Nothing is known of what a mailbox answered last: one request finds out.
const ONE: usize = 1;

const ORDERS: &str = "SELECT clock_timestamp() AS server,
    ARRAY(SELECT mailbox FROM mailboxes WHERE held_at IS NOT NULL) AS held,
    ARRAY(SELECT mailbox FROM mailboxes WHERE resumed_at > now() - interval '10 minutes' ORDER BY mailbox) AS resumed,
    ARRAY(SELECT resumed_at FROM mailboxes WHERE resumed_at > now() - interval '10 minutes' ORDER BY mailbox) AS resumed_at";

/// What an agent is called, and what all agents of a queue go by.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    pub name: String,
    /// How long a request may be under way.
    pub request_timeout: Duration,
    /// A failover may lose what was acknowledged.
    pub lossy: bool,
    /// What all agents of a queue must go by alike, in words.
    pub agreement: Option<String>,
}

impl Default for AgentSettings {
    fn default() -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { name, request_timeout: Duration::from_secs(30), lossy: true, agreement: None }
    }
}

/// What an agent remembers between two calls.
pub(super) struct AgentSide {
    pub settings: AgentSettings,
    pub clock: Arc<ServerClock>,
    pub trust: Arc<Trust>,
    pub tally: Tally,
    pub life: Life,
    pub notices: Arc<Notices>,
    cleaning: std::sync::Mutex<Cleaning>,
    passes: Arc<Passes>,
    pub memory: Mutex<Memory>,
    /// What runs as long as this agent is a member.
    pub tasks: Mutex<JoinSet<()>>,
}

/// What it counts for its metrics.
#[derive(Default)]
pub(super) struct Tally {
    /// Agents that live, this one among them, as it saw last.
    agents: AtomicUsize,
    /// Agents that this one has buried.
    pub buried: AtomicU64,
    /// Where the queue is in its database.
    pub schema: OnceLock<String>,
    /// Answers to requests of claims that were over.
    late: AtomicU64,
}

#[derive(Default)]
pub(super) struct Memory {
    pub member: Option<Member>,
    pub lanes: Lanes,
    pub heads: Heads,
    withheld: WithheldJobs,
    overtaken: OvertakenJobs,
    purge_cursor: PurgeCursor,
    orders: Orders,
    tidied: Option<Instant>,
    /// The agent has joined, and no claim has told it what it must know.
    is_new: bool,
}

impl Memory {
    /// This agent is another one now.
    pub fn begin_anew(&mut self) {
        self.lanes.lost();
        self.heads.are_old();
        self.is_new = true;
        self.tidied = None;
    }
}

/// The operator's words as they were told last: which mailboxes are on hold, and which were resumed, and when.
#[derive(Default)]
struct Orders {
    held: Arc<HashSet<LaneKey>>,
    /// As the server told them.
    told: Vec<(String, DateTime<Utc>)>,
    resumed: Arc<HashSet<(LaneKey, DateTime<Utc>)>>,
}

impl AgentSide {
    pub fn of(settings: AgentSettings) -> Self {
        let cleaning = Cleaning { request: settings.request_timeout, unnamed: None };
        let passes = Arc::new(Passes::default());
        Self {
            memory: Mutex::new(Memory { lanes: Lanes::of(&settings.name, passes.clone()), ..Memory::default() }),
            passes,
            settings,
            clock: Arc::default(),
            trust: Arc::default(),
            tally: Tally::default(),
            life: Life::default(),
            notices: Arc::default(),
            cleaning: std::sync::Mutex::new(cleaning),
            tasks: Mutex::default(),
        }
    }

    pub fn cleaning(&self) -> std::sync::MutexGuard<'_, Cleaning> {
        self.cleaning.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Agent for PostgresQueue {
    async fn join(&self) -> Result<Recovered, QueueError> {
        let mut memory = self.agent.memory.lock().await;
        self.begin(&mut memory).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, QueueError> {
        let mut memory = self.agent.memory.lock().await;
        if memory.member.is_none() || !self.agent.trust.holds() && self.was_buried(&memory).await? {
            self.begin(&mut memory).await?;
        }
        self.agent.cleaning().unnamed.clone_from(&request.unnamed);
        let mut link = self.links.claims.open().await.map_err(written)?;
        let done = within(STATEMENT, self.claimed(&mut link, &mut memory, request)).await;
        link.done(done).map_err(written)
    }

    async fn settle(&self, batch: &[&Settlement]) -> Result<Vec<Settled>, QueueError> {
        let id = self.id().await?;
        let mut link = self.links.ends.open().await.map_err(written)?;
        let done = within(STATEMENT, settle::settle(&mut link, id, batch, &self.agent.clock)).await;
        let done = link.done(done).map_err(written)?;
        self.agent.tally.late.fetch_add(done.late, Ordering::Relaxed);
        let mut memory = self.agent.memory.lock().await;
        done.waiting.iter().for_each(|raw| memory.heads.is_old(raw));
        let over = |(end, settled): (&&Settlement, &Settled)| {
            (!matches!(settled, Settled::Refused(_))).then_some((end.id, end.claim))
        };
        memory.lanes.end(batch.iter().zip(&done.settled).filter_map(over));
        Ok(done.settled)
    }

    async fn claims(&self) -> Result<Vec<(JobId, i64)>, QueueError> {
        let id = self.id().await?;
        let mut link = self.links.ends.open().await.map_err(read)?;
        let done = within(STATEMENT, claims_of(&mut link, id)).await;
        link.done(done).map_err(read)
    }

    async fn put_back(&self, claims: &[(JobId, i64)]) -> Result<Recovered, QueueError> {
        let id = self.id().await?;
        let mut link = self.links.ends.open().await.map_err(written)?;
        let done = within(STATEMENT, member::put_back(&mut link, id, claims)).await;
        let recovered = link.done(done).map_err(written)?;
        let mut memory = self.agent.memory.lock().await;
        memory.heads.are_old();
        memory.lanes.end(claims.iter().copied());
        Ok(recovered)
    }

    async fn wake(&self) -> Result<(), QueueError> {
        let woken = self.wake_all().await;
        self.agent.memory.lock().await.heads.are_old();
        woken
    }

    async fn purge(&self, age: Duration, limit: u32) -> Result<u64, QueueError> {
        let mut cursor = std::mem::take(&mut self.agent.memory.lock().await.purge_cursor);
        let mut link = self.links.others.open().await.map_err(written)?;
        let done = within(STATEMENT, settle::purge(&mut link, &mut cursor, age, limit)).await;
        self.agent.memory.lock().await.purge_cursor = cursor;
        link.done(done).map_err(written)
    }

    async fn forget_pauses(&self, limit: u32) -> Result<u64, QueueError> {
        let mut link = self.links.others.open().await.map_err(written)?;
        let done = within(STATEMENT, settle::forget(&mut link, limit)).await;
        link.done(done).map_err(written)
    }

    async fn report(&self, status: &AgentStatus) -> Result<(), QueueError> {
        let id = self.id().await?;
        let mut link = self.links.others.open().await.map_err(written)?;
        let done = within(STATEMENT, write(&mut link, id, status, &self.agent.clock)).await;
        link.done(done).map_err(written)
    }

    async fn note_pause(&self, pause: &Pause, at: Now) -> Result<(), QueueError> {
        let mut link = self.links.others.open().await.map_err(written)?;
        let done = within(STATEMENT, settle::pause(&mut link, pause, &self.agent.clock, at)).await;
        link.done(done).map_err(written)
    }

    async fn add_join_url(&self, id: JobId, join_url: &str) -> Result<(), QueueError> {
        let mut link = self.links.others.open().await.map_err(written)?;
        let done = within(STATEMENT, settle::add_join_url(&mut link, id, join_url)).await;
        link.done(done).map_err(written)
    }

    async fn outstanding(&self) -> Result<u64, QueueError> {
        let mut link = self.links.others.open().await.map_err(read)?;
        let done = within(STATEMENT, settle::outstanding(&mut link)).await;
        link.done(done).map_err(read)
    }

    fn pass(&self, lane: &LaneKey, claimed: Instant) -> Option<Pass> {
        let held = self.agent.passes.of(lane, claimed)?;
        self.agent.trust.holds().then(|| Pass::of(held))
    }

    fn membership(&self) -> Option<Membership> {
        let AgentSide { tally, trust, passes, .. } = &*self.agent;
        Some(Membership {
            schema: tally.schema.get().cloned().unwrap_or_default(),
            agents: tally.agents.load(Ordering::Relaxed),
            mailboxes: passes.count(),
            lease_margin: trust.margin(),
            lease_lapses: trust.lapses(),
            buried: tally.buried.load(Ordering::Relaxed),
            late_answers: tally.late.load(Ordering::Relaxed),
        })
    }

    /// The next renewal of the lease tells it: it costs no statement of its own.
    async fn sign(&self) -> Result<(), QueueError> {
        self.agent.life.sign();
        Ok(())
    }

    async fn changes(&self) -> Result<(), QueueError> {
        self.agent.notices.come().await;
        Ok(())
    }
}

/// The claim.
impl PostgresQueue {
    async fn claimed(
        &self,
        connection: &mut PgConnection,
        memory: &mut MutexGuard<'_, Memory>,
        request: &ClaimRequest,
    ) -> sqlx::Result<Claimed> {
        let Some(id) = memory.member.as_ref().map(|member| member.id) else { return Ok(Claimed::nothing(now())) };
        let server = self.obey(connection, memory).await?;
        let at = now();
        let mut claimed = Claimed::nothing(at);
        let told = self.agent.notices.taken();
        if told.at_once {
            memory.heads.are_unknown();
        }
        if told.all {
            memory.heads.are_old();
            memory.lanes.ask_again();
        }
        told.mailboxes.iter().for_each(|raw| memory.heads.is_old(raw));
        if memory.tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY_EVERY) {
            memory.lanes.tidy(connection, id).await?;
            self.agent.tally.agents.store(memory.lanes.living(), Ordering::Relaxed);
            memory.tidied = Some(steady());
        }
        let Memory { heads, withheld, overtaken: overtaken_jobs, .. } = &mut **memory;
        let unnamed = request.unnamed.as_deref();
        let looked = heads.look(connection, unnamed, LOOK_EVERY).await?;
        if looked || !told.mailboxes.is_empty() || overtaken_jobs.are_due(server) {
            let overtaken = overtaken_jobs.end(connection, withheld).await?;
            if overtaken.moved {
                heads.are_old();
                heads.look(connection, unnamed, Duration::ZERO).await?;
            }
            claimed.ended = overtaken.ended;
            claimed.withheld.new = overtaken.refused;
        }
        let is_first = std::mem::take(&mut memory.is_new);
        let (held, resumed) = (memory.orders.held.clone(), memory.orders.resumed.clone());
        claimed.news = MailboxNews { held: held.clone(), resumed, ..MailboxNews::default() };
        if request.limit == 0 {
            claimed.more = is_first;
            return Ok(claimed);
        }
        self.take(connection, memory, id, request, server, &mut claimed).await?;
        let Memory { lanes, heads, withheld, overtaken, .. } = &mut **memory;
        let next = claim::next_due(heads, request, &held, server);
        let next = next.into_iter().chain(overtaken.next()).chain(lanes.next_beside_ghosts(server)).min();
        let local = |time: DateTime<Utc>| self.agent.clock.by_this_machine(time, at);
        let soon = [withheld.next(steady()), heads.again()].into_iter().flatten().min();
        let soon = soon.and_then(|wait| at.wall.checked_add_signed(TimeDelta::from_std(wait).ok()?));
        claimed.next_due = claimed.next_due.into_iter().chain(next.map(local)).chain(soon).min();
        claimed.withheld.all = withheld.sum();
        Ok(claimed)
    }

    async fn take(
        &self,
        connection: &mut PgConnection,
        memory: &mut MutexGuard<'_, Memory>,
        id: AgentId,
        request: &ClaimRequest,
        server: DateTime<Utc>,
        claimed: &mut Claimed,
    ) -> sqlx::Result<()> {
        let held = memory.orders.held.clone();
        let Memory { lanes, heads, withheld, .. } = &mut **memory;
        let unnamed = request.unnamed.as_deref();
        let mut plan = claim::plan(heads, lanes, request, &held, server);
        if !plan.free.is_empty() {
            let taken = lanes.take(connection, id, &plan.free).await?;
            if !taken.is_empty() {
                // What is to be known of them is told before anything is taken of them.
                self.tell(connection, unnamed, &taken, claimed).await?;
                claimed.more = true;
            }
            plan.again = plan.again.or(claim::plan(heads, lanes, request, &held, server).again);
        }
        let known = |lane: &LaneKey, claimed: &Claimed| !claimed.news.limits.iter().any(|(told, _)| told == lane);
        let wanted: Vec<_> = plan.wanted.into_iter().filter(|wanted| known(&wanted.lane, claimed)).collect();
        if !wanted.is_empty() {
            let taker = Taker { id, request, clock: &self.agent.clock, now: claimed.as_of };
            let taking = claim::claim(connection, &wanted, withheld, &taker).await?;
            for (lane, job) in &taking.jobs {
                lanes.begin(lane, job.id, job.claim);
            }
            let gone = taking.jobs.iter().map(|(_, job)| job.id.0).chain(taking.broken.iter().map(|id| id.0));
            withheld.forget(gone.chain(claimed.ended.iter().map(|(id, _)| id.0)));
            wanted.iter().for_each(|wanted| wanted.raws().for_each(|raw| heads.is_old(raw)));
            heads.look(connection, unnamed, LOOK_EVERY).await?;
            claimed.more |= taking.more;
            claimed.jobs = taking.jobs;
            claimed.broken = taking.broken;
            claimed.withheld.new.extend(taking.withheld);
            claimed.withheld = Withheld { met: taking.met_refusal, ..std::mem::take(&mut claimed.withheld) };
        }
        let again = plan.again.and_then(|wait| TimeDelta::from_std(wait).ok());
        claimed.next_due = again.and_then(|wait| claimed.as_of.wall.checked_add_signed(wait));
        Ok(())
    }

    /// What an agent must know of mailboxes that it has taken.
    async fn tell(
        &self,
        connection: &mut PgConnection,
        unnamed: Option<&str>,
        taken: &[super::lanes::Taken],
        claimed: &mut Claimed,
    ) -> sqlx::Result<()> {
        let names: Vec<&str> = taken.iter().map(|taken| taken.lane.as_str()).collect();
        let pauses = settle::pauses_of(connection, &names, &self.agent.clock, claimed.as_of).await?;
        claimed.news.pauses.extend(pauses);
        let mut raws = names.clone();
        if unnamed.is_some_and(|name| names.contains(&lane_key("", Some(name)).as_str())) {
            raws.push("");
        }
        let mailed = settle::mailed_of(connection, &raws, unnamed, &self.agent.clock, claimed.as_of).await?;
        claimed.news.mailed.extend(mailed);
        let suspects = taken.iter().filter(|taken| taken.suspect || taken.ghosts_until.is_some());
        claimed.news.limits.extend(suspects.map(|taken| (taken.lane.clone(), ONE)));
        Ok(())
    }

    /// The operator's words, and the server's time.
    async fn obey(
        &self,
        connection: &mut PgConnection,
        memory: &mut MutexGuard<'_, Memory>,
    ) -> sqlx::Result<DateTime<Utc>> {
        let asked = steady();
        let row = sqlx::query(ORDERS).fetch_one(connection).await?;
        let server: DateTime<Utc> = row.try_get("server")?;
        self.agent.clock.saw(server, asked);
        let orders = &mut memory.orders;
        let held: Vec<String> = row.try_get("held")?;
        let held: HashSet<LaneKey> = held.iter().map(|mailbox| LaneKey::of(mailbox)).collect();
        if *orders.held != held {
            orders.held = Arc::new(held);
        }
        let (mailboxes, times): (Vec<String>, Vec<Time>) = (row.try_get("resumed")?, row.try_get("resumed_at")?);
        let told: Vec<_> = mailboxes.into_iter().zip(times.into_iter().map(|Time(time)| time)).collect();
        if orders.told != told {
            // The same order keeps its time here: it would be another one else.
            let at = now();
            let known = |lane: &LaneKey, told: &(String, DateTime<Utc>)| {
                let same = orders.told.contains(told);
                orders.resumed.iter().find(|(known, _)| same && known == lane).map(|(_, at)| *at)
            };
            let resumed = told.iter().map(|order| {
                let lane = LaneKey::of(&order.0);
                let time = known(&lane, order).unwrap_or_else(|| self.agent.clock.by_this_machine(order.1, at));
                (lane, time)
            });
            let resumed = resumed.collect();
            orders.resumed = Arc::new(resumed);
            orders.told = told;
        }
        Ok(server)
    }
}
