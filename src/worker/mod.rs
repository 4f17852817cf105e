//! The loop: wake, claim, attempt, settle. Owns the lanes and the gate, asks the clock, and holds no state that a
//! restart would miss: pauses are in the database, jobs are in the database.
//!
//! A turn of the loop has three answers: something was claimed, nothing is due, or the queue could not be asked.

mod attempt;
mod clock;
mod doubt;
mod gate;
mod lanes;
mod report;
mod resting;
mod retention;
mod settler;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::auth::TokenCache;
use crate::backoff::doubled;
use crate::graph::{GraphClient, Now};
use crate::job::{Defaults, Job, Outcome};
use crate::policy::{RetryPolicy, after};
use crate::queue::{ChangeNotice, ClaimRequest, LaneKey, Queue, QueueError};

use attempt::{Attempt, Context, Finished, now};
use clock::Clock;
use gate::{Gate, Passage};
use lanes::Lanes;
use resting::Resting;
use retention::Retention;
use settler::Settler;

/// Wait before a queue that could not be read is asked again: before it doubles for the first time, and at most.
const FIRST_QUEUE_WAIT: Duration = Duration::from_millis(100);
const LONGEST_QUEUE_WAIT: Duration = Duration::from_secs(5);
/// Results waiting to be written, as a multiple of what may be in flight, at which nothing new is claimed.
const UNSETTLED_FACTOR: usize = 4;

/// What the worker needs to know of the settings.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// `delivery.max_in_flight`.
    pub max_in_flight: usize,
    /// `delivery.max_in_flight_per_mailbox`.
    pub per_mailbox: usize,
    /// `queue.poll_interval`.
    pub poll_interval: Duration,
    /// `queue.retention`; zero keeps finished jobs.
    pub retention: Duration,
    /// `delivery.shutdown_grace`.
    pub shutdown_grace: Duration,
    /// The retry policy.
    pub policy: RetryPolicy,
    /// Frozen into rows at their first claim.
    pub defaults: Defaults,
    /// Whose mailbox the rows are for that name none even then: the signed-in user's.
    pub unnamed: Option<String>,
    /// End when no job is pending or claimed any more.
    pub until_empty: bool,
    /// Told at every turn of the loop that the loop turns, at least this often.
    pub heartbeat: Option<(Duration, fn())>,
}

/// What has become of jobs since the start. Read by a progress bar.
#[derive(Debug, Default)]
pub struct Counters {
    /// Jobs sent.
    pub sent: AtomicU64,
    /// Jobs failed for good.
    pub failed: AtomicU64,
}

impl Counters {
    /// Jobs that reached an end.
    pub fn ended(&self) -> u64 {
        self.sent.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were cut off by the deadline; their jobs are in doubt and will be sent again.
    pub interrupted: usize,
    /// Results that could not be written in time; the next start finds their jobs claimed.
    pub unrecorded: usize,
}

/// What a look at the queue brought.
enum Turn {
    /// Jobs were begun; when the next one that was not due yet will be.
    Claimed(Option<DateTime<Utc>>),
    /// Nothing to begin; when there will be, if that is known.
    Nothing(Option<DateTime<Utc>>),
    CouldNotAsk,
}

/// The agent's loop over one queue.
pub struct Worker<Q> {
    context: Arc<Context>,
    queue: Arc<Q>,
    notice: ChangeNotice,
    settings: WorkerSettings,
    lanes: Lanes,
    gate: Gate,
    retention: Retention,
    finished: (mpsc::UnboundedSender<Finished>, mpsc::UnboundedReceiver<Finished>),
    settler: Settler,
    in_flight: usize,
    queue_trouble: u32,
    clock: Clock,
    /// How far the clock was set, while the queue's times have not been moved along yet.
    clock_debt: Option<TimeDelta>,
    last_beat: Option<Instant>,
}

impl<Q: Queue> Worker<Q> {
    /// A worker with nothing under way. `notice` tells of changes of the queue.
    pub fn new(
        queue: Arc<Q>,
        graph: Arc<GraphClient>,
        tokens: Arc<TokenCache>,
        notice: ChangeNotice,
        settings: WorkerSettings,
        counters: Arc<Counters>,
    ) -> Self {
        let context = Context {
            graph,
            tokens,
            policy: settings.policy.clone(),
            own_mailbox: settings.defaults.own_mailbox,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            resting: Resting::default(),
        };
        Self {
            context: Arc::new(context),
            lanes: Lanes::new(settings.per_mailbox, settings.max_in_flight),
            gate: Gate::default(),
            retention: Retention::new(settings.retention),
            settler: Settler::start(queue.clone(), counters),
            queue,
            notice,
            settings,
            finished: mpsc::unbounded_channel(),
            in_flight: 0,
            queue_trouble: 0,
            clock: Clock::new(now()),
            clock_debt: None,
            last_beat: None,
        }
    }

