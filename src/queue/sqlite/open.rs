//! Opening the database: made if missing (file and directory writable by the group, so that producers can insert),
//! migrated if old, refused if newer than this program.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};

use super::clock::QueueClock;
use super::moving::{self, Mark};
use super::schema::MIGRATIONS;
use super::settle::BatchInsert;
use super::upgrade::{UpgradeError, upgrade};
use crate::clock::Clock;
use crate::queue::moving::MOVED;
use crate::queue::sqlite::errors::{BUSY, CANNOT_OPEN, NOT_A_DATABASE, READ_ONLY, may_pass, primary_code};
use crate::queue::sqlite::files::guard::FileGuard;
use crate::queue::sqlite::files::{self, Strange};
use crate::queue::sqlite::files::{AgentLock, LockError};
use crate::queue::sqlite::store::SqliteQueue;

/// How long a statement waits for another program's write before it is given up and tried again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// SQLite's number for a statement that does not fit the tables.
const ERROR: i32 = 1;

/// How long a new queue is looked at again, and how often, while another program makes it.
const MADE_WITHIN: Duration = Duration::from_secs(2);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Why the queue cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none, and the caller does not make one.
    #[error("there is no queue at {}; 'event-sender run' and 'event-sender enqueue' make it, or check queue.path", .0.display())]
    Missing(PathBuf),
    /// Whoever asks may not go there.
    #[error("cannot open the queue {}: {why}", path.display())]
    Shut {
        path: PathBuf,
        /// Where the way is shut, and the cure.
        why: String,
    },
    /// What lies there is no file of a queue, and was not opened.
    #[error(transparent)]
    Strange(#[from] Strange),
    #[error("{} is a database of another program, in which nothing was changed; name a file of the queue's own in queue.path", .0.display())]
    Foreign(PathBuf),
    /// The file system refuses.
    #[error("cannot {action} {}: {}", path.display(), why.as_ref().unwrap_or(&source.to_string()))]
    Io {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
        /// What whoever asks may not do, and the cure; if that is it.
        why: Option<String>,
    },
    /// Made by a later version.
    #[error("the queue {} was made by a newer event-sender (schema {found}, this one knows {known}); update the program", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    /// It has moved to another place, or is about to.
    #[error("{}", mark.says(path))]
    Moved {
        path: PathBuf,
        /// Where it has moved to.
        mark: Mark,
    },
    /// Made by an earlier version, and the caller only reads.
    #[error("the queue {} has an older schema ({found}, this program needs {known}); 'event-sender run' brings it up to date", path.display())]
    Older { path: PathBuf, found: i64, known: i64 },
    /// Anything else SQLite says.
    #[error("cannot open the queue {}: {}", path.display(), why.as_ref().unwrap_or(&source.to_string()))]
    Sqlite {
        path: PathBuf,
        source: sqlx::Error,
        /// What whoever asks may not do, and the cure; if that is it.
        why: Option<String>,
    },
    /// The way up from an older schema needs more room than there is.
    #[error("cannot bring the queue {} up to date: it needs {} MB of free disk for a while, and there are {} MB; the queue is as it was", path.display(), needed.div_ceil(1 << 20), free >> 20)]
    NoRoom { path: PathBuf, needed: u64, free: u64 },
    /// The way up would lose what somebody else has made in the queue's tables.
    #[error("cannot bring the queue {} up to date without losing {what}; the queue is as it was: take that out of it, or move it to a table of its own", path.display())]
    Others { path: PathBuf, what: String },
    #[error("cannot prepare the queue {}: {source}", path.display())]
    Migrate { path: PathBuf, source: Box<MigrateError> },
}

impl OpenError {
    fn sqlite(path: &Path, source: sqlx::Error) -> Self {
        if primary_code(&source) == Some(NOT_A_DATABASE) {
            let cure = "name the queue's real file in queue.path".to_owned();
            return Strange { path: path.to_owned(), what: "is not a database".to_owned(), cure }.into();
        }
        let shut = matches!(primary_code(&source), Some(CANNOT_OPEN | READ_ONLY));
        let why = if shut { files::shut(path) } else { None };
        Self::Sqlite { path: path.to_owned(), source, why }
    }

    fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        let shut = matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
        let why = if shut { files::shut(path) } else { None };
        Self::Io { action, path: path.to_owned(), source, why }
    }

    fn of_upgrade(error: UpgradeError, path: &Path) -> Self {
        let path = path.to_owned();
        match error {
            UpgradeError::NoRoom { needed, free } => Self::NoRoom { path, needed, free },
            UpgradeError::Others(what) => Self::Others { path, what },
            UpgradeError::Migrate(source) => Self::Migrate { path, source: Box::new(source) },
        }
    }

    /// Another program may be making the queue at this moment.
    fn may_be_in_the_making(&self) -> bool {
        matches!(self, Self::Migrate { .. }) || self.source().and_then(primary_code) == Some(BUSY)
    }

    /// Whether it may pass by itself: somebody holds the lock, the disk is full, read-only or in trouble.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Io { source, .. } => crate::queue::sqlite::files::may_pass(source),
            Self::NoRoom { .. } => true,
            _ => self.source().is_some_and(may_pass),
        }
    }

    /// What SQLite said.
    fn source(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Sqlite { source, .. } => Some(source),
            Self::Migrate { source, .. } => match source.as_ref() {
                MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => Some(source),
                _ => None,
            },
            _ => None,
        }
    }
}

impl SqliteQueue {
    /// Makes the file, and its directory if that is missing too. SQLite gives the log and the index beside it the same
    /// mode, and a setgid directory the same group, so members of the group can insert.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn create_file(path: &Path) -> Result<(), OpenError> {
        let io = |action, path| move |source| OpenError::io(action, path, source);
        if let Some(directory) =
            path.parent().filter(|directory| !directory.as_os_str().is_empty() && !directory.exists())
        {
            DirBuilder::new().recursive(true).mode(0o770).create(directory).map_err(io("create", directory))?;
            std::fs::set_permissions(directory, Permissions::from_mode(0o2770))
                .map_err(io("open to the group", directory))?;
        }
        files::look(path)?;
        match OpenOptions::new().write(true).create_new(true).mode(0o660).open(path) {
            Ok(file) => file.set_permissions(Permissions::from_mode(0o660)).map_err(io("open to the group", path)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(io("create", path)(error)),
        }
    }

    /// For those who write: makes the queue if there is none, brings it up to date if it is old.
    ///
    /// # Errors
    /// The file system or SQLite refuses, or the schema is newer than this program.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        Self::create_file(path)?;
        // Programs may start at once on a new queue. SQLite does not wait for one that switches the file to WAL mode or
        // is half through the schema: who comes second looks again and finds the work done.
        let begin = tokio::time::Instant::now();
        loop {
            match Self::prepare(path).await {
                Err(error) if error.may_be_in_the_making() && begin.elapsed() < MADE_WITHIN => {
                    tokio::time::sleep(BETWEEN_LOOKS).await;
                }
                result => return result,
            }
        }
    }

    async fn prepare(path: &Path) -> Result<Self, OpenError> {
        // To bring it into WAL mode would be to write into it already.
        let looked_at = connect(path, options(path)).await?;
        let ours = check_ours(&looked_at.pool, path).await;
        looked_at.close().await;
        ours?;
        let queue = connect(path, options(path).journal_mode(SqliteJournalMode::Wal)).await?;
        let ready = bring_up_to_date(&queue.pool, path).await;
        queue.if_ok(ready).await
    }

    /// Closed before a refusal is reported: a connection that is only dropped closes its files later, or never if the process
    /// ends first, and leaves the log and its index beside a database that may be another program's.
    async fn if_ok(self, ready: Result<(), OpenError>) -> Result<Self, OpenError> {
        if ready.is_err() {
            self.close().await;
        }
        ready.map(|()| self)
    }

    /// For producers: makes the queue if there is none. One of an older version is brought up to date only while no
    /// agent runs on it, which may be of that version too.
    ///
    /// # Errors
    /// As for [`SqliteQueue::open`], or an agent runs on an older queue.
    pub async fn open_to_insert(path: &Path) -> Result<Self, OpenError> {
        let older = match Self::open_existing(path).await {
            Ok(queue) => return Ok(queue),
            Err(older @ OpenError::Older { found: 1.., .. }) => older,
            Err(_) => return Self::open(path).await,
        };
        match AgentLock::acquire_for_a_moment(path) {
            Ok(_lock) => Self::open(path).await,
            Err(LockError::Held { .. }) => Err(older),
            Err(LockError::Strange(strange)) => Err(strange.into()),
            Err(LockError::Io { path, source }) => Err(OpenError::io("lock", &path, source)),
        }
    }

    /// For those who only look: changes nothing.
    ///
    /// # Errors
    /// There is no queue, or its schema is not this program's.
    pub async fn open_existing(path: &Path) -> Result<Self, OpenError> {
        files::look(path)?;
        if !path.exists() {
            // Behind a directory that shuts nothing is seen, and it may well be there.
            return Err(match files::shut(path) {
                Some(why) if !files::is_in_sight(path) => OpenError::Shut { path: path.to_owned(), why },
                _ => OpenError::Missing(path.to_owned()),
            });
        }
        // A queue is in WAL mode since it was made; any other file is left as it is.
        let queue = connect(path, options(path)).await?;
        let ready = check_up_to_date(&queue.pool, path).await;
        queue.if_ok(ready).await
    }
}

