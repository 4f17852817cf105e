//! A histogram that costs two additions to feed: how long something took, sorted into fixed classes. No lock, no
//! allocation, and nobody is held up by who reads it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds: 1 ms to 60 s. What takes longer is counted beyond the last.
const BOUNDS_US: [u64; 15] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// Durations by class.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Upper bound in seconds, and how many took at most that long; ascending.
    pub at_most: Vec<(f64, u64)>,
    /// How many there were in all.
    pub count: u64,
    /// Seconds they took together.
    pub sum: f64,
}

impl Histogram {
    /// One more that took so long.
    pub(super) fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counts[BOUNDS_US.partition_point(|bound| *bound < us)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// As it is now. One observation that is just being made may be in the sum and not in the count, or the other way.
    pub fn distribution(&self) -> Distribution {
        let mut count = 0;
        let mut at_most = Vec::with_capacity(BOUNDS_US.len());
        for (class, bound) in self.counts.iter().zip(BOUNDS_US) {
            count += class.load(Ordering::Relaxed);
            at_most.push((bound as f64 / 1e6, count));
        }
        let beyond = self.counts.last().map_or(0, |class| class.load(Ordering::Relaxed));
        Distribution { at_most, count: count + beyond, sum: self.sum_us.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_counted_in_every_class_that_is_long_enough() {
        let histogram = Histogram::default();
        for ms in [0, 1, 2, 400, 60_000, 61_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let Distribution { at_most, count, sum } = histogram.distribution();
        let counted = |bound: f64| at_most.iter().find(|(seconds, _)| *seconds == bound).map(|(_, count)| *count);
        assert_eq!(counted(0.001), Some(2), "a bound belongs to its class");
        assert_eq!(counted(0.0025), Some(3));
        assert_eq!(counted(0.25), Some(3));
        assert_eq!(counted(0.5), Some(4));
        assert_eq!(counted(60.0), Some(5));
        assert_eq!(count, 6);
        assert!((sum - 121.403).abs() < 1e-9, "{sum}");
    }
}
