//! `queue.retention`: finished jobs are deleted after a while, a few at a time between two turns of the loop, so that
//! neither sending nor a producer waits for it.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::report;
use crate::graph::Now;
use crate::queue::Queue;

/// Rows of one delete: a few milliseconds of the write lock.
const BATCH: u32 = 500;
/// Time between two looks when there is nothing more to delete, and between two batches when there is.
const LOOK: Duration = Duration::from_secs(60);
const NEXT_BATCH: Duration = Duration::from_millis(250);

/// When finished jobs are looked at next.
#[derive(Debug)]
pub(super) struct Retention {
    keep: Option<TimeDelta>,
    next: Option<Instant>,
}

impl Retention {
    /// Zero keeps everything.
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep: TimeDelta::from_std(keep).ok().filter(|keep| *keep > TimeDelta::zero()), next: None }
    }

    /// When there is something to do again, if ever.
    pub(super) fn next(&self) -> Option<Instant> {
        self.keep.and(self.next)
    }

    /// Deletes one batch if it is time for one.
    pub(super) async fn apply<Q: Queue>(&mut self, queue: &Q, now: Now) {
        let Some(keep) = self.keep else { return };
        if self.next.is_some_and(|next| now.steady < next) {
            return;
        }
        let deleted = queue.purge(now.wall - keep, BATCH).await;
        let wait = if matches!(deleted, Ok(deleted) if deleted >= u64::from(BATCH)) {
            NEXT_BATCH
        } else {
            LOOK.min(keep.to_std().unwrap_or(LOOK))
        };
        self.next = Some(now.steady + wait);
        match deleted {
            Ok(0) => {}
            Ok(deleted) => report::purged(deleted),
            Err(error) => report::purge_failed(&error),
        }
    }
}
