//! One agent per queue: a lock on a file beside the database, held by the kernel, so that it dies with the process
//! whatever kills it. The file holds the owner's process id for the one who is refused.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `status` and `check` hold the lock for an instant to see whether anybody has it. That is no agent.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Held as long as the value lives.
#[derive(Debug)]
pub struct AgentLock {
    file: File,
    path: PathBuf,
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("another agent (process {holder}) is running on this queue; one queue has one agent")]
    Held {
        /// Its process id, or `unknown`.
        holder: String,
    },
    /// The file cannot be made or locked.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl LockError {
    /// Whether it may pass by itself: the disk is full or read-only.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Io { source, .. } if may_pass(source))
    }
}

/// The file system is full or read-only, which an operator mends while the agent waits.
pub(super) fn may_pass(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

impl AgentLock {
    /// Takes the lock of the queue at `database`, an existing file.
    ///
    /// # Errors
    /// Another process holds it, or the lock file cannot be made.
    pub fn acquire(database: &Path) -> Result<Self, LockError> {
        let path = lock_path(database);
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut file = open(&path).map_err(io)?;
        let mut looks = LOOKS;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if looks > 0 => looks -= 1,
                Err(TryLockError::WouldBlock) => return Err(LockError::Held { holder: read_holder(&mut file) }),
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        // Only for the one who is refused; the lock holds without it, on a full disk too.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { file, path })
    }

    /// The lock's own file. Whoever removes it lets a second agent in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the locked file is still the one under its name.
    ///
    /// # Errors
    /// One of the two cannot be looked at; with `NotFound` it was deleted.
    pub fn is_in_place(&self) -> std::io::Result<bool> {
        let (held, named) = (self.file.metadata()?, std::fs::metadata(&self.path)?);
        Ok((held.dev(), held.ino()) == (named.dev(), named.ino()))
    }

    /// The process id of a running agent, without disturbing it.
    pub fn holder(database: &Path) -> Option<String> {
        let mut file = File::open(lock_path(database)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read_holder(&mut file)),
            _ => None,
        }
    }
}

/// Two names of one database must share one lock, so links are followed.
fn lock_path(database: &Path) -> PathBuf {
    let real = std::fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let mut name = real.into_os_string();
    name.push(".lock");
    name.into()
}

fn open(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o660).open(path)?;
    // The umask may have taken the group's rights; only the owner can give them back, and only then does it matter.
    let _ = file.set_permissions(std::fs::Permissions::from_mode(0o660));
    Ok(file)
}

fn read_holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(20).read_to_string(&mut text));
    let text = text.trim();
    if read.is_ok() && !text.is_empty() { text.to_owned() } else { "unknown".to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_second_one_is_refused_and_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("queue.db");
        File::create(&database).unwrap();
        let first = AgentLock::acquire(&database).unwrap();
        let refused = AgentLock::acquire(&database).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert_eq!(AgentLock::holder(&database), Some(std::process::id().to_string()));
        drop(first);
        assert_eq!(AgentLock::holder(&database), None);
        AgentLock::acquire(&database).unwrap();
    }

    #[test]
    fn two_names_of_one_database_share_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (database, link) = (dir.path().join("queue.db"), dir.path().join("link.db"));
        File::create(&database).unwrap();
        std::os::unix::fs::symlink(&database, &link).unwrap();
        let _first = AgentLock::acquire(&database).unwrap();
        assert!(matches!(AgentLock::acquire(&link), Err(LockError::Held { .. })));
    }
}
