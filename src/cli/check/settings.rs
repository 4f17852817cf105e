//! The settings: which were read, or what is wrong with them.

use super::findings::Finding;
use crate::config::{AuthMode, ConfigError, Settings};
use crate::hint::Hint;

const CHECK: &str = "settings";

/// Every problem, each with its cure.
pub(super) fn problems(error: &ConfigError) -> Vec<Finding> {
    let finding =
        |problem: &crate::config::Problem| Finding::of_problem(CHECK, &problem.what).about(problem.key.clone());
    error.problems.iter().map(finding).collect()
}

/// Where they came from, and what is better not done.
pub(super) fn accepted(settings: &Settings) -> Vec<Finding> {
    let from =
        settings.file.as_ref().map_or_else(|| "the environment".into(), |file| file.path().display().to_string());
    let mut findings = vec![Finding::pass(CHECK, format!("read from {from}"))];
    findings.extend(settings.exposed.iter().map(|one| {
        let Hint { means, cure } = one.hint();
        Finding::warn(CHECK, means).cured_by(cure).about(one.file.display().to_string())
    }));
    if let AuthMode::Password { .. } = settings.auth.mode {
        let text = "auth.mode \"password\" is a legacy mode that multi-factor authentication breaks";
        findings.push(Finding::warn(CHECK, text).cure("prefer \"certificate\", or \"managed_identity\" in Azure"));
    }
    findings
}
