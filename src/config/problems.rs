//! What is wrong with the settings, in a form a person can act on.

use std::path::PathBuf;

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, or the environment variable, or the file.
    pub key: String,
    /// The rule that is broken and the cure.
    pub what: String,
}

/// All of them. Never contains a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct ConfigError {
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    fn text(&self) -> String {
        let from = match &self.file {
            Some(file) => format!("the settings in {} and the environment", file.display()),
            None => "the settings (no agent.toml was found, only the environment)".to_owned(),
        };
        let count = match self.problems.len() {
            1 => "a problem".to_owned(),
            n => format!("{n} problems"),
        };
        let lines: Vec<String> =
            self.problems.iter().map(|problem| format!("  {}: {}", problem.key, problem.what)).collect();
        format!("{from} have {count}:\n{}", lines.join("\n"))
    }
}
