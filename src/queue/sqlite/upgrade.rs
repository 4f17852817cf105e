//! The way up from an older schema. Schema 10 builds `jobs` anew, which takes minutes where there are millions of rows: one
//! transaction, so that whoever kills the program or fills the disk finds the queue as it was; copied some thousand rows at a
//! time, so that the log can tell how far it is; with what others have made on the table made again before the commit.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, SqlitePool};

use super::clock::steady;
use super::schema::{MIGRATIONS, Rule, other_columns, others_on};
use super::transaction::{begin, commit, is_refusal, roll_back, words};

/// The migration that builds `jobs` anew.
const REBUILD: i64 = 10;
/// The tables it drops.
const REBUILT: [&str; 3] = ["jobs", "attempts", "agent"];
/// Rows copied by one statement: a fraction of a second's work.
const PART: i64 = 20_000;
/// Between two lines of the log.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The copy is in the log first, with pages of its indexes more than once, and then in the file: the old one's pages are free only
/// after that. Of a million rows (469 MB) it took 2.6 times as much.
const COPIES: u64 = 3;

/// Why the schema is as old as it was.
pub(super) enum UpgradeError {
    /// There is not room enough: bytes needed, and free.
    NoRoom {
        needed: u64,
        free: u64,
    },
    /// This of somebody else's would be lost.
    Others(String),
    Migrate(MigrateError),
}

impl From<sqlx::Error> for UpgradeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Migrate(error.into())
    }
}

impl From<MigrateError> for UpgradeError {
    fn from(error: MigrateError) -> Self {
        Self::Migrate(error)
    }
}

/// Brings the schema up to date, which was `found` to be of this version; 0: there is none yet.
pub(super) async fn upgrade(pool: &SqlitePool, path: &Path, found: i64) -> Result<(), UpgradeError> {
    let rebuild = MIGRATIONS.iter().find(|migration| migration.version == REBUILD);
    if let Some(migration) = rebuild.filter(|_| (1..REBUILD).contains(&found)) {
        before_the_rebuild().run(pool).await?;
        self::rebuild(pool, path, migration).await?;
    }
    Ok(MIGRATIONS.run(pool).await?)
}

fn before_the_rebuild() -> Migrator {
    let older = MIGRATIONS.iter().filter(|migration| migration.version < REBUILD).cloned().collect::<Vec<_>>();
    Migrator { migrations: older.into(), ..Migrator::DEFAULT }
}

async fn rebuild(pool: &SqlitePool, path: &Path, migration: &Migration) -> Result<(), UpgradeError> {
    let mut connection = pool.acquire().await?;
    has_room(&mut connection, path).await?;
    // What indexes are sorted in may be larger than memory should be.
    let patient = "PRAGMA temp_store = file; PRAGMA cache_size = -65536";
    sqlx::raw_sql(patient).execute(&mut *connection).await?;
    let done = in_one_transaction(&mut connection, migration).await;
    if done.is_err() {
        roll_back(&mut connection).await;
    }
    // Its settings are not those of a queue any more.
    let _ = connection.close().await;
    done
}

/// Who has not enough room finds out before minutes are spent, and before others who write to the disk do.
async fn has_room(connection: &mut SqliteConnection, path: &Path) -> Result<(), UpgradeError> {
    let used = "SELECT (page_count - freelist_count) * page_size
        FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()";
    let used: i64 = sqlx::query_scalar(used).fetch_one(connection).await?;
    let needed = COPIES * used.unsigned_abs();
    match rustix::fs::statvfs(path).map(|system| system.f_bavail.saturating_mul(system.f_frsize)) {
        Ok(free) if free < needed => Err(UpgradeError::NoRoom { needed, free }),
        _ => Ok(()),
    }
}

