//! The loop: wake, claim, attempt, settle. Owns the lanes and the gate, asks the clock, and holds no state that a
//! restart would miss: pauses are in the database, jobs are in the database.
//!
//! Nothing here waits for the queue while requests end: a claim runs beside the loop (`look`), results are written
//! beside it (`settler`), and the next jobs are at hand (`ready`).

mod attempt;
mod bearer;
mod change;
mod clock;
mod evidence;
mod gate;
mod heartbeat;
mod held;
mod hold;
mod kept;
mod lanes;
mod log_throttle;
mod look;
mod measures;
mod metrics;
mod notes;
mod progress;
mod ready;
mod refused;
mod report;
mod resting;
mod retention;
mod settler;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::auth::TokenCache;
use crate::backoff::doubled;
use crate::clock::Now;
use crate::graph::GraphClient;
use crate::job::{Defaults, JobId, Outcome};
use crate::policy::RetryPolicy;
use crate::queue::{ChangeNotice, LaneKey, Queue, QueueError, Recovered, Verdict, capped};
use crate::retry_after;

pub use bearer::Bearer;
pub use measures::{Measures, Trouble};
pub use metrics::Metrics;

use attempt::{Attempt, Context, Finished, Took, given_back};
use clock::Clock;
use gate::{Gate, GateChange};
use held::Held;
use lanes::{Lanes, Tell};
use log_throttle::LogThrottle;
use look::Look;
use progress::Progress;
use ready::{Ready, Waiting};
use refused::Refused;
use settler::Settler;

pub use change::Change;
pub use notes::Notes;

/// Wait before a queue that could not be read is asked again: before it doubles for the first time, and at most.
const FIRST_QUEUE_WAIT: Duration = Duration::from_millis(100);
const LONGEST_QUEUE_WAIT: Duration = Duration::from_secs(5);

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
    /// What no attempt takes longer than, all its requests together; more is no progress.
    pub longest_attempt: Duration,
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

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were cut off by the deadline; their jobs are in doubt and will be sent again.
    pub interrupted: usize,
    /// Results that could not be written in time; the next start finds their jobs claimed. So it does those of a claim that
    /// was cut off at the deadline, of which nobody knows.
    pub unrecorded: usize,
}

/// The agent's loop over one queue.
pub struct Worker<Q> {
    context: Arc<Context>,
    queue: Arc<Q>,
    notice: ChangeNotice,
    settings: WorkerSettings,
    measures: Arc<Measures>,
    lanes: Lanes,
    gate: Gate,
    look: Look,
    ready: Ready,
    /// Defaults that Exchange refuses.
    refused: Refused,
    finished: (mpsc::UnboundedSender<Finished>, mpsc::UnboundedReceiver<Finished>),
    settler: Settler,
    in_flight: usize,
    /// The jobs of which a request may be out.
    under_way: HashSet<JobId>,
    held: Held,
    queue_trouble: u32,
    queue_still: LogThrottle,
    /// Claims in a row that took nothing, because everything was refused.
    refused_claims: u32,
    clock: Clock,
    /// How far the clock was set, while the queue's times have not been moved along yet.
    clock_debt: Option<TimeDelta>,
    last_beat: Option<Instant>,
    progress: Progress,
    /// What the log has of a gate that stays shut.
    gate_still: LogThrottle,
    mended_at: Option<Instant>,
    notes: Notes,
    changes: Option<mpsc::UnboundedReceiver<Change>>,
    retention: watch::Sender<Duration>,
    /// It was said that only mailboxes on hold are left.
    said_held: bool,
    /// The mailboxes whose pause was ended by hand, as the queue told last.
    resumed: Arc<HashSet<(LaneKey, DateTime<Utc>)>>,
}

