//! The queue's change notice: a watch on the database's directory that says "something was written". Only a hint;
//! whether anything is due is asked of the database. Where no watch can be had, the poll interval does the work.
//!
//! The directory is watched, not the files: the write-ahead log may not exist yet, and may be made anew.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// A change is told at once and again after each of these, in microseconds. A writer's frames reach the log, are synced,
/// and only then become visible, without another event: a look in between finds nothing, and a slow disk makes the
/// between long.
const ECHOES_US: [u64; 16] =
    [300, 300, 400, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 8_000, 13_000, 25_000, 50_000, 100_000, 200_000];

/// Why the queue cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system has no watch to give.
    #[error("the system refuses a watch on {}: {source}", directory.display())]
    Refused {
        /// What was to be watched.
        directory: PathBuf,
        /// Its own words.
        source: notify::Error,
    },
    /// What other machines write there is told to nobody.
    #[error("it is on a network file system ({kind})")]
    Remote {
        /// Which.
        kind: &'static str,
    },
}

/// Lives as long as notices are wanted.
pub struct ChangeNotice {
    changed: Arc<Notify>,
    watch: Option<Watch>,
}

struct Watch {
    watcher: RecommendedWatcher,
    directory: PathBuf,
    listening: bool,
    /// To the echo.
    told: SyncSender<()>,
}

impl ChangeNotice {
    /// Waits for the next change or echo of one; one that came since the last wait counts.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A notice that never comes.
    pub fn none() -> Self {
        Self { changed: Arc::default(), watch: None }
    }

    /// Listens from now on. Tells whether it did not before: what was written meanwhile has gone unnoticed.
    ///
    /// # Errors
    /// There is no watch any more, and none will be tried again.
    pub fn listen(&mut self) -> Result<bool, WatchError> {
        let Some(watch) = &mut self.watch else { return Ok(false) };
        if watch.listening {
            return Ok(false);
        }
        match watch.watcher.watch(&watch.directory, RecursiveMode::NonRecursive) {
            Ok(()) => {
                watch.listening = true;
                // Somebody may be between the writing and the end of a commit.
                let _ = watch.told.try_send(());
                Ok(true)
            }
            Err(source) => {
                let directory = watch.directory.clone();
                self.watch = None;
                Err(WatchError::Refused { directory, source })
            }
        }
    }

    /// Does not listen for a while: who looks all the time anyway saves being told of its own writes.
    pub fn rest(&mut self) {
        if let Some(watch) = &mut self.watch
            && watch.listening
        {
            // Were it still told, it would look once too often.
            let _ = watch.watcher.unwatch(&watch.directory);
            watch.listening = false;
        }
    }
}

/// Watches the database and its write-ahead log.
///
/// # Errors
/// The system cannot watch that directory, or not for everybody who may write there.
pub fn watch(database: &Path) -> Result<ChangeNotice, WatchError> {
    let refused = |source| WatchError::Refused { directory: database.to_owned(), source };
    let database = std::fs::canonicalize(database).map_err(|error| refused(notify::Error::io(error)))?;
    let (Some(directory), Some(name)) = (database.parent(), database.file_name()) else {
        return Err(refused(notify::Error::path_not_found()));
    };
    if let Some(kind) = network_file_system(directory) {
        return Err(WatchError::Remote { kind });
    }
    let mut log = name.to_owned();
    log.push("-wal");
    let files = [name.to_owned(), log];
    let changed = Arc::new(Notify::new());
    let told = echo(changed.clone()).map_err(|error| refused(notify::Error::io(error)))?;
    let tell = told.clone();
    let watcher = notify::recommended_watcher(move |event| {
        if concerns(&files, event) {
            // Full: it is known already.
            let _ = tell.try_send(());
        }
    })
    .map_err(refused)?;
    let watch = Watch { watcher, directory: directory.to_owned(), listening: false, told };
    let mut notice = ChangeNotice { changed, watch: Some(watch) };
    notice.listen()?;
    Ok(notice)
}

/// Passes changes on with their echoes, on a thread of its own: timers of the runtime are too coarse for the first ones.
/// Ends with the sender.
fn echo(changed: Arc<Notify>) -> std::io::Result<SyncSender<()>> {
    let (sender, told) = sync_channel(1);
    std::thread::Builder::new()
        .name("queue-watch".into())
        .spawn(move || while told.recv().is_ok() && tell(&told, &changed) {})?;
    Ok(sender)
}

