//! The agent's verbs. Each looks whether the files are still the queue's own, and whether the clock was set, before anything
//! else.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::TimeDelta;
use sqlx::sqlite::SqliteConnection;

use super::agents;
use super::claim::{self, ClaimMemory};
use super::clock::{by_the_clock_of, steady};
use super::errors::{read, written};
use super::recover::{self, Untold};
use super::settle;
use super::store::SqliteQueue;
use super::text::lane_key;
use super::write_pacer::WritePacer;
use crate::clock::Now;
use crate::job::{JobId, format_utc};
use crate::queue::woken::Woken;
use crate::queue::{
    Agent, AgentStatus, ClaimRequest, Claimed, LaneKey, MailboxNews, Membership, Pass, Pause, QueueError, Recovered,
    Settled, Settlement, Verdict,
};

/// Nothing is known of what a lane answered last: one request finds out.
const ONE: usize = 1;

#[async_trait]
impl Agent for SqliteQueue {
    async fn join(&self) -> Result<Recovered, QueueError> {
        let mut connection = self.connection().await?;
        let done = self.recover(&mut connection).await;
        let (recovered, lanes) = self.handed_back(connection, done).map_err(written)?;
        *self.memory.untold.lock().await = Some(Untold(lanes));
        self.watch.begin(&self.path);
        Ok(recovered)
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, QueueError> {
        let mut connection = self.connection().await?;
        let is_first = self.memory.untold.lock().await.is_some();
        let done = match is_first || request.limit == 0 {
            true => self.tell(&mut connection, request).await,
            false => self.take(&mut connection, request).await,
        };
        self.handed_back(connection, done).map_err(written)
    }

    async fn settle(&self, batch: &[&Settlement]) -> Result<Vec<Settled>, QueueError> {
        let mut connection = self.connection().await?;
        let mut pacer = self.pacer().await;
        pacer.delay().await;
        let done = self.settle_all(&mut connection, &mut pacer, batch).await;
        let (done, followed) = match done {
            Ok((settled, followed)) => (Ok(settled), followed),
            Err(error) => (Err(error), HashSet::new()),
        };
        let mut lane_heads = self.memory.lane_heads.lock().await;
        if batch.iter().any(|settlement| matches!(settlement.verdict, Verdict::Pending(_) | Verdict::Unfilled(_))) {
            lane_heads.forget();
        }
        // What was refused is still claimed, and told when it is recorded.
        let settled = done.iter().flatten();
        let over = batch.iter().zip(settled).filter(|(_, settled)| !matches!(settled, Settled::Refused(_)));
        lane_heads.ended(over.map(|(settlement, _)| claim_of(settlement)), &followed);
        drop(lane_heads);
        self.handed_back(connection, done).map_err(written)
    }

    async fn claims(&self) -> Result<Vec<(JobId, i64)>, QueueError> {
        recover::claims(&self.pool).await.map_err(read)
    }

    async fn put_back(&self, claims: &[(JobId, i64)]) -> Result<Recovered, QueueError> {
        let mut connection = self.connection().await?;
        let done = match self.now(&mut connection).await {
            Ok(now) => recover::put_back_each(&mut connection, claims, now.wall).await,
            Err(error) => Err(error),
        };
        self.memory.lane_heads.lock().await.forget();
        self.handed_back(connection, done).map_err(written).map(|(recovered, _)| recovered)
    }

    async fn wake(&self) -> Result<(), QueueError> {
        let mut woken = Some(Woken::none());
        while let Some(so_far) = woken {
            let mut connection = self.connection().await?;
            let done = self.wake_some(&mut connection, so_far).await;
            self.memory.lane_heads.lock().await.forget();
            woken = self.handed_back(connection, done).map_err(written)?;
        }
        Ok(())
    }

    async fn purge(&self, age: Duration, limit: u32) -> Result<u64, QueueError> {
        let mut connection = self.connection().await?;
        let done = self.purge_some(&mut connection, age, limit).await;
        self.handed_back(connection, done).map_err(written)
    }

    async fn forget_pauses(&self, limit: u32) -> Result<u64, QueueError> {
        let mut connection = self.connection().await?;
        let done = match self.now(&mut connection).await {
            Ok(now) => settle::forget_pauses(&mut connection, now.wall, limit).await,
            Err(error) => Err(error),
        };
        self.handed_back(connection, done).map_err(written)
    }

    async fn report(&self, status: &AgentStatus) -> Result<(), QueueError> {
        let mut connection = self.connection().await?;
        let done = agents::write(&mut connection, *self.memory.agent.lock().await, status).await;
        self.handed_back(connection, done).map_err(written)
    }

    async fn sign(&self) -> Result<(), QueueError> {
        let guard = self.guard.clone();
        // A file system that hangs holds up a thread of its own.
        let signed = tokio::task::spawn_blocking(move || guard.sign()).await;
        signed.map_err(std::io::Error::other).flatten().map_err(|error| written(error.into()))
    }

    async fn note_pause(&self, pause: &Pause, at: Now) -> Result<(), QueueError> {
        let mut connection = self.pool.acquire().await.map_err(written)?;
        settle::pause(&mut connection, pause, at.wall).await.map_err(written)
    }

    async fn add_join_url(&self, id: JobId, join_url: &str) -> Result<(), QueueError> {
        settle::add_join_url(&self.pool, id, join_url).await.map_err(written)
    }

    async fn outstanding(&self) -> Result<u64, QueueError> {
        settle::outstanding(&self.pool).await.map_err(read)
    }

    /// There is one agent.
    fn pass(&self, _lane: &LaneKey, _claimed: Instant) -> Option<Pass> {
        Some(Pass::default())
    }

    fn membership(&self) -> Option<Membership> {
        None
    }

    async fn changes(&self) -> Result<(), QueueError> {
        self.guard.check_now_and_then(steady())?;
        self.watch.changed().await;
        self.guard.check()
    }
}

impl SqliteQueue {
    /// The time. If the clock was set, the queue's times are moved along first.
    async fn now(&self, connection: &mut SqliteConnection) -> sqlx::Result<Now> {
        let (now, owed) = self.clock.read();
        if let Some(by) = owed {
            let done = recover::clock_set(connection, &mut *self.memory.misdated.lock().await, now.wall, by).await;
            self.memory.lane_heads.lock().await.forget();
            done?;
            self.clock.moved(by);
        }
        Ok(now)
    }

