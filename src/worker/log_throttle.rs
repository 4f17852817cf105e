//! Trouble that goes on is told when it begins and when it ends, and between only now and then, with the number of times
//! it was met meanwhile: a night without network must not bury the line that says why.

use std::time::{Duration, Instant};

/// Between two lines about the same trouble.
const EVERY: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogThrottle {
    last_line: Option<Instant>,
    since: u32,
}

impl LogThrottle {
    /// Met once more, and logged in any case.
    pub(super) fn logged(&mut self, now: Instant) {
        *self = Self { last_line: Some(now), since: 0 };
    }

    /// Met once more. How often since the last line, if it is time for one.
    pub(super) fn met(&mut self, now: Instant) -> Option<u32> {
        self.since = self.since.saturating_add(1);
        if self.last_line.is_some_and(|last| now.saturating_duration_since(last) < EVERY) {
            return None;
        }
        let times = self.since;
        self.logged(now);
        Some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_every_ten_minutes_with_a_number() {
        let begin = Instant::now();
        let mut trouble = LogThrottle::default();
        trouble.logged(begin);
        let told: Vec<(u64, u32)> =
            (1..=125).map(|n| n * 10).filter_map(|s| Some((s, trouble.met(begin + Duration::from_secs(s))?))).collect();
        assert_eq!(told, [(600, 60), (1200, 60)]);
    }

    #[test]
    fn what_was_never_told_is_told_at_once() {
        assert_eq!(LogThrottle::default().met(Instant::now()), Some(1));
    }
}
