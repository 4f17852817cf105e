//! Permissions: may the agent read its settings and the files they name, and may no one else change them. Those of the
//! queue's own files are the queue's to know.

use std::path::{Path, PathBuf};

use super::findings::Finding;
use crate::accounts::{other_writer, owner_and_mode};
use crate::config::{Settings, SettingsFile};
use crate::effective_user::{Access, EffectiveUser};
use crate::queue::{Grade, StorageFinding};

const CHECK: &str = "permissions";

/// Of the settings, the files they name, and the queue.
pub(super) fn of(settings: &Settings, effective_user: &EffectiveUser, queue: Vec<StorageFinding>) -> Vec<Finding> {
    let files = settings.file.iter().map(SettingsFile::path).chain(settings.named.iter().map(PathBuf::as_path));
    let mut findings: Vec<Finding> = files.filter_map(|file| reads(effective_user, file)).collect();
    findings.extend(queue.into_iter().map(|finding| Finding::of_storage(CHECK, finding)));
    summed_up(effective_user, findings)
}

/// Of the queue alone.
pub(super) fn of_queue(effective_user: &EffectiveUser, queue: Vec<StorageFinding>) -> Vec<Finding> {
    summed_up(effective_user, queue.into_iter().map(|finding| Finding::of_storage(CHECK, finding)).collect())
}

fn summed_up(effective_user: &EffectiveUser, mut findings: Vec<Finding>) -> Vec<Finding> {
    if findings.iter().all(|finding| finding.grade == Grade::Pass) {
        let (name, why) = (effective_user.name(), &effective_user.why);
        findings.insert(0, Finding::pass(CHECK, format!("correct for user {name}, {why}")));
    }
    findings
}

/// A file the agent reads at its start.
fn reads(effective_user: &EffectiveUser, file: &Path) -> Option<Finding> {
    let seen = std::fs::metadata(file).ok()?;
    let about = |finding: Finding| finding.about(file.display().to_string());
    let name = effective_user.name();
    if let Some(shut) = effective_user.blocked_on_the_way_to(file) {
        let text = format!("user {name}, {}, may not enter {} on the way to it", effective_user.why, shut.display());
        let cure = format!("put it elsewhere, or let {name} through: 'chmod +x {}'", shut.display());
        return Some(about(Finding::fail(CHECK, text).cure(cure)));
    }
    if !effective_user.may(Access::Read, file, &seen) {
        let text = format!("user {name}, {}, may not read it ({})", effective_user.why, owner_and_mode(&seen));
        let cure = "give it to root and the group of that user: 'chown root:GROUP FILE' and 'chmod 0640 FILE'";
        return Some(about(Finding::fail(CHECK, text).cure(cure)));
    }
    let who = other_writer(&seen, effective_user.uid())?;
    let cure = "it says where the secret goes, or is one: 'chown root FILE' and 'chmod go-w FILE'";
    Some(about(Finding::warn(CHECK, format!("{who} may change it")).cure(cure)))
}
