//! Where the rules of time zones come from, and of what age they are.

use super::findings::Finding;
use crate::job::ZoneSources;

const CHECK: &str = "zones";
const UPDATE: &str = "update the system's package tzdata";

pub(super) fn findings(sources: &ZoneSources) -> Vec<Finding> {
    let compiled = sources.compiled;
    let missing = sources.missing.as_ref().map(|directory| {
        Finding::warn(CHECK, format!("TZDIR names {}, which is not a directory", directory.display()))
            .cure("correct it, or unset it")
    });
    let Some((directory, version)) = &sources.system else {
        let text = format!("rules of time zones are the compiled ones, {compiled}: the system has none");
        return missing
            .into_iter()
            .chain([Finding::warn(CHECK, text).cure("install tzdata, which is kept up to date")])
            .collect();
    };
    let from = format!("rules of time zones are read from {}", directory.display());
    let finding = match (version, sources.years_behind()) {
        (None, _) => Finding::pass(CHECK, format!("{from}, which does not say its version (compiled in: {compiled})")),
        (Some(version), None) => Finding::pass(CHECK, format!("{from}, version {version}")),
        // Little depends on them: instants go out in UTC, and no time is refused that the compiled ones have.
        (Some(version), Some(0 | 1)) => {
            Finding::pass(CHECK, format!("{from}, version {version}, older than the compiled ones, {compiled}"))
                .cure(UPDATE)
        }
        (Some(version), Some(years)) => {
            let text = format!("{from}, version {version}, {years} years older than the compiled ones, {compiled}");
            Finding::warn(CHECK, text).cure(UPDATE)
        }
    };
    missing.into_iter().chain([finding]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Grade;

    #[test]
    fn rules_that_are_old_or_grow_old_are_warned_of() {
        let system = |version: Option<&str>| Some(("/zones".into(), version.map(str::to_owned)));
        for (system, grade) in [
            (system(Some("2026b")), Grade::Pass),
            (system(Some("2026a")), Grade::Pass),
            (system(None), Grade::Pass),
            (system(Some("2025c")), Grade::Pass),
            (system(Some("2024b")), Grade::Warn),
            (None, Grade::Warn),
        ] {
            let sources = ZoneSources { system, compiled: "2026a", missing: None };
            let findings = findings(&sources);
            assert_eq!(findings.iter().map(|finding| finding.grade).collect::<Vec<_>>(), [grade], "{sources:?}");
        }
        let lost = ZoneSources { system: None, compiled: "2026a", missing: Some("/lost".into()) };
        assert_eq!(findings(&lost).len(), 2);
    }
}
