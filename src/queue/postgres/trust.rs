//! Whether requests may begin: as long as this agent's lease was renewed lately enough; and how close to its end that was.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::clock::since_boot;
use super::member::BEGIN_WITHIN;

/// Of these the smallest margin is told.
const REMEMBERED: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub struct Trust {
    /// In milliseconds after the start of the machine; 0: they may not.
    until: AtomicU64,
    lapses: AtomicU64,
    margins: Mutex<VecDeque<Margin>>,
}

/// What was left when the lease was renewed.
#[derive(Clone, Copy, Debug)]
struct Margin {
    at: Duration,
    left: Duration,
}

impl Trust {
    /// A renewal that was sent then has succeeded.
    pub fn renewed(&self, sent: Duration) {
        self.renewed_at(sent, since_boot());
    }

    fn renewed_at(&self, sent: Duration, now: Duration) {
        let until = millis(sent.saturating_add(BEGIN_WITHIN));
        let before = self.until.swap(until, Ordering::AcqRel);
        if before == 0 {
            return;
        }
        let left = Duration::from_millis(before).saturating_sub(now);
        if left.is_zero() {
            self.lapses.fetch_add(1, Ordering::Relaxed);
        }
        let mut margins = self.margins.lock().unwrap_or_else(PoisonError::into_inner);
        margins.push_back(Margin { at: now, left });
        while margins.front().is_some_and(|oldest| now.saturating_sub(oldest.at) > REMEMBERED) {
            margins.pop_front();
        }
    }

    pub fn ends(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// It ended by others' hand: they have buried this agent, or the server was replaced.
    pub fn is_lost(&self) {
        self.ends();
        self.lapses.fetch_add(1, Ordering::Relaxed);
    }

    pub fn holds(&self) -> bool {
        millis(since_boot()) < self.until.load(Ordering::Acquire)
    }

    /// The least that was left at a renewal lately.
    pub fn margin(&self) -> Option<Duration> {
        let margins = self.margins.lock().unwrap_or_else(PoisonError::into_inner);
        margins.iter().map(|margin| margin.left).min()
    }

    /// Times it ended before it was renewed.
    pub fn lapses(&self) -> u64 {
        self.lapses.load(Ordering::Relaxed)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_renewal_of_the_last_minutes_is_told_and_each_that_came_too_late_is_counted() {
        let (trust, start) = (Trust::default(), since_boot());
        let renew = |seconds: u64| {
            let at = start + Duration::from_secs(seconds);
            trust.renewed_at(at, at);
            trust.margin().map(|margin| margin.as_secs_f64().round())
        };
        assert_eq!(renew(0), None, "there was nothing to renew");
        assert_eq!(renew(2), Some(4.0));
        assert_eq!(renew(7), Some(1.0));
        assert_eq!(renew(9), Some(1.0), "the least");
        assert_eq!((renew(16), trust.lapses()), (Some(0.0), 1));
        assert_eq!(renew(310), Some(0.0), "too late again");
        assert_eq!((renew(612), trust.lapses()), (Some(0.0), 3));
    }

    #[test]
    fn what_others_have_ended_is_counted_and_over() {
        let trust = Trust::default();
        trust.renewed(since_boot());
        assert!(trust.holds());
        trust.is_lost();
        assert!(!trust.holds());
        assert_eq!((trust.lapses(), trust.margin()), (1, None));
    }
}
