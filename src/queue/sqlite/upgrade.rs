//! The way up from an older schema. Schema 10 builds `jobs` anew, which takes minutes where there are millions of rows: one
//! transaction, so that whoever kills the program or fills the disk finds the queue as it was; copied some thousand rows at a
//! time, so that the log can tell how far it is; with what others have made on the table made again before the commit.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::migrate::{Migration, Migrator};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, SqlitePool};

use super::open::{MIGRATIONS, OpenError, schema};
use super::schema::{other_columns, others_on};
use super::settle::{begin, commit, roll_back, words};
use crate::queue::Room;

/// The migration that builds `jobs` anew.
const REBUILD: i64 = 10;
/// The tables it drops.
const REBUILT: [&str; 3] = ["jobs", "attempts", "agent"];
/// Rows copied by one statement: a fraction of a second's work.
const PART: i64 = 20_000;
/// Between two lines of the log.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The copy in the log first, and then in the file: the old one's pages are free only after that.
const COPIES: u64 = 2;

/// Brings the schema up to date.
pub(super) async fn upgrade(pool: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Migrate { path: path.to_owned(), source: Box::new(source) };
    if (1..REBUILD).contains(&schema(pool, path).await?) {
        before_the_rebuild().run(pool).await.map_err(failed)?;
        rebuild(pool, path).await?;
    }
    MIGRATIONS.run(pool).await.map_err(failed)
}

fn before_the_rebuild() -> Migrator {
    let older = MIGRATIONS.iter().filter(|migration| migration.version < REBUILD).cloned().collect::<Vec<_>>();
    Migrator { migrations: older.into(), ..sqlx::migrate!() }
}

async fn rebuild(pool: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let Some(migration) = MIGRATIONS.iter().find(|migration| migration.version == REBUILD) else { return Ok(()) };
    let sqlite = |source| OpenError::Migrate { path: path.to_owned(), source: Box::new(sqlx::Error::into(source)) };
    let mut connection = pool.acquire().await.map_err(sqlite)?;
    has_room(&mut connection, path).await?;
    // What indexes are sorted in may be larger than memory should be.
    let patient = "PRAGMA temp_store = file; PRAGMA cache_size = -65536";
    sqlx::raw_sql(patient).execute(&mut *connection).await.map_err(sqlite)?;
    let done = in_one_transaction(&mut connection, path, migration).await;
    if done.is_err() {
        roll_back(&mut connection).await;
    }
    // Its settings are not those of a queue any more.
    let _ = connection.close().await;
    done
}

/// Who has not enough room finds out before minutes are spent, and before others who write to the disk do.
async fn has_room(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let used = "SELECT (page_count - freelist_count) * page_size
        FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()";
    let used: i64 = sqlx::query_scalar(used)
        .fetch_one(connection)
        .await
        .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
    let needed = COPIES * used.unsigned_abs();
    match Room::of(path).free {
        Some(free) if free < needed => Err(OpenError::NoRoom { path: path.to_owned(), needed, free }),
        _ => Ok(()),
    }
}

async fn in_one_transaction(
    connection: &mut SqliteConnection,
    path: &Path,
    migration: &Migration,
) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Migrate { path: path.to_owned(), source: Box::new(sqlx::Error::into(source)) };
    let started = Instant::now();
    begin(connection).await.map_err(sqlite)?;
    let known = "SELECT EXISTS (SELECT 1 FROM _sqlx_migrations WHERE version = ?1)";
    if sqlx::query_scalar(known).bind(REBUILD).fetch_one(&mut *connection).await.map_err(sqlite)? {
        // Another program was first.
        return commit(connection).await.map_err(sqlite);
    }
    let others = others_on(connection, &REBUILT, REBUILD).await.map_err(sqlite)?;
    only_our_columns(connection, path).await?;
    let mut progress = Progress::new(connection, started).await.map_err(sqlite)?;
    for part in parts(migration.sql.as_str()) {
        match part {
            Part::AtOnce(sql) => run(connection, sql).await.map_err(sqlite)?,
            Part::Copy { table, sql } => copy(connection, &mut progress, table, sql).await.map_err(sqlite)?,
        }
    }
    for other in &others {
        run(connection, &other.sql).await.map_err(|error| OpenError::Others {
            path: path.to_owned(),
            what: format!("the {} {} on {} ({})", other.kind, other.name, other.table, words(&error)),
        })?;
    }
    let noted = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (?1, ?2, TRUE, ?3, ?4)";
    sqlx::query(noted)
        .bind(migration.version)
        .bind(migration.description.as_ref())
        .bind(migration.checksum.as_ref())
        .bind(i64::try_from(started.elapsed().as_nanos()).unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await
        .map_err(sqlite)?;
    commit(connection).await.map_err(sqlite)?;
    progress.done(others.len());
    Ok(())
}

/// A column that somebody has added would be gone, with all that is in it.
async fn only_our_columns(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let theirs = other_columns(connection, "jobs", REBUILD).await.map_err(sqlite)?;
    match theirs.as_slice() {
        [] => Ok(()),
        theirs => Err(OpenError::Others {
            path: path.to_owned(),
            what: format!("the columns {} of jobs, which are not the queue's own", theirs.join(", ")),
        }),
    }
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
    let end = format!("SELECT max(id) FROM (SELECT id FROM {table} WHERE id > ?1 ORDER BY id LIMIT ?2)");
    let some = format!("{sql} WHERE id > ?1 AND id <= ?2 ORDER BY id");
    let mut from = i64::MIN;
    loop {
        let end: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(end.clone())).bind(from).bind(PART).fetch_one(&mut *connection).await?;
        let Some(to) = end else { return Ok(()) };
        let done = sqlx::query(AssertSqlSafe(some.clone())).bind(from).bind(to).execute(&mut *connection).await?;
        progress.copied(table, done.rows_affected());
        from = to;
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
        Ok(Self { started, told: Instant::now(), rows: 0, of })
    }

    fn copied(&mut self, table: &str, rows: u64) {
        self.rows += rows;
        if self.told.elapsed() >= TELL_EVERY || self.rows == self.of {
            self.told = Instant::now();
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
