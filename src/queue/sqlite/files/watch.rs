//! The queue's change notice: a watch on the database's directory that says "something was written". Only a hint;
//! whether anything is due is asked of the database. Where no watch can be had, the poll interval does the work.
//!
//! The directory is watched, not the files: the write-ahead log may not exist yet, and may be made anew.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// A change is passed on at once and again after each of these, in microseconds. A writer's frames reach the log, are synced,
/// and only then become visible, without another event: a look in between finds nothing, and a slow disk makes the
/// between long.
const ECHOES_US: [u64; 16] =
    [300, 300, 400, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 8_000, 13_000, 25_000, 50_000, 100_000, 200_000];

/// Claims in a row that took as much as they asked for, after which notices are of no use: there will be a next claim anyway.
const BUSY: u32 = 4;

/// Why the queue cannot be watched.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("the system refuses a watch on {}: {source}", directory.display())]
    Refused { directory: PathBuf, source: notify::Error },
    /// What other machines write there, this one is not told.
    #[error("it is on a network file system ({kind})")]
    Remote { kind: &'static str },
}

/// The watch over a queue, from [`ChangeWatch::begin`] on. Before that, and where no watch can be had, it notices nothing.
#[derive(Default)]
pub struct ChangeWatch {
    changed: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watch: Option<Watch>,
    /// Claims in a row that took as much as they asked for.
    busy: u32,
}

struct Watch {
    watcher: RecommendedWatcher,
    directory: PathBuf,
    listening: bool,
    /// To the echo.
    echo: SyncSender<()>,
}

impl ChangeWatch {
    /// Watches the database and its write-ahead log from now on, or says in the log why that cannot be.
    pub fn begin(&self, database: &Path) {
        let begun = Watch::over(database, self.changed.clone()).and_then(|mut watch| watch.listen().map(|_| watch));
        self.state().watch = begun.map_err(|error| unwatched(&error)).ok();
    }

