//! The pauses of mailboxes, in the one place where they are kept in memory, and which mailboxes are on hold. The lanes go by
//! them, and so do the attempts that have begun but not sent anything yet: a pause is noted here before the loop comes to
//! it, or they would send into a mailbox that another attempt has just found throttled. Kept on the steady clock: a pause is
//! a length of time, whatever becomes of the wall clock meanwhile.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::clock::later;
use crate::policy::MailboxPause;
use crate::queue::LaneKey;

#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    paused: HashMap<LaneKey, Paused>,
    held: Arc<HashSet<LaneKey>>,
}

#[derive(Debug)]
struct Paused {
    until: Instant,
    /// The lanes know of it. Before, only an attempt has noted it.
    counted: bool,
}

impl Pauses {
    /// An attempt has found out that the mailbox must pause.
    pub(super) fn note(&self, lane: &LaneKey, pause: &MailboxPause, now: Instant) {
        let until = later(now, pause.wait);
        let mut known = self.known();
        let paused = known.paused.entry(lane.clone()).or_insert(Paused { until, counted: false });
        paused.until = until.max(paused.until);
    }

    /// Whether nothing may be sent to the mailbox now.
    pub(super) fn blocks(&self, lane: &LaneKey, now: Instant) -> bool {
        let known = self.known();
        known.paused.get(lane).is_some_and(|paused| now < paused.until) || known.is_held(lane)
    }

    /// The lanes count a pause. Returns when it ends, and whether it is the first since the last one ended: requests that were
    /// under way together meet the same one.
    pub(super) fn count(&self, lane: &LaneKey, until: Instant) -> (Instant, bool) {
        let mut known = self.known();
        let paused = known.paused.entry(lane.clone()).or_insert(Paused { until, counted: false });
        paused.until = until.max(paused.until);
        (paused.until, !std::mem::replace(&mut paused.counted, true))
    }

    /// An operator has ended it.
    pub(super) fn end(&self, lane: &LaneKey) {
        self.known().paused.remove(lane);
    }

    /// Takes out what is over and returns whose it was.
    pub(super) fn take_over(&self, now: Instant) -> Vec<LaneKey> {
        let over = |paused: &mut Paused| paused.counted && paused.until <= now;
        self.known().paused.extract_if(|_, paused| over(paused)).map(|(lane, _)| lane).collect()
    }

    pub(super) fn is_paused(&self, lane: &LaneKey) -> bool {
        self.known().paused.contains_key(lane)
    }

    /// Those of these lanes that are paused.
    pub(super) fn of<'l>(&self, lanes: impl Iterator<Item = &'l LaneKey>) -> HashSet<&'l LaneKey> {
        let known = self.known();
        lanes.filter(|lane| known.paused.contains_key(*lane)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.known().paused.values().filter(|paused| paused.counted).count()
    }

    pub(super) fn next_end(&self) -> Option<Instant> {
        self.known().paused.values().filter(|paused| paused.counted).map(|paused| paused.until).min()
    }

    /// These mailboxes are on hold, and no others. Returns those that were before; none if it is the very same set.
    pub(super) fn put_on_hold(&self, held: &Arc<HashSet<LaneKey>>) -> Option<Arc<HashSet<LaneKey>>> {
        let known = &mut self.known().held;
        (!Arc::ptr_eq(known, held)).then(|| std::mem::replace(known, held.clone()))
    }

    pub(super) fn is_held(&self, lane: &LaneKey) -> bool {
        self.known().is_held(lane)
    }

    pub(super) fn any_on_hold(&self) -> bool {
        !self.known().held.is_empty()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_held(&self, lane: &LaneKey) -> bool {
        !self.held.is_empty() && self.held.contains(lane)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pause_that_an_attempt_noted_holds_at_once_and_is_the_lanes_first_one() {
        let (pauses, ann, now) = (Pauses::default(), LaneKey::of("ann"), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        pauses.note(&ann, &MailboxPause { wait: Duration::from_secs(10), halve_slots: false }, now);
        assert!(pauses.blocks(&ann, at(9)) && !pauses.blocks(&ann, at(10)));
        assert_eq!((pauses.len(), pauses.take_over(at(20)).len()), (0, 0), "the lanes have yet to count it");
        assert_eq!(pauses.count(&ann, at(5)), (at(10), true), "a shorter one does not end it earlier");
        assert_eq!(pauses.count(&ann, at(12)), (at(12), false), "met by another request that was under way");
        assert_eq!((pauses.len(), pauses.next_end()), (1, Some(at(12))));
        assert_eq!(pauses.take_over(at(12)), std::slice::from_ref(&ann));
        assert!(!pauses.is_paused(&ann));
    }
}
