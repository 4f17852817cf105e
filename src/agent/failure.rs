//! Why a command, the daemon among them, did not do its work.

use crate::config::ConfigError;
use crate::exit::Exit;
use crate::queue::{OpenError, QueueError};

/// Why a command did not do its work: the exit code, and the words for stderr.
#[derive(Debug)]
pub struct Failure {
    /// What the process ends with.
    pub exit: Exit,
    pub text: String,
}

impl Failure {
    /// With these words.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }

    pub fn failed(error: impl std::fmt::Display) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Config, error.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let exit = if error.is_of_the_settings() { Exit::Config } else { Exit::Failed };
        Self::new(exit, error.to_string())
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        let exit = if matches!(error, QueueError::AgentRuns(_)) { Exit::Unavailable } else { Exit::Failed };
        Self::new(exit, error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // A reader that has seen enough (`| head`) is not our failure.
        let exit = if error.kind() == std::io::ErrorKind::BrokenPipe { Exit::Done } else { Exit::Failed };
        Self::new(exit, error.to_string())
    }
}
