//! The loop: wake, claim, begin, end, wait, drain. It owns no state of its own but its owners': `claimer` knows when to claim,
//! `prefetch` has the jobs at hand, `admission` knows who may be sent to, `attempts` are under way, `settler` records their ends,
//! `vitals` tells how it all is. Nothing in them is missed by a restart: pauses are in the queue, jobs are in the queue.
//!
//! Nothing here waits for the queue while requests end: a claim runs beside the loop, results are written beside it, and the
//! next jobs are at hand.

mod admission;
mod attempt;
mod attempts;
mod backlog;
mod bad_defaults;
mod bearer;
mod change;
mod claimer;
mod evidence;
mod gate;
mod lanes;
mod links;
mod log_throttle;
mod measures;
mod metrics;
mod open_claims;
mod pacing;
mod pauses;
mod prefetch;
mod progress;
mod report;
mod retention;
mod settler;
mod status;
mod unrecorded;
mod vitals;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::auth::TokenCache;
use crate::clock::Now;
use crate::graph::GraphClient;
use crate::job::{Defaults, Outcome, REPEAT_WAIT};
use crate::policy::RetryPolicy;
use crate::queue::{Agent, ClaimRequest, Claimed, LaneKey, QueueError, Refusal, Verdict};

pub use bearer::Bearer;
pub use change::Change;
pub use measures::{Measures, Trouble};
pub use metrics::Metrics;
pub use pacing::MailLimits;
pub use status::StatusReport;

use admission::{Admission, Blocked, SIGN_IN_EVERY};
use attempt::{Attempt, Context, Finished, Took, given_back, put_off};
use attempts::Attempts;
use change::Control;
use claimer::Claimer;
use links::{Asked, Links};
use pacing::Pacing;
use prefetch::{Prefetch, Waiting};
use progress::UnderWay;
use settler::Settler;
use vitals::{SIGN_EVERY, Vitals};

/// Results waiting to be written, as a multiple of what may be in flight, at which nothing new is claimed.
const UNSETTLED_FACTOR: usize = 4;

/// What the worker needs to know of the settings.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    pub max_in_flight: usize,
    /// `delivery.max_in_flight_per_mailbox`.
    pub per_mailbox: usize,
    pub poll_interval: Duration,
    /// `queue.retention`; zero keeps finished jobs.
    pub retention: Duration,
    pub shutdown_grace: Duration,
    /// What no attempt takes longer than, all its requests together; more counts as no progress.
    pub longest_attempt: Duration,
    /// The retry policy.
    pub policy: RetryPolicy,
    /// What the jobs of one mailbox may mail.
    pub mail_limits: MailLimits,
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
pub struct Worker {
    context: Arc<Context>,
    control: Control,
    claimer: Claimer,
    prefetch: Prefetch,
    admission: Admission,
    attempts: Attempts,
    links: Links,
    settler: Settler,
    vitals: Vitals,
}

impl Worker {
    /// A worker with nothing under way.
    pub fn new(
        queue: Arc<dyn Agent>,
        graph: Arc<GraphClient>,
        tokens: Arc<TokenCache>,
        settings: WorkerSettings,
        measures: Arc<Measures>,
    ) -> Self {
        measures.max_in_flight.set(settings.max_in_flight as i64);
        let begin = Now::read();
        let vitals = Vitals::new(measures.clone(), settings.longest_attempt, settings.heartbeat, begin);
        let admission = Admission::new(settings.per_mailbox, settings.max_in_flight);
        let context = Context {
            queue: queue.clone(),
            graph,
            tokens,
            policy: settings.policy.clone(),
            own_mailbox: settings.defaults.own_mailbox,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            pauses: admission.lanes.pauses().clone(),
            pacing: Arc::new(Pacing::new(settings.mail_limits)),
            zone_taken: Arc::default(),
            measures: measures.clone(),
        };
        Self {
            context: Arc::new(context),
            settler: Settler::start(queue.clone(), measures, vitals.status.clone()),
            claimer: Claimer::new(queue, begin.steady),
            prefetch: Prefetch::default(),
            admission,
            attempts: Attempts::new(),
            links: Links::new(),
            control: Control::new(settings),
            vitals,
        }
    }