async fn bring_up_to_date(pool: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let found = not_newer(pool, path).await?;
    upgrade(pool, path, found).await.map_err(|error| OpenError::of_upgrade(error, path))
}

async fn check_up_to_date(pool: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    check_ours(pool, path).await?;
    let found = not_newer(pool, path).await?;
    if found < newest() {
        return Err(OpenError::Older { path: path.to_owned(), found, known: newest() });
    }
    Ok(())
}

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        // A name alone might begin with "file:", which SQLite takes for an address with settings of its own.
        .filename(Path::new(".").join(path))
        // A recorded event must survive a power cut: every commit is synced.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        // A long reader makes the log grow; the first checkpoint after it gives the disk back.
        .pragma("journal_size_limit", "67108864")
        // What a statement puts aside while it runs: a claim's few rows, or as many ids as retention deletes at once.
        .pragma("temp_store", "memory")
        // In KiB: room for the index page each of a thousand mailboxes is at, and the rows under way.
        .pragma("cache_size", "-8192")
        .foreign_keys(false)
        .disable_statement_logging()
}

pub(super) async fn connect(path: &Path, options: SqliteConnectOptions) -> Result<SqliteQueue, OpenError> {
    files::look(path)?;
    let guard = Arc::new(FileGuard::new(path));
    let connected = guard.clone();
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // A wait behind another statement is not news.
        .acquire_slow_threshold(Duration::from_secs(3600))
        .after_connect(move |connection, _| {
            let guard = connected.clone();
            Box::pin(async move {
                // The log is opened with the first look. Should that fail, so will the caller's, who can say why.
                let _ = sqlx::query("SELECT count(*) FROM sqlite_master").execute(connection).await;
                guard.note();
                Ok(())
            })
        })
        .connect_with(options)
        .await
        .map_err(|source| OpenError::sqlite(path, source))?;
    let batch_insert = Arc::new(BatchInsert::new());
    Ok(SqliteQueue {
        pool,
        path: path.to_owned(),
        guard,
        memory: Arc::default(),
        clock: Arc::new(QueueClock::new(Clock::default())),
        watch: Arc::default(),
        batch_insert,
    })
}

/// The newest migration this program has.
pub fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Whether nothing is in it yet, or a queue, whatever others may have put beside that. The first migration tells a queue:
/// who else keeps tables of these names has done so in other words.
async fn check_ours(pool: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let error = |source| OpenError::sqlite(path, source);
    let (is_blank, has_migrations): (bool, bool) = sqlx::query_as(
        "SELECT (SELECT count(*) = 0 FROM sqlite_master WHERE tbl_name <> '_sqlx_migrations')
            AND (SELECT application_id = 0 FROM pragma_application_id())
            AND (SELECT user_version = 0 FROM pragma_user_version()),
        EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations')",
    )
    .fetch_one(pool)
    .await
    .map_err(error)?;
    let first = MIGRATIONS.iter().next().map(|first| (first.version, &first.checksum));
    let mut migrations = 0;
    if let Some((version, checksum)) = first.filter(|_| has_migrations) {
        let known = "SELECT count(*), coalesce(sum(version = ?1 AND checksum = ?2), 0) FROM _sqlx_migrations";
        let found = sqlx::query_as(known).bind(version).bind(checksum.as_ref()).fetch_one(pool).await;
        let ours: i64;
        (migrations, ours) = match found {
            // Its columns are other ones.
            Err(source) if primary_code(&source) == Some(ERROR) => (1, 0),
            found => found.map_err(error)?,
        };
        if ours > 0 {
            return Ok(());
        }
    }
    if is_blank && migrations == 0 { Ok(()) } else { Err(OpenError::Foreign(path.to_owned())) }
}

async fn not_newer(pool: &SqlitePool, path: &Path) -> Result<i64, OpenError> {
    let found = schema(pool, path).await?;
    if found == MOVED {
        let mut connection = pool.acquire().await.map_err(|source| OpenError::sqlite(path, source))?;
        if let Some(mark) = moving::mark(&mut connection).await.map_err(|source| OpenError::sqlite(path, source))? {
            return Err(OpenError::Moved { path: path.to_owned(), mark });
        }
    }
    if found > newest() {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: newest() });
    }
    Ok(found)
}

/// The newest migration the database has seen; 0 for a new one.
async fn schema(pool: &SqlitePool, path: &Path) -> Result<i64, OpenError> {
    let error = |source| OpenError::sqlite(path, source);
    let known: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'")
        .fetch_one(pool)
        .await
        .map_err(error)?;
    if known == 0 {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations").fetch_one(pool).await.map_err(error)
}