    async fn recover(&self, connection: &mut SqliteConnection) -> sqlx::Result<(Recovered, Vec<recover::Lane>)> {
        let now = self.now(connection).await?;
        let recovered = recover::recover(connection, &mut *self.memory.misdated.lock().await, now.wall).await;
        self.memory.lane_heads.lock().await.forget();
        let recovered = recovered?;
        *self.memory.agent.lock().await = Some(agents::begin(connection, now.wall).await?);
        Ok(recovered)
    }

    /// A claim that takes nothing: the operator's words, and what the agent does not know yet.
    async fn tell(&self, connection: &mut SqliteConnection, request: &ClaimRequest) -> sqlx::Result<Claimed> {
        let now = self.now(connection).await?;
        let mut lane_heads = self.memory.lane_heads.lock().await;
        lane_heads.look_for_orders(connection).await?;
        let mut claimed = Claimed { news: lane_heads.news(), ..Claimed::nothing(now) };
        let mut untold = self.memory.untold.lock().await;
        if let Some(Untold(lanes)) = untold.as_ref() {
            let pauses = settle::pauses(connection, now.wall).await?;
            let mailed = settle::lately_mailed(connection, now.wall, request.unnamed.as_deref()).await?;
            let limits = lanes.iter().map(|raw| (lane_key(raw, request.unnamed.as_deref()), ONE)).collect();
            claimed.news = MailboxNews { pauses, limits, mailed, ..claimed.news };
            claimed.more = true;
            *untold = None;
            return Ok(claimed);
        }
        // Who may take nothing tells in time what has become too late, or was cancelled.
        let version = lane_heads.look(connection).await?;
        let now = format_utc(now.wall);
        let mut overtaken_jobs = self.memory.overtaken.lock().await;
        if !overtaken_jobs.saw(version) || overtaken_jobs.are_due(&now) {
            let mut withheld = self.memory.withheld.lock().await;
            let overtaken = overtaken_jobs.end(connection, &mut withheld, &now).await?;
            if !overtaken.ended.is_empty() {
                lane_heads.forget();
            }
            claimed.ended = overtaken.ended;
            claimed.withheld.new = overtaken.refused;
        }
        Ok(claimed)
    }