    /// What the agent reports of itself in the queue.
    pub fn status(&self) -> StatusReport {
        self.vitals.status.clone()
    }

    /// Follows the changes that come from here.
    pub fn following(mut self, changes: mpsc::UnboundedReceiver<Change>) -> Self {
        self.control.changes = Some(changes);
        self
    }

    /// These jobs of an earlier run stay claimed, because they cannot be put back.
    pub fn left(self, left: &[Refusal]) -> Self {
        self.vitals.status.left(left);
        self
    }

    /// Runs until `stop`, or until the queue is empty if so set; then drains.
    ///
    /// # Errors
    /// The queue is gone: its file was deleted or replaced. What was under way has ended by then.
    pub async fn run(mut self, stop: CancellationToken) -> Result<Drained, QueueError> {
        self.start_beside();
        while !stop.is_cancelled() {
            let now = Now::read();
            self.beat(now.steady);
            self.wake(now.steady);
            self.begin_all(now);
            if self.admission.gate.passes(self.attempts.len()) {
                self.links.ask(&mut self.admission.lanes, &self.context, self.claimer.queue(), now.steady);
            }
            self.claim(now).await;
            if self.control.settings.until_empty && self.is_empty().await {
                break;
            }
            if let Err(gone) = self.wait(&stop).await {
                report::queue_gone(&gone);
                self.drain().await;
                return Err(gone);
            }
        }
        Ok(self.drain().await)
    }

    /// What runs beside the loop until the agent stops.
    fn start_beside(&self) {
        let (queue, stop) = (self.claimer.queue(), &self.context.stop);
        let (settler, status) = (&self.settler, &self.vitals.status);
        open_claims::mind(
            settler.open_claims().clone(),
            queue.clone(),
            status.clone(),
            settler.trouble(),
            stop.clone(),
        );
        retention::forget_pauses(queue.clone(), settler.trouble(), stop.clone());
        retention::start(queue.clone(), self.control.retention.subscribe(), settler.trouble(), stop.clone());
        status::keep(status, queue.clone(), stop.clone());
    }

    fn beat(&mut self, now: Instant) {
        let under_way = UnderWay {
            claim: self.claimer.claiming_since(),
            write: self.settler.writing_since(),
            in_flight: self.attempts.len(),
        };
        if self.vitals.beat(under_way, self.prefetch.len(), self.settler.waiting(), now) {
            self.sign();
        }
    }

    /// Beside the loop. Trouble with the storage is said by those who have more to write.
    fn sign(&self) {
        let queue = self.claimer.queue().clone();
        tokio::spawn(async move { queue.sign().await });
    }

    /// What has waited for this time, or for a person.
    fn wake(&mut self, now: Instant) {
        let signed_in = self.admission.look_at_the_sign_in(&self.context.tokens, now);
        let resumed = self.admission.resume(now, &self.vitals);
        if signed_in || resumed {
            self.claimer.want();
        }
    }

    /// Begins what is at hand, as far as there are slots for it.
    fn begin_all(&mut self, now: Now) {
        while self.attempts.len() < self.control.settings.max_in_flight
            && self.admission.gate.passes(self.attempts.len())
            && let Some(waiting) = self.prefetch.next(&mut self.admission.lanes)
        {
            match self.admission.defaults.put_off(&waiting.job, now) {
                Some(due) => self.settler.take_back(self.admission.defaults.without_zone(waiting, due, now)),
                None => self.begin(waiting, now),
            }
        }
    }

