//! Membership: this agent's start among the others, what runs beside its verbs as long as it is a member (the renewal of its
//! lease, the burial of those who do not renew theirs, the notices), and its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgConnection;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::agent::{AgentSettings, AgentSide, Memory};
use super::clock::{since_boot, steady};
use super::errors::{read, written};
use super::link::{STATEMENT, within};
use super::member::{self, AgentId, BURY_EVERY, LEASE, Member, Namesake, RENEW_EVERY, RENEW_WITHIN, Renewed};
use super::notices::listen;
use super::schema::OpenError;
use super::server::Server;
use super::settle::wake;
use super::store::{Links, PostgresQueue};
use crate::queue::woken::Woken;
use crate::queue::{Agent, QueueError, Recovered, StartError};

const SESSION: &str = "SELECT pg_backend_pid()";

/// An agent's start. `namesake` is the lease of another agent of the same name, as it was when it was looked at last.
pub async fn start(
    server: Server,
    settings: AgentSettings,
    namesake: &mut Option<f64>,
) -> Result<(PostgresQueue, Recovered), StartError> {
    let queue = match PostgresQueue::open_as(server.clone(), settings.clone()).await {
        Err(OpenError::Missing { .. } | OpenError::Older { .. }) => {
            PostgresQueue::migrate(server.clone()).await?;
            PostgresQueue::open_as(server, settings).await?
        }
        opened => opened?,
    };
    queue.keeps_its_sessions().await?;
    queue.agree().await?;
    if let Namesake::Alive { host, pid, lease } = queue.namesake().await? {
        let name = &queue.agent.settings.name;
        if namesake.replace(lease).is_some_and(|before| before != lease) {
            return Err(StartError::InUse(format!(
                "another agent is called {name:?} (process {pid} on {host}); give each agent of the queue a name of its own in agent.name"
            )));
        }
        let why = format!("an agent called {name:?} may be running (process {pid} on {host}) until its lease ends");
        return Err(StartError::MayPass(why));
    }
    let recovered = queue.join().await?;
    Ok((queue, recovered))
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        let why = error.to_string();
        match error {
            OpenError::Moved { .. } | OpenError::ByTransaction { .. } | OpenError::NoOptions { .. } => {
                Self::Settings(why)
            }
            error if error.may_pass() => Self::MayPass(why),
            _ => Self::Refused(why),
        }
    }
}

impl PostgresQueue {
    /// A pooler that hands one session of the server to several connections in turn would take the notices along, and what a
    /// session is set to.
    async fn keeps_its_sessions(&self) -> Result<(), StartError> {
        let Links { claims, ends, renewals, .. } = &*self.links;
        let mut sessions = Vec::new();
        for link in [claims, ends, renewals] {
            let mut link = link.open().await.map_err(read)?;
            let done = within(STATEMENT, session(&mut link)).await;
            let session = link.done(done).map_err(read)?;
            if sessions.contains(&session) {
                return Err(OpenError::ByTransaction { name: self.server.name().to_owned() }.into());
            }
            sessions.push(session);
        }
        Ok(())
    }

    /// Whether this agent goes by what the others go by. The first one decides.
    async fn agree(&self) -> Result<(), StartError> {
        let settings = &self.agent.settings;
        let Some(mine) = &settings.agreement else { return Ok(()) };
        let mut link = self.links.ends.open().await.map_err(read)?;
        let done = within(STATEMENT, member::agreed(&mut link, &settings.name, mine)).await;
        let theirs = link.done(done).map_err(written)?;
        match differing(mine, &theirs) {
            Some((mine, theirs)) => Err(StartError::Settings(format!(
                "{mine}, but the agents that run on this queue have {theirs}; all agents of a queue go by the same: stop the others first, or set what they have"
            ))),
            None => Ok(()),
        }
    }

