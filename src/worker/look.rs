//! Looks at the queue: when there is a reason for one, what may be claimed, and what came of it. One claim at a time, beside
//! the loop. It has three answers: something was claimed, nothing is due, or the queue could not be asked.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::attempt::put_off;
use super::lanes::HoldsChanged;
use super::{FIRST_QUEUE_WAIT, LONGEST_QUEUE_WAIT, Worker, report};
use crate::backoff::doubled;
use crate::clock::Now;
use crate::job::REPEAT_WAIT;
use crate::queue::{ClaimRequest, Claimed, LaneKey, MailboxNews, QueueError};

/// Results waiting to be written, as a multiple of what may be in flight, at which nothing new is claimed.
const UNSETTLED_FACTOR: usize = 4;
/// Between two looks for the operator's words, where no claim has looked.
const HOLDS_EVERY: Duration = Duration::from_millis(100);

type Claim = Pin<Box<dyn Future<Output = Result<Claimed, QueueError>> + Send>>;

/// What the loop knows of the queue.
pub(super) struct Look {
    /// There may be something new.
    wanted: bool,
    /// The last one was put off until results are written.
    blocked: bool,
    under_way: Option<Claim>,
    under_way_since: Instant,
    /// When there will be something to claim, as far as the last look could tell.
    next_due: Option<Instant>,
    /// The queue could not be asked; not before this again.
    not_before: Option<Instant>,
    /// How much the one under way asks for; nothing where it only looks for the operator's words.
    asked: usize,
    /// The last one found nothing.
    nothing: bool,
    /// When it must be asked again for the operator's words.
    holds_at: Instant,
}

impl Look {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            wanted: true,
            blocked: false,
            under_way: None,
            under_way_since: now,
            next_due: None,
            not_before: None,
            asked: 0,
            nothing: false,
            holds_at: now,
        }
    }

    /// There is a reason for a look.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// Results were written: a look that waited for that may go on.
    pub(super) fn unblock(&mut self) {
        self.wanted |= std::mem::take(&mut self.blocked);
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Since when the claim under way is.
    pub(super) fn claiming_since(&self) -> Option<Instant> {
        self.under_way.as_ref().map(|_| self.under_way_since)
    }

    /// Nothing was due when it was looked last, and nothing has happened since.
    pub(super) fn found_nothing(&self) -> bool {
        self.nothing && !self.wanted && self.under_way.is_none()
    }

    /// When the queue, which could not be asked, may be asked again.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// When something becomes due that was not at the last look.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.next_due
    }

    /// The end of the claim under way; never, if there is none.
    pub(super) async fn claimed(&mut self) -> Result<Claimed, QueueError> {
        match &mut self.under_way {
            Some(claim) => {
                let claimed = claim.await;
                self.under_way = None;
                claimed
            }
            None => std::future::pending().await,
        }
    }
}

impl Worker {
    /// Begins a claim if there is a reason for one.
    pub(super) async fn look(&mut self, now: Now) {
        if self.look.is_under_way() {
            return;
        }
        let waits = self.look.not_before.is_some_and(|until| now.steady < until);
        if waits || !self.look.wanted || !self.wake(now).await {
            return;
        }
        self.look.wanted = false;
        self.look.next_due = None;
        self.look.not_before = None;
        let queue = self.queue.clone();
        let limit = self.limit(now);
        let news = now.steady >= self.look.holds_at && self.heeds_orders() && !self.settler.in_trouble();
        if limit == 0 && !news {
            return;
        }
        let request = self.request(limit, now);
        self.look.asked = limit;
        self.look.under_way_since = now.steady;
        self.look.under_way = Some(Box::pin(async move { queue.claim(&request).await }));
        self.look.holds_at = now.steady + HOLDS_EVERY;
    }

    /// Nothing can be claimed, but what is at hand may be of a mailbox that was put on hold a moment ago; and while all sending
    /// waits, which may take longer than the end of a pause is told.
    fn heeds_orders(&self) -> bool {
        !self.ready.is_empty() || !self.gate.passes(0)
    }

    /// What the lanes and the gate let through.
    fn limit(&mut self, now: Now) -> usize {
        let slots = self.settings.max_in_flight;
        let held = self.in_flight + self.ready.len();
        let limit = self.gate.limit(now.steady, self.in_flight, (slots + ahead(slots)).saturating_sub(held));
        let behind = self.settler.is_behind(slots * UNSETTLED_FACTOR);
        // What goes back has its place before what would be claimed next.
        let giving_back = self.settler.giving_back();
        self.look.blocked = behind || giving_back || self.settler.in_trouble() || self.settings.until_empty;
        // With all slots in use and jobs at hand, a claim waits until it is worth its commit.
        let at_hand = self.in_flight >= slots && self.ready.len() > ahead(slots) / 2;
        if limit == 0 || behind || giving_back || at_hand || self.settler.in_trouble() {
            return 0;
        }
        limit
    }

    fn request(&self, limit: usize, now: Now) -> ClaimRequest {
        ClaimRequest {
            limit,
            per_lane: self.lanes.places(),
            free: self.lanes.free(),
            suspects: self.lanes.suspects(),
            unnamed: self.settings.unnamed.clone(),
            unnamed_rest: self.refused.mailbox_rests(now.steady),
            defaults: self.settings.defaults.clone(),
        }
    }