    async fn take(&self, connection: &mut SqliteConnection, request: &ClaimRequest) -> sqlx::Result<Claimed> {
        let now = self.now(connection).await?;
        let mut lane_heads = self.memory.lane_heads.lock().await;
        lane_heads.on_connection(self.guard.connections());
        let mut pacer = self.pacer().await;
        let mut misdated_jobs = self.memory.misdated.lock().await;
        let mut withheld = self.memory.withheld.lock().await;
        let mut overtaken_jobs = self.memory.overtaken.lock().await;
        let agent = *self.memory.agent.lock().await;
        let memory = ClaimMemory {
            lane_heads: &mut lane_heads,
            pacer: &mut pacer,
            misdated_jobs: &mut misdated_jobs,
            withheld: &mut withheld,
            overtaken_jobs: &mut overtaken_jobs,
            agent,
        };
        let mut claimed = claim::claim(connection, memory, request, now).await?;
        claimed.more |= self.watch.claimed(claimed.jobs.len() < request.limit);
        Ok(claimed)
    }

    /// What came of each, and behind which of these jobs others wait.
    async fn settle_all(
        &self,
        connection: &mut SqliteConnection,
        pacer: &mut WritePacer,
        batch: &[&Settlement],
    ) -> sqlx::Result<(Vec<Settled>, HashSet<JobId>)> {
        let now = self.now(connection).await?;
        let claims = batch.iter().map(|settlement| claim_of(settlement));
        let followed = self.memory.lane_heads.lock().await.followed(connection, claims).await?;
        let batch: Vec<Cow<Settlement>> = batch.iter().map(|settlement| on_time(settlement, now)).collect();
        let batch: Vec<&Settlement> = batch.iter().map(Cow::as_ref).collect();
        let settled = settle::settle(connection, pacer, &self.batch_insert, &batch).await?;
        Ok((settled, followed))
    }

    async fn wake_some(&self, connection: &mut SqliteConnection, woken: Woken) -> sqlx::Result<Option<Woken>> {
        let now = self.now(connection).await?;
        self.paced(settle::wake(connection, woken, now.wall)).await
    }

    async fn purge_some(&self, connection: &mut SqliteConnection, age: Duration, limit: u32) -> sqlx::Result<u64> {
        let now = self.now(connection).await?;
        // What would have ended before the calendar begins is in no row.
        let before = TimeDelta::from_std(age).ok().and_then(|age| now.wall.checked_sub_signed(age));
        let Some(before) = before else { return Ok(0) };
        let mut cursor = self.memory.purge_cursor.lock().await;
        self.paced(settle::purge(connection, &mut cursor, before, now.wall, limit)).await
    }

    /// A write that leaves other writers their time before it, and is reckoned with before the next.
    async fn paced<T>(&self, write: impl Future<Output = T>) -> T {
        let mut pacer = self.pacer().await;
        pacer.delay().await;
        let begin = steady();
        let done = write.await;
        pacer.write_took(begin.elapsed(), steady());
        done
    }
}

fn claim_of(settlement: &Settlement) -> (JobId, i64) {
    (settlement.id, settlement.claim)
}

/// Its times by the queue's clock.
fn on_time(settlement: &Settlement, now: Now) -> Cow<'_, Settlement> {
    match by_the_clock_of(settlement, now) {
        Some(moved) => Cow::Owned(moved),
        None => Cow::Borrowed(settlement),
    }
}
