//! The attempts under way: each a task of its own, whose end comes back over a channel.

use std::collections::HashSet;

use tokio::sync::mpsc;

use super::attempt::{Attempt, Finished};
use crate::job::JobId;

pub(super) struct Attempts {
    ended: mpsc::UnboundedReceiver<Finished>,
    end: mpsc::UnboundedSender<Finished>,
    /// The jobs of which a request may be out.
    under_way: HashSet<JobId>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        let (end, ended) = mpsc::unbounded_channel();
        Self { ended, end, under_way: HashSet::new() }
    }

    pub(super) fn begin(&mut self, attempt: Attempt) {
        self.under_way.insert(attempt.job.id);
        let end = self.end.clone();
        tokio::spawn(async move {
            // The loop outlives its tasks; were it gone, the row would be found claimed by the next start.
            let _ = end.send(attempt.run().await);
        });
    }

    /// The next one that ends.
    pub(super) async fn next(&mut self) -> Finished {
        loop {
            // There is always a sender: this one.
            if let Some(finished) = self.ended.recv().await {
                return finished;
            }
        }
    }

    /// One that has ended meanwhile.
    pub(super) fn try_next(&mut self) -> Option<Finished> {
        self.ended.try_recv().ok()
    }

    pub(super) fn ended(&mut self, id: JobId) {
        self.under_way.remove(&id);
    }

    pub(super) fn are_of(&self, id: JobId) -> bool {
        self.under_way.contains(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }
}