impl<Q: Queue> Worker<Q> {
    /// A worker with nothing under way. `notice` tells of changes of the queue.
    pub fn new(
        queue: Arc<Q>,
        graph: Arc<GraphClient>,
        tokens: Arc<TokenCache>,
        notice: ChangeNotice,
        settings: WorkerSettings,
        measures: Arc<Measures>,
    ) -> Self {
        measures.max_in_flight.set(settings.max_in_flight as i64);
        measures.turned(Instant::now(), 0, 0);
        let context = Context {
            graph,
            tokens,
            policy: settings.policy.clone(),
            own_mailbox: settings.defaults.own_mailbox,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            resting: Arc::default(),
            zone_taken: AtomicBool::new(false),
            measures: measures.clone(),
        };
        let begin = Now::read();
        let notes = Notes::begin(begin.wall);
        let held = Held::default();
        Self {
            context: Arc::new(context),
            lanes: Lanes::new(settings.per_mailbox, settings.max_in_flight),
            gate: Gate::default(),
            look: Look::new(begin.steady),
            ready: Ready::default(),
            refused: Refused::default(),
            settler: Settler::start(queue.clone(), measures.clone(), notes.clone(), held.clone()),
            progress: Progress::new(begin.steady, settings.longest_attempt),
            retention: watch::Sender::new(settings.retention),
            queue,
            notice,
            settings,
            measures,
            finished: mpsc::unbounded_channel(),
            in_flight: 0,
            under_way: HashSet::new(),
            held,
            queue_trouble: 0,
            queue_still: LogThrottle::default(),
            refused_claims: 0,
            clock: Clock::new(begin),
            clock_debt: None,
            last_beat: None,
            gate_still: LogThrottle::default(),
            mended_at: None,
            notes,
            changes: None,
            said_held: false,
            resumed: Arc::default(),
        }
    }

    /// What the agent says of itself in the queue.
    pub fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// Goes by what comes from here.
    pub fn following(mut self, changes: mpsc::UnboundedReceiver<Change>) -> Self {
        self.changes = Some(changes);
        self
    }

