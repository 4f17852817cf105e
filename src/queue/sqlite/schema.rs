//! The rules of the queue as they are in the file, beside those this program makes. A rebuild of a table, as mappers do it, drops
//! its triggers and indexes without a word; a trigger of somebody else's may refuse what the agent has to write.

use std::collections::HashMap;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::transaction::{begin, commit, is_refusal, roll_back, words};
use crate::queue::QueueError;
use crate::queue::sqlite::errors::written;
use crate::queue::sqlite::store::SqliteQueue;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!();

/// A table, an index or a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `table`, `index` or `trigger`.
    pub kind: String,
    pub name: String,
    /// The table it is on.
    pub table: String,
    pub(super) sql: String,
}

/// What is not as this program makes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Gone.
    pub missing: Vec<Rule>,
    /// There, but with another content.
    pub changed: Vec<Rule>,
    /// Somebody else's triggers and unique indexes on the queue's tables: they may refuse what the agent has to write.
    pub strange: Vec<Rule>,
}

/// What was made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// As it was.
    pub made: Vec<Rule>,
    /// Not, and why.
    pub failed: Vec<(Rule, String)>,
}

/// SQLite's own and sqlx's own are not rules.
const OBJECTS: &str = "SELECT type, name, tbl_name, sql FROM sqlite_master
    WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY rowid";

/// Whose turn it is among the jobs of an event, and when it is too late for one. The triggers write what is right.
const IN_ORDER_AGAIN: &str = "UPDATE jobs SET behind = behind, not_after = not_after WHERE state = 'pending'
        AND (event_key IS NOT NULL OR target_event_id IS NOT NULL OR not_after IS NOT NULL OR behind IS NOT NULL)";

/// The table that cannot be made again without what was in it.
const JOBS: &str = "jobs";

impl SqliteQueue {
    /// Compares. Reads only.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn rules(&self) -> sqlx::Result<Rules> {
        compare(&mut *self.pool.acquire().await?).await
    }

    /// Makes again what is missing or was changed, but for the table of the jobs and tables with another content. For the agent,
    /// which holds the lock.
    ///
    /// # Errors
    /// The storage is in trouble.
    pub async fn repair(&self) -> Result<Repairs, QueueError> {
        let mut connection = self.connection().await?;
        let done = repair(&mut connection).await;
        self.handed_back(connection, done).map_err(written)
    }
}

/// The names of triggers on the table of the jobs that are not the queue's.
pub(super) async fn strange_triggers(connection: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    let strange = compare(connection).await?.strange.into_iter();
    Ok(strange.filter(|rule| rule.kind == "trigger" && rule.table == JOBS).map(|rule| rule.name).collect())
}

async fn compare(connection: &mut SqliteConnection) -> sqlx::Result<Rules> {
    let (expected, found) = (expected().await?, objects(connection).await?);
    let by_name = |rules: &[Rule]| -> HashMap<(String, String), Rule> {
        // Names are the same in any case.
        rules.iter().map(|rule| ((rule.kind.clone(), rule.name.to_ascii_lowercase()), rule.clone())).collect()
    };
    let (ours, theirs) = (by_name(&expected), by_name(&found));
    let mut rules = Rules::default();
    for (key, rule) in expected.iter().map(|rule| ((rule.kind.clone(), rule.name.to_ascii_lowercase()), rule)) {
        match theirs.get(&key) {
            None => rules.missing.push(rule.clone()),
            Some(found) if plain(&found.sql) != plain(&rule.sql) => rules.changed.push(rule.clone()),
            Some(_) => {}
        }
    }
    let is_ours =
        |table: &str| expected.iter().any(|rule| rule.kind == "table" && rule.name.eq_ignore_ascii_case(table));
    rules.strange = found
        .into_iter()
        .filter(|rule| !ours.contains_key(&(rule.kind.clone(), rule.name.to_ascii_lowercase())) && is_ours(&rule.table))
        .filter(|rule| {
            rule.kind == "trigger" || plain(&rule.sql).to_ascii_lowercase().starts_with("create unique index")
        })
        .collect();
    Ok(rules)
}