    /// Who has this agent's name.
    async fn namesake(&self) -> Result<Namesake, QueueError> {
        let mut link = self.links.ends.open().await.map_err(read)?;
        let done = within(STATEMENT, member::namesake(&mut link, &self.agent.settings.name)).await;
        link.done(done).map_err(read)
    }

    /// Registers, and takes back what this agent's own earlier start has left, which is over: its process is gone, or it is this
    /// one.
    pub(super) async fn begin(&self, memory: &mut Memory) -> Result<Recovered, QueueError> {
        self.agent.trust.ends();
        let mut tasks = self.agent.tasks.lock().await;
        *tasks = JoinSet::new();
        let mut link = self.links.ends.open().await.map_err(written)?;
        let before = memory.member.take();
        if before.is_some() {
            self.agent.trust.is_lost();
        }
        let done = within(STATEMENT, self.registered(&mut link, before)).await;
        let (member, sent, recovered) = link.done(done).map_err(written)?;
        // Not before what was this agent's until now is forgotten: its requests would begin under the new lease.
        memory.begin_anew();
        self.agent.trust.renewed(sent);
        self.keep_member(&mut tasks, member.id);
        memory.member = Some(member);
        // Some may have been put off for a setting that is another one now.
        self.wake_all().await?;
        Ok(recovered)
    }

    /// Makes the jobs due that were put off for a setting, a part at a time.
    pub(super) async fn wake_all(&self) -> Result<(), QueueError> {
        let mut woken = Some(Woken::none());
        while let Some(so_far) = woken {
            let mut link = self.links.ends.open().await.map_err(written)?;
            let done = within(STATEMENT, wake(&mut link, so_far)).await;
            woken = link.done(done).map_err(written)?;
        }
        Ok(())
    }

    async fn registered(
        &self,
        connection: &mut PgConnection,
        before: Option<Member>,
    ) -> sqlx::Result<(Member, Duration, Recovered)> {
        let AgentSettings { name, lossy, .. } = &self.agent.settings;
        let by = self.agent.cleaning().clone();
        let (schema, timeline) = member::place_of(connection).await?;
        let _ = self.agent.tally.schema.set(schema);
        member::failed_over(connection, &timeline, *lossy, &by).await?;
        let dead = match (before, member::namesake(connection, name).await?) {
            (Some(member), _) => Some(member.id),
            (None, Namesake::Dead(id)) => Some(id),
            (None, Namesake::Expired | Namesake::Alive { .. } | Namesake::None) => None,
        };
        if let Some(id) = dead {
            member::is_gone(connection, id, "replaced").await?;
        }
        member::expired(connection, name).await?;
        let sent = since_boot();
        let member = member::register(connection, name).await?;
        let recovered = member::clean(connection, &by).await?;
        Ok((member, sent, recovered))
    }

    fn keep_member(&self, tasks: &mut JoinSet<()>, id: AgentId) {
        tasks.spawn(renew(self.links.clone(), self.agent.clone(), id));
        tasks.spawn(bury(self.links.clone(), self.agent.clone(), id));
        let echo = format!("event_sender_echo_{}", id.0);
        tasks.spawn(listen(self.server.clone(), self.agent.notices.clone(), echo));
    }

    /// Whether others have buried this agent, which was silent for longer than its lease.
    pub(super) async fn was_buried(&self, memory: &Memory) -> Result<bool, QueueError> {
        let Some(member) = &memory.member else { return Ok(true) };
        let mut link = self.links.ends.open().await.map_err(read)?;
        let sent = since_boot();
        let AgentSide { life, settings, .. } = &*self.agent;
        let by = self.agent.cleaning().clone();
        let done = within(RENEW_WITHIN, async {
            let Some(renewed) = member::renew(&mut link, member.id, life).await? else { return Ok(true) };
            member::failed_over(&mut link, &renewed.timeline, settings.lossy, &by).await
        })
        .await;
        let buried = link.done(done).map_err(read)?;
        if !buried {
            self.agent.trust.renewed(sent);
        }
        Ok(buried)
    }

