//! What is wrong with the settings, in a form a person can act on.

use std::path::{Path, PathBuf};

use super::source::USUAL;

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
            None => format!("the settings ({}; only the environment)", no_file()),
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

/// That there is no settings file, and where it was looked for.
pub fn no_file() -> String {
    let places = USUAL.map(|usual| std::path::absolute(usual).unwrap_or_else(|_| Path::new(usual).to_owned()));
    let [here, system] = places.map(|place| place.display().to_string());
    format!("no settings file was found: looked for {here} and {system}")
}
