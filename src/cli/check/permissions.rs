//! Permissions: may the agent read its settings and write to its queue, may producers insert, and may nobody else.
//!
//! The classic at three in the morning: somebody ran the program as root, and a file beside the queue has been root's
//! ever since.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::findings::{Finding, Grade};
use super::viewer::{Viewer, Wish, has_others};
use crate::accounts::{group, other_writer, owner_and_mode};
use crate::config::{Settings, SettingsFile};

const CHECK: &str = "permissions";
const GROUP_WRITES: u32 = 0o020;
const SETGID: u32 = 0o2000;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_ANY: u32 = 0o006;

/// Of the settings, the files they name, and the queue. `agent` is the process id of the running agent.
pub(super) fn of(settings: &Settings, agent: Option<&str>) -> Vec<Finding> {
    let ground = Ground::at(&settings.queue.path, agent);
    let files = settings.file.iter().map(SettingsFile::path).chain(settings.named.iter().map(PathBuf::as_path));
    let mut findings: Vec<Finding> = files.flat_map(|file| ground.reads(file)).collect();
    findings.extend(ground.queue());
    ground.summed_up(findings)
}

/// Of the queue alone.
pub(super) fn of_queue(queue: &Path, agent: Option<&str>) -> Vec<Finding> {
    let ground = Ground::at(queue, agent);
    let findings = ground.queue();
    ground.summed_up(findings)
}

/// The queue's place, and who looks at it.
struct Ground {
    /// As written, made absolute: links followed as far as there is something.
    queue: PathBuf,
    directory: PathBuf,
    viewer: Viewer,
}

impl Ground {
    fn at(queue: &Path, agent: Option<&str>) -> Self {
        let queue =
            std::fs::canonicalize(queue).or_else(|_| std::path::absolute(queue)).unwrap_or_else(|_| queue.into());
        let directory = queue.parent().unwrap_or(Path::new("/")).to_owned();
        let viewer = Viewer::of_agent(agent, std::fs::metadata(&directory).ok().as_ref());
        Self { queue, directory, viewer }
    }

    fn summed_up(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        if findings.iter().all(|finding| finding.grade == Grade::Pass) {
            let (name, why) = (self.viewer.name(), &self.viewer.why);
            findings.insert(0, Finding::pass(CHECK, format!("in order for user {name}, {why}")));
        }
        findings
    }

    /// A file the agent reads at its start.
    fn reads(&self, file: &Path) -> Option<Finding> {
        let seen = std::fs::metadata(file).ok()?;
        let about = |finding: Finding| finding.about(file.display().to_string());
        let name = self.viewer.name();
        if let Some(blocked) = self.blocked_on_the_way_to(file) {
            return Some(about(blocked));
        }
        if !self.viewer.may(Wish::Read, file, &seen) {
            let text = format!("user {name}, {}, may not read it ({})", self.viewer.why, owner_and_mode(&seen));
            let cure = "give it to root and the group of that user: 'chown root:GROUP FILE' and 'chmod 0640 FILE'";
            return Some(about(Finding::fail(CHECK, text).cure(cure)));
        }
        let who = other_writer(&seen, self.viewer.uid())?;
        let cure = "it says where the secret goes, or is one: 'chown root FILE' and 'chmod go-w FILE'";
        Some(about(Finding::warn(CHECK, format!("{who} may change it")).cure(cure)))
    }

