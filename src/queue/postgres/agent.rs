//! The agent's verbs, and what runs beside them as long as it is a member: the renewal of its lease, the burial of those who do
//! not renew theirs, and the notices.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgConnection;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::claim::{self, Taker};
use super::clock::{ServerClock, now, since_boot};
use super::errors::{read, written};
use super::heads::{Heads, lane_key};
use super::lanes::Lanes;
use super::link::{STATEMENT, within};
use super::member::{
    self, AgentId, BURY_EVERY, Cleaning, LEASE, Member, Namesake, RENEW_EVERY, RENEW_WITHIN, Trust, claims_of,
};
use super::notices::{Notices, listen};
use super::overtaken::OvertakenJobs;
use super::report::agents::write;
use super::settle::{self, PurgeCursor};
use super::store::PostgresQueue;
use crate::job::JobId;
use crate::queue::withheld::WithheldJobs;
use crate::queue::{
    Agent, AgentStatus, ClaimRequest, Claimed, LaneKey, MailboxNews, QueueError, Recovered, Settled, Settlement,
    Withheld,
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
}

impl Default for AgentSettings {
    fn default() -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { name, request_timeout: Duration::from_secs(30), lossy: true }
    }
}

/// What an agent remembers between two calls.
pub(super) struct AgentSide {
    settings: AgentSettings,
    clock: Arc<ServerClock>,
    trust: Arc<Trust>,
    notices: Arc<Notices>,
    cleaning: Arc<std::sync::Mutex<Cleaning>>,
    memory: Mutex<Memory>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Memory {
    member: Option<Member>,
    lanes: Lanes,
    heads: Heads,
    withheld: WithheldJobs,
    overtaken: OvertakenJobs,
    purge_cursor: PurgeCursor,
    orders: Orders,
    tidied: Option<std::time::Instant>,
    /// The agent has joined, and no claim has told it what it must know.
    is_new: bool,
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
        Self {
            memory: Mutex::new(Memory { lanes: Lanes::of(&settings.name), ..Memory::default() }),
            settings,
            clock: Arc::default(),
            trust: Arc::default(),
            notices: Arc::default(),
            cleaning: Arc::new(std::sync::Mutex::new(cleaning)),
            tasks: Mutex::default(),
        }
    }

    fn cleaning(&self) -> std::sync::MutexGuard<'_, Cleaning> {
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
        let mut memory = self.agent.memory.lock().await;
        done.waiting.iter().for_each(|raw| memory.heads.is_old(raw));
        let over =
            |(end, settled): (&&Settlement, &Settled)| (!matches!(settled, Settled::Refused(_))).then_some(end.id);
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
        memory.lanes.end(claims.iter().map(|(id, _)| *id));
        Ok(recovered)
    }

    async fn wake(&self) -> Result<(), QueueError> {
        loop {
            let mut link = self.links.ends.open().await.map_err(written)?;
            let done = within(STATEMENT, settle::wake(&mut link)).await;
            let woken = link.done(done).map_err(written)?;
            self.agent.memory.lock().await.heads.are_old();
            if woken == 0 {
                return Ok(());
            }
        }
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

    async fn changes(&self) -> Result<(), QueueError> {
        self.agent.notices.come().await;
        Ok(())
    }
}

/// Membership.
impl PostgresQueue {
    /// Who has this agent's name.
    pub(super) async fn namesake(&self) -> Result<Namesake, QueueError> {
        let mut link = self.links.ends.open().await.map_err(read)?;
        let done = within(STATEMENT, member::namesake(&mut link, &self.agent.settings.name)).await;
        link.done(done).map_err(read)
    }

    /// Registers, and takes back what this agent's own earlier start has left, which is over: its process is gone, or it is this
    /// one.
    async fn begin(&self, memory: &mut Memory) -> Result<Recovered, QueueError> {
        self.agent.trust.ends();
        let mut tasks = self.agent.tasks.lock().await;
        *tasks = JoinSet::new();
        let mut link = self.links.ends.open().await.map_err(written)?;
        let before = memory.member.take();
        let done = within(STATEMENT, self.registered(&mut link, before)).await;
        let (member, recovered) = link.done(done).map_err(written)?;
        memory.lanes.lost();
        memory.heads.are_old();
        memory.is_new = true;
        memory.tidied = None;
        self.renewals(&mut tasks, member.id);
        memory.member = Some(member);
        Ok(recovered)
    }

    async fn registered(
        &self,
        connection: &mut PgConnection,
        before: Option<Member>,
    ) -> sqlx::Result<(Member, Recovered)> {
        let dead = match (before, member::namesake(connection, &self.agent.settings.name).await?) {
            (Some(member), _) => Some(member.id),
            (None, Namesake::Dead(id)) => Some(id),
            (None, Namesake::Expired(_) | Namesake::Alive { .. } | Namesake::None) => None,
        };
        if let Some(id) = dead {
            member::is_gone(connection, id, "replaced").await?;
        }
        member::expired(connection, &self.agent.settings.name).await?;
        let sent = since_boot();
        let member = match member::register(connection, &self.agent.settings.name).await {
            Ok(member) => member,
            Err(member::MemberError::Server(error)) => return Err(error),
            Err(member::MemberError::Lock(error)) => return Err(sqlx::Error::Io(error)),
        };
        self.agent.trust.renewed(sent);
        let by = self.agent.cleaning().clone();
        let recovered = member::clean(connection, &by).await?;
        Ok((member, recovered))
    }

