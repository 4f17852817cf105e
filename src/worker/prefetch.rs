//! Jobs claimed ahead: the next ones, at hand when a slot falls free. Without them a slot would wait for a claim and its
//! commit after every request. They have no claim to a slot: where their mailbox may not be asked any more, they go
//! back to the queue, to their old place.

use std::collections::VecDeque;

use super::lanes::{Lanes, Turn};
use crate::clock::Now;
use crate::job::Job;
use crate::queue::LaneKey;

/// A job, whose mailbox's it is, and when it was claimed.
pub(super) struct Waiting {
    pub lane: LaneKey,
    pub job: Job,
    pub claimed: Now,
}

/// The jobs, in the order they were claimed in.
#[derive(Default)]
pub(super) struct Prefetch(VecDeque<Waiting>);

impl Prefetch {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A job was claimed. One that is at hand already was put back by somebody: that claim is over.
    pub(super) fn push(&mut self, lanes: &mut Lanes, lane: LaneKey, job: Job, claimed: Now) {
        self.0.retain(|waiting| {
            let over = waiting.job.id == job.id;
            if over {
                lanes.release(&waiting.lane);
            }
            !over
        });
        lanes.reserve(&lane);
        self.0.push_back(Waiting { lane, job, claimed });
    }

    /// The first job whose mailbox has a slot.
    pub(super) fn next(&mut self, lanes: &mut Lanes) -> Option<Waiting> {
        let place = self.0.iter().position(|waiting| lanes.turn(&waiting.lane) == Turn::Begin)?;
        let waiting = self.0.remove(place)?;
        lanes.release(&waiting.lane);
        Some(waiting)
    }

    /// Takes back those whose mailbox is paused, on hold or has no slot in its trouble, and those that `also` names.
    pub(super) fn return_where(&mut self, lanes: &mut Lanes, also: impl Fn(&LaneKey) -> bool) -> Vec<Waiting> {
        let goes = |lanes: &Lanes, lane: &LaneKey| also(lane) || lanes.turn(lane) == Turn::GiveBack;
        if !self.0.iter().any(|waiting| goes(lanes, &waiting.lane)) {
            return Vec::new();
        }
        let (back, kept): (VecDeque<Waiting>, VecDeque<Waiting>) =
            std::mem::take(&mut self.0).into_iter().partition(|waiting| goes(lanes, &waiting.lane));
        self.0 = kept;
        back.iter().for_each(|waiting| lanes.release(&waiting.lane));
        back.into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::job::{JobId, JobInput};

    fn push(prefetch: &mut Prefetch, lanes: &mut Lanes, lane: &LaneKey, id: i64) {
        let input = JobInput::default();
        let job = Job {
            id: JobId(id),
            claim: 1,
            attempts: 0,
            in_doubt: false,
            due: None,
            give_up_at: None,
            input,
            defaulted: Default::default(),
            operation: Default::default(),
            expires_at: None,
            target: Default::default(),
        };
        prefetch.push(lanes, lane.clone(), job, Now::read());
    }

    fn ids(jobs: &[Waiting]) -> Vec<i64> {
        jobs.iter().map(|waiting| waiting.job.id.0).collect()
    }

    #[test]
    fn a_job_begins_in_its_turn_and_passes_those_whose_mailbox_is_busy() {
        let (mut lanes, mut prefetch) = (Lanes::new(1, 64), Prefetch::default());
        let (ann, bob) = (LaneKey::of("ann"), LaneKey::of("bob"));
        push(&mut prefetch, &mut lanes, &ann, 1);
        push(&mut prefetch, &mut lanes, &ann, 2);
        push(&mut prefetch, &mut lanes, &bob, 3);
        assert_eq!(lanes.free()[&ann], 0, "a slot and a place beside it are taken");
        let mut begun = Vec::new();
        while let Some(waiting) = prefetch.next(&mut lanes) {
            lanes.begin(&waiting.lane);
            begun.push(waiting.job.id.0);
        }
        assert_eq!(begun, [1, 3]);
        lanes.end(&ann, true);
        assert_eq!(prefetch.next(&mut lanes).unwrap().job.id.0, 2);
        assert!(prefetch.is_empty());
    }

    #[test]
    fn a_job_claimed_again_is_at_hand_once_with_its_new_claim() {
        let (mut lanes, mut prefetch) = (Lanes::new(1, 64), Prefetch::default());
        let ann = LaneKey::of("ann");
        push(&mut prefetch, &mut lanes, &ann, 1);
        let free = lanes.free()[&ann];
        let job = Job { claim: 2, ..prefetch.0[0].job.clone() };
        prefetch.push(&mut lanes, ann.clone(), job, Now::read());
        assert_eq!((prefetch.len(), lanes.free()[&ann]), (1, free));
        assert_eq!(prefetch.next(&mut lanes).unwrap().job.claim, 2);
    }

    #[test]
    fn jobs_of_a_mailbox_in_trouble_go_back_and_leave_no_trace() {
        let (mut lanes, mut prefetch) = (Lanes::new(1, 64), Prefetch::default());
        let (ann, bob) = (LaneKey::of("ann"), LaneKey::of("bob"));
        lanes.begin(&ann);
        push(&mut prefetch, &mut lanes, &ann, 1);
        push(&mut prefetch, &mut lanes, &bob, 2);
        assert!(prefetch.return_where(&mut lanes, |_| false).is_empty());
        lanes.halve_slots(&ann);
        assert_eq!(ids(&prefetch.return_where(&mut lanes, |_| false)), [1]);
        assert_eq!(ids(&prefetch.return_where(&mut lanes, |lane| *lane == bob)), [2]);
        assert!(!lanes.free().contains_key(&bob), "an untouched lane is forgotten");
        assert_eq!(prefetch.len(), 0);
    }
}
