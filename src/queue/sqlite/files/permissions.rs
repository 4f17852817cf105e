//! Permissions of the queue's files: may the agent write to its queue, may producers insert, and may no one else.
//!
//! The classic at three in the morning: somebody ran the program as root, and a file beside the queue has been root's
//! ever since.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{AgentLock, beside};
use crate::accounts::{group, owner_and_mode};
use crate::effective_user::{Access, EffectiveUser, has_others};
use crate::queue::StorageFinding;

const GROUP_WRITES: u32 = 0o020;
const SETGID: u32 = 0o2000;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_ANY: u32 = 0o006;

/// The queue's place, and who looks at it.
pub struct Permissions {
    /// As written, made absolute: links followed as far as there is something.
    queue: PathBuf,
    directory: PathBuf,
    pub effective_user: EffectiveUser,
}

impl Permissions {
    pub fn of(queue: &Path) -> Self {
        let agent = AgentLock::holder(queue).map(|holder| holder.pid);
        let queue =
            std::fs::canonicalize(queue).or_else(|_| std::path::absolute(queue)).unwrap_or_else(|_| queue.into());
        let directory = queue.parent().unwrap_or(Path::new("/")).to_owned();
        let effective_user = EffectiveUser::of_agent(agent.as_deref(), std::fs::metadata(&directory).ok().as_ref());
        Self { queue, directory, effective_user }
    }

    pub fn findings(&self) -> Vec<StorageFinding> {
        if let Some(shut) = self.effective_user.blocked_on_the_way_to(&self.queue) {
            return vec![blocked(&self.effective_user, &shut).about(&self.queue)];
        }
        // That it is not there is the database's finding.
        let Ok(directory) = std::fs::metadata(&self.directory) else { return Vec::new() };
        let mut findings: Vec<StorageFinding> =
            self.of_directory(&directory).map(|finding| finding.about(&self.directory)).into_iter().collect();
        let Ok(database) = std::fs::metadata(&self.queue) else { return findings };
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let path = beside(&self.queue, suffix);
            let Ok(file) = std::fs::metadata(&path) else { continue };
            findings
                .extend(self.of_file(&path, &file, suffix, &database, &directory).map(|finding| finding.about(&path)));
        }
        findings
    }

    fn of_directory(&self, seen: &Metadata) -> Option<StorageFinding> {
        let (name, group_name) = (self.effective_user.name(), group(seen.gid()));
        let open = seen.mode() & GROUP_WRITES != 0;
        if !self.effective_user.may(Access::CreateIn, &self.directory, seen) {
            let text = format!(
                "user {name}, {}, may not make files in it ({})",
                self.effective_user.why,
                owner_and_mode(seen)
            );
            let cure = format!(
                "the queue's log is made there: 'chown {name}: DIRECTORY' and 'chmod 2770 DIRECTORY', and mount it writable"
            );
            return Some(StorageFinding::fail(text).cure(cure));
        }
        if seen.mode() & OTHERS_WRITE != 0 {
            let text = format!("everybody on this machine may make and replace files in it ({})", owner_and_mode(seen));
            return Some(StorageFinding::warn(text).cure("keep the queue in a directory of its own, mode 2770"));
        }
        if !open && has_others(seen.gid(), seen.uid()) {
            let text = format!("the group {group_name} may not make files in it, so its members cannot insert");
            return Some(StorageFinding::warn(text).cure("if they are to: 'chmod 2770 DIRECTORY'"));
        }
        if open && seen.mode() & SETGID == 0 && has_others(seen.gid(), seen.uid()) {
            let text = "files that a producer makes in it get that producer's own group, so other producers cannot write to them";
            return Some(StorageFinding::warn(text).cure("'chmod g+s DIRECTORY'"));
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
    ) -> Option<StorageFinding> {
        let (name, what) = (self.effective_user.name(), owner_and_mode(seen));
        let cure = format!("'chown {name}:{} FILE' and 'chmod 0660 FILE'", group(directory.gid()));
        if !self.effective_user.may(Access::ReadAndWrite, path, seen) {
            let cause = if seen.uid() == 0 { "; the program was probably run as root" } else { "" };
            let text = format!("user {name}, {}, may not write to it ({what}){cause}", self.effective_user.why);
            return Some(StorageFinding::fail(text).cure(cure));
        }
        if seen.mode() & OTHERS_ANY != 0 {
            let text = format!("everybody on this machine may read or write what is in it ({what})");
            return Some(StorageFinding::warn(text).cure("'chmod o= FILE'"));
        }
        let producers = database.mode() & GROUP_WRITES != 0 && directory.mode() & GROUP_WRITES != 0;
        // Each of them is written by whoever inserts, but the lock, which is the agents' alone.
        let shut = seen.mode() & GROUP_WRITES == 0 || seen.gid() != database.gid();
        if producers && shut && suffix != ".lock" {
            let text = format!(
                "the group {} may not write to it ({what}), so its members cannot insert",
                group(database.gid())
            );
            return Some(StorageFinding::warn(text).cure(cure));
        }
        None
    }
}

fn blocked(effective_user: &EffectiveUser, shut: &Path) -> StorageFinding {
    let name = effective_user.name();
    let text = format!("user {name}, {}, may not enter {} on the way to it", effective_user.why, shut.display());
    StorageFinding::fail(text).cure(format!("put it elsewhere, or let {name} through: 'chmod +x {}'", shut.display()))
}
