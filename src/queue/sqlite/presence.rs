//! Whether the queue's files are still the ones that were opened. SQLite writes to what it has open: after a deletion
//! or a replacement under another program's hands that is a file without a name, and everything written is lost.
//!
//! While a connection is open neither the database nor its log and index are ever removed or made anew by SQLite, so
//! any change of their identity is somebody else's doing.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::super::QueueError;

/// Device and number of a file.
type Identity = (u64, u64);

/// The files as they were when the connection was made.
#[derive(Debug)]
pub(super) struct Presence {
    database: PathBuf,
    /// The log and its index, made anew when the last connection was closed and another is opened.
    beside: [PathBuf; 2],
    known: Mutex<[Option<Identity>; 3]>,
}

impl Presence {
    /// Of the database at `path`, not looked at yet. SQLite follows links, and keeps its log beside the real file.
    pub(super) fn new(path: &Path) -> Self {
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let beside = ["-wal", "-shm"].map(|suffix| {
            let mut name = real.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        });
        Self { database: path.to_owned(), beside, known: Mutex::default() }
    }

    /// A connection was made.
    pub(super) fn note(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // The database itself is the same one for good, whatever a new connection finds.
        known[0] = known[0].or_else(|| identity(&self.database).ok());
        known[1] = identity(&self.beside[0]).ok();
        known[2] = identity(&self.beside[1]).ok();
    }

    /// Compares. A file that cannot be looked at for another reason than its absence is not called gone.
    ///
    /// # Errors
    /// A file was deleted or replaced.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, known) in std::iter::once(&self.database).chain(&self.beside).zip(known) {
            let Some(known) = known else { continue };
            let fate = match identity(path) {
                Ok(found) if found != known => "replaced",
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => "deleted",
                _ => continue,
            };
            return Err(QueueError::Gone { path: path.clone(), fate });
        }
        Ok(())
    }
}

fn identity(path: &Path) -> std::io::Result<Identity> {
    let file = std::fs::metadata(path)?;
    Ok((file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn files() -> (tempfile::TempDir, PathBuf, Presence) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("queue.db");
        for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let presence = Presence::new(&path);
        presence.note();
        (dir, path, presence)
    }

    #[test]
    fn each_of_the_files_is_missed_when_deleted_and_noticed_when_replaced() {
        for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
            let (dir, _, presence) = files();
            presence.check().unwrap();
            let file = dir.path().join(name);
            std::fs::rename(&file, dir.path().join("moved")).unwrap();
            let gone = presence.check().unwrap_err().to_string();
            assert!(gone.contains(&format!("{name} was deleted")), "{gone}");
            std::fs::write(&file, "").unwrap();
            let gone = presence.check().unwrap_err().to_string();
            assert!(gone.contains(&format!("{name} was replaced")), "{gone}");
        }
    }

    #[test]
    fn a_new_connection_may_find_a_new_log_but_not_another_database() {
        let (dir, path, presence) = files();
        std::fs::rename(dir.path().join("queue.db-wal"), dir.path().join("old-wal")).unwrap();
        std::fs::write(dir.path().join("queue.db-wal"), "").unwrap();
        presence.note();
        presence.check().unwrap();
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        std::fs::write(&path, "").unwrap();
        presence.note();
        presence.check().unwrap_err();
    }
}
