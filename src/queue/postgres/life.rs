//! Signs of life: what an agent tells of itself with each renewal of its lease.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock::since_boot;

/// When the agent got anywhere last. Its lease is renewed beside its work, so that alone tells nothing of it.
#[derive(Debug)]
pub struct Life(AtomicU64);

impl Default for Life {
    fn default() -> Self {
        let life = Self(AtomicU64::new(0));
        life.sign();
        life
    }
}

impl Life {
    pub fn sign(&self) {
        self.0.store(u64::try_from(since_boot().as_millis()).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub fn silent_for(&self) -> Duration {
        since_boot().saturating_sub(Duration::from_millis(self.0.load(Ordering::Acquire)))
    }
}
