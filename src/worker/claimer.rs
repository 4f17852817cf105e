//! When to claim, and the claim under way: one at a time, beside the loop. A claim has three answers: something was claimed,
//! nothing is due, or the queue could not be asked.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::vitals::retry_wait;
use crate::queue::{Agent, ClaimRequest, Claimed, QueueError};

/// Between two claims that only ask for news, where no other has been made.
const NEWS_EVERY: Duration = Duration::from_millis(100);

type Claim = Pin<Box<dyn Future<Output = Result<Claimed, QueueError>> + Send>>;

pub(super) struct Claimer {
    queue: Arc<dyn Agent>,
    state: State,
    /// There may be something new.
    wanted: bool,
    /// A claim was put off until results are written.
    blocked: bool,
    /// When there will be something to claim, as far as the last claim could tell.
    next_due: Option<Instant>,
    /// The last claim found nothing.
    nothing: bool,
    /// When news must be asked for again.
    news_at: Instant,
    /// Claims in a row that took nothing because all that is due is withheld.
    withheld: u32,
}

enum State {
    Idle,
    /// The queue could not be asked, or would only repeat itself: not before this again.
    Waiting {
        until: Instant,
    },
    Claiming {
        limit: usize,
        since: Instant,
        claim: Claim,
    },
}

impl Claimer {
    pub(super) fn new(queue: Arc<dyn Agent>, now: Instant) -> Self {
        Self {
            queue,
            state: State::Idle,
            wanted: true,
            blocked: false,
            next_due: None,
            nothing: false,
            news_at: now,
            withheld: 0,
        }
    }

    pub(super) fn queue(&self) -> &Arc<dyn Agent> {
        &self.queue
    }

    /// There is a reason for a claim.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// Results must be written before there can be a claim.
    pub(super) fn block(&mut self, blocked: bool) {
        self.blocked = blocked;
    }

    /// Results were written: a claim that waited for that may go on.
    pub(super) fn unblock(&mut self) {
        self.wanted |= std::mem::take(&mut self.blocked);
    }

    /// Whether to claim now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self.state {
            State::Idle => self.wanted,
            State::Waiting { until } => self.wanted && now >= until,
            State::Claiming { .. } => false,
        }
    }

    /// The reasons so far are about to be acted on.
    pub(super) fn take_turn(&mut self) {
        self.state = State::Idle;
        self.wanted = false;
        self.next_due = None;
    }

    pub(super) fn wants_news(&self, now: Instant) -> bool {
        now >= self.news_at
    }

    pub(super) fn begin(&mut self, request: ClaimRequest, now: Instant) {
        let (queue, limit) = (self.queue.clone(), request.limit);
        let claim: Claim = Box::pin(async move { queue.claim(&request).await });
        self.state = State::Claiming { limit, since: now, claim };
        self.news_at = now + NEWS_EVERY;
    }

    /// The end of the claim under way, and how much it asked for; never, if there is none.
    pub(super) async fn ended(&mut self) -> (usize, Result<Claimed, QueueError>) {
        match &mut self.state {
            State::Claiming { limit, claim, .. } => {
                let ended = (*limit, claim.await);
                self.state = State::Idle;
                ended
            }
            _ => std::future::pending().await,
        }
    }

    /// Keeps in mind what a claim with this limit tells of the next one.
    pub(super) fn learn(&mut self, limit: usize, claimed: &Claimed, now: Instant) {
        self.wanted |= claimed.more;
        if limit == 0 {
            return;
        }
        let nothing = claimed.jobs.is_empty() && claimed.broken.is_empty();
        self.next_due = claimed.next_due.map(|due| claimed.as_of.steady_at(due));
        self.nothing = nothing;
        // A lane that lost a broken row has more behind it.
        self.wanted |= !claimed.broken.is_empty();
        if claimed.withheld.met && claimed.jobs.is_empty() {
            // There may be very many of them.
            self.withheld = self.withheld.saturating_add(1);
            self.again_at(now + retry_wait(self.withheld));
        } else {
            self.withheld = 0;
        }
    }

    /// Not before then, but then.
    pub(super) fn again_at(&mut self, until: Instant) {
        self.wanted = true;
        self.state = State::Waiting { until };
    }

    pub(super) fn is_claiming(&self) -> bool {
        matches!(self.state, State::Claiming { .. })
    }

    pub(super) fn claiming_since(&self) -> Option<Instant> {
        match self.state {
            State::Claiming { since, .. } => Some(since),
            _ => None,
        }
    }

    /// Nothing was due at the last claim, and nothing has happened since.
    pub(super) fn found_nothing(&self) -> bool {
        self.nothing && !self.wanted && !self.is_claiming()
    }

    /// When the queue, which could not be asked, may be asked again.
    pub(super) fn not_before(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } => Some(until),
            _ => None,
        }
    }

    /// When something becomes due that was not at the last claim.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.next_due
    }
}

#[cfg(test)]
#[path = "claimer_tests.rs"]
mod tests;
