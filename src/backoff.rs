//! Waits that double: one rule for jobs, the gate, the sign-in and the queue. Knows neither clock nor jitter.

use std::time::Duration;

/// `first`, doubled `times` times, at most `longest`.
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(2u32.saturating_pow(times.min(31))).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_longest_and_never_overflows() {
        let wait = |times| doubled(Duration::from_secs(5), times, Duration::from_secs(60)).as_secs();
        assert_eq!([wait(0), wait(1), wait(3), wait(4), wait(u32::MAX)], [5, 10, 40, 60, 60]);
        assert_eq!(doubled(Duration::MAX, 31, Duration::MAX), Duration::MAX);
    }
}
