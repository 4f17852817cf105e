//! The server's time beside this machine's. What is due, leased or paused is compared by the server with its own clock; the
//! agent reckons with this machine's. So every time is translated where it passes from one to the other: a wait keeps its length,
//! whatever the two clocks show.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rustix::time::{ClockId, clock_gettime};

use crate::clock::Now;

/// This machine's clocks, read now.
pub fn now() -> Now {
    Now::read()
}

/// How long something takes here.
pub fn steady() -> Instant {
    Instant::now()
}

/// Time since this machine was started, the time it slept included: a lease goes on while a machine sleeps.
pub fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// What the server's clock showed last, at some moment between the question and its answer. A time is translated by whichever of the
/// two makes it later, so that nothing that waits, here or there, waits too short.
#[derive(Clone, Copy, Debug)]
struct Seen {
    server: DateTime<Utc>,
    asked: Instant,
    answered: Instant,
}

/// Nothing, until it is seen for the first time.
#[derive(Debug, Default)]
pub struct ServerClock(Mutex<Option<Seen>>);

impl ServerClock {
    /// The answer to a question of that moment told the server's time.
    pub fn saw(&self, server: DateTime<Utc>, asked: Instant) {
        *self.seen() = Some(Seen { server, asked, answered: steady() });
    }

    /// A time of this machine's, read at `at`, by the server's clock.
    pub fn by_the_server(&self, time: DateTime<Utc>, at: Now) -> DateTime<Utc> {
        moved(time, self.ahead(at, |seen| seen.asked))
    }

    /// A time of the server's by this machine's clock.
    pub fn by_this_machine(&self, time: DateTime<Utc>, at: Now) -> DateTime<Utc> {
        moved(time, -self.ahead(at, |seen| seen.answered))
    }

    /// How far the server's clock is ahead of this machine's, if it showed what it showed then; nothing, as long as it was not seen.
    fn ahead(&self, at: Now, then: impl Fn(&Seen) -> Instant) -> TimeDelta {
        let Some(seen) = *self.seen() else { return TimeDelta::zero() };
        let length = |later: Instant, earlier: Instant| {
            TimeDelta::from_std(later.saturating_duration_since(earlier)).unwrap_or(TimeDelta::MAX)
        };
        let then = then(&seen);
        let passed = length(at.steady, then) - length(then, at.steady);
        (seen.server - at.wall).checked_add(&passed).unwrap_or_default()
    }

    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the calendar has no room for stays.
fn moved(time: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    time.checked_add_signed(by).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_keeps_its_length_whatever_the_two_clocks_show() {
        let (clock, at) = (ServerClock::default(), Now::read());
        let due = at.wall + TimeDelta::seconds(30);
        assert_eq!(clock.by_the_server(due, at), due, "nothing is known yet");
        let server = at.wall - TimeDelta::hours(3);
        *clock.seen() = Some(Seen { server, asked: at.steady, answered: at.steady });
        assert_eq!(clock.by_the_server(due, at), server + TimeDelta::seconds(30));
        assert_eq!(clock.by_this_machine(server + TimeDelta::seconds(30), at), due);
        // Ten seconds later on both clocks, this machine's having been set an hour ahead meanwhile.
        let later = Now { wall: at.wall + TimeDelta::seconds(3610), steady: at.steady + Duration::from_secs(10) };
        assert_eq!(clock.by_this_machine(server + TimeDelta::seconds(30), later), later.wall + TimeDelta::seconds(20));
    }

    /// A pause that is written by one agent and read by another ends no earlier for the time that their questions took.
    #[test]
    fn a_wait_gets_no_shorter_by_the_time_an_answer_takes() {
        let (clock, at) = (ServerClock::default(), Now::read());
        let took = Duration::from_millis(50);
        let asked = at.steady - took;
        *clock.seen() = Some(Seen { server: at.wall, asked, answered: at.steady });
        let until = at.wall + TimeDelta::seconds(1);
        assert_eq!(
            clock.by_the_server(until, at),
            until + TimeDelta::milliseconds(50),
            "the clock was read when it was asked"
        );
        *clock.seen() = Some(Seen { server: at.wall - TimeDelta::milliseconds(50), asked, answered: at.steady });
        assert_eq!(
            clock.by_this_machine(until, at),
            until + TimeDelta::milliseconds(50),
            "the same, and the answer is as old"
        );
    }

    #[test]
    fn the_time_since_the_start_of_the_machine_goes_on() {
        let before = since_boot();
        assert!(before > Duration::ZERO && since_boot() >= before);
    }
}