    /// Waits for the next change or echo of one; one that came since the last wait counts.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A claim has ended; `all`: it took all there was. While every claim finds more than enough there is no need to listen,
    /// and the agent's own writes would each be noticed. Returns whether something may have gone unnoticed that way.
    pub fn claimed(&self, all: bool) -> bool {
        let mut state = self.state();
        let State { watch: Some(watch), busy } = &mut *state else { return false };
        if !all {
            *busy = busy.saturating_add(1);
            if *busy >= BUSY {
                watch.pause();
            }
            return false;
        }
        *busy = 0;
        watch.listen().unwrap_or_else(|error| {
            unwatched(&error);
            state.watch = None;
            false
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unwatched(error: &WatchError) {
    tracing::warn!(%error, "queue cannot be watched, polling it instead");
}

impl Watch {
    /// A watch that does not listen yet.
    fn over(database: &Path, changed: Arc<Notify>) -> Result<Self, WatchError> {
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
        let echo = echo(changed).map_err(|error| refused(notify::Error::io(error)))?;
        let noticed = echo.clone();
        let watcher = notify::recommended_watcher(move |event| {
            if concerns(&files, event) {
                // Full: it is known already.
                let _ = noticed.try_send(());
            }
        })
        .map_err(refused)?;
        Ok(Self { watcher, directory: directory.to_owned(), listening: false, echo })
    }

    /// Listens from now on. Returns whether it did not before: what was written meanwhile has gone unnoticed.
    fn listen(&mut self) -> Result<bool, WatchError> {
        if self.listening {
            return Ok(false);
        }
        let done = self.watcher.watch(&self.directory, RecursiveMode::NonRecursive);
        done.map_err(|source| WatchError::Refused { directory: self.directory.clone(), source })?;
        self.listening = true;
        // A producer may be between the writing and the end of a commit.
        let _ = self.echo.try_send(());
        Ok(true)
    }

    /// Does not listen for a while.
    fn pause(&mut self) {
        if self.listening {
            // Should it go on all the same, the agent looks once too often.
            let _ = self.watcher.unwatch(&self.directory);
            self.listening = false;
        }
    }
}

/// Passes changes on with their echoes, on a thread of its own: timers of the runtime are too coarse for the first ones.
/// Ends with the sender.
fn echo(changed: Arc<Notify>) -> std::io::Result<SyncSender<()>> {
    let (sender, noticed) = sync_channel(1);
    std::thread::Builder::new()
        .name("queue-watch".into())
        .spawn(move || while noticed.recv().is_ok() && pass_on(&noticed, &changed) {})?;
    Ok(sender)
}

/// Passes a change on until its last echo; another one meanwhile begins anew. False: the watch is gone.
fn pass_on(noticed: &Receiver<()>, changed: &Notify) -> bool {
    changed.notify_one();
    let mut echoes = ECHOES_US.iter();
    while let Some(wait) = echoes.next() {
        match noticed.recv_timeout(Duration::from_micros(*wait)) {
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

    async fn noticed(watch: &ChangeWatch) {
        tokio::time::timeout(Duration::from_secs(30), watch.changed()).await.unwrap();
    }

    /// Until the echoes of what was before are over.
    async fn quiet(watch: &ChangeWatch) {
        while tokio::time::timeout(Duration::from_secs(1), watch.changed()).await.is_ok() {}
    }

    fn watched() -> (tempfile::TempDir, PathBuf, ChangeWatch) {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("queue.db");
        std::fs::write(&database, "").unwrap();
        let watch = ChangeWatch::default();
        watch.begin(&database);
        (dir, database, watch)
    }

    fn listens(watch: &ChangeWatch) -> Option<bool> {
        watch.state().watch.as_ref().map(|watch| watch.listening)
    }

    #[tokio::test]
    async fn a_write_to_the_log_is_noticed_at_once_and_echoed() {
        let (dir, _, watch) = watched();
        let log = dir.path().join("queue.db-wal");
        // It appears, is written to, shrinks and is replaced.
        std::fs::write(&log, "frames").unwrap();
        noticed(&watch).await;
        noticed(&watch).await;
        for change in [&|| std::fs::write(&log, "").unwrap(), &|| {
            let other = dir.path().join("other");
            std::fs::write(&other, "frames").unwrap();
            std::fs::rename(&other, &log).unwrap();
        }] as [&dyn Fn(); 2]
        {
            quiet(&watch).await;
            change();
            noticed(&watch).await;
        }
    }

    #[tokio::test]
    async fn while_claims_find_more_than_enough_nothing_is_noticed_and_then_that_something_may_have_been_missed() {
        let (_dir, database, watch) = watched();
        assert!(!watch.claimed(true), "it listens from the beginning");
        for _ in 1..BUSY {
            watch.claimed(false);
        }
        assert_eq!(listens(&watch), Some(true));
        watch.claimed(false);
        assert_eq!(listens(&watch), Some(false));
        quiet(&watch).await;
        std::fs::write(&database, "changed").unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(300), watch.changed()).await.is_err());
        assert!(watch.claimed(true));
        // What was between writing and commit just then is found by the echoes.
        noticed(&watch).await;
    }

    #[tokio::test]
    async fn a_watch_that_cannot_be_had_again_is_given_up() {
        let (dir, _, watch) = watched();
        (0..BUSY).for_each(|_| assert!(!watch.claimed(false)));
        drop(dir);
        assert!(!watch.claimed(true));
        assert_eq!(listens(&watch), None);
    }

    #[test]
    fn file_systems_of_other_machines_are_known() {
        assert_eq!(remote(0x6969), Some("nfs"));
        // As statfs gives it where its field has a sign.
        assert_eq!(remote(0xff53_4d42_u32 as i32 as i64 as u64), Some("smb"));
        assert_eq!(remote(0xef53), None, "ext4");
    }

    #[test]
    fn other_files_and_mere_reading_are_no_change() {
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
