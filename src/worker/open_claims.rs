//! The claims this agent has open, and the rows that are claimed although no claim of its is open: another program wrote the
//! state, or the answer to a claim was lost. They would wait for the next start; found twice in a row they are put back, in
//! doubt.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::backlog::WriteTrouble;
use super::report;
use super::status::StatusReport;
use crate::job::JobId;
use crate::queue::{Agent, QueueError};

/// Between two looks. A claim is known to its agent a moment after it was written.
const EVERY: Duration = Duration::from_secs(5);

/// By job.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenClaims(Arc<Mutex<HashMap<JobId, i64>>>);

impl OpenClaims {
    pub(super) fn begin(&self, id: JobId, claim: i64) {
        self.all().insert(id, claim);
    }

    /// Its end is in the queue, or the claim is over.
    pub(super) fn end(&self, id: JobId, claim: i64) {
        let mut all = self.all();
        // A job claimed anew has another one.
        if all.get(&id) == Some(&claim) {
            all.remove(&id);
        }
    }

    fn knows(&self, id: JobId, claim: i64) -> bool {
        self.all().get(&id) == Some(&claim)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<JobId, i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks until `stop`.
pub(super) fn mind(
    open: OpenClaims,
    queue: Arc<dyn Agent>,
    status: StatusReport,
    trouble: WriteTrouble,
    stop: CancellationToken,
) {
    tokio::spawn(async move {
        let mut seen = HashSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            // Trouble with the storage is told by those who have more to write.
            if !trouble.is_there() {
                seen = look(&open, queue.as_ref(), &status, &seen).await.unwrap_or_default();
            }
        }
    });
}

/// The claims that are not open here; those seen before are put back.
async fn look(
    open: &OpenClaims,
    queue: &dyn Agent,
    status: &StatusReport,
    seen: &HashSet<(JobId, i64)>,
) -> Result<HashSet<(JobId, i64)>, QueueError> {
    let orphans: HashSet<_> =
        queue.claims().await?.into_iter().filter(|(id, claim)| !open.knows(*id, *claim)).collect();
    let again: Vec<_> = orphans.intersection(seen).copied().collect();
    if again.is_empty() {
        // What a start had to leave is among the orphans of the first look.
        if orphans.is_empty() {
            status.left(&[]);
        }
        return Ok(orphans);
    }
    let put_back = queue.put_back(&again).await?;
    if put_back.jobs > 0 {
        report::put_back(put_back.jobs);
    }
    status.left(&put_back.left);
    Ok(orphans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_known_from_its_beginning_to_its_end_and_not_by_the_job_alone() {
        let (open, id) = (OpenClaims::default(), JobId(7));
        open.begin(id, 1);
        open.begin(id, 2);
        open.end(id, 1);
        assert!(open.knows(id, 2) && !open.knows(id, 1));
        open.end(id, 2);
        assert!(!open.knows(id, 2));
    }
}