    /// Of what a dead agent left. Its mailboxes' last answers it may have taken with it, a Retry-After among them: one request goes
    /// first and finds out.
    pub fn wary_of(mut self, recovered: &Recovered) -> Self {
        self.notes.left(&recovered.left);
        for mailbox in &recovered.lanes {
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
        let (held, notes) = (self.held.clone(), self.notes.clone());
        held::mind(held, self.queue.clone(), notes, self.settler.trouble(), self.context.stop.clone());
        retention::forget_pauses(self.queue.clone(), self.settler.trouble(), self.context.stop.clone());
        retention::start(
            self.queue.clone(),
            self.retention.subscribe(),
            self.settler.trouble(),
            self.context.stop.clone(),
        );
        notes::keep(&self.notes, self.queue.clone(), self.context.stop.clone());
        while !stop.is_cancelled() {
            self.beat();
            let now = Now::read();
            self.mind_the_sign_in(now.steady);
            self.resume(now.steady);
            self.begin_ready(now);
            if let Err(gone) = self.look(now).await {
                report::queue_gone(&gone);
                self.drain().await;
                return Err(gone);
            }
            if self.settings.until_empty && self.is_empty().await {
                break;
            }
            self.wait(&stop).await;
        }
        Ok(self.drain().await)
    }

    /// Without the pauses of the last run a mailbox might be asked too early, so nothing begins before they are known.
    async fn remember_pauses(&mut self, stop: &CancellationToken) {
        loop {
            let now = Now::read();
            match self.queue.pauses(now.wall).await {
                Ok(pauses) => {
                    self.queue_works();
                    pauses.iter().for_each(|pause| self.lanes.remember(pause, now));
                    return self.measures.paused_mailboxes.set(self.lanes.paused() as i64);
                }
                Err(error) => self.queue_fails(&error, now),
            }
            self.beat();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.queue_wait()) => {}
            }
        }
    }

    fn queue_fails(&mut self, error: &QueueError, now: Now) {
        self.measures.queue_fails(error, now.wall);
        report::queue_unreadable(&mut self.queue_trouble, &mut self.queue_still, error);
    }

    fn queue_works(&mut self) {
        if self.queue_trouble > 0 {
            self.measures.queue_works();
        }
        report::queue_readable(&mut self.queue_trouble);
    }

    fn queue_wait(&self) -> Duration {
        doubled(FIRST_QUEUE_WAIT, self.queue_trouble, LONGEST_QUEUE_WAIT)
    }

    /// Begins what was claimed ahead, as far as there are slots for it.
    fn begin_ready(&mut self, now: Now) {
        while self.in_flight < self.settings.max_in_flight
            && self.gate.passes(self.in_flight)
            && let Some(waiting) = self.ready.next(&mut self.lanes)
        {
            match self.refused.put_off(&waiting.job, now) {
                Some(due) => self.put_off(waiting, due, now),
                None => self.begin(waiting, now),
            }
        }
    }

    fn begin(&mut self, Waiting { lane, job, claimed }: Waiting, began: Now) {
        if self.in_flight == 0 {
            self.progress.moved(began.steady);
        }
        self.in_flight += 1;
        self.measures.in_flight.set(self.in_flight as i64);
        self.measures.began(job.due, began.wall);
        self.under_way.insert(job.id);
        let strikes = self.lanes.begin(&lane);
        let took = Took::of(&job);
        let attempt = Attempt { job, lane, strikes, claimed, began, took, context: self.context.clone() };
        let finished = self.finished.0.clone();
        tokio::spawn(async move {
            // The loop outlives its tasks; were it gone, the row would be found claimed by the next start.
            let _ = finished.send(attempt.run().await);
        });
    }

    /// What was claimed ahead and may not be sent now goes back: of mailboxes that rest, of `troubled`, which has just met
    /// trouble, and everything while nothing can be sent.
    fn give_back(&mut self, troubled: Option<&LaneKey>, now: Now) {
        let all = !self.gate.passes(0) || self.context.stop.is_cancelled();
        for Waiting { lane, job, .. } in self.ready.give_back(&mut self.lanes, |lane| all || Some(lane) == troubled) {
            let took_refused = job.defaulted.mailbox && self.refused.mailbox_rests(now.steady);
            let mut back = given_back(lane, job, now.wall);
            if let (true, Verdict::Again(place)) = (took_refused, &back.settlement.verdict) {
                back.settlement.verdict = Verdict::Anew(*place);
            }
            self.settler.take_back(back);
        }
    }

    /// Sleeps until there is a reason to go on.
    async fn wait(&mut self, stop: &CancellationToken) {
        let now = Now::read();
        let mut longest = self.settings.poll_interval;
        if let Some((interval, _)) = self.settings.heartbeat {
            longest = longest.min(interval);
        }
        if self.gate.waits_for_a_cure() {
            longest = longest.min(hold::MENDED_EVERY);
        }
        // In trouble, or while a claim is under way, none of these could be followed, and a time that is over would make
        // the loop spin.
        let wake = match self.look.not_before() {
            Some(again) => Some(again),
            None if self.look.is_under_way() || self.settler.in_trouble() => None,
            None => {
                let times = [
                    self.look.next_due(),
                    self.lanes.next_resume(),
                    self.gate.reopens(),
                    self.refused.next(now.steady),
                ];
                times.into_iter().flatten().min()
            }
        };
        let until_wake = wake.map_or(longest, |wake| wake.saturating_duration_since(now.steady));
        tokio::select! {
            () = stop.cancelled() => {}
            Some(finished) = self.finished.1.recv() => self.end_all(finished),
            claimed = self.look.claimed() => self.claimed(claimed),
            () = self.notice.changed() => self.look.want(),
            () = self.settler.changed() => self.look.unblock(),
            Some(change) = change::next(&mut self.changes) => self.apply(change),
            () = tokio::time::sleep(longest.min(until_wake)) => self.look.want(),
        }
    }

    /// Takes this result and every other that has come meanwhile, so that one claim serves them all.
    fn end_all(&mut self, first: Finished) {
        self.end(first);
        while let Ok(finished) = self.finished.1.try_recv() {
            self.end(finished);
        }
        self.look.want();
    }

    fn end(&mut self, mut finished: Finished) {
        let now = Now::read();
        self.in_flight -= 1;
        self.under_way.remove(&finished.settlement.id);
        self.progress.moved(now.steady);
        self.measures.in_flight.set(self.in_flight as i64);
        if self.lanes.end(&finished.lane, matches!(finished.mailbox.met, Outcome::Done(_))) {
            report::mailbox_resumed(&finished.lane);
        }
        let unclear = finished.mailbox.halves_slots();
        if unclear {
            self.lanes.narrow(&finished.lane);
        }
        let mut rest_for = Duration::ZERO;
        let rest = finished.mailbox.rest.take();
        if let Some(rest) = &rest {
            rest_for = rest.wait;
            let (mut pause, tell) = self.lanes.rest(&finished.lane, rest, &finished.settlement, now);
            // Beyond all measure it is obeyed for a while, but nobody is held to it.
            let asked = finished
                .mailbox
                .named
                .filter(|named| *named <= retry_after::LONGEST && capped(&pause.reason).is_none());
            pause.asked_until = asked.map(|named| self.lanes.asked(&finished.lane, named, now));
            match tell {
                Tell::Paused => report::mailbox_paused(&pause, &finished.settlement),
                Tell::StillPaused(pauses) => report::mailbox_still_paused(&pause, &finished.settlement, pauses),
                Tell::Nothing => {}
            }
            finished.settlement.pause = Some(pause);
            self.measures.paused_mailboxes.set(self.lanes.paused() as i64);
        }
        let default_rests = self.learn_of_defaults(&mut finished, now);
        let passage = self.gate.observe(&finished.lane, &finished.mailbox.met, rest_for, now.steady);
        self.tell_of(&passage, now);
        let troubled = (unclear || rest.is_some() || default_rests).then(|| finished.lane.clone());
        self.settler.take(finished);
        if troubled.is_some() || matches!(passage, GateChange::Closed { .. }) {
            self.give_back(troubled.as_ref(), now);
        }
    }

    fn resume(&mut self, now: Instant) {
        for (lane, tell) in self.lanes.resume(now) {
            if tell {
                report::mailbox_resumed(&lane);
            }
            self.measures.paused_mailboxes.set(self.lanes.paused() as i64);
            self.look.want();
        }
    }

    async fn is_empty(&mut self) -> bool {
        let idle =
            self.in_flight == 0 && self.ready.is_empty() && self.look.found_nothing() && self.settler.waiting() == 0;
        if !idle {
            return false;
        }
        let Ok(jobs) = self.queue.outstanding().await else { return false };
        let waits = [self.look.next_due(), self.lanes.next_resume(), self.gate.reopens()];
        if jobs > 0 && self.lanes.any_on_hold() && waits.iter().all(Option::is_none) && !self.said_held {
            self.said_held = true;
            report::only_held_left(jobs);
        }
        jobs == 0
    }

    /// Jobs not yet posted go back, posted ones finish; what is not done near the end of the grace is cut off. The
    /// rest of the grace is for writing the results.
    async fn drain(mut self) -> Drained {
        let deadline = tokio::time::Instant::now() + self.settings.shutdown_grace;
        let cut_at = deadline - self.settings.shutdown_grace / 5;
        self.context.stop.cancel();
        self.give_back(None, Now::read());
        let mut interrupted = 0;
        while self.in_flight > 0 || self.look.is_under_way() {
            tokio::select! {
                Some(finished) = self.finished.1.recv() => {
                    interrupted += usize::from(finished.mailbox.met == Outcome::Interrupted);
                    self.end(finished);
                }
                // A claim that was under way goes back as a whole.
                claimed = self.look.claimed() => self.claimed(claimed),
                () = tokio::time::sleep_until(cut_at), if !self.context.cut.is_cancelled() => self.context.cut.cancel(),
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        let unrecorded = self.settler.finish(deadline).await + self.in_flight;
        Drained { interrupted, unrecorded }
    }
}