    fn begin(&mut self, Waiting { lane, job, claimed }: Waiting, began: Now) {
        if self.attempts.len() == 0 {
            self.vitals.progress.moved(began.steady);
        }
        self.vitals.measures.began(job.due, began.wall);
        let pauses_in_a_row = self.admission.lanes.begin(&lane);
        let took = Took::of(&job);
        self.attempts.begin(Attempt {
            job,
            lane,
            pauses_in_a_row,
            claimed,
            began,
            took,
            context: self.context.clone(),
        });
        self.vitals.measures.in_flight.set(self.attempts.len() as i64);
    }

    /// Begins a claim if there is a reason for one.
    async fn claim(&mut self, now: Now) {
        if !self.claimer.is_due(now.steady) || !self.wake_put_off(now).await {
            return;
        }
        self.claimer.take_turn();
        let limit = self.limit(now.steady);
        if limit > 0 || self.wants_news(now.steady) {
            let request = self.request(limit, now.steady);
            self.vitals.measures.paced_mailboxes.set(request.paced.len() as i64);
            self.claimer.begin(request, now.steady);
        }
    }

    /// Nothing can be claimed, but what is at hand may be of a mailbox that was put on hold a moment ago; and while all sending
    /// waits, that may take longer than the end of a pause is told.
    fn wants_news(&self, now: Instant) -> bool {
        let heeds = !self.prefetch.is_empty() || !self.admission.gate.passes(0);
        heeds && self.claimer.wants_news(now) && !self.settler.in_trouble()
    }

    /// How many jobs may be claimed.
    fn limit(&mut self, now: Instant) -> usize {
        let (slots, in_flight) = (self.control.settings.max_in_flight, self.attempts.len());
        let taken = in_flight + self.prefetch.len();
        let limit = self.admission.gate.limit(now, in_flight, (slots + ahead(slots)).saturating_sub(taken));
        // What goes back has its place before what would be claimed next.
        let unsettled =
            self.settler.is_behind(slots * UNSETTLED_FACTOR) || self.settler.giving_back() || self.settler.in_trouble();
        self.claimer.block(unsettled || self.control.settings.until_empty);
        // With all slots in use and jobs at hand, a claim waits until it is worth its commit.
        let at_hand = in_flight >= slots && self.prefetch.len() > ahead(slots) / 2;
        if unsettled || at_hand { 0 } else { limit }
    }

    fn request(&self, limit: usize, now: Instant) -> ClaimRequest {
        let Admission { lanes, defaults, .. } = &self.admission;
        ClaimRequest {
            limit,
            per_lane: lanes.places(),
            slots: lanes.slots(),
            free: lanes.free(),
            suspects: lanes.suspects(),
            unnamed: self.control.settings.unnamed.clone(),
            unnamed_paused: defaults.mailbox_paused(now),
            paced: self.context.pacing.paced(now),
            defaults: self.control.settings.defaults.clone(),
        }
    }

    /// Makes those due that were put off for the default zone, once that is another one or is taken, or for limits that are others
    /// now. False: the queue could not be asked.
    async fn wake_put_off(&mut self, now: Now) -> bool {
        if !self.admission.defaults.owes_a_wake() {
            return true;
        }
        let done = self.claimer.queue().wake().await;
        match &done {
            Ok(()) => self.admission.defaults.woken(),
            Err(error) => self.claimer.again_at(self.vitals.queue_fails(error, now)),
        }
        done.is_ok()
    }

