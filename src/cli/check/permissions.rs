//! Permissions: may the agent read its settings and the files they name, and may no one else change them. Those of the
//! queue's own files are the queue's to know.

use std::path::{Path, PathBuf};

use super::findings::Finding;
use crate::accounts::{other_writer, owner_and_mode};
use crate::config::{Settings, SettingsFile};
use crate::queue::{Grade, StorageFinding};
use crate::viewer::{Viewer, Wish};

const CHECK: &str = "permissions";

/// Of the settings, the files they name, and the queue.
pub(super) fn of(settings: &Settings, viewer: &Viewer, queue: Vec<StorageFinding>) -> Vec<Finding> {
    let files = settings.file.iter().map(SettingsFile::path).chain(settings.named.iter().map(PathBuf::as_path));
    let mut findings: Vec<Finding> = files.filter_map(|file| reads(viewer, file)).collect();
    findings.extend(queue.into_iter().map(|finding| Finding::of_storage(CHECK, finding)));
    summed_up(viewer, findings)
}

/// Of the queue alone.
pub(super) fn of_queue(viewer: &Viewer, queue: Vec<StorageFinding>) -> Vec<Finding> {
    summed_up(viewer, queue.into_iter().map(|finding| Finding::of_storage(CHECK, finding)).collect())
}

fn summed_up(viewer: &Viewer, mut findings: Vec<Finding>) -> Vec<Finding> {
    if findings.iter().all(|finding| finding.grade == Grade::Pass) {
        let (name, why) = (viewer.name(), &viewer.why);
        findings.insert(0, Finding::pass(CHECK, format!("in order for user {name}, {why}")));
    }
    findings
}

/// A file the agent reads at its start.
fn reads(viewer: &Viewer, file: &Path) -> Option<Finding> {
    let seen = std::fs::metadata(file).ok()?;
    let about = |finding: Finding| finding.about(file.display().to_string());
    let name = viewer.name();
    if let Some(shut) = viewer.blocked_on_the_way_to(file) {
        let text = format!("user {name}, {}, may not enter {} on the way to it", viewer.why, shut.display());
        let cure = format!("put it elsewhere, or let {name} through: 'chmod +x {}'", shut.display());
        return Some(about(Finding::fail(CHECK, text).cure(cure)));
    }
    if !viewer.may(Wish::Read, file, &seen) {
        let text = format!("user {name}, {}, may not read it ({})", viewer.why, owner_and_mode(&seen));
        let cure = "give it to root and the group of that user: 'chown root:GROUP FILE' and 'chmod 0640 FILE'";
        return Some(about(Finding::fail(CHECK, text).cure(cure)));
    }
    let who = other_writer(&seen, viewer.uid())?;
    let cure = "it says where the secret goes, or is one: 'chown root FILE' and 'chmod go-w FILE'";
    Some(about(Finding::warn(CHECK, format!("{who} may change it")).cure(cure)))
}
