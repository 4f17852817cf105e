//! Whether the agent gets anywhere. A loop that turns is not enough for the watchdog: were a claim, a write or every
//! request stuck for ever, nothing would be sent and nobody would be told.

use std::time::{Duration, Instant};

/// A claim or a write has its own, much shorter waits for locks and disks, and ends with an error after them.
const STORAGE: Duration = Duration::from_secs(300);

/// What is under way, as the loop sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UnderWay {
    /// Since when a claim is.
    pub claim: Option<Instant>,
    /// Since when results are being written, or tried again to be.
    pub write: Option<Instant>,
    /// Requests.
    pub in_flight: usize,
}

/// The last signs of life.
#[derive(Debug)]
pub(super) struct Progress {
    /// Longest a single attempt can take.
    pub longest_attempt: Duration,
    /// When an attempt ended last, or began with no other under way.
    moved: Instant,
    stuck: bool,
}

/// What has changed since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// All is well; `again`: it was not.
    Good { again: bool },
    /// Stuck with this; `new`: since now.
    Stuck { with: &'static str, new: bool },
}

impl Progress {
    pub(super) fn new(now: Instant, longest_attempt: Duration) -> Self {
        Self { longest_attempt, moved: now, stuck: false }
    }

    /// An attempt ended, or the first one began.
    pub(super) fn moved(&mut self, now: Instant) {
        self.moved = now;
    }

    pub(super) fn pace(&mut self, under_way: UnderWay, now: Instant) -> Pace {
        let over = |since: Option<Instant>| since.is_some_and(|since| now.saturating_duration_since(since) > STORAGE);
        let requests_stuck =
            under_way.in_flight > 0 && now.saturating_duration_since(self.moved) > self.longest_attempt;
        let with = match () {
            () if over(under_way.claim) => Some("a claim"),
            () if over(under_way.write) => Some("writing results"),
            () if requests_stuck => Some("all requests"),
            () => None,
        };
        let before = std::mem::replace(&mut self.stuck, with.is_some());
        match with {
            Some(with) => Pace::Stuck { with, new: !before },
            None => Pace::Good { again: before },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPT: Duration = Duration::from_secs(900);
    const GOOD: Pace = Pace::Good { again: false };

    #[test]
    fn a_claim_or_a_write_that_never_ends_is_no_progress_and_is_told_once() {
        let begin = Instant::now();
        for (with, under_way) in [
            ("a claim", UnderWay { claim: Some(begin), ..UnderWay::default() }),
            ("writing results", UnderWay { write: Some(begin), ..UnderWay::default() }),
        ] {
            let mut progress = Progress::new(begin, ATTEMPT);
            assert_eq!(progress.pace(under_way, begin + STORAGE), GOOD);
            let late = begin + STORAGE + Duration::from_secs(1);
            assert_eq!(progress.pace(under_way, late), Pace::Stuck { with, new: true });
            assert_eq!(progress.pace(under_way, late), Pace::Stuck { with, new: false });
            assert_eq!(progress.pace(UnderWay::default(), late), Pace::Good { again: true });
        }
    }

    #[test]
    fn requests_are_stuck_when_none_of_them_ends() {
        let begin = Instant::now();
        let mut progress = Progress::new(begin, ATTEMPT);
        let busy = UnderWay { in_flight: 3, ..UnderWay::default() };
        let late = begin + ATTEMPT + Duration::from_secs(1);
        assert_eq!(progress.pace(UnderWay::default(), late), GOOD);
        assert_eq!(progress.pace(busy, late), Pace::Stuck { with: "all requests", new: true });
        progress.moved(late);
        assert_eq!(progress.pace(busy, late + ATTEMPT), Pace::Good { again: true });
    }
}