    /// Takes over what a claim brought.
    ///
    /// # Errors
    /// The queue is gone.
    pub(super) fn claimed(&mut self, claimed: Result<Claimed, QueueError>) -> Result<(), QueueError> {
        let now = Now::read();
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(gone @ QueueError::Gone { .. }) => return Err(gone),
            Err(error) => {
                self.queue_fails(&error, now);
                self.ask_again_later(now);
                return Ok(());
            }
        };
        self.queue_works();
        self.learn(claimed.news, claimed.as_of, now);
        self.look.wanted |= claimed.more;
        if self.look.asked == 0 {
            // Nothing else was looked at.
            return Ok(());
        }
        self.measures.claims.inc();
        self.measures.claimed.inc_by(claimed.jobs.len() as u64);
        self.measures.failed.inc_by(claimed.broken.len() as u64);
        claimed.broken.iter().for_each(|id| report::broken_row(*id));
        claimed.withheld.new.iter().for_each(report::claim_refused);
        self.notes.refused_claims(claimed.withheld.all);
        self.look.next_due = claimed.next_due.map(|due| claimed.as_of.steady_at(due));
        self.look.nothing = claimed.jobs.is_empty() && claimed.broken.is_empty();
        // A lane that lost a broken row has more behind it.
        self.look.wanted |= !claimed.broken.is_empty();
        // Where nothing but refusals is met, there may be very many of them.
        let only_refused = claimed.withheld.met && claimed.jobs.is_empty();
        self.refused_claims = if only_refused { self.refused_claims.saturating_add(1) } else { 0 };
        if only_refused {
            let wait = doubled(FIRST_QUEUE_WAIT, self.refused_claims, LONGEST_QUEUE_WAIT);
            self.look.wanted = true;
            self.look.not_before = Some(now.steady + wait);
        }
        for (lane, job) in claimed.jobs {
            self.held.begin(job.id, job.claim);
            if self.under_way.contains(&job.id) {
                // It is looked up before it is sent again, which finds nothing while the first request is still out.
                report::taken_back(job.id);
                let due = now.wall + REPEAT_WAIT;
                self.settler.take_back(put_off(lane, job, due, now));
                continue;
            }
            self.ready.hold(&mut self.lanes, lane, job, now);
        }
        self.give_back(None, now);
        Ok(())
    }

    /// What a claim told of the mailboxes, in times of the queue's clock at `as_of`.
    fn learn(&mut self, news: MailboxNews, as_of: Now, now: Now) {
        let MailboxNews { pauses, limits, held, resumed } = news;
        pauses.iter().for_each(|pause| self.lanes.remember(pause, as_of));
        limits.iter().for_each(|(lane, slots)| self.lanes.suspect(lane, *slots));
        if !pauses.is_empty() {
            self.measures.paused_mailboxes.set(self.lanes.paused() as i64);
        }
        self.put_on_hold(&held, now);
        self.resume_by_hand(resumed, now);
    }

    /// What is at hand of a mailbox on hold goes back; requests under way finish.
    fn put_on_hold(&mut self, held: &Arc<HashSet<LaneKey>>, now: Now) {
        let changed = self.lanes.put_on_hold(held);
        if changed == HoldsChanged::default() {
            return;
        }
        self.context.resting.put_on_hold(held);
        self.said_held = false;
        changed.held.iter().for_each(report::mailbox_held);
        changed.released.iter().for_each(report::mailbox_released);
        self.give_back(None, now);
    }

    /// An operator has ended pauses, of which this loop only knows that they are.
    fn resume_by_hand(&mut self, resumed: Arc<HashSet<(LaneKey, DateTime<Utc>)>>, now: Now) {
        if Arc::ptr_eq(&self.resumed, &resumed) {
            return;
        }
        let before = std::mem::replace(&mut self.resumed, resumed.clone());
        for (lane, at) in resumed.difference(&before) {
            if self.lanes.resume_by_hand(lane, *at, now) {
                self.context.resting.forget(lane);
                report::mailbox_resumed(lane);
                self.measures.paused_mailboxes.set(self.lanes.paused() as i64);
                self.look.want();
            }
        }
    }

    /// Makes those due that were put off for the default zone, once that is another one or is taken. False: the queue could
    /// not be asked.
    async fn wake(&mut self, now: Now) -> bool {
        if !self.refused.owes_a_wake() {
            return true;
        }
        match self.queue.wake().await {
            Ok(()) => self.refused.woken(),
            Err(error) => {
                self.queue_fails(&error, now);
                self.ask_again_later(now);
            }
        }
        !self.refused.owes_a_wake()
    }

    fn ask_again_later(&mut self, now: Now) {
        self.look.wanted = true;
        self.look.not_before = Some(now.steady + self.queue_wait());
    }
}

/// Jobs that may wait for a slot beside those under way: what is sent while a claim waits for the one before it to be
/// written, and is written itself.
fn ahead(slots: usize) -> usize {
    slots * 2
}
