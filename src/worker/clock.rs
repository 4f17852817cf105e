//! The wall clock beside the steady one. Waits and horizons are lengths of time, but they are stored as times of day,
//! so that they survive a restart: when somebody sets the wall clock, they are moved along with it.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::clock::Now;

/// Less than this is a time service at its daily work. A machine that slept looks like one whose clock was set
/// forward: its waits go on where they were.
const SET: TimeDelta = TimeDelta::seconds(1);

/// Watches the wall clock.
#[derive(Debug)]
pub(super) struct Clock {
    seen: Now,
}

impl Clock {
    pub(super) fn new(now: Now) -> Self {
        Self { seen: now }
    }

    /// How far the wall clock was set since the last look, if it was; negative for back.
    pub(super) fn set_by(&mut self, now: Now) -> Option<TimeDelta> {
        let by = set_between(self.seen, now);
        self.seen = now;
        by
    }
}

/// How far the wall clock was set between two moments, if it was.
pub(super) fn set_between(earlier: Now, later: Now) -> Option<TimeDelta> {
    let passed = TimeDelta::from_std(later.steady.saturating_duration_since(earlier.steady)).ok()?;
    let by = (later.wall - earlier.wall) - passed;
    (by.abs() >= SET).then_some(by)
}

/// The end of a wait. No wait is so long that the clock could not hold its end; should one be, it is none.
pub(super) fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[test]
    fn only_a_clock_that_was_set_is_told_and_only_once() {
        let start = Now { wall: Utc::now(), steady: Instant::now() };
        let mut clock = Clock::new(start);
        let at = |wall: i64, steady: u64| Now {
            wall: start.wall + TimeDelta::milliseconds(wall),
            steady: start.steady + Duration::from_millis(steady),
        };
        assert_eq!(clock.set_by(at(10_000, 10_000)), None);
        assert_eq!(clock.set_by(at(20_900, 20_000)), None, "a time service slews");
        assert_eq!(clock.set_by(at(3_630_900, 30_000)), Some(TimeDelta::seconds(3600)));
        assert_eq!(clock.set_by(at(3_640_900, 40_000)), None);
        assert_eq!(clock.set_by(at(40_900, 40_000)), Some(TimeDelta::seconds(-3600)));
    }
}