/// Indexes and triggers on these tables that are not the queue's own, as it was before the migration of this version.
pub(super) async fn others_on(
    connection: &mut SqliteConnection,
    tables: &[&str],
    version: i64,
) -> sqlx::Result<Vec<Rule>> {
    let known = objects(&mut in_memory(version).await?).await?;
    let is_ours =
        |rule: &Rule| known.iter().any(|ours| ours.kind == rule.kind && ours.name.eq_ignore_ascii_case(&rule.name));
    let on_them = |rule: &Rule| tables.iter().any(|table| table.eq_ignore_ascii_case(&rule.table));
    let found = objects(connection).await?.into_iter();
    let others = found.filter(|rule| matches!(rule.kind.as_str(), "index" | "trigger"));
    Ok(others.filter(|rule| on_them(rule) && !is_ours(rule)).collect())
}

/// The columns of a table that are not the queue's own, as it was before the migration of this version.
pub(super) async fn other_columns(
    connection: &mut SqliteConnection,
    table: &str,
    version: i64,
) -> sqlx::Result<Vec<String>> {
    let columns = "SELECT name FROM pragma_table_xinfo(?1)";
    let known: Vec<String> = sqlx::query_scalar(columns).bind(table).fetch_all(&mut in_memory(version).await?).await?;
    let found: Vec<String> = sqlx::query_scalar(columns).bind(table).fetch_all(connection).await?;
    let is_ours = |name: &String| known.iter().any(|ours| ours.eq_ignore_ascii_case(name));
    Ok(found.into_iter().filter(|name| !is_ours(name)).collect())
}

/// As this program makes them.
async fn expected() -> sqlx::Result<Vec<Rule>> {
    objects(&mut in_memory(i64::MAX).await?).await
}

/// The migrations before this version, run in memory.
async fn in_memory(version: i64) -> sqlx::Result<SqliteConnection> {
    let mut memory = SqliteConnectOptions::new().in_memory(true).disable_statement_logging().connect().await?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version < version) {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut memory).await?;
    }
    Ok(memory)
}

async fn objects(connection: &mut SqliteConnection) -> sqlx::Result<Vec<Rule>> {
    let rows: Vec<(String, String, String, String)> = sqlx::query_as(OBJECTS).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(kind, name, table, sql)| Rule { kind, name, table, sql }).collect())
}

/// Without what SQLite and mappers write differently: white space, and quotes around names.
fn plain(sql: &str) -> String {
    let bare: String = sql.chars().filter(|char| !matches!(char, '"' | '`' | '[' | ']')).collect();
    bare.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(").replace(" )", ")").replace(" (", "(")
}

async fn repair(connection: &mut SqliteConnection) -> sqlx::Result<Repairs> {
    let rules = compare(connection).await?;
    let gone = rules.missing.into_iter().filter(|rule| rule.kind != "table" || rule.name != JOBS);
    let other = rules.changed.into_iter().filter(|rule| rule.kind != "table");
    let mut wanted: Vec<(Rule, bool)> = gone.map(|rule| (rule, false)).chain(other.map(|rule| (rule, true))).collect();
    // The rules of a table come after it.
    wanted.sort_by_key(|(rule, _)| rule.kind != "table");
    let mut repairs = Repairs::default();
    for (rule, there) in wanted {
        match make(connection, &rule, there).await {
            Ok(()) => repairs.made.push(rule),
            Err(error) => {
                roll_back(connection).await;
                if !is_refusal(&error) {
                    return Err(error);
                }
                repairs.failed.push((rule, words(&error)));
            }
        }
    }
    if repairs.made.iter().any(|rule| rule.kind == "trigger") {
        // What the triggers would have written meanwhile.
        sqlx::raw_sql(IN_ORDER_AGAIN).execute(connection).await?;
    }
    Ok(repairs)
}

async fn make(connection: &mut SqliteConnection, rule: &Rule, there: bool) -> sqlx::Result<()> {
    begin(connection).await?;
    if there {
        let drop = format!("DROP {} {}", rule.kind, rule.name);
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *connection).await?;
    }
    sqlx::raw_sql(AssertSqlSafe(rule.sql.clone())).execute(&mut *connection).await?;
    commit(connection).await
}
