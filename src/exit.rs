//! Exit codes: part of the contract, read by systemd and scripts.

use std::process::ExitCode;

/// Why the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// The command's work failed.
    Failed,
    /// The command line is wrong.
    Usage,
    /// Another agent holds this queue, or a service is unreachable (sysexits EX_UNAVAILABLE).
    Unavailable,
    /// What was asked for as an exit code: how things stand (`status`).
    Standing(u8),
    /// The settings are wrong (sysexits EX_CONFIG). The unit does not restart on it.
    Config,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Standing(code) => code,
            Exit::Unavailable => 69,
            Exit::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
