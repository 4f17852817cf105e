//! `queue.retention`: finished jobs are deleted after a while, a few at a time, so that neither sending nor a producer
//! waits for it; and pauses that are over, whatever it says. Tasks of their own beside the loop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::backlog::WriteTrouble;
use super::report;
use crate::queue::Agent;

/// Rows of one delete: a few milliseconds of the write lock. Twice as many with each that leaves more, up to so many: where
/// others write much, a delete has its turn once a second, and must not fall behind what is sent meanwhile.
const BATCH: u32 = 100;
const LARGEST_BATCH: u32 = 400;
/// Time between two looks when there is nothing more to delete, …
const LOOK: Duration = Duration::from_secs(60);
/// … and between two batches when there is: so many times as long as the last one took, waiting for its turn included,
/// within these bounds.
const SHARE: u32 = 20;
const NEXT_BATCH: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Deletes until `stop` what is older than `keep` says at the time. Zero keeps everything. Nothing is deleted while results
/// cannot be written.
pub(super) fn start(
    queue: Arc<dyn Agent>,
    mut keep: watch::Receiver<Duration>,
    trouble: WriteTrouble,
    stop: CancellationToken,
) {
    tokio::spawn(async move {
        let mut sweep = Sweep::default();
        let (mut wait, mut batch) = (Duration::ZERO, BATCH);
        loop {
            let age = Some(*keep.borrow_and_update()).filter(|age| !age.is_zero());
            tokio::select! {
                biased;
                () = stop.cancelled() => return sweep.end(),
                changed = keep.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return sweep.end(),
                },
                () = sleep(wait), if age.is_some() => {}
            }
            let Some(age) = age else { continue };
            wait = match trouble.is_there() {
                true => NEXT_BATCH,
                false => match delete(queue.as_ref(), age, batch, &mut sweep).await {
                    Some(next) => {
                        batch = (batch * 2).min(LARGEST_BATCH);
                        next
                    }
                    None => {
                        batch = BATCH;
                        sweep.end();
                        LOOK.min(age)
                    }
                },
            };
        }
    });
}

/// Deletes until `stop` the pauses that are over: addresses nobody knows would leave a row each. How often a mailbox was paused in
/// a row is in the memory of the agent.
pub(super) fn forget_pauses(queue: Arc<dyn Agent>, trouble: WriteTrouble, stop: CancellationToken) {
    tokio::spawn(async move {
        loop {
            let wait = match trouble.is_there() {
                true => LOOK,
                false => match queue.forget_pauses(BATCH).await {
                    Ok(forgotten) if forgotten >= u64::from(BATCH) => NEXT_BATCH,
                    Ok(_) => LOOK,
                    Err(error) => {
                        report::pauses_not_forgotten(&error);
                        LOOK
                    }
                },
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
            }
        }
    });
}

/// Batches that follow each other are one line in the log, or one a minute.
#[derive(Default)]
struct Sweep {
    deleted: u64,
    since: Option<Instant>,
}

impl Sweep {
    fn add(&mut self, deleted: u64, now: Instant) {
        self.deleted += deleted;
        if now.duration_since(*self.since.get_or_insert(now)) >= LOOK {
            self.end();
        }
    }

    fn end(&mut self) {
        if self.deleted > 0 {
            report::purged(self.deleted);
        }
        *self = Self::default();
    }
}

/// One batch. Tells when the next one is due, if there is one.
async fn delete(queue: &dyn Agent, age: Duration, batch: u32, sweep: &mut Sweep) -> Option<Duration> {
    let begin = Instant::now();
    match queue.purge(age, batch).await {
        Ok(0) => None,
        Ok(deleted) => {
            sweep.add(deleted, Instant::now());
            (deleted >= u64::from(batch)).then(|| (begin.elapsed() * SHARE).clamp(NEXT_BATCH, LONGEST))
        }
        Err(error) => {
            report::purge_failed(&error);
            None
        }
    }
}
