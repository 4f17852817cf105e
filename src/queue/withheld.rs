//! Jobs withheld from the claim, because the schema refuses it: by its own rules or by a trigger of another program. They are
//! left alone for a while, longer each time, so that they neither stand in front of the others of their mailbox nor keep the
//! agent busy. Known to this process only: nothing can be written into such a row.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::backoff::doubled;
use crate::job::JobId;
use crate::queue::{LaneKey, Refusal};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Not seen again for so long after its pause, a job is no longer there to be claimed.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// As many are remembered; the others are tried again as if they were new.
const MOST: usize = 10_000;

/// The jobs, by id.
#[derive(Debug, Default)]
pub struct WithheldJobs(HashMap<i64, Pause>);

#[derive(Debug)]
struct Pause {
    lane: LaneKey,
    until: Instant,
    times: u32,
    why: String,
}

impl WithheldJobs {
    /// Its claim was refused once more. Returns the refusal when it is new. A silent one need not be one, as another program
    /// may have taken the job away meanwhile: it is new the second time.
    pub fn note(&mut self, id: i64, lane: &LaneKey, why: String, silent: bool, now: Instant) -> Option<Refusal> {
        self.0.retain(|_, pause| now.saturating_duration_since(pause.until) < FORGOTTEN_AFTER);
        let times = self.0.get(&id).map_or(0, |pause| pause.times);
        let told = times == u32::from(silent);
        if self.0.len() < MOST || times > 0 {
            let until = now + doubled(FIRST_PAUSE, times, LONGEST_PAUSE);
            let pause = Pause { lane: lane.clone(), until, times: times.saturating_add(1), why: why.clone() };
            self.0.insert(id, pause);
        }
        told.then_some(Refusal { id: JobId(id), why })
    }

    /// They were claimed, or have ended.
    pub fn forget(&mut self, ids: impl Iterator<Item = i64>) {
        if !self.0.is_empty() {
            ids.for_each(|id| drop(self.0.remove(&id)));
        }
    }

    /// It is left alone now.
    pub fn is_paused(&self, id: i64, now: Instant) -> bool {
        self.0.get(&id).is_some_and(|pause| now < pause.until)
    }

    /// Those that are.
    pub fn paused(&self, now: Instant) -> impl Iterator<Item = i64> {
        self.0.iter().filter(move |(_, pause)| now < pause.until).map(|(id, _)| *id)
    }

    /// How many of this lane are left alone.
    pub fn paused_in(&self, lane: &LaneKey, now: Instant) -> usize {
        self.0.values().filter(|pause| pause.lane == *lane && now < pause.until).count()
    }

    /// When the first of them is to be tried again.
    pub fn next(&self, now: Instant) -> Option<Duration> {
        self.0.values().filter_map(|pause| pause.until.checked_duration_since(now)).filter(|wait| !wait.is_zero()).min()
    }

    /// How many there are, and one of them.
    pub fn sum(&self) -> Option<(usize, Refusal)> {
        let (id, pause) = self.0.iter().min_by_key(|(id, _)| **id)?;
        Some((self.0.len(), Refusal { id: JobId(*id), why: pause.why.clone() }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refused_job_pauses_longer_each_time_and_is_told_once() {
        let (lane, begin) = (LaneKey::of("ann"), Instant::now());
        let mut withheld = WithheldJobs::default();
        let mut now = begin;
        let mut pauses = Vec::new();
        for time in 0..8 {
            let told = withheld.note(7, &lane, "no".into(), false, now);
            assert_eq!(told.is_some(), time == 0);
            assert!(withheld.is_paused(7, now) && withheld.paused_in(&lane, now) == 1);
            let pause = withheld.next(now).unwrap();
            pauses.push(pause.as_secs());
            now += pause;
            assert!(!withheld.is_paused(7, now) && withheld.paused_in(&lane, now) == 0);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(withheld.sum().unwrap(), (1, Refusal { id: JobId(7), why: "no".into() }));
        withheld.forget([7].into_iter());
        assert!(withheld.sum().is_none());
    }

    #[test]
    fn what_was_silent_once_may_have_been_taken_away_and_is_told_the_second_time() {
        let (lane, now) = (LaneKey::of("ann"), Instant::now());
        let mut withheld = WithheldJobs::default();
        let told = [0, 1, 2].map(|_| withheld.note(7, &lane, "no".into(), true, now).is_some());
        assert_eq!(told, [false, true, false]);
    }

    #[test]
    fn they_are_forgotten_when_they_are_not_seen_again_and_never_too_many() {
        let (lane, now) = (LaneKey::of("ann"), Instant::now());
        let mut withheld = WithheldJobs::default();
        for id in 0..=i64::try_from(MOST).unwrap() {
            assert!(withheld.note(id, &lane, "no".into(), false, now).is_some());
        }
        assert_eq!(withheld.sum().unwrap().0, MOST);
        withheld.note(-1, &lane, "no".into(), false, now + FIRST_PAUSE + FORGOTTEN_AFTER);
        assert_eq!(withheld.sum().unwrap(), (1, Refusal { id: JobId(-1), why: "no".into() }));
    }
}
