//! One agent per queue: a lock on a file beside the database, held by the kernel, so that it dies with the process
//! whatever kills it. Nothing is written into the file, and nothing in it is believed: it lies where producers write. Who
//! holds it is asked of the kernel; when it gave its last sign of life, of the time at which the file was touched. Whoever takes that file away lets nobody in: the database itself is locked as well.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::unistd::geteuid;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};

use crate::accounts::{owner_and_mode, user};
use crate::queue::sqlite::files::watch::network_file_system;
use crate::queue::sqlite::files::{self, Strange};

/// `status` and `check` hold the lock for an instant to see whether anybody has it. They are not agents.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Held as long as the value lives.
#[derive(Debug)]
pub struct AgentLock {
    file: File,
    path: PathBuf,
    database: Option<DatabaseLock>,
    /// Made for a while only: taken away again at the end.
    passing: bool,
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
    /// What lies there is nothing to lock.
    #[error(transparent)]
    Strange(#[from] Strange),
    /// The file cannot be made or locked.
    #[error("cannot lock {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

impl LockError {
    /// Whether it may pass by itself: the disk is full or read-only.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Io { source, .. } if may_pass(source))
    }
}

/// The file system is full or read-only, which an operator fixes while the agent waits.
pub fn may_pass(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

impl AgentLock {
    /// Takes the lock of the queue at `database`, an existing file, for the agent.
    ///
    /// # Errors
    /// Another process holds it, or there is no file to lock and none can be made.
    pub fn acquire(database: &Path) -> Result<Self, LockError> {
        Self::take(database).map(|(lock, _)| lock)
    }

    /// The same for a command that keeps agents away for a moment, whoever runs it: a file it made is gone with it, so that
    /// the agent's lock stays the agent's.
    ///
    /// # Errors
    /// As for [`AgentLock::acquire`].
    pub fn acquire_for_a_moment(database: &Path) -> Result<Self, LockError> {
        Self::take(database).map(|(mut lock, made)| {
            lock.passing = made;
            lock
        })
    }

    fn take(database: &Path) -> Result<(Self, bool), LockError> {
        files::look(database)?;
        let path = files::beside(database, ".lock");
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut looks = LOOKS;
        loop {
            let (file, made) = open(&path).map_err(|source| kept_out(&path, source))?;
            match file.try_lock() {
                Ok(()) if is_named(&file, &path).unwrap_or(false) => {
                    judge_owner(&file, database, &path)?;
                    // From here on the file is taken away again where it was made for nothing.
                    let mut lock = Self { file, path, database: None, passing: made };
                    lock.database = DatabaseLock::take(database)?;
                    lock.passing = false;
                    lock.sign().map_err(|source| LockError::Io { path: lock.path.clone(), source })?;
                    return Ok((lock, made));
                }
                Err(TryLockError::WouldBlock) if looks == 0 => {
                    return Err(LockError::Held { holder: read_holder(&file) });
                }
                Ok(()) if looks == 0 => return Err(io(std::io::Error::other("it is replaced again and again"))),
                Ok(()) | Err(TryLockError::WouldBlock) => looks -= 1,
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// The lock's own file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A sign of life: touches the file.
    ///
    /// # Errors
    /// The file system does not take it.
    pub fn sign(&self) -> std::io::Result<()> {
        let at = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
        let times = Timestamps { last_access: at(UTIME_OMIT), last_modification: at(UTIME_NOW) };
        Ok(futimens(&self.file, &times)?)
    }

    /// Whether it still keeps a second agent away: the database is locked, or the locked file is the one under its name.
    ///
    /// # Errors
    /// One of the two cannot be looked at; with `NotFound` it was deleted.
    pub fn is_in_place(&self) -> std::io::Result<bool> {
        if self.database.is_some() { Ok(true) } else { is_named(&self.file, &self.path) }
    }

    /// The running agent, without disturbing it.
    pub fn holder(database: &Path) -> Option<Holder> {
        let file = files::open(&files::beside(database, ".lock"), false).ok();
        if let Some(file) = file
            && let Some(pid) = held(&file)
        {
            return Some(Holder { pid, signed_at: file.metadata().and_then(|seen| seen.modified()).ok() });
        }
        let pid = held(DatabaseLock::looked_at(database)?)?;
        Some(Holder { pid, signed_at: None })
    }
}

/// Who runs on a queue, as the kernel knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, or `unknown`.
    pub pid: String,
    /// When it gave its last sign of life. Not known where the lock's file was taken away.
    pub signed_at: Option<SystemTime>,
}

impl Drop for AgentLock {
    fn drop(&mut self) {
        // While it is still held: who waits for it looks whether it is the one under its name.
        if self.passing && is_named(&self.file, &self.path).unwrap_or(false) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The lock on the database's file, of the kind that SQLite does not use.
///
/// A process loses all its locks of the other kind, SQLite's among them, as soon as it closes the file once, however often
/// it has it open. So what is opened here stays open until the process ends.
#[derive(Debug)]
struct DatabaseLock(&'static File);

impl DatabaseLock {
    /// None: on a file system of another machine the two kinds may be one, and SQLite would find its database locked.
    fn take(database: &Path) -> Result<Option<Self>, LockError> {
        if network_file_system(database).is_some() {
            return Ok(None);
        }
        let io = |source| LockError::Io { path: database.to_owned(), source };
        let file: &File = Box::leak(Box::new(files::open(database, false).map_err(io)?));
        for _ in 0..LOOKS {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_LOOKS),
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
        }
        Err(LockError::Held { holder: read_holder(file) })
    }

    /// The file, to see whether somebody has locked it: opened once, however often that is asked.
    fn looked_at(database: &Path) -> Option<&'static File> {
        static SEEN: Mutex<Vec<&'static File>> = Mutex::new(Vec::new());
        if network_file_system(database).is_some() {
            return None;
        }
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = seen.iter().find(|file| is_named(file, database).unwrap_or(false)) {
            return Some(file);
        }
        let file = Box::leak(Box::new(files::open(database, false).ok()?));
        seen.push(file);
        Some(file)
    }
}

impl Drop for DatabaseLock {
    fn drop(&mut self) {
        // At the latest the end of the process does it.
        let _ = self.0.unlock();
    }
}

/// Who has locked this file, if anybody has.
fn held(file: &File) -> Option<String> {
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(read_holder(file)),
        Ok(()) => {
            let _ = file.unlock();
            None
        }
        Err(TryLockError::Error(_)) => None,
    }
}

fn is_named(file: &File, path: &Path) -> std::io::Result<bool> {
    let (held, named) = (file.metadata()?, std::fs::symlink_metadata(path)?);
    Ok((held.dev(), held.ino()) == (named.dev(), named.ino()))
}

/// The file, and whether it was made. One that is there is left as it is.
fn open(path: &Path) -> std::io::Result<(File, bool)> {
    match OpenOptions::new().read(true).write(true).create_new(true).mode(0o660).open(path) {
        Ok(file) => {
            // The umask may have taken the group's rights.
            file.set_permissions(Permissions::from_mode(0o660))?;
            Ok((file, true))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok((files::open(path, true)?, false)),
        Err(error) => Err(error),
    }
}

/// Whose the file is that may not be opened: a producer may have put one there that is its own alone.
fn kept_out(path: &Path, source: std::io::Error) -> LockError {
    match std::fs::symlink_metadata(path) {
        Ok(seen) if source.kind() == ErrorKind::PermissionDenied => {
            let what = format!("may not be locked by you ({})", owner_and_mode(&seen));
            let cure = format!("with no agent running, find out who made it, and remove it: 'rm {}'", path.display());
            Strange { path: path.to_owned(), what, cure }.into()
        }
        _ => LockError::Io { path: path.to_owned(), source },
    }
}

/// The agent's lock belongs to root, to the owner of the queue or its directory, or to its taker.
fn judge_owner(file: &File, database: &Path, path: &Path) -> Result<(), LockError> {
    let io = |source| LockError::Io { path: path.to_owned(), source };
    let owner = file.metadata().map_err(io)?.uid();
    let of = |path: &Path| std::fs::symlink_metadata(path).ok().map(|seen| seen.uid());
    let directory = database.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = std::fs::metadata(directory).ok().map(|seen| seen.uid());
    if [Some(0), Some(geteuid().as_raw()), of(database), directory].contains(&Some(owner)) {
        return Ok(());
    }
    let what = format!("belongs to user {}, to whom neither the queue nor its directory belongs", user(owner));
    Err(Strange { path: path.to_owned(), what, cure: files::of_others(path) }.into())
}

fn read_holder(file: &File) -> String {
    holder_of(file).unwrap_or_else(|| "unknown".to_owned())
}

/// The process that has locked this file, as the kernel lists it. Not seen are those in another container.
fn holder_of(file: &File) -> Option<String> {
    let name = name_among_locks(file)?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        // `1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF`; behind an arrow stands who waits for it.
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it =
            words.get(1) == Some(&"FLOCK") && words.get(3) == Some(&"WRITE") && words.get(5) == Some(&name.as_str());
        is_it.then(|| words[4].to_owned())
    })
}

/// Device and number of the file, as the kernel writes them in its list: on some file systems another device than `stat`
/// tells. Seen from a lock that nobody minds: of one byte far behind the end, where SQLite has none, and of a kind that
/// goes with this descriptor alone.
fn name_among_locks(file: &File) -> Option<String> {
    let byte = libc::flock {
        l_type: libc::F_RDLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: libc::off_t::MAX - 1,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&byte)).ok()?;
    let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    let line = about.lines().find(|line| line.starts_with("lock:") && line.contains("OFDLCK"))?;
    line.split_whitespace().nth(6).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn queue() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("queue.db");
        File::create(&database).unwrap();
        let lock = dir.path().join("queue.db.lock");
        (dir, database, lock)
    }

    fn holder(database: &Path) -> Option<String> {
        AgentLock::holder(database).map(|holder| holder.pid)
    }

    #[test]
    fn the_last_sign_of_life_is_seen_by_whoever_looks() {
        let (_dir, database, path) = queue();
        File::create(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let begin = SystemTime::now() - Duration::from_secs(5);
        let signed_at = || AgentLock::holder(&database).unwrap().signed_at.unwrap();
        let lock = AgentLock::acquire(&database).unwrap();
        assert!(signed_at() > begin, "it begins with one");
        lock.file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(signed_at(), SystemTime::UNIX_EPOCH);
        lock.sign().unwrap();
        assert!(signed_at() > begin);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(AgentLock::holder(&database).unwrap().signed_at, None, "nobody can see it");
    }

    #[test]
    fn the_second_one_is_refused_and_told_who_holds_it() {
        let (_dir, database, _) = queue();
        let first = AgentLock::acquire(&database).unwrap();
        let refused = AgentLock::acquire(&database).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert_eq!(holder(&database), Some(std::process::id().to_string()));
        drop(first);
        assert_eq!(holder(&database), None);
        AgentLock::acquire(&database).unwrap();
    }

    #[test]
    fn a_link_to_the_database_is_no_second_queue() {
        let (dir, database, _) = queue();
        let link = dir.path().join("link.db");
        std::os::unix::fs::symlink(&database, &link).unwrap();
        let refused = AgentLock::acquire(&link).unwrap_err().to_string();
        assert!(refused.contains("link.db is a link") && refused.contains("queue.path"), "{refused}");
    }

    #[test]
    fn what_stands_in_the_file_is_neither_believed_nor_changed() {
        let (_dir, database, path) = queue();
        std::fs::write(&path, "1").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let _lock = AgentLock::acquire(&database).unwrap();
        assert_eq!(holder(&database), Some(std::process::id().to_string()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    }

    #[test]
    fn whoever_takes_the_locks_file_away_lets_nobody_in() {
        let (_dir, database, path) = queue();
        let running = AgentLock::acquire(&database).unwrap();
        let me = std::process::id().to_string();
        let away: [&dyn Fn(); 3] = [
            &|| std::fs::remove_file(&path).unwrap(),
            &|| std::fs::rename(&path, path.with_extension("old")).unwrap(),
            &|| {
                std::fs::write(path.with_extension("other"), "").unwrap();
                std::fs::rename(path.with_extension("other"), &path).unwrap();
            },
        ];
        for take_away in away {
            std::fs::write(&path, "").unwrap();
            take_away();
            let refused = AgentLock::acquire(&database).unwrap_err().to_string();
            assert!(refused.contains(&format!("process {me}")), "{refused}");
            assert_eq!(holder(&database).as_ref(), Some(&me));
            assert!(running.is_in_place().unwrap());
        }
        drop(running);
        assert_eq!(holder(&database), None);
        AgentLock::acquire(&database).unwrap();
    }

    #[test]
    fn one_taken_for_a_moment_leaves_nothing_but_what_was_there() {
        let (_dir, database, path) = queue();
        let moment = AgentLock::acquire_for_a_moment(&database).unwrap();
        assert!(matches!(AgentLock::acquire(&database), Err(LockError::Held { .. })));
        drop(moment);
        assert!(!path.exists());
        drop(AgentLock::acquire(&database).unwrap());
        drop(AgentLock::acquire_for_a_moment(&database).unwrap());
        assert!(path.exists());
    }
}
