//! The file of a queue that moves into a database: held by its lock, so that no agent runs on it; shut under a mark, so that no
//! agent starts on it and no producer writes into it, whatever their version; read table by table.
//!
//! The mark is a table, triggers that refuse every write to `jobs`, and a migration of a number that no program knows: a program
//! from before the mark refuses the file for that.

use std::path::Path;
use std::pin::Pin;

use futures_core::Stream;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Decode, Row, Sqlite, TypeInfo, ValueRef};

use super::clock::machine_wall;
use super::files::{self, AgentLock, LockError};
use super::open::{OpenError, connect, options};
use super::schema::other_columns;
use super::store::SqliteQueue;
use super::transaction::{begin, end};
use crate::job::{REPEAT_WAIT, format_utc};
use crate::queue::error::MoveError;
use crate::queue::moving::{Column, MOVED, Raw, TABLES, Table};
use crate::queue::{QueueError, StartError};

const SHUT: &str = "CREATE TABLE moved (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    -- the database knows it, too
    mark     TEXT NOT NULL,
    -- where to
    target   TEXT NOT NULL,
    began_at TEXT NOT NULL,
    -- when all rows had arrived
    moved_at TEXT
)";
const MARK: &str = "INSERT INTO moved (id, mark, target, began_at) VALUES (1, ?1, ?2, ?3)";
const NO_PROGRAM_KNOWS: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    VALUES (?1, 'moved', TRUE, x'', 0)";
const HAS_MOVED: &str = "UPDATE moved SET moved_at = ?1 WHERE id = 1 AND moved_at IS NULL";

/// Each way to write into the table of the jobs, and its trigger.
const WRITES: [(&str, &str); 3] =
    [("INSERT", "moved_jobs_inserted"), ("UPDATE", "moved_jobs_changed"), ("DELETE", "moved_jobs_deleted")];

const OPEN_AGAIN: &str =
    "DROP TRIGGER moved_jobs_inserted; DROP TRIGGER moved_jobs_changed; DROP TRIGGER moved_jobs_deleted;
    DROP TABLE moved; DELETE FROM _sqlx_migrations WHERE version = 1000000";

/// No id is ever given twice.
const LAST_ID: &str = "SELECT max(coalesce((SELECT max(id) FROM jobs), 0),
    coalesce((SELECT max(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = 'jobs'), 0))";

/// A dead agent may have taken their last answer with it.
const SUSPECTS: &str =
    "SELECT DISTINCT CAST(coalesce(mailbox_key, '') AS TEXT) FROM jobs WHERE state = 'claimed' ORDER BY 1";

/// A queue that is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub id: String,
    pub to: String,
    pub moved_at: Option<String>,
}

impl Mark {
    /// For users of the file.
    pub fn says(&self, path: &Path) -> String {
        let (path, to) = (path.display(), &self.to);
        match &self.moved_at {
            Some(at) => format!(
                "the queue {path} was moved to {to} on {at}, its jobs are there: set queue.url instead of queue.path"
            ),
            None => format!(
                "the move of the queue {path} to {to} has not finished: finish it with 'event-sender migrate --copy-from {path}', or take it back (docs/operate/postgres.md)"
            ),
        }
    }
}

/// The mark of a file that has one.
pub(super) async fn mark(connection: &mut SqliteConnection) -> sqlx::Result<Option<Mark>> {
    let there = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'moved')";
    if !sqlx::query_scalar::<_, bool>(there).fetch_one(&mut *connection).await? {
        return Ok(None);
    }
    let row: Option<(String, String, Option<String>)> =
        sqlx::query_as("SELECT mark, target, moved_at FROM moved WHERE id = 1").fetch_optional(connection).await?;
    Ok(row.map(|(id, to, moved_at)| Mark { id, to, moved_at }))
}

/// The queue that leaves.
pub struct Leaving(SqliteQueue);

