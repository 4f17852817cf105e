//! What waits to be written, and whether it can be: shared by the task that writes and those who ask how it is.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// Whether results can be written at the moment.
pub(super) struct WriteTrouble(pub Arc<Backlog>);

impl WriteTrouble {
    pub(super) fn is_there(&self) -> bool {
        self.0.trouble.load(Ordering::SeqCst)
    }
}

/// What waits to be written, counted for whoever must know without asking the task that writes.
#[derive(Default)]
pub(super) struct Backlog {
    pub waiting: AtomicUsize,
    /// Those of them that a rule of the table refuses.
    pub kept: AtomicUsize,
    /// Those of them that are of jobs never begun.
    pub giving_back: AtomicUsize,
    pub trouble: AtomicBool,
    /// Since when one write is under way; none between two tries.
    pub writing: Mutex<Option<Instant>>,
    pub changed: Notify,
}

impl Backlog {
    pub fn writing(&self) -> MutexGuard<'_, Option<Instant>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
