//! Jobs claimed ahead: the next ones, at hand when a slot falls free. Without them a slot would wait for a claim and its
//! commit after every request. They have been promised nothing: where their mailbox may not be asked any more, they go
//! back to the queue, to their old place.

use std::collections::VecDeque;

use super::lanes::{Lanes, Turn};
use crate::job::Job;
use crate::queue::LaneKey;

/// The jobs, in the order they were claimed in.
#[derive(Default)]
pub(super) struct Ready(VecDeque<(LaneKey, Job)>);

impl Ready {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A job was claimed.
    pub(super) fn hold(&mut self, lanes: &mut Lanes, lane: LaneKey, job: Job) {
        lanes.hold(&lane);
        self.0.push_back((lane, job));
    }

    /// The first job whose mailbox has a slot.
    pub(super) fn next(&mut self, lanes: &mut Lanes) -> Option<(LaneKey, Job)> {
        let place = self.0.iter().position(|(lane, _)| lanes.turn(lane) == Turn::Begin)?;
        let (lane, job) = self.0.remove(place)?;
        lanes.release(&lane);
        Some((lane, job))
    }

    /// Those whose mailbox rests or is in trouble; all, if nothing may be sent.
    pub(super) fn give_back(&mut self, lanes: &mut Lanes, all: bool) -> Vec<(LaneKey, Job)> {
        let goes = |lanes: &Lanes, lane: &LaneKey| all || lanes.turn(lane) == Turn::GiveBack;
        if !self.0.iter().any(|(lane, _)| goes(lanes, lane)) {
            return Vec::new();
        }
        let (back, kept) = std::mem::take(&mut self.0).into_iter().partition(|(lane, _)| goes(lanes, lane));
        self.0 = kept;
        let back: VecDeque<(LaneKey, Job)> = back;
        back.iter().for_each(|(lane, _)| lanes.release(lane));
        back.into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::job::{JobId, JobInput};

    fn job(id: i64) -> Job {
        let input = JobInput::default();
        Job { id: JobId(id), claim: 1, attempts: 0, in_doubt: false, due: None, give_up_at: None, input }
    }

    fn ids(jobs: &[(LaneKey, Job)]) -> Vec<i64> {
        jobs.iter().map(|(_, job)| job.id.0).collect()
    }

    #[test]
    fn a_job_begins_in_its_turn_and_passes_those_whose_mailbox_is_busy() {
        let (mut lanes, mut ready) = (Lanes::new(1, 64), Ready::default());
        let (ann, bob) = (LaneKey::of("ann"), LaneKey::of("bob"));
        ready.hold(&mut lanes, ann.clone(), job(1));
        ready.hold(&mut lanes, ann.clone(), job(2));
        ready.hold(&mut lanes, bob.clone(), job(3));
        assert_eq!(lanes.free()[&ann], 0, "a slot and a place beside it are taken");
        let mut begun = Vec::new();
        while let Some((lane, job)) = ready.next(&mut lanes) {
            lanes.begin(&lane);
            begun.push(job.id.0);
        }
        assert_eq!(begun, [1, 3]);
        lanes.end(&ann, true);
        assert_eq!(ready.next(&mut lanes).unwrap().1.id.0, 2);
        assert!(ready.is_empty());
    }

    #[test]
    fn jobs_of_a_mailbox_in_trouble_go_back_and_leave_no_trace() {
        let (mut lanes, mut ready) = (Lanes::new(1, 64), Ready::default());
        let (ann, bob) = (LaneKey::of("ann"), LaneKey::of("bob"));
        lanes.begin(&ann);
        ready.hold(&mut lanes, ann.clone(), job(1));
        ready.hold(&mut lanes, bob.clone(), job(2));
        assert!(ready.give_back(&mut lanes, false).is_empty());
        lanes.narrow(&ann);
        assert_eq!(ids(&ready.give_back(&mut lanes, false)), [1]);
        assert_eq!(ids(&ready.give_back(&mut lanes, true)), [2]);
        assert!(!lanes.free().contains_key(&bob), "an untouched lane is forgotten");
        assert_eq!(ready.len(), 0);
    }
}