async fn in_one_transaction(connection: &mut SqliteConnection, migration: &Migration) -> Result<(), UpgradeError> {
    let started = steady();
    begin(connection).await?;
    let known = "SELECT EXISTS (SELECT 1 FROM _sqlx_migrations WHERE version = ?1)";
    if sqlx::query_scalar(known).bind(REBUILD).fetch_one(&mut *connection).await? {
        // Another program was first.
        return Ok(commit(connection).await?);
    }
    only_our_columns(connection).await?;
    let others = others_on(connection, &REBUILT, REBUILD).await?;
    let mut progress = Progress::new(connection, started).await?;
    for part in parts(migration.sql.as_str()) {
        match part {
            Part::AtOnce(sql) => run(connection, sql).await?,
            Part::Copy { table, sql } => copy(connection, &mut progress, table, sql).await?,
        }
    }
    for other in &others {
        make_again(connection, other).await?;
    }
    let noted = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (?1, ?2, TRUE, ?3, ?4)";
    sqlx::query(noted)
        .bind(migration.version)
        .bind(migration.description.as_ref())
        .bind(migration.checksum.as_ref())
        .bind(i64::try_from(started.elapsed().as_nanos()).unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await?;
    commit(connection).await?;
    progress.done(others.len());
    Ok(())
}

/// A column that another program has added would be gone, with all that is in it.
async fn only_our_columns(connection: &mut SqliteConnection) -> Result<(), UpgradeError> {
    for table in REBUILT {
        let theirs = other_columns(connection, table, REBUILD).await?;
        if !theirs.is_empty() {
            let columns = theirs.join(", ");
            return Err(UpgradeError::Others(format!(
                "the columns {columns} of {table}, which are not the queue's own"
            )));
        }
    }
    Ok(())
}

async fn make_again(connection: &mut SqliteConnection, other: &Rule) -> Result<(), UpgradeError> {
    let Err(error) = run(connection, &other.sql).await else { return Ok(()) };
    if !is_refusal(&error) {
        return Err(error.into());
    }
    let Rule { kind, name, table, .. } = other;
    Err(UpgradeError::Others(format!("the {kind} {name} on {table} ({})", words(&error))))
}

/// A piece of the migration's text.
enum Part<'s> {
    AtOnce(&'s str),
    /// `sql` copies all rows of `table`, which has an `id`.
    Copy {
        table: &'s str,
        sql: &'s str,
    },
}

/// At the lines `-- copy TABLE` and `-- copied`.
fn parts(sql: &str) -> Vec<Part<'_>> {
    let mut pieces = sql.split("\n-- copy ");
    let mut parts: Vec<Part<'_>> = pieces.next().map(Part::AtOnce).into_iter().collect();
    for piece in pieces {
        let copy = piece.split_once('\n').and_then(|(table, rest)| Some((table, rest.split_once("\n-- copied\n;")?)));
        match copy {
            Some((table, (sql, rest))) => parts.extend([Part::Copy { table, sql }, Part::AtOnce(rest)]),
            None => parts.push(Part::AtOnce(piece)),
        }
    }
    parts
}

async fn run(connection: &mut SqliteConnection, sql: &str) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.map(drop)
}

async fn copy(connection: &mut SqliteConnection, progress: &mut Progress, table: &str, sql: &str) -> sqlx::Result<()> {
    let end = format!("SELECT max(id) FROM (SELECT id FROM {table} WHERE id >= ?1 ORDER BY id LIMIT ?2)");
    let some = format!("{sql} WHERE id BETWEEN ?1 AND ?2 ORDER BY id");
    let mut from = i64::MIN;
    loop {
        let end: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(end.clone())).bind(from).bind(PART).fetch_one(&mut *connection).await?;
        let Some(to) = end else { return Ok(()) };
        let done = sqlx::query(AssertSqlSafe(some.clone())).bind(from).bind(to).execute(&mut *connection).await?;
        progress.copied(table, done.rows_affected());
        let Some(next) = to.checked_add(1) else { return Ok(()) };
        from = next;
    }
}

/// How far it is, for the log.
struct Progress {
    started: Instant,
    told: Instant,
    rows: u64,
    of: u64,
}

impl Progress {
    async fn new(connection: &mut SqliteConnection, started: Instant) -> sqlx::Result<Self> {
        let rows = "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM attempts)";
        let of: i64 = sqlx::query_scalar(rows).fetch_one(connection).await?;
        let of = of.unsigned_abs();
        tracing::info!(rows = of, "bringing the queue up to date");
        Ok(Self { started, told: steady(), rows: 0, of })
    }

    fn copied(&mut self, table: &str, rows: u64) {
        self.rows += rows;
        if self.told.elapsed() >= TELL_EVERY || self.rows == self.of {
            self.told = steady();
            tracing::info!(rows_done = self.rows, rows = self.of, table, "queue is being brought up to date");
        }
    }

    fn done(&self, others: usize) {
        let seconds = self.started.elapsed().as_secs();
        tracing::info!(rows = self.of, seconds, others_made_again = others, "queue is up to date");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_rebuild_copies_both_tables_in_parts_and_nothing_of_its_text_is_lost() {
        let migration = MIGRATIONS.iter().find(|migration| migration.version == REBUILD).unwrap();
        let parts = parts(migration.sql.as_str());
        let copied = parts.iter().filter_map(|part| match part {
            Part::Copy { table, sql } => Some((*table, sql.trim_start().starts_with("INSERT"))),
            Part::AtOnce(_) => None,
        });
        assert_eq!(copied.collect::<Vec<_>>(), [("jobs", true), ("attempts", true)]);
        let length: usize = parts
            .iter()
            .map(|part| match part {
                Part::AtOnce(sql) => sql.len(),
                Part::Copy { table, sql } => "\n-- copy ".len() + table.len() + 1 + sql.len() + "\n-- copied\n;".len(),
            })
            .sum();
        assert_eq!(length, migration.sql.as_str().len());
    }
}
