//! Rests as they are learnt, for the attempts of the same mailbox that have begun but not sent anything yet. The lanes
//! learn of a rest only when the loop comes to it, and by then those would have sent into it. Kept on the steady
//! clock: a rest is a length of time, whatever becomes of the wall clock meanwhile. The same goes for mailboxes put on hold
//! while an attempt waits for its token.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::clock::later;
use crate::policy::Rest;
use crate::queue::LaneKey;

/// The mailboxes that were just told to rest, and those on hold.
#[derive(Default)]
pub(super) struct Resting(Mutex<Known>);

#[derive(Default)]
struct Known {
    resting: HashMap<LaneKey, Instant>,
    held: Arc<HashSet<LaneKey>>,
}

impl Resting {
    /// The mailbox must rest.
    pub(super) fn note(&self, lane: &LaneKey, rest: &Rest, now: Instant) {
        let until = later(now, rest.wait);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.resting.entry(lane.clone()).or_insert(until);
        *known = until.max(*known);
    }

    /// Its rest was ended by hand.
    pub(super) fn forget(&self, lane: &LaneKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).resting.remove(lane);
    }

    /// These mailboxes are on hold, and no others.
    pub(super) fn put_on_hold(&self, held: &Arc<HashSet<LaneKey>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).held = held.clone();
    }

    /// Whether nothing may be sent to it now.
    pub(super) fn holds(&self, lane: &LaneKey, now: Instant) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.resting.retain(|_, until| *until > now);
        known.resting.contains_key(lane) || (!known.held.is_empty() && known.held.contains(lane))
    }
}
