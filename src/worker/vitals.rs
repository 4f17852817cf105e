//! The signs of life: what the watchdog, the monitor and the agent's status are told, and whether the queue can be used.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::log_throttle::LogThrottle;
use super::progress::{Pace, Progress, UnderWay};
use super::status::StatusReport;
use super::{Measures, report};
use crate::backoff::doubled;
use crate::clock::Now;
use crate::job::{ErrorKind, JobId};
use crate::queue::{QueueError, Withheld};

/// Wait before a queue that could not be used is asked again: before it doubles for the first time, and at most.
const FIRST_QUEUE_WAIT: Duration = Duration::from_millis(100);
const LONGEST_QUEUE_WAIT: Duration = Duration::from_secs(5);

/// Who looks at the queue is given a sign of life this often.
pub(super) const SIGN_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Vitals {
    pub measures: Arc<Measures>,
    pub status: StatusReport,
    pub progress: Progress,
    /// Told that the loop turns, at least this often.
    heartbeat: Option<(Duration, fn())>,
    last_beat: Option<Instant>,
    last_sign: Option<Instant>,
    /// How often in a row the queue could not be used.
    queue_failures: u32,
    queue_log: LogThrottle,
}

impl Vitals {
    pub(super) fn new(
        measures: Arc<Measures>,
        longest_attempt: Duration,
        heartbeat: Option<(Duration, fn())>,
        begin: Now,
    ) -> Self {
        measures.turned(begin.steady, 0, 0);
        Self {
            measures,
            status: StatusReport::begin(begin.wall),
            progress: Progress::new(begin.steady, longest_attempt),
            heartbeat,
            last_beat: None,
            last_sign: None,
            queue_failures: 0,
            queue_log: LogThrottle::default(),
        }
    }

    /// The loop turns. The watchdog hears of it as long as something comes of it. Returns whether those who look at the queue are
    /// to be given a sign, too.
    pub(super) fn beat(&mut self, under_way: UnderWay, at_hand: usize, unsettled: usize, now: Instant) -> bool {
        match self.progress.pace(under_way, now) {
            Pace::Stuck { with, new } => {
                if new {
                    report::stuck(with);
                }
                return false;
            }
            Pace::Good { again: true } => report::moving(),
            Pace::Good { again: false } => {}
        }
        // An agent that is stuck is no more alive for the monitor than for the watchdog.
        self.measures.turned(now, at_hand, unsettled);
        let is_due =
            |last: Option<Instant>, every| last.is_none_or(|last| now.saturating_duration_since(last) >= every);
        if let Some((_, beat)) = self.heartbeat.filter(|(interval, _)| is_due(self.last_beat, *interval / 2)) {
            beat();
            self.last_beat = Some(now);
        }
        let owes_a_sign = is_due(self.last_sign, SIGN_EVERY);
        if owes_a_sign {
            self.last_sign = Some(now);
        }
        owes_a_sign
    }

    /// The longest the loop may sleep for the heartbeat's sake.
    pub(super) fn beat_within(&self) -> Duration {
        self.heartbeat.map_or(SIGN_EVERY, |(interval, _)| interval.min(SIGN_EVERY))
    }

    /// The queue could not be used. Returns when to try again.
    pub(super) fn queue_fails(&mut self, error: &QueueError, now: Now) -> Instant {
        self.measures.queue_fails(error, now.wall);
        report::queue_unreadable(&mut self.queue_failures, &mut self.queue_log, error);
        now.steady + retry_wait(self.queue_failures)
    }

    /// What a claim brought.
    pub(super) fn claimed(&self, jobs: usize, broken: &[JobId], withheld: Withheld) {
        self.measures.claims.inc();
        self.measures.claimed.inc_by(jobs as u64);
        self.measures.failed.inc_by(broken.len() as u64);
        broken.iter().for_each(|id| report::broken_row(*id));
        withheld.new.iter().for_each(report::claim_refused);
        self.status.refused_claims(withheld.all);
    }

    /// A job ended without an attempt.
    pub(super) fn ended(&self, id: JobId, kind: ErrorKind) {
        report::ended_unsent(id, kind);
        match kind {
            ErrorKind::Superseded => self.measures.cancelled.inc(),
            _ => self.measures.failed.inc(),
        }
    }

    pub(super) fn queue_works(&mut self) {
        if self.queue_failures > 0 {
            self.measures.queue_works();
        }
        report::queue_readable(&mut self.queue_failures);
    }
}

/// The wait after so many questions in a row that came to nothing.
pub(super) fn retry_wait(failures: u32) -> Duration {
    doubled(FIRST_QUEUE_WAIT, failures, LONGEST_QUEUE_WAIT)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const ATTEMPT: Duration = Duration::from_secs(60);

    fn vitals(beat: fn(), now: Now) -> Vitals {
        let measures = Arc::new(Measures::new().unwrap());
        Vitals::new(measures, ATTEMPT, Some((Duration::from_secs(10), beat)), now)
    }

    #[test]
    fn the_watchdog_hears_of_a_turning_loop_twice_as_often_as_it_asks_for() {
        static BEATS: AtomicU32 = AtomicU32::new(0);
        let now = Now::read();
        let mut vitals = vitals(
            || {
                BEATS.fetch_add(1, Ordering::Relaxed);
            },
            now,
        );
        for second in 0..=10 {
            vitals.beat(UnderWay::default(), 0, 0, now.steady + Duration::from_secs(second));
        }
        assert_eq!(BEATS.load(Ordering::Relaxed), 3, "at the start, after 5 and after 10 seconds");
        assert_eq!(vitals.beat_within(), SIGN_EVERY);
    }

    #[test]
    fn the_watchdog_hears_nothing_of_a_loop_that_turns_while_all_requests_are_stuck() {
        static BEATS: AtomicU32 = AtomicU32::new(0);
        let now = Now::read();
        let mut vitals = vitals(
            || {
                BEATS.fetch_add(1, Ordering::Relaxed);
            },
            now,
        );
        let busy = UnderWay { in_flight: 1, ..UnderWay::default() };
        let late = now.steady + ATTEMPT + Duration::from_secs(1);
        assert!(!vitals.beat(busy, 0, 0, late), "nor do those who look at the queue");
        assert_eq!(BEATS.load(Ordering::Relaxed), 0);
        vitals.progress.moved(late);
        assert!(vitals.beat(busy, 0, 0, late));
        assert_eq!(BEATS.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_queue_that_fails_again_and_again_is_asked_less_and_less_often_until_it_works() {
        let now = Now::read();
        let mut vitals = vitals(|| {}, now);
        let error = QueueError::Trouble { action: "read", may_pass: true, source: "disk I/O error".into() };
        let mut waits = Vec::new();
        for _ in 0..9 {
            waits.push(vitals.queue_fails(&error, now) - now.steady);
        }
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
        assert_eq!(waits[8], LONGEST_QUEUE_WAIT);
        vitals.queue_works();
        assert_eq!(vitals.queue_fails(&error, now) - now.steady, waits[0]);
    }

    #[test]
    fn what_a_claim_brought_is_counted_with_the_rows_it_had_to_end() {
        let now = Now::read();
        let vitals = vitals(|| {}, now);
        vitals.claimed(3, &[JobId(7)], Withheld::default());
        let measures = &vitals.measures;
        assert_eq!((measures.claims.get(), measures.claimed.get(), measures.failed.get()), (1, 3, 1));
    }
}
