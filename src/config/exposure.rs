//! Whether others than the agent may read a file with a secret in it: everybody, or the group that inserts jobs. As
//! installed, that group reads `agent.toml` to find the queue.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::accounts::{group, is_own_group};
use crate::hint::Hint;

const OTHERS_READ: u32 = 0o004;
const OTHERS_ENTER: u32 = 0o001;
const GROUP_READS: u32 = 0o040;
const GROUP_WRITES: u32 = 0o020;
const GROUP_ENTERS: u32 = 0o010;

/// A file with a secret in it that others may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    pub file: PathBuf,
    pub readers: Readers,
}

/// Who may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Everybody on this machine.
    Everybody,
    /// The group of this name, whose members write to the queue.
    Producers(String),
}

impl Exposed {
    pub fn hint(&self) -> Hint {
        match &self.readers {
            Readers::Everybody => Hint::new(
                "everybody on this machine can read the secret in it",
                "remove that right with 'chmod o= FILE', and change the secret",
            ),
            Readers::Producers(group) => Hint {
                means: format!("the group {group}, whose members insert jobs, can read the secret in it").into(),
                cure: Some(
                    "keep the secret in a systemd credential, or in a file that only the agent's user may read (mode 0400), and change it"
                        .into(),
                ),
            },
        }
    }
}

/// Only the file's own mode counts: that its directory keeps others out is nothing a copy or a backup of it takes along.
/// Who inserts into a queue on a server needs no right to any file.
pub(super) fn of(file: &Path, queue: Option<&Path>) -> Option<Exposed> {
    let seen = std::fs::metadata(file).ok()?;
    let exposed = |readers| Some(Exposed { file: file.to_owned(), readers });
    if seen.mode() & OTHERS_READ != 0 {
        return exposed(Readers::Everybody);
    }
    let shared = seen.mode() & GROUP_READS != 0 && !is_own_group(seen.gid(), seen.uid());
    if shared && queue.is_some_and(|queue| groups_that_insert(queue).contains(&seen.gid())) {
        exposed(Readers::Producers(group(seen.gid())))
    } else {
        None
    }
}

/// The groups that may write to the queue or make files beside it.
fn groups_that_insert(queue: &Path) -> Vec<u32> {
    let directory = queue.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(directory) = std::fs::metadata(directory) else { return Vec::new() };
    let writes = |seen: &Metadata| seen.mode() & GROUP_WRITES != 0;
    let enters = |gid: u32| match directory.gid() == gid {
        true => directory.mode() & GROUP_ENTERS != 0,
        false => directory.mode() & OTHERS_ENTER != 0,
    };
    let database = std::fs::symlink_metadata(queue).ok();
    [Some(&directory), database.as_ref()]
        .into_iter()
        .flatten()
        .filter(|seen| writes(seen) && enters(seen.gid()))
        .map(MetadataExt::gid)
        .collect()
}
