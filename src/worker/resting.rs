//! Rests as they are learnt, for the attempts of the same mailbox that have begun but not sent anything yet. The lanes
//! learn of a rest only when the loop comes to it, and by then those would have sent into it. Kept on the steady
//! clock: a rest is a length of time, whatever becomes of the wall clock meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::clock::later;
use crate::policy::Rest;
use crate::queue::LaneKey;

/// The mailboxes that were just told to rest.
#[derive(Default)]
pub(super) struct Resting(Mutex<HashMap<LaneKey, Instant>>);

impl Resting {
    /// The mailbox must rest.
    pub(super) fn note(&self, lane: &LaneKey, rest: &Rest, now: Instant) {
        let until = later(now, rest.wait);
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = resting.entry(lane.clone()).or_insert(until);
        *known = until.max(*known);
    }

    /// Whether it still must.
    pub(super) fn holds(&self, lane: &LaneKey, now: Instant) -> bool {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|_, until| *until > now);
        resting.contains_key(lane)
    }
}
