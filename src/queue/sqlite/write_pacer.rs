//! Leaves the write lock to producers. SQLite has one writer at a time, and who finds the lock taken sleeps for a growing
//! while before trying again: an agent that writes as fast as it can would make them wait for it over and over. So while
//! others write in quick succession, the agent's writes keep a distance; what waits meanwhile is written together. Alone,
//! and for those who write now and then, it never waits: they want their row on its way.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::clock::steady;

/// Two writes of others, seen so shortly after one another, are in quick succession, …
const SUCCESSION: Duration = Duration::from_millis(25);
/// … and more are expected for so long.
const LATELY: Duration = Duration::from_millis(200);
/// The lock is left alone so many times as long as it was held, …
const TIMES: u32 = 7;
/// … and at most so long.
const LONGEST: Duration = Duration::from_millis(100);

/// SQLite's clock in milliseconds since 1970. Behind a BEGIN IMMEDIATE: when the lock was taken, however long that took.
macro_rules! locked_at {
    () => {
        "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}
pub(crate) use locked_at;

/// What is known of the others, and of the agent's last write.
#[derive(Debug, Default)]
pub struct WritePacer {
    /// `PRAGMA data_version`: it changes when another connection has written.
    version: Option<i64>,
    connection: u64,
    /// When somebody else's write was seen.
    seen_at: Option<Instant>,
    /// When it was seen shortly after another.
    busy_at: Option<Instant>,
    /// What the agent waited before it looks: nothing can have been seen meanwhile.
    waited: Duration,
    next: Option<Instant>,
}

impl WritePacer {
    /// `PRAGMA data_version` begins anew with every connection: `number` tells them apart.
    pub fn on_connection(&mut self, number: u64) {
        if self.connection != number {
            self.version = None;
            self.connection = number;
        }
    }

    /// This is `PRAGMA data_version` now.
    pub fn compare(&mut self, version: i64, now: Instant) {
        let waited = std::mem::take(&mut self.waited);
        if self.version.replace(version).is_none_or(|known| known == version) {
            return;
        }
        if self.seen_at.replace(now).is_some_and(|at| now.saturating_duration_since(at) <= SUCCESSION + waited) {
            self.busy_at = Some(now);
        }
    }

    /// A write has ended that had the lock since then: the value of `locked_at!`.
    pub fn write_ended(&mut self, locked_at: i64, now: Instant, wall: DateTime<Utc>) {
        // A clock that is set meanwhile makes one distance wrong.
        let held = u64::try_from(wall.timestamp_millis().saturating_sub(locked_at)).unwrap_or(0);
        self.write_took(Duration::from_millis(held), now);
    }

    /// A write has ended that had the lock so long.
    pub fn write_took(&mut self, held: Duration, now: Instant) {
        self.next = now.checked_add((held.min(LONGEST) * TIMES).min(LONGEST));
    }

    /// Puts a write off, as long as it must be.
    pub async fn delay(&mut self) {
        let wait = self.wait(steady());
        if wait > Duration::ZERO {
            tokio::time::sleep(wait).await;
            self.waited = wait;
        }
    }

    fn wait(&self, now: Instant) -> Duration {
        let busy = self.busy_at.is_some_and(|at| now.saturating_duration_since(at) < LATELY);
        self.next.filter(|_| busy).map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_write_keeps_its_distance_only_while_others_write() {
        let (now, wall) = (Instant::now(), Utc::now());
        let held_since = wall.timestamp_millis() - 2;
        let mut pacer = WritePacer::default();
        pacer.compare(1, now);
        pacer.write_ended(held_since, now, wall);
        assert_eq!(pacer.wait(now), Duration::ZERO, "alone");
        pacer.compare(2, now);
        pacer.compare(3, now);
        let wait = pacer.wait(now);
        assert_eq!(wait, 14 * MS);
        assert_eq!(pacer.wait(now + 20 * MS), Duration::ZERO, "the distance is kept");
        pacer.write_ended(held_since, now + Duration::from_secs(1), wall);
        assert_eq!(pacer.wait(now + Duration::from_secs(1)), Duration::ZERO, "alone again");
    }

    #[test]
    fn who_writes_now_and_then_is_not_waited_for() {
        let (now, wall) = (Instant::now(), Utc::now());
        let mut pacer = WritePacer::default();
        for n in 0..10 {
            let now = now + 40 * MS * n;
            pacer.compare(i64::from(n), now);
            pacer.write_ended(wall.timestamp_millis() - 2, now, wall);
            assert_eq!(pacer.wait(now), Duration::ZERO);
        }
    }

    #[test]
    fn the_agents_own_distance_does_not_make_others_look_slow() {
        let (now, wall) = (Instant::now(), Utc::now());
        let mut pacer = WritePacer::default();
        pacer.compare(0, now);
        for n in 1..10 {
            let now = now + 60 * MS * n;
            pacer.waited = 50 * MS;
            pacer.compare(i64::from(n), now);
            pacer.write_ended(wall.timestamp_millis() - 9, now, wall);
            assert_eq!(pacer.wait(now) > Duration::ZERO, n > 1);
        }
    }

    #[test]
    fn no_distance_is_longer_than_bearable_whatever_the_clock_does() {
        let (now, wall) = (Instant::now(), Utc::now());
        let mut pacer = WritePacer::default();
        for version in 1..4 {
            pacer.compare(version, now);
        }
        for since in [0, i64::MAX, i64::MIN] {
            pacer.write_ended(since, now, wall);
            assert!(pacer.wait(now) <= LONGEST, "{since}");
        }
        pacer.write_ended(0, now, wall);
        assert_eq!(pacer.wait(now), LONGEST);
    }

    #[test]
    fn a_new_connection_says_nothing_about_others() {
        let now = Instant::now();
        let mut pacer = WritePacer::default();
        pacer.compare(5, now);
        pacer.compare(6, now);
        pacer.on_connection(2);
        pacer.compare(1, now);
        pacer.write_ended(0, now, Utc::now());
        assert_eq!(pacer.wait(now), Duration::ZERO);
    }
}