    fn queue(&self) -> Vec<Finding> {
        let about = |path: &Path, finding: Finding| finding.about(path.display().to_string());
        if let Some(blocked) = self.blocked_on_the_way_to(&self.queue) {
            return vec![about(&self.queue, blocked)];
        }
        // That it is not there is the database's finding.
        let Ok(directory) = std::fs::metadata(&self.directory) else { return Vec::new() };
        let mut findings: Vec<Finding> =
            self.of_directory(&directory).map(|f| about(&self.directory, f)).into_iter().collect();
        let Ok(database) = std::fs::metadata(&self.queue) else { return findings };
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let mut name = self.queue.clone().into_os_string();
            name.push(suffix);
            let path = PathBuf::from(name);
            let Ok(file) = std::fs::metadata(&path) else { continue };
            findings.extend(self.of_file(&path, &file, suffix, &database, &directory).map(|f| about(&path, f)));
        }
        findings
    }

    fn of_directory(&self, seen: &Metadata) -> Option<Finding> {
        let (name, group_name) = (self.viewer.name(), group(seen.gid()));
        let open = seen.mode() & GROUP_WRITES != 0;
        if !self.viewer.may(Wish::Fill, &self.directory, seen) {
            let text = format!("user {name}, {}, may not make files in it ({})", self.viewer.why, owner_and_mode(seen));
            let cure = format!(
                "the queue's log is made there: 'chown {name}: DIRECTORY' and 'chmod 2770 DIRECTORY', and mount it writable"
            );
            return Some(Finding::fail(CHECK, text).cure(cure));
        }
        if seen.mode() & OTHERS_WRITE != 0 {
            let text = format!("everybody on this machine may make and replace files in it ({})", owner_and_mode(seen));
            return Some(Finding::warn(CHECK, text).cure("keep the queue in a directory of its own, mode 2770"));
        }
        if !open && has_others(seen.gid(), seen.uid()) {
            let text = format!("the group {group_name} may not make files in it, so its members cannot insert");
            return Some(Finding::warn(CHECK, text).cure("if they are to: 'chmod 2770 DIRECTORY'"));
        }
        if open && seen.mode() & SETGID == 0 && has_others(seen.gid(), seen.uid()) {
            let text = "files that a producer makes in it get that producer's own group, which shuts the others out";
            return Some(Finding::warn(CHECK, text).cure("'chmod g+s DIRECTORY'"));
        }
        None
    }

    fn of_file(
        &self,
        path: &Path,
        seen: &Metadata,
        suffix: &str,
        database: &Metadata,
        directory: &Metadata,
    ) -> Option<Finding> {
        let (name, what) = (self.viewer.name(), owner_and_mode(seen));
        let cure = format!("'chown {name}:{} FILE' and 'chmod 0660 FILE'", group(directory.gid()));
        if !self.viewer.may(Wish::ReadAndWrite, path, seen) {
            let cause = if seen.uid() == 0 { "; somebody probably ran the program as root" } else { "" };
            let text = format!("user {name}, {}, may not write to it ({what}){cause}", self.viewer.why);
            return Some(Finding::fail(CHECK, text).cure(cure));
        }
        if seen.mode() & OTHERS_ANY != 0 {
            let text = format!("everybody on this machine may read or write what is in it ({what})");
            return Some(Finding::warn(CHECK, text).cure("'chmod o= FILE'"));
        }
        let producers = database.mode() & GROUP_WRITES != 0 && directory.mode() & GROUP_WRITES != 0;
        // Each of them is written by whoever inserts, but the lock, which is the agents' alone.
        let shut = seen.mode() & GROUP_WRITES == 0 || seen.gid() != database.gid();
        if producers && shut && suffix != ".lock" {
            let text = format!(
                "the group {} may not write to it ({what}), so its members cannot insert",
                group(database.gid())
            );
            return Some(Finding::warn(CHECK, text).cure(cure));
        }
        None
    }

    /// The first directory above it that the agent's user cannot pass.
    fn blocked_on_the_way_to(&self, path: &Path) -> Option<Finding> {
        let path = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok()?;
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        let shut = above.into_iter().find(|directory| {
            std::fs::metadata(directory).is_ok_and(|seen| !self.viewer.may(Wish::Enter, directory, &seen))
        })?;
        let name = self.viewer.name();
        let text = format!("user {name}, {}, may not enter {} on the way to it", self.viewer.why, shut.display());
        Some(
            Finding::fail(CHECK, text)
                .cure(format!("put it elsewhere, or let {name} through: 'chmod +x {}'", shut.display())),
        )
    }
}