/// Tells of a change until its last echo; another one meanwhile begins anew. False: nobody is there to be told.
fn tell(told: &Receiver<()>, changed: &Notify) -> bool {
    changed.notify_one();
    let mut echoes = ECHOES_US.iter();
    while let Some(wait) = echoes.next() {
        match told.recv_timeout(Duration::from_micros(*wait)) {
            Ok(()) => echoes = ECHOES_US.iter(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        changed.notify_one();
    }
    true
}

/// Whether an event may mean a change of the queue. An error means lost events: better one look too many.
fn concerns(files: &[OsString; 2], event: notify::Result<notify::Event>) -> bool {
    let ours = |path: &PathBuf| path.file_name().is_some_and(|file| files.iter().any(|name| name == file));
    event.map_or(true, |event| !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(ours))
}

/// The kind of network file system this directory is on, if it is on one.
pub fn network_file_system(directory: &Path) -> Option<&'static str> {
    rustix::fs::statfs(directory).ok().and_then(|stat| remote(stat.f_type as u64))
}

/// The name of a network file system, by the number that statfs gives it (linux/magic.h and its like).
fn remote(magic: u64) -> Option<&'static str> {
    Some(match magic as u32 {
        0x6969 => "nfs",
        0x517b | 0xfe53_4d42 | 0xff53_4d42 => "smb",
        0x0102_1997 => "9p",
        0x6573_5546 => "fuse",
        0x00c3_6400 => "ceph",
        0x5346_414f => "afs",
        0x7461_636f => "ocfs2",
        0x0116_1970 => "gfs2",
        0x0bd0_0bd0 => "lustre",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn told(notice: &ChangeNotice) {
        tokio::time::timeout(Duration::from_secs(30), notice.changed()).await.unwrap();
    }

    #[tokio::test]
    async fn a_write_to_the_log_is_told_at_once_and_echoed() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("queue.db");
        std::fs::write(&database, "").unwrap();
        let notice = watch(&database).unwrap();
        let log = dir.path().join("queue.db-wal");
        // It appears, is written to, shrinks and is replaced.
        std::fs::write(&log, "frames").unwrap();
        told(&notice).await;
        told(&notice).await;
        for change in [&|| std::fs::write(&log, "").unwrap(), &|| {
            let other = dir.path().join("other");
            std::fs::write(&other, "frames").unwrap();
            std::fs::rename(&other, &log).unwrap();
        }] as [&dyn Fn(); 2]
        {
            // Until the echoes of what was before are over.
            while tokio::time::timeout(Duration::from_secs(1), notice.changed()).await.is_ok() {}
            change();
            told(&notice).await;
        }
    }

    #[tokio::test]
    async fn who_rests_is_told_nothing_and_who_listens_again_learns_that_something_may_have_been_missed() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("queue.db");
        std::fs::write(&database, "").unwrap();
        let mut notice = watch(&database).unwrap();
        assert!(!notice.listen().unwrap(), "it listens from the beginning");
        notice.rest();
        // Until the echoes of the beginning are over.
        while tokio::time::timeout(Duration::from_secs(1), notice.changed()).await.is_ok() {}
        std::fs::write(&database, "changed").unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(300), notice.changed()).await.is_err());
        assert!(notice.listen().unwrap());
        // What was between writing and commit just then is found by the echoes.
        told(&notice).await;
    }

    #[tokio::test]
    async fn a_watch_that_cannot_be_had_again_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("queue.db");
        std::fs::write(&database, "").unwrap();
        let mut notice = watch(&database).unwrap();
        notice.rest();
        drop(dir);
        assert!(notice.listen().unwrap_err().to_string().contains("refuses a watch"));
        assert!(!notice.listen().unwrap());
    }

    #[test]
    fn file_systems_of_other_machines_are_known() {
        assert_eq!(remote(0x6969), Some("nfs"));
        // As statfs gives it where its field has a sign.
        assert_eq!(remote(0xff53_4d42_u32 as i32 as i64 as u64), Some("smb"));
        assert_eq!(remote(0xef53), None, "ext4");
    }

    #[test]
    fn other_files_and_mere_reading_are_nobodys_business() {
        let ours = [OsString::from("queue.db"), OsString::from("queue.db-wal")];
        let told = |kind: EventKind, file: &str| concerns(&ours, Ok(notify::Event::new(kind).add_path(file.into())));
        let written = EventKind::Modify(notify::event::ModifyKind::Any);
        assert!(told(written, "/q/queue.db-wal") && told(written, "/q/queue.db"));
        assert!(told(EventKind::Create(notify::event::CreateKind::File), "/q/queue.db-wal"));
        assert!(!told(written, "/q/queue.db-shm") && !told(written, "/q/other.db"));
        assert!(!told(EventKind::Access(notify::event::AccessKind::Any), "/q/queue.db"));
        assert!(concerns(&ours, Err(notify::Error::generic("events were lost"))));
    }
}