    pub(super) async fn id(&self) -> Result<AgentId, QueueError> {
        let mut memory = self.agent.memory.lock().await;
        if memory.member.is_none() {
            self.begin(&mut memory).await?;
        }
        let id = memory.member.as_ref().map(|member| member.id);
        id.ok_or_else(|| QueueError::Unusable("this agent has not joined".into()))
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

/// Asked without a prepared statement, which such a pooler mixes up.
async fn session(connection: &mut PgConnection) -> sqlx::Result<i32> {
    sqlx::raw_sql(SESSION).fetch_one(connection).await?.try_get(0)
}

/// The first line in which two agreements differ.
fn differing<'a>(mine: &'a str, theirs: &'a str) -> Option<(&'a str, &'a str)> {
    mine.lines().zip(theirs.lines()).find(|(mine, theirs)| mine != theirs)
}

/// Begins at once. What was missed is not made up for.
fn every(length: Duration) -> Interval {
    let mut ticks = interval(length);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// As long as the lease is this agent's.
async fn renew(links: Arc<Links>, agent: Arc<AgentSide>, id: AgentId) {
    let mut ticks = every(RENEW_EVERY);
    let mut timeline = None;
    loop {
        ticks.tick().await;
        let (sent, asked) = (since_boot(), steady());
        match renewed(&links, &agent, id).await {
            Ok(Some(renewed)) => {
                agent.clock.saw(renewed.server, asked);
                if timeline.as_ref() == Some(&renewed.timeline) {
                    agent.trust.renewed(sent);
                    continue;
                }
                match failed_over(&links, &agent, &renewed.timeline).await {
                    Ok(false) => {
                        agent.trust.renewed(sent);
                        timeline = Some(renewed.timeline);
                    }
                    Ok(true) => {
                        tracing::warn!(
                            "another database server has taken over, nothing is sent until the requests under way are over"
                        );
                        agent.trust.ends();
                        agent.notices.tell_all();
                    }
                    Err(error) => tracing::debug!(%error, "lease not renewed"),
                }
            }
            // Others have buried it; the next claim begins anew.
            Ok(None) => {
                agent.trust.ends();
                agent.notices.tell_all();
                return;
            }
            Err(error) => tracing::debug!(%error, "lease not renewed"),
        }
    }
}

async fn renewed(links: &Links, agent: &AgentSide, id: AgentId) -> sqlx::Result<Option<Renewed>> {
    let mut link = links.renewals.open().await?;
    let done = within(RENEW_WITHIN, member::renew(&mut link, id, &agent.life)).await;
    link.done(done)
}

async fn failed_over(links: &Links, agent: &AgentSide, timeline: &str) -> sqlx::Result<bool> {
    let by = agent.cleaning().clone();
    let mut link = links.renewals.open().await?;
    let done = within(RENEW_WITHIN, member::failed_over(&mut link, timeline, agent.settings.lossy, &by)).await;
    link.done(done)
}

/// Buries those whose lease is over, and frees what they have left.
async fn bury(links: Arc<Links>, agent: Arc<AgentSide>, id: AgentId) {
    let mut ticks = every(BURY_EVERY);
    loop {
        ticks.tick().await;
        let by = agent.cleaning().clone();
        let Ok(mut link) = links.burials.open().await else { continue };
        let done = within(STATEMENT, async {
            for name in member::bury(&mut link, id).await? {
                agent.tally.buried.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(agent = name, "an agent has fallen silent, its mailboxes go to the others");
            }
            member::clean(&mut link, &by).await
        })
        .await;
        if let Err(error) = link.done(done) {
            tracing::debug!(%error, "agents that have fallen silent not looked for");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::differing;

    #[test]
    fn the_first_setting_in_which_two_agents_differ_is_named() {
        assert_eq!(differing("a = 1\nb = 2", "a = 1\nb = 2"), None);
        assert_eq!(differing("a = 1\nb = 2", "a = 1\nb = 3"), Some(("b = 2", "b = 3")));
    }
}