    fn renewals(&self, tasks: &mut JoinSet<()>, id: AgentId) {
        let (links, clock, trust) = (self.links.clone(), self.agent.clock.clone(), self.agent.trust.clone());
        let (cleaning, notices) = (self.agent.cleaning.clone(), self.agent.notices.clone());
        let lossy = self.agent.settings.lossy;
        tasks.spawn(async move {
            let mut ticks = interval(RENEW_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut timeline = None;
            loop {
                ticks.tick().await;
                let Ok(mut link) = links.renewals.open().await else { continue };
                let sent = since_boot();
                let done = within(RENEW_WITHIN, member::renew(&mut link, id)).await;
                match link.done(done) {
                    Ok(Some(renewed)) => {
                        clock.saw(renewed.server);
                        if timeline.as_ref() != Some(&renewed.timeline) {
                            let by = cleaning.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
                            let Ok(mut link) = links.renewals.open().await else { continue };
                            let done =
                                within(RENEW_WITHIN, member::failed_over(&mut link, &renewed.timeline, lossy, &by))
                                    .await;
                            match link.done(done) {
                                Ok(false) => timeline = Some(renewed.timeline),
                                Ok(true) => {
                                    tracing::warn!(
                                        "another database server has taken over, all sending rests for a while"
                                    );
                                    trust.ends();
                                    notices.tell_all();
                                    continue;
                                }
                                Err(_) => continue,
                            }
                        }
                        trust.renewed(sent);
                    }
                    // Buried.
                    Ok(None) => {
                        trust.ends();
                        notices.tell_all();
                        return;
                    }
                    Err(_) => {}
                }
            }
        });
        let (links, cleaning) = (self.links.clone(), self.agent.cleaning.clone());
        tasks.spawn(async move {
            let mut ticks = interval(BURY_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let by = cleaning.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
                let Ok(mut link) = links.burials.open().await else { continue };
                let done = within(STATEMENT, async {
                    for name in member::bury(&mut link, id).await? {
                        tracing::warn!(agent = name, "an agent has fallen silent, its mailboxes go to the others");
                    }
                    member::clean(&mut link, &by).await
                })
                .await;
                _ = link.done(done);
            }
        });
        let echo = format!("event_sender_echo_{}", id.0);
        tasks.spawn(listen(self.server.clone(), self.agent.notices.clone(), echo));
    }

    /// Others have buried this agent, which was silent for longer than its lease.
    async fn was_buried(&self, memory: &Memory) -> Result<bool, QueueError> {
        let Some(member) = &memory.member else { return Ok(true) };
        let mut link = self.links.ends.open().await.map_err(read)?;
        let sent = since_boot();
        let done = within(RENEW_WITHIN, member::renew(&mut link, member.id)).await;
        let renewed = link.done(done).map_err(read)?;
        if renewed.is_some() {
            self.agent.trust.renewed(sent);
        }
        Ok(renewed.is_none())
    }

    async fn id(&self) -> Result<AgentId, QueueError> {
        let mut memory = self.agent.memory.lock().await;
        if memory.member.is_none() {
            self.begin(&mut memory).await?;
        }
        memory
            .member
            .as_ref()
            .map(|member| member.id)
            .ok_or_else(|| QueueError::Unusable("this agent has not joined".into()))
    }

    /// Whether a request may begin now: nobody else can have taken over.
    pub(super) fn is_trusted(&self) -> bool {
        self.agent.trust.holds()
    }

    /// Hands over at once.
    pub(super) async fn leave(&self) -> Result<(), QueueError> {
        let mut memory = self.agent.memory.lock().await;
        let Some(member) = memory.member.take() else { return Ok(()) };
        self.agent.trust.ends();
        *self.agent.tasks.lock().await = JoinSet::new();
        let by = self.agent.cleaning().clone();
        let mut link = self.links.ends.open().await.map_err(written)?;
        let done = within(LEASE, async {
            member::is_gone(&mut link, member.id, "stopped").await?;
            member::clean(&mut link, &by).await
        })
        .await;
        link.done(done).map_err(written).map(drop)
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
        if told.all {
            memory.heads.are_old();
            memory.lanes.ask_again();
        }
        told.mailboxes.iter().for_each(|raw| memory.heads.is_old(raw));
        if memory.tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY_EVERY) {
            memory.lanes.tidy(connection, id).await?;
            memory.tidied = Some(super::clock::steady());
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
        let next = next.into_iter().chain(overtaken.next()).chain(lanes.next_without_ghosts(server)).min();
        let local = |time: DateTime<Utc>| self.agent.clock.by_this_machine(time, at);
        let soon = [withheld.next(super::clock::steady()), heads.again()].into_iter().flatten().min();
        let soon = soon.and_then(|wait| at.wall.checked_add_signed(chrono::TimeDelta::from_std(wait).ok()?));
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
                lanes.begin(lane, job.id);
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
        let again = plan.again.and_then(|wait| chrono::TimeDelta::from_std(wait).ok());
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
        let row = sqlx::query(ORDERS).fetch_one(connection).await?;
        let server: DateTime<Utc> = row.try_get("server")?;
        self.agent.clock.saw(server);
        let orders = &mut memory.orders;
        let held: Vec<String> = row.try_get("held")?;
        let held: HashSet<LaneKey> = held.iter().map(|mailbox| LaneKey::of(mailbox)).collect();
        if *orders.held != held {
            orders.held = Arc::new(held);
        }
        let (mailboxes, times): (Vec<String>, Vec<DateTime<Utc>>) =
            (row.try_get("resumed")?, row.try_get("resumed_at")?);
        let told: Vec<_> = mailboxes.into_iter().zip(times).collect();
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
