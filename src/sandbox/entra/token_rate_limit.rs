//! How often the token endpoint was asked in the last minute; counted only when a test turns that on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::sandbox::guarded::Guarded;

/// The Retry-After of a client that asks too often.
pub(super) const TOO_OFTEN_WAIT: Duration = Duration::from_secs(60);

/// Counts token requests of the last minute.
#[derive(Debug, Default)]
pub(super) struct TokenRateLimit(Guarded<VecDeque<Instant>>);

impl TokenRateLimit {
    /// Whether this request is one too many; it is counted if not.
    pub(super) fn is_over(&self, per_minute: Option<u32>) -> bool {
        let Some(per_minute) = per_minute else { return false };
        let mut asked = self.0.lock();
        let now = Instant::now();
        while asked.front().is_some_and(|at| now.duration_since(*at) >= TOO_OFTEN_WAIT) {
            asked.pop_front();
        }
        let over = asked.len() >= per_minute as usize;
        if !over {
            asked.push_back(now);
        }
        over
    }

    pub(super) fn reset(&self) {
        self.0.lock().clear();
    }
}
