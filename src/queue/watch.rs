//! The queue's change notice: a watch on the database's directory that says "something was written". Only a hint;
//! whether anything is due is asked of the database. Where no watch can be had, the poll interval does the work.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// A change is told at once and again after each of these. A writer's frames reach the log, are synced, and only then
/// become visible, without another event: a look in between finds nothing, and a slow disk makes the between long.
const ECHOES: [Duration; 6] = [
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
    Duration::from_millis(300),
];

/// Lives as long as notices are wanted.
pub struct ChangeNotice {
    changed: Arc<Notify>,
    echo: Option<(usize, Instant)>,
    _watcher: Option<RecommendedWatcher>,
}

impl ChangeNotice {
    /// Waits for the next change or echo of one; a change that came since the last wait counts.
    pub async fn changed(&mut self) {
        let (number, at) = self.echo.unwrap_or_else(|| (0, Instant::now()));
        tokio::select! {
            () = self.changed.notified() => self.expect(0),
            () = sleep_until(at), if self.echo.is_some() => self.expect(number + 1),
        }
    }

    /// A notice that never comes.
    pub fn none() -> Self {
        Self { changed: Arc::default(), echo: None, _watcher: None }
    }

    fn expect(&mut self, number: usize) {
        self.echo = ECHOES.get(number).map(|wait| (number, Instant::now() + *wait));
    }
}

/// Watches the database and its write-ahead log.
///
/// # Errors
/// The system cannot watch that directory (a network file system, no inotify watches left).
pub fn watch(database: &Path) -> notify::Result<ChangeNotice> {
    let database = std::fs::canonicalize(database).map_err(notify::Error::io)?;
    let (Some(directory), Some(name)) = (database.parent(), database.file_name()) else {
        return Err(notify::Error::path_not_found());
    };
    let mut log = name.to_owned();
    log.push("-wal");
    let files = [name.to_owned(), log];
    let changed = Arc::new(Notify::new());
    let notice = changed.clone();
    let mut watcher = notify::recommended_watcher(move |event| {
        if concerns(&files, event) {
            notice.notify_one();
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(ChangeNotice { changed, echo: None, _watcher: Some(watcher) })
}

/// Whether an event may mean a change of the queue. An error means lost events: better one look too many.
fn concerns(files: &[OsString; 2], event: notify::Result<notify::Event>) -> bool {
    let ours = |path: &PathBuf| path.file_name().is_some_and(|file| files.iter().any(|name| name == file));
    event.map_or(true, |event| !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(ours))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_write_to_the_log_is_told_at_once_and_echoed() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("queue.db");
        std::fs::write(&database, "").unwrap();
        let mut notice = watch(&database).unwrap();
        std::fs::write(dir.path().join("queue.db-wal"), "frames").unwrap();
        for _ in 0..=ECHOES.len() {
            tokio::time::timeout(Duration::from_secs(30), notice.changed()).await.unwrap();
        }
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