    /// Mailboxes whose last answers a dead agent may have taken with it, a Retry-After among them: one request goes
    /// first and finds out.
    pub fn wary_of(mut self, mailboxes: &HashSet<LaneKey>) -> Self {
        for mailbox in mailboxes {
            match &self.settings.unnamed {
                Some(name) if mailbox.as_str().is_empty() => self.lanes.suspect(&LaneKey::of(name)),
                _ => self.lanes.suspect(mailbox),
            }
        }
        self
    }

    /// Runs until `stop`, or until the queue is empty if so set; then drains.
    ///
    /// # Errors
    /// The queue is gone: its file was deleted or replaced. What was under way has ended by then.
    pub async fn run(mut self, stop: CancellationToken) -> Result<Drained, QueueError> {
        self.remember_pauses(&stop).await;
        while !stop.is_cancelled() {
            self.beat();
            if let Err(gone) = self.queue.present() {
                report::queue_gone(&gone);
                self.drain().await;
                return Err(gone);
            }
            let now = now();
            self.resume(now.steady);
            let turn = if self.follow_clock(now).await { self.turn(now).await } else { Turn::CouldNotAsk };
            if !self.settler.in_trouble() {
                self.retention.apply(self.queue.as_ref(), now).await;
            }
            if matches!(turn, Turn::Nothing(_)) && self.settings.until_empty && self.is_empty().await {
                break;
            }
            self.wait(turn, &stop).await;
        }
        Ok(self.drain().await)
    }