    /// Takes over what a claim with this limit brought.
    ///
    /// # Errors
    /// The queue is gone.
    fn claimed(&mut self, limit: usize, claimed: Result<Claimed, QueueError>) -> Result<(), QueueError> {
        let now = Now::read();
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(gone @ QueueError::Gone { .. }) => return Err(gone),
            Err(error) => {
                self.claimer.again_at(self.vitals.queue_fails(&error, now));
                return Ok(());
            }
        };
        self.vitals.queue_works();
        self.claimer.learn(limit, &claimed, now.steady);
        self.context.pacing.remember(&claimed.news.mailed, claimed.as_of);
        claimed.ended.iter().for_each(|(id, kind)| self.vitals.ended(*id, *kind));
        let learnt = self.admission.hear(claimed.news, claimed.as_of, &self.vitals);
        if learnt.resumed {
            self.claimer.want();
        }
        if limit > 0 {
            self.vitals.claimed(claimed.jobs.len(), &claimed.broken, claimed.withheld);
            for (lane, job) in claimed.jobs {
                self.settler.open_claims().begin(job.id, job.claim);
                if self.attempts.are_of(job.id) {
                    // It is looked up before it is sent again, which finds nothing while the first request is still out.
                    report::taken_back(job.id);
                    self.settler.take_back(put_off(lane, job, now.wall + REPEAT_WAIT, now));
                } else {
                    self.prefetch.push(&mut self.admission.lanes, lane, job, now);
                }
            }
        }
        if limit > 0 || learnt.holds {
            self.give_back(None, now);
        }
        Ok(())
    }

    /// What is at hand and may not be sent now goes back: of mailboxes that are paused, of `troubled`, which has just met
    /// trouble, and everything while nothing can be sent.
    fn give_back(&mut self, troubled: Option<&LaneKey>, now: Now) {
        let all = !self.admission.gate.passes(0) || self.context.stop.is_cancelled();
        let lanes = &mut self.admission.lanes;
        for Waiting { lane, job, .. } in self.prefetch.return_where(lanes, |lane| all || Some(lane) == troubled) {
            let took_refused = job.defaulted.mailbox && self.admission.defaults.mailbox_paused(now.steady);
            let mut back = given_back(lane, job, now);
            if let (true, Verdict::Pending(place)) = (took_refused, &back.settlement.verdict) {
                back.settlement.verdict = Verdict::Unfilled(*place);
            }
            self.settler.take_back(back);
        }
    }

    /// Sleeps until there is a reason to go on.
    ///
    /// # Errors
    /// The queue is gone.
    async fn wait(&mut self, stop: &CancellationToken) -> Result<(), QueueError> {
        let pause = self.longest_pause(Instant::now());
        let queue = self.claimer.queue().clone();
        tokio::select! {
            () = stop.cancelled() => {}
            finished = self.attempts.next() => self.end_all(finished),
            asked = self.links.ended() => self.link_asked(&asked),
            (limit, claimed) = self.claimer.ended() => self.claimed(limit, claimed)?,
            changed = queue.changes() => {
                changed?;
                self.claimer.want();
            }
            () = self.settler.changed() => self.claimer.unblock(),
            Some(change) = self.control.next() => self.apply(change),
            () = tokio::time::sleep(pause) => self.claimer.want(),
        }
        Ok(())
    }

    fn longest_pause(&self, now: Instant) -> Duration {
        let mut longest = self.control.settings.poll_interval;
        longest = longest.min(self.vitals.beat_within());
        if self.admission.gate.waits_for_fix() {
            longest = longest.min(SIGN_IN_EVERY);
        }
        // In trouble, or while a claim is under way, none of these could be followed, and a time that is over would make
        // the loop spin.
        let wake = match self.claimer.not_before() {
            Some(again) => Some(again),
            None if self.claimer.is_claiming() || self.settler.in_trouble() => None,
            None => {
                // While the gate is shut no link is asked for, and one that is due would make the loop spin.
                let link = self.links.next_due().filter(|_| self.admission.gate.passes(self.attempts.len()));
                let own = [link, self.context.pacing.next_end(now)].into_iter().flatten();
                self.claimer.next_due().into_iter().chain(self.admission.next(now)).chain(own).min()
            }
        };
        wake.map_or(longest, |wake| wake.saturating_duration_since(now).min(longest))
    }

    /// Takes this result and every other that has come meanwhile, so that one claim serves them all.
    fn end_all(&mut self, first: Finished) {
        self.end(first);
        while let Some(finished) = self.attempts.try_next() {
            self.end(finished);
        }
        self.claimer.want();
    }

    fn end(&mut self, mut finished: Finished) {
        let now = Now::read();
        self.attempts.ended(finished.settlement.id);
        self.vitals.progress.moved(now.steady);
        self.vitals.measures.in_flight.set(self.attempts.len() as i64);
        let Blocked { lane, all } =
            self.admission.learn(&mut finished, &self.control.settings.defaults, &self.vitals, now);
        if let Some(link) = finished.missing_link.take() {
            self.links.miss(link, now.steady);
        }
        self.settler.take(finished);
        if lane.is_some() || all {
            self.give_back(lane.as_ref(), now);
        }
    }

    fn link_asked(&mut self, asked: &Asked) {
        let now = Now::read();
        if let Some(pause) = self.admission.link_asked(asked, &self.vitals, now) {
            links::record(self.claimer.queue().clone(), pause, now);
            self.give_back(Some(&asked.lane), now);
        }
    }

    /// Goes by other settings from now on. Attempts under way end as they began.
    fn apply(&mut self, Change { settings, graph, try_again }: Change) {
        self.admission.lanes.set_limits(settings.per_mailbox, settings.max_in_flight);
        if self.context.pacing.set_limits(settings.mail_limits) {
            self.admission.defaults.owe_a_wake();
        }
        self.context = Arc::new(self.context.with(graph, &settings));
        self.vitals.measures.max_in_flight.set(settings.max_in_flight as i64);
        // Attempts under way go by the old one.
        let longest_attempt = &mut self.vitals.progress.longest_attempt;
        *longest_attempt = settings.longest_attempt.max(*longest_attempt);
        self.control.set(settings);
        if try_again && self.admission.gate.waits_for_fix() {
            self.admission.gate.try_now(Instant::now());
        }
        self.admission.defaults.forget();
        self.vitals.status.default_refused(None);
        self.claimer.want();
    }

    async fn is_empty(&mut self) -> bool {
        let idle = self.attempts.len() == 0
            && self.prefetch.is_empty()
            && self.links.is_empty()
            && self.claimer.found_nothing()
            && self.settler.waiting() == 0;
        if !idle {
            return false;
        }
        let Ok(jobs) = self.claimer.queue().outstanding().await else { return false };
        if jobs > 0 && self.claimer.next_due().is_none() {
            self.admission.say_if_only_held(jobs);
        }
        jobs == 0
    }

    /// Jobs not yet posted go back, posted ones finish; what is not done near the end of the grace is cut off. The
    /// rest of the grace is for writing the results.
    async fn drain(mut self) -> Drained {
        let grace = self.control.settings.shutdown_grace;
        let deadline = tokio::time::Instant::now() + grace;
        let cut_at = deadline - grace / 5;
        self.context.stop.cancel();
        self.give_back(None, Now::read());
        let mut interrupted = 0;
        while self.attempts.len() > 0 || self.claimer.is_claiming() {
            tokio::select! {
                finished = self.attempts.next() => {
                    interrupted += usize::from(finished.mailbox.met == Outcome::Interrupted);
                    self.end(finished);
                }
                // It goes back as a whole. What a queue that is gone has claimed is gone with it.
                (limit, claimed) = self.claimer.ended() => drop(self.claimed(limit, claimed)),
                () = tokio::time::sleep_until(cut_at), if !self.context.cut.is_cancelled() => self.context.cut.cancel(),
                () = tokio::time::sleep_until(deadline) => break,
                () = tokio::time::sleep(SIGN_EVERY) => self.sign(),
            }
        }
        let unrecorded = self.settler.finish(deadline).await + self.attempts.len();
        Drained { interrupted, unrecorded }
    }
}

/// Jobs that may wait for a slot beside those under way: what is sent while a claim waits for the one before it to be
/// written, and is written itself.
fn ahead(slots: usize) -> usize {
    slots * 2
}
