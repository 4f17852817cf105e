//! The queue's files, looked at before anything opens them. Whoever may insert may put anything into their directory: a
//! link to a file of somebody else's, a pipe that holds up whoever opens it, the journal of another database. What is not a
//! plain file of this queue is named, and nothing opens it.
//!
//! SQLite opens by name, so a moment is left between the look and the opening (docs/security.md).

pub mod guard;
mod lock;
pub mod permissions;
pub mod watch;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::access;

pub use lock::{AgentLock, Holder, LockError, may_pass};
pub use watch::network_file_system;

/// What SQLite opens beside the database, and the agent's lock.
const BESIDE: [&str; 4] = ["-wal", "-shm", "-journal", ".lock"];

/// A database has at least one page, and that has at least so many bytes.
const SMALLEST: u64 = 512;

/// A file that is not what it is to be.
#[derive(Debug, thiserror::Error)]
#[error("{} {what}; {cure}", path.display())]
pub struct Strange {
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    pub cure: String,
}

/// Looks at the database and at everything that is opened with it. What is not there is in order.
///
/// # Errors
/// The first one that nothing must open.
pub fn look(database: &Path) -> Result<(), Strange> {
    let found = look_at(database, of_database)?;
    if let Some(seen) = found.filter(|seen| (1..SMALLEST).contains(&seen.len())) {
        // SQLite takes it for empty, and writes over it. A journal beside it may hold what was there before.
        if !beside(database, "-journal").exists() {
            let what = format!("has {} bytes and is not a database", seen.len());
            return Err(Strange { path: database.to_owned(), what, cure: of_database(database) });
        }
    }
    let mut journal = None;
    for suffix in BESIDE {
        let found = look_at(&beside(database, suffix), of_others)?;
        match (suffix, found) {
            ("-wal", Some(log)) if log.len() > 0 => journal = Some(Mode::Wal),
            ("-journal", Some(_)) => {
                let mode = || journal.unwrap_or_else(|| Mode::of(database));
                foreign_journal(beside(database, suffix), mode)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The file of that suffix.
pub fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Why whoever asks may not read, write and make the database and its files, and the cure; none if that is not what is wrong.
pub fn shut(database: &Path) -> Option<String> {
    access::no_database(database, &["-wal", "-shm"])
}

/// Whether it would be seen if it were there.
pub fn is_in_sight(database: &Path) -> bool {
    std::fs::metadata(database).map_or_else(|error| error.kind() != ErrorKind::PermissionDenied, |_| true)
}

/// A plain file beside the database, to be locked; none if there is none. Nothing in it changes.
pub fn open(path: &Path, write: bool) -> std::io::Result<File> {
    let file = OpenOptions::new().read(true).write(write).custom_flags(flags()).open(path)?;
    // It may have become another one since it was looked at.
    match strangeness(&file.metadata()?) {
        None => Ok(file),
        Some(what) => Err(std::io::Error::other(format!("it {what}"))),
    }
}

/// No link is followed, and nobody is waited for.
fn flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32
}

pub fn look_at(path: &Path, cure: fn(&Path) -> String) -> Result<Option<Metadata>, Strange> {
    // Whoever opens it will say why it cannot be looked at.
    let Ok(seen) = std::fs::symlink_metadata(path) else { return Ok(None) };
    match strangeness(&seen) {
        None => Ok(Some(seen)),
        Some(what) => Err(Strange { path: path.to_owned(), what, cure: cure(path) }),
    }
}

fn of_database(_: &Path) -> String {
    "name the queue's real file in queue.path".to_owned()
}

pub fn of_others(path: &Path) -> String {
    format!("find out who put it there ('ls -l'), and remove it: 'rm {}'", path.display())
}

fn strangeness(seen: &Metadata) -> Option<String> {
    let kind = seen.file_type();
    let what = if kind.is_symlink() {
        "is a link"
    } else if kind.is_dir() {
        "is a directory"
    } else if kind.is_fifo() {
        "is a named pipe"
    } else if kind.is_socket() {
        "is a socket"
    } else if !kind.is_file() {
        "is a device"
    } else if seen.nlink() > 1 {
        return Some(format!("has {} names (hard links), and must have one", seen.nlink()));
    } else {
        return None;
    };
    Some(format!("{what} and no plain file of the queue"))
}

/// How the database keeps its changes until they are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Wal,
    Journal,
}

impl Mode {
    /// As the database's header says (bytes 18 and 19).
    fn of(database: &Path) -> Self {
        let mut header = [0; 20];
        let Ok(file) = open(database, false) else { return Self::Journal };
        let read = file.read_exact_at(&mut header, 0);
        // To close it would take away the locks that SQLite has on it in this process (POSIX locks know processes, not
        // openings). It stays open until the process ends: a journal beside a queue is rare.
        std::mem::forget(file);
        if read.is_ok() && header[18..20] == [2, 2] { Self::Wal } else { Self::Journal }
    }
}

/// SQLite takes a journal for one that an interrupted write left, and writes the pages in it back, whosever they are; while
/// an agent runs it cannot, and tells everybody that the database is locked.
fn foreign_journal(path: PathBuf, mode: impl Fn() -> Mode) -> Result<(), Strange> {
    let Ok(mut file) = open(&path, false) else { return Ok(()) };
    let mut start = Vec::new();
    let length = file.metadata().map_or(0, |seen| seen.len());
    let read = file.by_ref().take(START).read_to_end(&mut start);
    let is_idle = start.first().is_none_or(|byte| *byte == 0);
    if read.is_err() || is_idle || is_of_a_change_of_mode(&start, length) || mode() == Mode::Journal {
        return Ok(());
    }
    let what = "is the journal of something else: this queue is in WAL mode and has none. SQLite would write what is in it \
                over the queue, and calls the queue locked until it can";
    let cure = format!("find out who put it there, and move it away: 'mv {0} {0}.aside'", path.display());
    Err(Strange { path, what: what.to_owned(), cure })
}

/// As much of a journal as tells what it is of: its header has at most a sector, and sectors at most 64 KiB.
const START: u64 = (64 << 10) + 4;

/// Whether it is SQLite's own: when a database changes to or from WAL mode, its first page alone is written through a
/// journal.
fn is_of_a_change_of_mode(start: &[u8], length: u64) -> bool {
    const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    let number = |at: usize| Some(u32::from_be_bytes(start.get(at..at + 4)?.try_into().ok()?));
    let (Some(sector), Some(page)) = (number(20), number(24)) else { return false };
    // Page number, page, checksum.
    let one_record = u64::from(sector) + u64::from(page) + 8;
    let first = number(sector as usize);
    start.starts_with(&MAGIC) && length <= one_record && first.is_none_or(|page| page == 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    fn queue() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("queue.db");
        let mut header = [0; 4096];
        header[18..20].copy_from_slice(&[2, 2]);
        std::fs::write(&database, header).unwrap();
        (dir, database)
    }

    /// A journal of a database with 512 bytes to a sector and 1024 to a page, and these pages in it.
    fn journal(pages: &[u32]) -> Vec<u8> {
        let mut journal = vec![0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
        for number in [pages.len() as u32, 7, 3, 512, 1024] {
            journal.extend(number.to_be_bytes());
        }
        journal.resize(512, 0);
        for page in pages {
            journal.extend(page.to_be_bytes());
            journal.resize(journal.len() + 1028, 0);
        }
        journal
    }

    #[test]
    fn whatever_is_no_plain_file_is_named_with_what_it_is() {
        for suffix in ["", "-wal", "-shm", "-journal", ".lock"] {
            for (what, put) in [
                ("link", (|path: &Path| symlink("/etc/hostname", path).unwrap()) as fn(&Path)),
                ("link", |path| symlink("/nonexistent", path).unwrap()),
                ("named pipe", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
                ("socket", |path| drop(UnixListener::bind(path).unwrap())),
                ("directory", |path| std::fs::create_dir(path).unwrap()),
                ("2 names", |path| {
                    std::fs::write(path.with_file_name("other"), "").unwrap();
                    std::fs::hard_link(path.with_file_name("other"), path).unwrap();
                }),
            ] {
                let (_dir, database) = queue();
                let path = beside(&database, suffix);
                let _ = std::fs::remove_file(&path);
                put(&path);
                let told = look(&database).unwrap_err();
                assert!(told.path == path && told.what.contains(what), "{suffix} {what}: {told}");
            }
        }
    }

    #[test]
    fn what_is_too_short_for_a_database_is_none() {
        let (_dir, database) = queue();
        for (bytes, ours) in [(0, true), (1, false), (511, false), (512, true)] {
            std::fs::write(&database, vec![b'x'; bytes]).unwrap();
            assert_eq!(look(&database).is_ok(), ours, "{bytes}");
        }
        std::fs::write(&database, "x").unwrap();
        let told = look(&database).unwrap_err().to_string();
        assert!(told.contains("has 1 bytes") && told.contains("queue.path"), "{told}");
        std::fs::write(beside(&database, "-journal"), "").unwrap();
        look(&database).unwrap();
    }

    #[test]
    fn a_journal_is_foreign_where_the_queue_has_none() {
        let (_dir, database) = queue();
        look(&database).unwrap();
        let is_foreign = |journal: &[u8]| {
            std::fs::write(beside(&database, "-journal"), journal).unwrap();
            look(&database).is_err()
        };
        assert!(is_foreign(&journal(&[1, 2, 3])) && is_foreign(&journal(&[3])));
        assert!(is_foreign(b"no journal at all") && is_foreign(&[0xff; 9000]));
        // What SQLite itself leaves: nothing, a header struck out, its first page.
        assert!(!is_foreign(b"") && !is_foreign(&[0; 9000]));
        assert!(!is_foreign(&journal(&[])) && !is_foreign(&journal(&[1])));
        // A database that has changed to another mode has journals of its own.
        std::fs::write(&database, [1; 4096]).unwrap();
        assert!(!is_foreign(&journal(&[1, 2, 3])));
        std::fs::write(beside(&database, "-wal"), "frames").unwrap();
        assert!(is_foreign(&journal(&[1, 2, 3])), "a log says what mode it is in");
    }
}