    /// Without the pauses of the last run a mailbox might be asked too early, so nothing begins before they are known.
    async fn remember_pauses(&mut self, stop: &CancellationToken) {
        loop {
            let now = now();
            match self.queue.pauses(now.wall).await {
                Ok(pauses) => {
                    report::queue_readable(&mut self.queue_trouble);
                    return pauses.iter().for_each(|pause| self.lanes.remember(pause, now));
                }
                Err(error) => report::queue_unreadable(&mut self.queue_trouble, &error),
            }
            self.beat();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.queue_wait()) => {}
            }
        }
    }

    /// Moves the queue's times along if somebody set the wall clock. False: the queue could not be asked.
    async fn follow_clock(&mut self, now: Now) -> bool {
        if let Some(by) = self.clock.set_by(now) {
            report::clock_set(by);
            self.clock_debt = Some(self.clock_debt.map_or(by, |debt| debt + by));
        }
        let Some(by) = self.clock_debt else { return true };
        match self.queue.clock_set(now.wall, by, &self.lanes.rests(now)).await {
            Ok(()) => self.clock_debt = None,
            Err(error) => report::queue_unreadable(&mut self.queue_trouble, &error),
        }
        self.clock_debt.is_none()
    }

    fn queue_wait(&self) -> Duration {
        doubled(FIRST_QUEUE_WAIT, self.queue_trouble, LONGEST_QUEUE_WAIT)
    }

    /// Claims what the lanes and the gate let through.
    async fn turn(&mut self, now: Now) -> Turn {
        let free = self.settings.max_in_flight.saturating_sub(self.in_flight);
        let limit = self.gate.limit(now.steady, self.in_flight, free);
        let behind = self.settler.waiting() >= self.settings.max_in_flight * UNSETTLED_FACTOR;
        if limit == 0 || behind || self.settler.in_trouble() {
            return Turn::Nothing(None);
        }
        let request = ClaimRequest {
            now: now.wall,
            limit,
            per_lane: self.settings.per_mailbox,
            free: self.lanes.free(),
            troubled: self.lanes.troubled(),
            unnamed: self.settings.unnamed.clone(),
            defaults: self.settings.defaults.clone(),
        };
        match self.queue.claim(&request).await {
            Ok(claimed) => {
                report::queue_readable(&mut self.queue_trouble);
                claimed.broken.iter().for_each(|id| report::broken_row(*id));
                // A lane that lost a broken row has more behind it.
                let any = !claimed.jobs.is_empty() || !claimed.broken.is_empty();
                for (lane, job) in claimed.jobs {
                    self.begin(lane, job, now);
                }
                if any { Turn::Claimed(claimed.next_due) } else { Turn::Nothing(claimed.next_due) }
            }
            Err(error) => {
                report::queue_unreadable(&mut self.queue_trouble, &error);
                Turn::CouldNotAsk
            }
        }
    }

    fn begin(&mut self, lane: LaneKey, job: Job, began: Now) {
        self.in_flight += 1;
        let strikes = self.lanes.begin(&lane);
        let attempt = Attempt { job, lane, strikes, began, context: self.context.clone() };
        let finished = self.finished.0.clone();
        tokio::spawn(async move {
            // The loop outlives its tasks; were it gone, the row would be found claimed by the next start.
            let _ = finished.send(attempt.run().await);
        });
    }

    /// Sleeps until there is a reason to look again.
    async fn wait(&mut self, turn: Turn, stop: &CancellationToken) {
        let now = now();
        let mut longest = self.settings.poll_interval;
        if let Some((interval, _)) = self.settings.heartbeat {
            longest = longest.min(interval);
        }
        let could_not_ask = matches!(turn, Turn::CouldNotAsk);
        let next_due = match turn {
            Turn::Claimed(next_due) | Turn::Nothing(next_due) => next_due,
            Turn::CouldNotAsk => {
                longest = longest.min(self.queue_wait());
                None
            }
        };
        let next_due = next_due.map(|due| now.steady_at(due));
        let wake = [next_due, self.lanes.next_resume(), self.gate.reopens(), self.retention.next()];
        // In trouble none of these could be followed, and a time that is over would make the loop spin.
        let troubled = could_not_ask || self.settler.in_trouble();
        let wake = wake.into_iter().flatten().min().filter(|_| !troubled);
        let until_wake = wake.map_or(longest, |wake| wake.saturating_duration_since(now.steady));
        tokio::select! {
            () = stop.cancelled() => {}
            Some(finished) = self.finished.1.recv() => self.end_all(finished),
            () = self.notice.changed() => {}
            () = self.settler.changed() => {}
            () = tokio::time::sleep(longest.min(until_wake)) => {}
        }
    }

    /// Takes this result and every other that has come meanwhile, so that one claim serves them all.
    fn end_all(&mut self, first: Finished) {
        self.end(first);
        while let Ok(finished) = self.finished.1.try_recv() {
            self.end(finished);
        }
    }

    fn end(&mut self, mut finished: Finished) {
        let now = now();
        self.in_flight -= 1;
        self.lanes.end(&finished.lane, matches!(finished.outcome, Outcome::Created(_)));
        if matches!(finished.outcome, Outcome::ReplyLost | Outcome::ServerFault | Outcome::Conflict) {
            self.lanes.narrow(&finished.lane);
        }
        let mut rest_for = Duration::ZERO;
        if let Some(rest) = finished.rest.take() {
            rest_for = rest.wait;
            let (pause, first) = self.lanes.rest(&finished.lane, &rest, &finished.settlement, now);
            if first {
                report::mailbox_paused(&pause, &finished.settlement);
            }
            finished.settlement.pause = Some(pause);
        }
        match self.gate.observe(&finished.lane, &finished.outcome, rest_for, now.steady) {
            Passage::Closed { hold, wait, again } => report::sending_paused(&hold, after(now.wall, wait), again),
            Passage::Reopened => report::sending_resumed(),
            Passage::Unchanged => {}
        }
        self.settler.take(finished);
    }

    fn resume(&mut self, now: Instant) {
        for lane in self.lanes.resume(now) {
            report::mailbox_resumed(&lane);
        }
    }

    async fn is_empty(&self) -> bool {
        self.in_flight == 0 && self.settler.waiting() == 0 && matches!(self.queue.outstanding().await, Ok(0))
    }

    fn beat(&mut self) {
        let Some((interval, beat)) = self.settings.heartbeat else { return };
        if self.last_beat.is_none_or(|last| last.elapsed() >= interval / 2) {
            beat();
            self.last_beat = Some(Instant::now());
        }
    }

    /// Jobs not yet posted go back, posted ones finish; what is not done near the end of the grace is cut off. The
    /// rest of the grace is for writing the results.
    async fn drain(mut self) -> Drained {
        let deadline = tokio::time::Instant::now() + self.settings.shutdown_grace;
        let cut_at = deadline - self.settings.shutdown_grace / 5;
        self.context.stop.cancel();
        let mut interrupted = 0;
        while self.in_flight > 0 {
            tokio::select! {
                Some(finished) = self.finished.1.recv() => {
                    interrupted += usize::from(finished.outcome == Outcome::Interrupted);
                    self.end(finished);
                }
                () = tokio::time::sleep_until(cut_at), if !self.context.cut.is_cancelled() => self.context.cut.cancel(),
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        let unrecorded = self.settler.finish(deadline).await + self.in_flight;
        Drained { interrupted, unrecorded }
    }
}
