//! The time on both clocks: the wall's for dates, the steady one for lengths. Only those who drive work read it; everything
//! else is told.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

/// The time of a call, on both clocks: the wall's for dates, the steady one for lifetimes.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Wall clock.
    pub wall: DateTime<Utc>,
    /// Steady clock.
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
