//! Why a queue could not be used, or an agent not be started on it, whichever queue it is.

use std::path::PathBuf;

use super::moving::Faults;
use super::{postgres, sqlite};

/// Why the queue could not be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Trouble with the storage. Always worth another try: the agent keeps what it knows and says so.
    #[error("the queue cannot be {action}: {source}")]
    Trouble {
        /// `read` or `written`.
        action: &'static str,
        /// The storage's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// It may pass by itself: a lock, a full disk, a connection.
        may_pass: bool,
    },
    /// An agent runs on it, and what was asked would come in its way.
    #[error("{0}")]
    AgentRuns(String),
    /// What lies in its place cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The storage is no longer the one that was opened. Nothing can be read from it or written to it any more.
    #[error("{} was {fate} while the agent was running; it stops, so that nothing is lost or sent twice", path.display())]
    Gone {
        path: PathBuf,
        /// `deleted` or `replaced`.
        fate: &'static str,
    },
}

impl QueueError {
    /// Whether it may pass by itself. A running agent tries again whatever it is, for it has results to keep.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Trouble { may_pass: true, .. })
    }
}

/// Why a queue cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    File(#[from] sqlite::OpenError),
    #[error(transparent)]
    Database(#[from] postgres::OpenError),
}

impl OpenError {
    /// The settings name another queue than the one that is meant.
    pub fn is_of_the_settings(&self) -> bool {
        matches!(self, Self::File(sqlite::OpenError::Moved { .. }) | Self::Database(postgres::OpenError::Moved { .. }))
    }
}

/// Why a queue did not move.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// What the settings or the command line name is not what it is to be.
    #[error("{0}")]
    Settings(String),
    /// An agent runs on one of the two queues.
    #[error("{0}")]
    InUse(String),
    /// Rows that cannot pass.
    #[error("{} of the queue cannot move", .0.count)]
    Unfit(Faults),
    #[error(transparent)]
    Open(OpenError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("{0}")]
    Failed(String),
}

impl From<sqlite::OpenError> for MoveError {
    fn from(error: sqlite::OpenError) -> Self {
        Self::Open(error.into())
    }
}

impl From<postgres::OpenError> for MoveError {
    fn from(error: postgres::OpenError) -> Self {
        Self::Open(error.into())
    }
}

/// Why a start did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Worth another try.
    #[error("{0}")]
    MayPass(String),
    /// Another agent has the queue.
    #[error("{0}")]
    InUse(String),
    #[error("{0}")]
    Refused(String),
    /// The settings are not those that the queue's agents go by.
    #[error("{0}")]
    Settings(String),
}
