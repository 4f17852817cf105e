//! How much is measured, in the full and in the short form. Nothing here changes what a row means, only how sure it is.

use std::time::Duration;

use serde::Serialize;

/// The sizes of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Sizes {
    /// `full` or `short`.
    pub mode: &'static str,
    /// Times that baseline and measurement alternate where the row is a ratio.
    pub pairs: usize,
    /// The same for runs that are long because they watch over time.
    pub long_pairs: usize,
    /// Events of one throughput run.
    pub burst: usize,
    /// Events of one run to one mailbox.
    pub one_mailbox: usize,
    /// Events of one run against the spread latency.
    pub spread: usize,
    /// Inserts into an idle queue.
    pub pickups: usize,
    /// Length of the idle measurement, in seconds.
    pub idle_s: u64,
    /// Rows of a large backlog.
    pub waiting: usize,
    /// Rows already finished.
    pub finished: usize,
    /// Finished rows that retention deletes.
    pub purged: usize,
    /// Events of one run beside it: deletions come four times a second and need time to be met.
    pub purging: usize,
    /// Rows with 4 KB bodies.
    pub large_bodies: usize,
    /// Time the healthy mailbox is looked at, in seconds.
    pub healthy_s: u64,
    /// Times the agent is killed.
    pub kills: usize,
    /// Time the producers insert, in seconds.
    pub producing_s: u64,
    /// Times the demo is started.
    pub demos: usize,
}

impl Sizes {
    /// The sizes of the targets.
    pub fn full() -> Self {
        Self {
            mode: "full",
            pairs: 5,
            long_pairs: 3,
            burst: 40_000,
            one_mailbox: 400,
            spread: 4_000,
            pickups: 300,
            idle_s: 60,
            waiting: 1_000_000,
            finished: 5_000_000,
            purged: 1_000_000,
            purging: 60_000,
            large_bodies: 1_000_000,
            healthy_s: 30,
            kills: 5,
            producing_s: 10,
            demos: 7,
        }
    }

    /// Small enough for a look between two changes.
    pub fn short() -> Self {
        Self {
            mode: "short",
            pairs: 2,
            long_pairs: 1,
            burst: 6_000,
            one_mailbox: 80,
            spread: 800,
            pickups: 25,
            idle_s: 10,
            waiting: 100_000,
            finished: 200_000,
            purged: 100_000,
            purging: 12_000,
            large_bodies: 30_000,
            healthy_s: 5,
            kills: 2,
            producing_s: 2,
            demos: 2,
        }
    }

    /// [`Sizes::idle_s`].
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_s)
    }

    /// [`Sizes::healthy_s`].
    pub fn healthy(&self) -> Duration {
        Duration::from_secs(self.healthy_s)
    }

    /// [`Sizes::producing_s`].
    pub fn producing(&self) -> Duration {
        Duration::from_secs(self.producing_s)
    }
}
