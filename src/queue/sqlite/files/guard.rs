//! Whether the queue's files are still the ones that were opened. SQLite writes to what it has open: after a deletion
//! or a replacement under another program's hands that is a file without a name, and everything written is lost.
//!
//! While a connection is open neither the database nor its log and index are ever removed or made anew by SQLite, so
//! any change of their identity is somebody else's doing.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::{self as files, AgentLock};
use crate::queue::QueueError;

/// Every verb checks for itself. Between them, this often is enough.
const BETWEEN_CHECKS: Duration = Duration::from_millis(100);

/// Device and number of a file.
type Identity = (u64, u64);

/// The files as they were when the connection was made.
#[derive(Debug)]
pub struct FileGuard {
    database: PathBuf,
    /// The log and its index, made anew when the last connection was closed and another is opened.
    beside: [PathBuf; 2],
    known: Mutex<[Option<Identity>; 3]>,
    lock: OnceLock<AgentLock>,
    /// How many connections were made so far.
    connections: AtomicU64,
    checked_at: Mutex<Option<Instant>>,
}

impl FileGuard {
    /// Of the database at `path`, not looked at yet.
    pub fn new(path: &Path) -> Self {
        Self {
            database: path.to_owned(),
            beside: ["-wal", "-shm"].map(|suffix| files::beside(path, suffix)),
            known: Mutex::default(),
            lock: OnceLock::new(),
            connections: AtomicU64::new(0),
            checked_at: Mutex::default(),
        }
    }

    /// From now on the agent's lock must keep others away, too.
    pub fn hold(&self, lock: AgentLock) {
        // There is one agent and it has one lock; a second one would be dropped here, and with it nothing.
        let _ = self.lock.set(lock);
    }

    /// The agent's sign of life, if it is an agent's.
    ///
    /// # Errors
    /// The file system does not take it.
    pub fn sign(&self) -> std::io::Result<()> {
        self.lock.get().map_or(Ok(()), AgentLock::sign)
    }

    /// How many connections were made so far. What was seen through an earlier one says nothing of changes since.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// A connection was made.
    pub fn note(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // The database itself is the same one for good, whatever a new connection finds.
        known[0] = known[0].or_else(|| identity(&self.database).ok());
        known[1] = identity(&self.beside[0]).ok();
        known[2] = identity(&self.beside[1]).ok();
    }

    /// The connection is going to be closed. If it is the last one, SQLite removes the log and its index itself.
    pub fn leave(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = [known[0], None, None];
    }

    /// As [`FileGuard::check`], but not more often than is of use.
    ///
    /// # Errors
    /// A file was deleted or replaced.
    pub fn check_now_and_then(&self, now: Instant) -> Result<(), QueueError> {
        let mut checked_at = self.checked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if checked_at.is_some_and(|at| now.saturating_duration_since(at) < BETWEEN_CHECKS) {
            return Ok(());
        }
        self.check()?;
        *checked_at = Some(now);
        Ok(())
    }

    /// Compares. A file that cannot be looked at for another reason than its absence is not called gone.
    ///
    /// # Errors
    /// A file was deleted or replaced.
    pub fn check(&self) -> Result<(), QueueError> {
        if let Some(lock) = self.lock.get()
            && let Some(fate) = fate(&lock.is_in_place())
        {
            return Err(QueueError::Gone { path: lock.path().to_owned(), fate });
        }
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, known) in std::iter::once(&self.database).chain(&self.beside).zip(known) {
            let Some(known) = known else { continue };
            if let Some(fate) = fate(&identity(path).map(|found| found == known)) {
                return Err(QueueError::Gone { path: path.clone(), fate });
            }
        }
        Ok(())
    }
}

/// What became of a file that was to be the same.
fn fate(same: &std::io::Result<bool>) -> Option<&'static str> {
    match same {
        Ok(true) => None,
        Ok(false) => Some("replaced"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some("deleted"),
        Err(_) => None,
    }
}

fn identity(path: &Path) -> std::io::Result<Identity> {
    let file = std::fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn files() -> (tempfile::TempDir, PathBuf, FileGuard) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.db");
        for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let guard = FileGuard::new(&path);
        guard.note();
        (dir, path, guard)
    }

    #[test]
    fn each_of_the_files_is_missed_when_deleted_and_noticed_when_replaced() {
        for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
            let (dir, _, guard) = files();
            guard.check().unwrap();
            let file = dir.path().join(name);
            std::fs::rename(&file, dir.path().join("moved")).unwrap();
            let gone = guard.check().unwrap_err().to_string();
            assert!(gone.contains(&format!("{name} was deleted")), "{gone}");
            std::fs::write(&file, "").unwrap();
            let gone = guard.check().unwrap_err().to_string();
            assert!(gone.contains(&format!("{name} was replaced")), "{gone}");
        }
    }

    #[test]
    fn the_locks_file_is_not_missed_where_the_database_itself_is_locked() {
        let (_dir, path, guard) = files();
        let lock = AgentLock::acquire(&path).unwrap();
        let lock_file = lock.path().to_owned();
        guard.hold(lock);
        std::fs::remove_file(&lock_file).unwrap();
        guard.check().unwrap();
        AgentLock::acquire(&path).unwrap_err();
    }

    #[test]
    fn a_new_connection_may_find_a_new_log_but_not_another_database() {
        let (dir, path, guard) = files();
        std::fs::rename(dir.path().join("queue.db-wal"), dir.path().join("old-wal")).unwrap();
        std::fs::write(dir.path().join("queue.db-wal"), "").unwrap();
        guard.note();
        guard.check().unwrap();
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        std::fs::write(&path, "").unwrap();
        guard.note();
        guard.check().unwrap_err();
    }
}
