//! The time on both clocks: the wall's for dates, the steady one for lengths. Only those who drive work read it; everything
//! else receives it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// A smaller step is a time service at its daily work. A machine that slept looks like one whose clock was set
/// forward: its waits go on where they were.
const SET: TimeDelta = TimeDelta::seconds(1);

/// One moment on both clocks: the wall's for dates, the steady one for lifetimes.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub wall: DateTime<Utc>,
    pub steady: Instant,
}

impl Now {
    /// Both clocks, read now.
    pub fn read() -> Self {
        Self { wall: Utc::now(), steady: Instant::now() }
    }

    /// A time of day as a moment of the steady clock. What is past is now.
    pub fn steady_at(&self, wall: DateTime<Utc>) -> Instant {
        self.steady.checked_add((wall - self.wall).to_std().unwrap_or_default()).unwrap_or(self.steady)
    }

    /// A moment of the steady clock as a time of day. What is past is now.
    pub fn wall_at(&self, steady: Instant) -> DateTime<Utc> {
        let wait = TimeDelta::from_std(steady.saturating_duration_since(self.steady)).unwrap_or(TimeDelta::MAX);
        self.wall.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// How far the wall clock was set between two moments, if it was; negative for back.
pub fn set_between(earlier: Now, later: Now) -> Option<TimeDelta> {
    let passed = later.steady.saturating_duration_since(earlier.steady);
    let ahead = earlier.steady.saturating_duration_since(later.steady);
    let passed = TimeDelta::from_std(passed).ok()? - TimeDelta::from_std(ahead).ok()?;
    let by = (later.wall - earlier.wall) - passed;
    (by.abs() >= SET).then_some(by)
}

/// The end of a wait. A wait too long for the clock to hold its end is none.
pub fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now)
}

/// Where the time is read. The machine's own clock unless its owner is given another one, such as one that plays a
/// history faster than it happened.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Now + Send + Sync>);

impl Clock {
    pub fn new(read: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub fn read(&self) -> Now {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Now::read)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_step_of_a_second_or_more_counts_as_a_clock_that_was_set() {
        let start = Now { wall: Utc::now(), steady: Instant::now() };
        let at = |wall: i64, steady: u64| Now {
            wall: start.wall + TimeDelta::milliseconds(wall),
            steady: start.steady + Duration::from_millis(steady),
        };
        assert_eq!(set_between(start, at(10_000, 10_000)), None);
        assert_eq!(set_between(start, at(10_900, 10_000)), None, "a time service slews");
        assert_eq!(set_between(start, at(3_610_000, 10_000)), Some(TimeDelta::seconds(3600)));
        assert_eq!(set_between(at(3_610_000, 10_000), at(20_000, 20_000)), Some(TimeDelta::seconds(-3600)));
    }
}