impl Leaving {
    /// To look only; an agent may run on it.
    pub async fn look(path: &Path) -> Result<Self, MoveError> {
        match SqliteQueue::open_existing(path).await {
            Ok(queue) => Ok(Self(queue)),
            Err(OpenError::Moved { mark, .. }) if mark.moved_at.is_none() => {
                Ok(Self(connect(path, options(path)).await?))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// With the agent's lock for as long as it is open. An older schema is brought up to date, as every start does it.
    pub async fn take(path: &Path) -> Result<Self, MoveError> {
        match SqliteQueue::open_existing(path).await {
            Ok(queue) => queue.close().await,
            Err(OpenError::Older { found: 1.., .. } | OpenError::Moved { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(why) = files::shut(path) {
            return Err(MoveError::Failed(format!("cannot move the queue {}: {why}", path.display())));
        }
        let lock = AgentLock::acquire_for_a_moment(path).map_err(|error| held(path, error))?;
        let queue = match SqliteQueue::open_existing(path).await {
            Err(OpenError::Moved { .. }) => connect(path, options(path)).await?,
            Err(OpenError::Older { found: 1.., .. }) => SqliteQueue::open(path).await?,
            opened => opened?,
        };
        queue.hold(lock);
        Ok(Self(queue))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub async fn close(&self) {
        self.0.close().await;
    }

    pub async fn mark(&self) -> Result<Option<Mark>, MoveError> {
        let mut connection = self.0.connection().await?;
        let done = mark(&mut connection).await;
        Ok(self.0.handed_back(connection, done).map_err(read)?)
    }

    /// From here on nobody starts on it, and nobody writes into it.
    pub async fn shut(&self, id: &str, to: &str) -> Result<(), MoveError> {
        let mut connection = self.0.connection().await?;
        begin(&mut connection).await.map_err(written)?;
        let done = shut(&mut connection, id, to).await;
        let done = end(&mut connection, done).await;
        Ok(self.0.handed_back(connection, done).map_err(written)?)
    }

    /// As it was before.
    pub async fn open_again(&self) -> Result<(), MoveError> {
        let mut connection = self.0.connection().await?;
        begin(&mut connection).await.map_err(written)?;
        let done = sqlx::raw_sql(OPEN_AGAIN).execute(&mut *connection).await.map(drop);
        let done = end(&mut connection, done).await;
        Ok(self.0.handed_back(connection, done).map_err(written)?)
    }

    /// All of it has arrived.
    pub async fn has_moved(&self) -> Result<(), MoveError> {
        let mut connection = self.0.connection().await?;
        let done = sqlx::query(HAS_MOVED).bind(format_utc(machine_wall())).execute(&mut *connection).await.map(drop);
        Ok(self.0.handed_back(connection, done).map_err(written)?)
    }

    /// Of all tables.
    pub async fn rows(&self) -> Result<u64, MoveError> {
        let mut rows = 0;
        for table in &TABLES {
            let count = AssertSqlSafe(format!("SELECT count(*) FROM {}", table.name));
            let count: i64 = sqlx::query_scalar(count).fetch_one(&self.0.pool).await.map_err(read)?;
            rows += count.unsigned_abs();
        }
        Ok(rows)
    }

    /// Columns that another program has added.
    pub async fn other_columns(&self, table: &Table) -> Result<Vec<String>, MoveError> {
        let mut connection = self.0.connection().await?;
        let done = other_columns(&mut connection, table.name, i64::MAX).await;
        Ok(self.0.handed_back(connection, done).map_err(read)?)
    }

    pub async fn last_id(&self) -> Result<i64, MoveError> {
        Ok(sqlx::query_scalar(LAST_ID).fetch_one(&self.0.pool).await.map_err(read)?)
    }

    /// Mailboxes, as the rows have them, whose jobs an agent had claimed when it died.
    pub async fn suspects(&self) -> Result<Vec<String>, MoveError> {
        Ok(sqlx::query_scalar(SUSPECTS).fetch_all(&self.0.pool).await.map_err(read)?)
    }

    /// The rows of a table, by its key. What an agent had claimed is read as the next start would put it back: in doubt.
    pub async fn read(&self, table: &'static Table) -> Result<Rows<'_>, MoveError> {
        self.0.present()?;
        let due = machine_wall() + REPEAT_WAIT;
        let select = AssertSqlSafe(select(table));
        Ok(Rows { rows: sqlx::query(select).bind(format_utc(due)).fetch(&self.0.pool), columns: table.columns.len() })
    }
}

async fn shut(connection: &mut SqliteConnection, id: &str, to: &str) -> sqlx::Result<()> {
    sqlx::raw_sql(SHUT).execute(&mut *connection).await?;
    sqlx::query(MARK).bind(id).bind(to).bind(format_utc(machine_wall())).execute(&mut *connection).await?;
    sqlx::query(NO_PROGRAM_KNOWS).bind(MOVED).execute(&mut *connection).await?;
    let said = to.replace('\'', "''");
    for (write, trigger) in WRITES {
        let trigger = format!(
            "CREATE TRIGGER {trigger} BEFORE {write} ON jobs BEGIN SELECT RAISE(ABORT, 'this queue has moved to {said}: write to the table jobs there'); END"
        );
        sqlx::raw_sql(AssertSqlSafe(trigger)).execute(&mut *connection).await?;
    }
    Ok(())
}

fn held(path: &Path, error: LockError) -> MoveError {
    match error {
        LockError::Held { holder } => MoveError::InUse(format!(
            "an agent (process {holder}) is running on {}: stop it first, and run the command again",
            path.display()
        )),
        error => StartError::from(error).into(),
    }
}

fn read(error: sqlx::Error) -> QueueError {
    super::errors::read(error)
}

fn written(error: sqlx::Error) -> QueueError {
    super::errors::written(error)
}

/// ?1 is when the request of a dead agent may be repeated.
fn select(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|column| expression(table, column)).collect();
    format!("SELECT {} FROM {} WHERE ?1 IS NOT NULL ORDER BY {}", columns.join(", "), table.name, table.key.join(", "))
}

/// As `recover` puts it back.
fn expression(table: &Table, column: &Column) -> String {
    let put_back = match (table.name, column.name) {
        ("jobs", "state") => "'pending'",
        ("jobs", "in_doubt") => "1",
        ("jobs", "mails") => "0",
        ("jobs", "defaulted") => "NULL",
        ("jobs", "settled") => "'claim ' || claims",
        ("jobs", "next_attempt_at") => "?1",
        ("jobs", "first_sent_at") => "coalesce(first_sent_at, claimed_at)",
        // Of a row in no lane the time it waits for is none, which is told.
        ("jobs", "mailbox_key") => return "coalesce(mailbox_key, '')".to_owned(),
        _ => return column.name.to_owned(),
    };
    format!("CASE WHEN state = 'claimed' THEN {put_back} ELSE {0} END", column.name)
}

/// Rows as they stand in the file.
pub struct Rows<'f> {
    rows: Pin<Box<dyn Stream<Item = sqlx::Result<SqliteRow>> + Send + 'f>>,
    columns: usize,
}

impl Rows<'_> {
    pub async fn next(&mut self) -> Result<Option<Vec<Raw>>, MoveError> {
        let row = std::future::poll_fn(|context| self.rows.as_mut().poll_next(context)).await;
        let Some(row) = row.transpose().map_err(read)? else { return Ok(None) };
        let raws = (0..self.columns).map(|column| raw(&row, column)).collect::<sqlx::Result<Vec<_>>>();
        Ok(Some(raws.map_err(read)?))
    }
}

fn raw(row: &SqliteRow, column: usize) -> sqlx::Result<Raw> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(Raw::Null);
    }
    let kind = value.type_info();
    Ok(match kind.name() {
        "TEXT" => Raw::Text(<&[u8] as Decode<Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?.to_owned()),
        "BLOB" => Raw::Blob,
        "REAL" => Raw::Real,
        _ => Raw::Integer(<i64 as Decode<Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?),
    })
}
