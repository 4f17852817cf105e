//! Writes the ends of attempts. What waits together is committed together; what cannot be written is kept and tried
//! again until it can, all of it where the storage is in trouble, by itself and less and less often where a rule of the table
//! refuses one (`unrecorded`). A result once known is never dropped while the process lives.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::attempt::Finished;
use super::backlog::{Backlog, WriteTrouble};
use super::log_throttle::LogThrottle;
use super::open_claims::OpenClaims;
use super::status::StatusReport;
use super::unrecorded::Unrecorded;
use super::{Measures, report};
use crate::queue::{Agent, QueueError, Settled, Settlement};

/// Most settlements of one transaction.
const BATCH: usize = 256;
/// Results that a rule refuses, at which nothing new is begun: events would be made of which nothing can be recorded.
const MOST_KEPT: usize = 1000;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The loop's end of the settler.
pub(super) struct Settler {
    input: mpsc::UnboundedSender<Finished>,
    open: OpenClaims,
    shared: Arc<Backlog>,
    task: JoinHandle<()>,
}

impl Settler {
    /// Starts the task that writes.
    pub(super) fn start(queue: Arc<dyn Agent>, measures: Arc<Measures>, status: StatusReport) -> Self {
        let (input, output) = mpsc::unbounded_channel();
        let (shared, open) = (Arc::new(Backlog::default()), OpenClaims::default());
        let task = tokio::spawn(write_all(queue, output, shared.clone(), measures, status, open.clone()));
        Self { input, open, shared, task }
    }

    /// The claims whose end has not been recorded.
    pub(super) fn open_claims(&self) -> &OpenClaims {
        &self.open
    }

    /// Takes a result over.
    pub(super) fn take(&self, finished: Finished) {
        self.shared.waiting.fetch_add(1, Ordering::SeqCst);
        // The task ends only after this end is dropped.
        let _ = self.input.send(finished);
    }

    /// Takes over that a job goes back which was never begun.
    pub(super) fn take_back(&self, finished: Finished) {
        self.shared.giving_back.fetch_add(1, Ordering::SeqCst);
        self.take(finished);
    }

    /// Jobs that go back are not back yet.
    pub(super) fn giving_back(&self) -> bool {
        self.shared.giving_back.load(Ordering::SeqCst) > 0
    }

    /// Results not yet written.
    pub(super) fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::SeqCst)
    }

    /// Results not yet written are too many for new ones: of `most` those that are on their way, and of those that are kept as
    /// many as may be tried again and again.
    pub(super) fn is_behind(&self, most: usize) -> bool {
        let kept = self.shared.kept.load(Ordering::SeqCst);
        self.waiting().saturating_sub(kept) >= most || kept >= MOST_KEPT
    }

    /// The last write failed and is being repeated.
    pub(super) fn in_trouble(&self) -> bool {
        self.shared.trouble.load(Ordering::SeqCst)
    }

    /// Since when the write under way is.
    pub(super) fn writing_since(&self) -> Option<std::time::Instant> {
        *self.shared.writing()
    }

    /// For others who would write into the same queue.
    pub(super) fn trouble(&self) -> WriteTrouble {
        WriteTrouble(self.shared.clone())
    }

    /// Something was written, or trouble ended.
    pub(super) async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Waits until everything is written, at most until `deadline`; tells how much was not.
    pub(super) async fn finish(self, deadline: Instant) -> usize {
        drop(self.input);
        let _ = tokio::time::timeout_at(deadline, self.task).await;
        self.shared.waiting.load(Ordering::SeqCst)
    }
}

async fn write_all(
    queue: Arc<dyn Agent>,
    mut output: mpsc::UnboundedReceiver<Finished>,
    shared: Arc<Backlog>,
    measures: Arc<Measures>,
    status: StatusReport,
    held: OpenClaims,
) {
    let mut kept = Unrecorded::default();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let due = kept.next();
        let open = tokio::select! {
            received = output.recv_many(&mut batch, BATCH) => received > 0,
            // Apart from new ones, which they would only hold up.
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                batch.extend(kept.due(Instant::now(), BATCH));
                true
            }
        };
        if !open {
            // The last chance of those that were refused.
            batch.extend(kept.all());
        }
        if batch.is_empty() {
            if open {
                continue;
            }
            return;
        }
        let given_back = batch.iter().filter(|finished| finished.is_given_back() && !kept.knows(finished)).count();
        let mut ended = batch.len();
        match write(queue.as_ref(), &batch, &shared, &measures).await {
            Some(settled) => {
                for (finished, settled) in batch.drain(..).zip(settled) {
                    match settled {
                        Settled::Refused(why) => {
                            ended -= 1;
                            measures.settle_failures.inc();
                            kept.keep(finished, why, open);
                        }
                        settled => {
                            kept.forget(&finished);
                            held.end(finished.settlement.id, finished.settlement.claim);
                            measures.ended_as(&finished.settlement, settled.clone());
                            report::attempt(&finished, settled);
                        }
                    }
                }
            }
            None => batch.drain(..).for_each(|finished| report::unrecordable(&finished)),
        }
        status.refused_results(kept.sum());
        shared.kept.store(kept.len(), Ordering::SeqCst);
        shared.waiting.fetch_sub(ended, Ordering::SeqCst);
        // Jobs that do not go back hold up no claim of others.
        shared.giving_back.fetch_sub(given_back, Ordering::SeqCst);
        shared.changed.notify_one();
        if !open {
            return kept.all().for_each(|finished| report::unrecordable(&finished));
        }
    }
}

/// Until it is written. None: there is no queue any more to write it to.
async fn write(queue: &dyn Agent, batch: &[Finished], shared: &Backlog, measures: &Measures) -> Option<Vec<Settled>> {
    let mut wait = FIRST_WAIT;
    let mut still = LogThrottle::default();
    loop {
        let begin = Instant::now();
        *shared.writing() = Some(begin.into_std());
        let settlements: Vec<&Settlement> = batch.iter().map(|finished| &finished.settlement).collect();
        let done = queue.settle(&settlements).await;
        *shared.writing() = None;
        match done {
            Ok(settled) => {
                measures.settles.observe(begin.elapsed().as_secs_f64());
                measures.settled.inc_by(batch.len() as u64);
                if shared.trouble.swap(false, Ordering::SeqCst) {
                    measures.settling_works();
                    report::recording_works();
                }
                return Some(settled);
            }
            Err(QueueError::Gone { .. }) => return None,
            Err(error) => {
                measures.settling_fails(&error, Utc::now());
                let now = std::time::Instant::now();
                if !shared.trouble.swap(true, Ordering::SeqCst) {
                    report::recording_fails(&error, batch.len());
                    still.logged(now);
                } else if let Some(tries) = still.met(now) {
                    report::recording_still_fails(&error, batch.len(), tries);
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}
