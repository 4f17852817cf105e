//! A mutex that ignores poisoning: a test that panics while it holds a lock must not take the sandbox with it.
//! Every critical section here leaves its data whole, so the value behind a poisoned lock is usable.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Data behind a lock that is never held across an await.
#[derive(Debug, Default)]
pub(super) struct Guarded<T>(Mutex<T>);

impl<T> Guarded<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
