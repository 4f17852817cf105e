//! The queue's clock. Waits and horizons are lengths of time, but they are stored as times of day, so that they survive a
//! restart: when the wall clock is set, the agent's verbs move them along before they do anything else.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::{Clock, Now, set_between};
use crate::queue::{Settlement, Verdict};

/// How long something takes here is measured by the machine's own clocks, whatever clock the queue's times are kept by.
pub fn steady() -> Instant {
    Instant::now()
}

/// The machine's wall clock, which SQLite reads too.
pub fn machine_wall() -> DateTime<Utc> {
    Utc::now()
}

/// The clock the queue's times are kept by.
#[derive(Debug)]
pub struct QueueClock {
    clock: Clock,
    watch: Mutex<Watch>,
}

#[derive(Debug)]
struct Watch {
    seen: Now,
    /// How far the clock was set, while the queue's times have not been moved along yet.
    owed: Option<TimeDelta>,
}

impl QueueClock {
    pub fn new(clock: Clock) -> Self {
        let seen = clock.read();
        Self { clock, watch: Mutex::new(Watch { seen, owed: None }) }
    }

    /// The time, and how far the queue's times lag behind it. That is asked for again until [`QueueClock::moved`].
    pub fn read(&self) -> (Now, Option<TimeDelta>) {
        let mut watch = self.watch();
        let now = self.clock.read();
        if let Some(by) = set_between(watch.seen, now) {
            tracing::warn!(seconds = by.num_seconds(), "the system clock was set, waits keep their length");
            watch.owed = Some(watch.owed.map_or(by, |owed| owed + by));
        }
        watch.seen = now;
        (now, watch.owed)
    }

    /// The queue's times have been moved by this.
    pub fn moved(&self, by: TimeDelta) {
        let mut watch = self.watch();
        watch.owed = watch.owed.filter(|owed| *owed != by).map(|owed| owed - by);
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The settlement with its times as the queue's clock has them at `now`, if the clock was set since they were decided.
/// What only tells when something happened stays.
pub fn by_the_clock_of(settlement: &Settlement, now: Now) -> Option<Settlement> {
    let by = set_between(settlement.at, now)?;
    let moved = |at: DateTime<Utc>| at.checked_add_signed(by).unwrap_or(at);
    let mut settlement = settlement.clone();
    if let Verdict::Pending(due) | Verdict::Unfilled(due) = &mut settlement.verdict {
        *due = moved(*due);
    }
    settlement.give_up_at = settlement.give_up_at.map(moved);
    if let Some(pause) = &mut settlement.pause {
        pause.until = moved(pause.until);
        pause.asked_until = pause.asked_until.map(moved);
    }
    Some(settlement)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_was_set_is_owed_until_the_times_are_moved() {
        let start = Now::read();
        let dial = Arc::new(Mutex::new(start));
        let shown = dial.clone();
        let clock = QueueClock::new(Clock::new(move || *shown.lock().unwrap_or_else(PoisonError::into_inner)));
        let owed_at = |wall: i64, steady: u64| {
            *dial.lock().unwrap_or_else(PoisonError::into_inner) =
                Now { wall: start.wall + TimeDelta::seconds(wall), steady: start.steady + Duration::from_secs(steady) };
            clock.read().1.map(|by| by.num_seconds())
        };
        assert_eq!(owed_at(10, 10), None);
        assert_eq!(owed_at(3620, 20), Some(3600));
        assert_eq!(owed_at(3630, 30), Some(3600), "the times were not moved");
        assert_eq!(owed_at(3540, 40), Some(3500), "it was set once more");
        clock.moved(TimeDelta::seconds(3500));
        assert_eq!(owed_at(3550, 50), None);
    }
}
