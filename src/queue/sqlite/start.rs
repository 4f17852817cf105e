//! An agent's start on a SQLite file: its lock, the schema, the rules others have dropped, and what a dead agent left.

use std::path::Path;

use super::files::{AgentLock, LockError};
use super::open::OpenError;
use super::schema::Repairs;
use super::store::SqliteQueue;
use crate::queue::{Agent, QueueError, Recovered, StartError};

/// One try. A lock once taken is kept for the next one.
pub async fn start(path: &Path, lock: &mut Option<AgentLock>) -> Result<(SqliteQueue, Repairs, Recovered), StartError> {
    SqliteQueue::create_file(path)?;
    // Before the schema is touched: an agent of another version may be running on it.
    match lock {
        None => *lock = Some(AgentLock::acquire(path)?),
        // It waits, and lives.
        Some(lock) => drop(lock.sign()),
    }
    let queue = SqliteQueue::open(path).await?;
    let repairs = queue.repair().await?;
    let recovered = queue.join().await?;
    if let Some(lock) = lock.take() {
        queue.hold(lock);
    }
    Ok((queue, repairs, recovered))
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Moved { .. } => Self::Settings(error.to_string()),
            error if error.may_pass() => Self::MayPass(error.to_string()),
            error => Self::Refused(error.to_string()),
        }
    }
}

impl From<LockError> for StartError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => Self::InUse(error.to_string()),
            LockError::Io { .. } if error.may_pass() => Self::MayPass(error.to_string()),
            LockError::Strange(_) | LockError::Io { .. } => Self::Refused(error.to_string()),
        }
    }
}

impl From<QueueError> for StartError {
    fn from(error: QueueError) -> Self {
        if error.may_pass() { Self::MayPass(error.to_string()) } else { Self::Refused(error.to_string()) }
    }
}
