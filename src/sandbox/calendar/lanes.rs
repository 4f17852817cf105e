//! One lane per mailbox: how many of its requests are in flight, how many came in the last ten minutes, and until when
//! its clients were asked to wait. This is where Outlook's documented limits live, and where a client that comes back
//! before its Retry-After has passed is caught. Lanes are spread over shards so that mailboxes do not wait for each other.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::sandbox::guarded::Guarded;

/// Requests in flight per application and mailbox (Graph's Outlook service limits).
pub(in crate::sandbox) const CONCURRENCY_LIMIT: u32 = 4;
/// Requests per application and mailbox in [`RATE_WINDOW`] (Graph's Outlook service limits).
pub(super) const RATE_LIMIT: u32 = 10_000;
/// The sliding window of [`RATE_LIMIT`].
pub(super) const RATE_WINDOW: Duration = Duration::from_secs(600);

const SHARDS: usize = 32;

/// What a request met when it reached its mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::sandbox) struct Arrival {
    /// Requests of the mailbox in flight, this one included.
    pub(in crate::sandbox) in_flight: u32,
    /// How much of the mailbox's Retry-After window was left; none when the request was not early.
    pub(in crate::sandbox) early_by: Option<Duration>,
}

/// The lanes of all mailboxes.
#[derive(Debug)]
pub(in crate::sandbox) struct Lanes {
    started: Instant,
    violations: AtomicU64,
    shards: Vec<Guarded<HashMap<String, Lane>>>,
}

impl Lanes {
    pub(in crate::sandbox) fn new() -> Self {
        Self {
            started: Instant::now(),
            violations: AtomicU64::new(0),
            shards: (0..SHARDS).map(|_| Guarded::default()).collect(),
        }
    }

    /// A request to the mailbox has arrived; [`Lanes::leave`] must follow.
    pub(in crate::sandbox) fn arrive(&self, mailbox: &str, now: Instant) -> Arrival {
        let arrival = self.with(mailbox, |lane| {
            lane.in_flight += 1;
            lane.max_in_flight = lane.max_in_flight.max(lane.in_flight);
            Arrival {
                in_flight: lane.in_flight,
                early_by: lane.wait_until.and_then(|until| until.checked_duration_since(now)),
            }
        });
        if arrival.early_by.is_some() {
            self.violations.fetch_add(1, Ordering::Relaxed);
        }
        arrival
    }

    /// Counts the request against the rate limit; over it, the time until it would be let in.
    pub(in crate::sandbox) fn count_request(&self, mailbox: &str, now: Instant) -> Option<Duration> {
        let second = now.saturating_duration_since(self.started).as_secs();
        self.with(mailbox, |lane| lane.rate.count_request(second))
    }

    /// The mailbox was answered with a Retry-After. A second one never shortens the first.
    pub(in crate::sandbox) fn ask_to_wait(&self, mailbox: &str, wait: Duration, now: Instant) {
        let Some(until) = now.checked_add(wait) else { return };
        self.with(mailbox, |lane| lane.wait_until = lane.wait_until.max(Some(until)));
    }

    /// The request has been answered or given up.
    pub(in crate::sandbox) fn leave(&self, mailbox: &str) {
        self.with(mailbox, |lane| lane.in_flight = lane.in_flight.saturating_sub(1));
    }

    pub(in crate::sandbox) fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }

    pub(in crate::sandbox) fn max_in_flight(&self) -> BTreeMap<String, u32> {
        let mut all = BTreeMap::new();
        for shard in &self.shards {
            all.extend(shard.lock().iter().map(|(mailbox, lane)| (mailbox.clone(), lane.max_in_flight)));
        }
        all
    }

    /// Forgets everything but the requests still in flight.
    pub(in crate::sandbox) fn reset(&self) {
        self.violations.store(0, Ordering::Relaxed);
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.retain(|_, lane| lane.in_flight > 0);
            for lane in shard.values_mut() {
                *lane = Lane { in_flight: lane.in_flight, ..Lane::default() };
            }
        }
    }

    fn with<R>(&self, mailbox: &str, act: impl FnOnce(&mut Lane) -> R) -> R {
        let mut shard = self.shards[shard_of(mailbox, self.shards.len())].lock();
        if let Some(lane) = shard.get_mut(mailbox) {
            return act(lane);
        }
        act(shard.entry(mailbox.to_owned()).or_default())
    }
}

/// The same mailbox always lands in the same shard.
pub(super) fn shard_of(mailbox: &str, shards: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    mailbox.hash(&mut hasher);
    (hasher.finish() % shards as u64) as usize
}

#[derive(Debug, Default)]
struct Lane {
    in_flight: u32,
    max_in_flight: u32,
    wait_until: Option<Instant>,
    rate: Rate,
}

/// Requests per second of the last ten minutes: at most 600 entries however many requests come.
#[derive(Debug, Default)]
struct Rate {
    seconds: VecDeque<(u64, u32)>,
    total: u32,
}

impl Rate {
    /// A refused request is counted too: waiting is the fastest way back.
    fn count_request(&mut self, second: u64) -> Option<Duration> {
        self.forget_before((second + 1).saturating_sub(RATE_WINDOW.as_secs()));
        let over = self.total >= RATE_LIMIT;
        self.total = self.total.saturating_add(1);
        match self.seconds.back_mut() {
            Some((last, count)) if *last == second => *count += 1,
            _ => self.seconds.push_back((second, 1)),
        }
        over.then(|| self.wait(second))
    }

    fn forget_before(&mut self, second: u64) {
        while let Some(&(oldest, count)) = self.seconds.front() {
            if oldest >= second {
                return;
            }
            self.total = self.total.saturating_sub(count);
            self.seconds.pop_front();
        }
    }

    fn wait(&self, now: u64) -> Duration {
        let mut left = self.total;
        for &(second, count) in &self.seconds {
            left = left.saturating_sub(count);
            if left < RATE_LIMIT {
                return Duration::from_secs((second + RATE_WINDOW.as_secs()).saturating_sub(now).max(1));
            }
        }
        RATE_WINDOW
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
