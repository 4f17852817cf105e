//! `queue.retention`: finished jobs are deleted after a while, a few at a time, so that neither sending nor a producer
//! waits for it. A task of its own beside the loop.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::report;
use super::settler::Trouble;
use crate::queue::Queue;

/// Rows of one delete: a few milliseconds of the write lock.
const BATCH: u32 = 100;
/// Time between two looks when there is nothing more to delete, …
const LOOK: Duration = Duration::from_secs(60);
/// … and between two batches when there is: so many times as long as the last one took, waiting for its turn included,
/// within these bounds.
const SHARE: u32 = 20;
const NEXT_BATCH: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Deletes until `stop`. Zero keeps everything. Nothing is deleted while results cannot be written.
pub(super) fn start<Q: Queue>(queue: Arc<Q>, keep: Duration, trouble: Trouble, stop: CancellationToken) {
    let Some(age) = TimeDelta::from_std(keep).ok().filter(|age| *age > TimeDelta::zero()) else { return };
    tokio::spawn(async move {
        let mut wait = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
            }
            wait = match trouble.is_there() {
                true => NEXT_BATCH,
                false => delete(queue.as_ref(), age).await.unwrap_or(LOOK.min(keep)),
            };
        }
    });
}

/// One batch. Tells when the next one is due, if there is one.
async fn delete<Q: Queue>(queue: &Q, age: TimeDelta) -> Option<Duration> {
    let begin = Instant::now();
    match queue.purge(Utc::now() - age, BATCH).await {
        Ok(0) => None,
        Ok(deleted) => {
            report::purged(deleted);
            (deleted >= u64::from(BATCH)).then(|| (begin.elapsed() * SHARE).clamp(NEXT_BATCH, LONGEST))
        }
        Err(error) => {
            report::purge_failed(&error);
            None
        }
    }
}
