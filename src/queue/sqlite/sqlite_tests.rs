//! The SQLite queue on real files: opening, inserting and looking, and the bed the other tests of the queue lie in.
//! A foreign program is played by a second connection with nobody's settings but SQLite's and sqlx's own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "report/census_tests.rs"]
mod census_tests;
#[path = "claim/claim_tests.rs"]
mod claim_tests;
mod events_tests;
mod hands_tests;
#[path = "operate/holds_tests.rs"]
mod holds_tests;
mod recover_tests;
#[path = "operate/repair_tests.rs"]
mod repair_tests;
mod schema_tests;
mod settle_tests;
#[path = "report/status_tests.rs"]
mod status_tests;
mod upgrade_tests;

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Decode, Row, Sqlite, Type};
use tempfile::TempDir;

use super::report::columns::stored;
use super::schema::Rules;
use super::*;
use crate::clock::{Clock, Now};
use crate::job::{BodyType, Cell, Defaults, Job, JobId, JobState, format_utc};
use crate::queue::{
    Agent, AgentStatus, Changed, ClaimRequest, Claimed, InsertError, JobFilter, LaneKey, MailboxNews, NewJob, Operate,
    Overview, Pause, Produce, Purgeable, QueueError, Read, Recovered, Selection, Settled, Settlement, Stored, Suspects,
    Verdict,
};

fn by_clock(queue: SqliteQueue, clock: &Arc<Mutex<Now>>) -> SqliteQueue {
    let shown = clock.clone();
    queue.with_clock(Clock::new(move || *shown.lock().unwrap()))
}

/// A queue of its own, and the clock its times are kept by.
struct Bed {
    queue: SqliteQueue,
    clock: Arc<Mutex<Now>>,
    _dir: TempDir,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let queue = SqliteQueue::open(&dir.path().join("queue.db")).await.unwrap();
        let clock = Arc::new(Mutex::new(at_ms(0)));
        Self { queue: by_clock(queue, &clock), clock, _dir: dir }
    }

    /// Time goes by until then.
    fn wait_until(&self, ms: i64) {
        let mut clock = self.clock.lock().unwrap();
        let passed = in_ms(ms) - clock.wall;
        *clock = Now { wall: in_ms(ms), steady: moved(clock.steady, passed) };
    }

    /// The wall clock is set to `now` from a time `by` earlier, and the agent comes by.
    async fn clock_set(&self, now: DateTime<Utc>, by: TimeDelta) {
        self.wait_until((now - by - in_ms(0)).num_milliseconds());
        self.news().await;
        self.clock.lock().unwrap().wall = now;
        self.news().await;
    }

    /// What a claim that takes nothing tells.
    async fn news(&self) -> MailboxNews {
        self.queue.claim(&ClaimRequest { limit: 0, ..request() }).await.unwrap().news
    }

    async fn claim_at(&self, ms: i64) -> Claimed {
        self.wait_until(ms);
        self.news().await;
        self.queue.claim(&request()).await.unwrap()
    }

    /// Those that are not over then.
    async fn pauses(&self, then: DateTime<Utc>) -> Vec<Pause> {
        settle::pauses(&mut self.queue.connection().await.unwrap(), then).await.unwrap()
    }

    async fn settle(&self, ends: &[Settlement]) -> Vec<Settled> {
        self.queue.settle(&ends.iter().collect::<Vec<_>>()).await.unwrap()
    }

    /// A foreign program.
    async fn stranger(&self) -> SqliteConnection {
        connect(self.queue.path()).await
    }

    /// All there is, large rows too, which are taken apart from the others.
    async fn claim(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        loop {
            let claimed = self.queue.claim(&request()).await.unwrap();
            jobs.extend(claimed.jobs.into_iter().map(|(_, job)| job));
            if !claimed.more {
                return jobs;
            }
        }
    }

    /// Every column of a job.
    async fn row(&self, id: i64) -> Record {
        self.rows("SELECT * FROM jobs WHERE id = ?1", id).await.remove(0)
    }

    async fn due(&self, id: i64) -> String {
        self.row(id).await["next_attempt_at"].as_str().unwrap().to_owned()
    }

    async fn attempts(&self, id: i64) -> Vec<Record> {
        self.rows("SELECT * FROM attempts WHERE job_id = ?1 ORDER BY claim", id).await
    }

    async fn rows(&self, select: &'static str, id: i64) -> Vec<Record> {
        sqlx::query(select).bind(id).fetch_all(&self.queue.pool).await.unwrap().iter().map(record).collect()
    }
}

/// A row by the names of its columns.
type Record = serde_json::Map<String, Value>;

fn record(row: &SqliteRow) -> Record {
    let value = |name: &str| match stored(row, name).unwrap() {
        Stored::Null => Value::Null,
        Stored::Integer(number) => number.into(),
        Stored::Real(number) => number.into(),
        other => other.to_string().into(),
    };
    row.columns().iter().map(|column| (column.name().to_owned(), value(column.name()))).collect()
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

/// The agent's time in these tests: every job without a time of its own is due.
fn now() -> DateTime<Utc> {
    "2100-01-01T00:00:00Z".parse().unwrap()
}

fn in_ms(milliseconds: i64) -> DateTime<Utc> {
    now() + TimeDelta::milliseconds(milliseconds)
}

/// The same on both clocks.
fn at_ms(milliseconds: i64) -> Now {
    static BEGIN: LazyLock<Instant> = LazyLock::new(|| Instant::now() + Duration::from_secs(1_000_000));
    Now { wall: in_ms(milliseconds), steady: moved(*BEGIN, TimeDelta::milliseconds(milliseconds)) }
}

fn moved(steady: Instant, by: TimeDelta) -> Instant {
    let length = by.abs().to_std().unwrap();
    if by < TimeDelta::zero() { steady - length } else { steady + length }
}

fn request() -> ClaimRequest {
    ClaimRequest {
        limit: 1000,
        per_lane: 1000,
        slots: 1000,
        free: HashMap::new(),
        suspects: Suspects::default(),
        unnamed: Some("Team@contoso.com".into()),
        unnamed_paused: false,
        paced: Default::default(),
        defaults: Defaults {
            mailbox: Some("Team@contoso.com".into()),
            body_type: BodyType::Text,
            time_zone: Some("Europe/Berlin".into()),
            own_mailbox: false,
        },
    }
}

async fn try_run(db: &mut SqliteConnection, sql: &str) -> sqlx::Result<u64> {
    Ok(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(db).await?.rows_affected())
}

async fn run(db: &mut SqliteConnection, sql: &str) -> u64 {
    try_run(db, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// What the database says against a statement.
async fn refusal(db: &mut SqliteConnection, sql: &str) -> String {
    match try_run(db, sql).await {
        Ok(rows) => panic!("accepted, {rows} rows: {sql}"),
        Err(error) => error.as_database_error().unwrap().message().to_owned(),
    }
}

async fn one<T>(db: &mut SqliteConnection, sql: &str) -> T
where
    T: Type<Sqlite> + for<'r> Decode<'r, Sqlite> + Send + Unpin,
{
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(db).await.unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// An INSERT of these columns, and of times if none are named.
fn insert(columns: &[(&str, &str)]) -> String {
    let mut all = columns.to_vec();
    for (column, value) in [("start_time", "'2026-12-01T09:00:00'"), ("end_time", "'2026-12-01T10:00:00'")] {
        if columns.iter().all(|(name, _)| *name != column) {
            all.push((column, value));
        }
    }
    let (names, values): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    format!("INSERT INTO jobs ({}) VALUES ({})", names.join(", "), values.join(", "))
}

/// A row with these columns. One that is claimed is claimed after its insert, as by an agent that died.
async fn add(db: &mut SqliteConnection, columns: &[(&str, &str)]) -> i64 {
    if !columns.contains(&("state", "'claimed'")) {
        run(db, &insert(columns)).await;
        return one(db, "SELECT last_insert_rowid()").await;
    }
    let (claim, others): (Vec<_>, Vec<_>) =
        columns.iter().copied().partition(|(name, _)| matches!(*name, "state" | "claims" | "claimed_at"));
    run(db, &insert(&others)).await;
    let id = one(db, "SELECT last_insert_rowid()").await;
    let mut claim: HashMap<_, _> = claim.into_iter().collect();
    claim.entry("claims").or_insert("1");
    let claim: Vec<String> = claim.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
    run(db, &format!("UPDATE jobs SET {} WHERE id = {id}", claim.join(", "))).await;
    id
}

/// The columns that are different now, with their new values.
fn changes(before: &Record, after: &Record) -> Value {
    after.iter().filter(|(name, value)| before[*name] != **value).map(|(n, v)| (n.clone(), v.clone())).collect()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn job(subject: &str) -> NewJob {
    NewJob {
        subject: Some(subject.into()),
        start_time: Some("2026-12-01T09:00:00".into()),
        end_time: Some("2026-12-01T10:00:00".into()),
        ..NewJob::default()
    }
}

// Opening

#[tokio::test]
async fn a_new_queue_and_its_directory_are_writable_by_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/queue.db");
    let queue = SqliteQueue::open(&path).await.unwrap();
    queue.insert(&[job("one")]).await.unwrap();
    assert_eq!(mode(&dir.path().join("made")), 0o2770);
    for file in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        assert_eq!(mode(&dir.path().join("made").join(file)), 0o660, "{file}");
    }
}

#[tokio::test]
async fn a_directory_and_a_file_that_were_there_keep_their_modes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queue.db");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::File::create(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    SqliteQueue::open(&path).await.unwrap();
    assert_eq!((mode(dir.path()), mode(&path)), (0o755, 0o640));
}

#[tokio::test]
async fn a_queue_outlives_its_program() {
    let bed = Bed::new().await;
    bed.queue.insert(&[job("kept")]).await.unwrap();
    bed.queue.close().await;
    for queue in [SqliteQueue::open(bed.queue.path()).await, SqliteQueue::open_existing(bed.queue.path()).await] {
        assert_eq!(queue.unwrap().outstanding().await.unwrap(), 1);
    }
}

#[tokio::test]
async fn the_log_is_ahead_and_every_commit_is_synced() {
    let bed = Bed::new().await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&bed.queue.pool).await.unwrap();
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&bed.queue.pool).await.unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2));
    let reader = SqliteQueue::open_existing(bed.queue.path()).await.unwrap();
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&reader.pool).await.unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn programs_that_start_at_once_on_a_new_queue_all_find_it_ready() {
    for _ in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/queue.db");
        let starts: Vec<_> = (0..4)
            .map(|n| {
                let path = path.clone();
                tokio::spawn(async move {
                    let queue = SqliteQueue::open(&path).await.unwrap_or_else(|error| panic!("{n}: {error}"));
                    queue.insert(&[job("one")]).await.unwrap();
                })
            })
            .collect();
        for start in starts {
            start.await.unwrap();
        }
        assert_eq!(SqliteQueue::open_existing(&path).await.unwrap().outstanding().await.unwrap(), 4);
    }
}

#[tokio::test]
async fn a_queue_of_a_newer_program_is_refused_naming_both_schemas() {
    let bed = Bed::new().await;
    let known: i64 = one(&mut bed.stranger().await, "SELECT max(version) FROM _sqlx_migrations").await;
    run(
        &mut bed.stranger().await,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99, 'later', 1, x'00', 0)",
    )
    .await;
    for refused in [SqliteQueue::open(bed.queue.path()).await, SqliteQueue::open_existing(bed.queue.path()).await] {
        let error = refused.err().unwrap();
        assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("schema 99") && message.contains(&format!("knows {known}")), "{message}");
        assert!(message.contains(bed.queue.path().to_str().unwrap()) && message.contains("update"), "{message}");
    }
}

/// The statements by which the runbook takes the schema one step back.
fn step_back(from: i64) -> String {
    match from {
        12 => return include_str!("../../../docs/schema-12-to-11.sql").to_owned(),
        11 => return include_str!("../../../docs/schema-11-to-10.sql").to_owned(),
        10 => return include_str!("../../../docs/schema-10-to-9.sql").to_owned(),
        _ => {}
    }
    let runbook = include_str!("../../../docs/operate/runbook.md");
    let (_, rest) = runbook.split_once(&format!("rom schema {from} to ")).unwrap();
    let (_, rest) = rest.split_once("<<'SQL'\n").unwrap();
    rest.split_once("    SQL\n").unwrap().0.to_owned()
}

#[tokio::test]
async fn an_older_queue_as_the_runbook_makes_it_is_brought_up_to_date_with_what_is_in_it() {
    let bed = Bed::new().await;
    bed.queue.insert(&[job("kept")]).await.unwrap();
    bed.queue.close().await;
    let path = bed.queue.path();
    // Numbers may be left out.
    let schemas: Vec<i64> = schema::MIGRATIONS.iter().map(|migration| migration.version).collect();
    for (place, newest) in schemas.iter().copied().enumerate().filter(|(_, schema)| *schema >= 3) {
        for step in schemas[place..].iter().copied().rev() {
            sqlx::raw_sql(sqlx::AssertSqlSafe(step_back(step))).execute(&mut bed.stranger().await).await.unwrap();
        }
        if newest > 3 {
            let agents = if schemas[place - 1] < 10 { "agent" } else { "agents" };
            let agent = format!(
                "INSERT OR REPLACE INTO {agents} (id, version, started_at, settings_at) VALUES (1, '9.9', 'x', 'x')"
            );
            run(&mut bed.stranger().await, &agent).await;
        }
        let older = SqliteQueue::open_existing(path).await.err().unwrap();
        assert!(matches!(older, OpenError::Older { found, .. } if found == schemas[place - 1]), "{older:?}");
        let queue = SqliteQueue::open(path).await.unwrap();
        assert_eq!(queue.outstanding().await.unwrap(), 1);
        assert_eq!(queue.rules().await.unwrap(), Rules::default());
        let known: i64 = one(&mut bed.stranger().await, "SELECT count(*) FROM agents WHERE credential IS NULL").await;
        assert_eq!(known, i64::from(newest > 3));
        queue.close().await;
    }
}

#[tokio::test]
async fn the_way_back_from_schema_12_has_its_old_words() {
    let bed = Bed::new().await;
    bed.queue.close().await;
    let db = &mut bed.stranger().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(step_back(12))).execute(&mut *db).await.unwrap();
    let older = &mut SqliteConnectOptions::new().in_memory(true).connect().await.unwrap();
    for migration in schema::MIGRATIONS.iter().filter(|migration| migration.version < 12) {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut *older).await.unwrap();
    }
    for name in ["jobs", "jobs_unfit"] {
        let sql = format!("SELECT sql FROM sqlite_master WHERE name = '{name}'");
        let (back, before): (String, String) = (one(db, &sql).await, one(older, &sql).await);
        assert!(back.contains(" IN (") && before.contains(" IN ("), "{back}");
        assert_eq!(back, before);
    }
}

#[tokio::test]
async fn who_only_looks_makes_no_queue() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none/queue.db");
    let error = SqliteQueue::open_existing(&path).await.err().unwrap();
    assert!(matches!(error, OpenError::Missing(_)), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(!dir.path().join("none").exists());
}

#[tokio::test]
async fn another_programs_database_is_left_as_it_is_by_everybody() {
    let migrations = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
        installed_on TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL);
        INSERT INTO _sqlx_migrations VALUES (1, 'queue', NULL, 1, x'00', 1)";
    for theirs in [
        "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)",
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT)",
        "CREATE VIEW theirs AS SELECT 1",
        "PRAGMA application_id = 252006673",
        "PRAGMA user_version = 3",
        "CREATE TABLE _sqlx_migrations (version INTEGER); INSERT INTO _sqlx_migrations VALUES (1)",
        migrations,
    ] {
        for mode in ["DELETE", "WAL"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("other.db");
            let mut owner =
                SqliteConnectOptions::new().filename(&path).create_if_missing(true).connect().await.unwrap();
            run(&mut owner, &format!("PRAGMA journal_mode = {mode}; {theirs}")).await;
            owner.close().await.unwrap();
            let before = std::fs::read(&path).unwrap();
            for refused in [
                SqliteQueue::open_existing(&path).await,
                SqliteQueue::open(&path).await,
                SqliteQueue::open_to_insert(&path).await,
            ] {
                let error = refused.err().unwrap();
                assert!(matches!(error, OpenError::Foreign(_)), "{theirs}: {error:?}");
                assert!(error.to_string().contains("other.db") && error.to_string().contains("queue.path"), "{error}");
            }
            assert!(std::fs::read(&path).unwrap() == before, "{mode} {theirs}: the file was changed");
            assert_eq!(
                std::fs::read_dir(dir.path()).unwrap().count(),
                1,
                "{mode} {theirs}: something was left beside it"
            );
        }
    }
}

#[tokio::test]
async fn what_producers_keep_beside_the_queue_makes_it_nobody_elses() {
    let bed = Bed::new().await;
    let theirs = "CREATE TABLE theirs (x); CREATE VIEW seen AS SELECT x FROM theirs; PRAGMA application_id = 7;
        PRAGMA user_version = 7; CREATE TRIGGER told AFTER INSERT ON jobs BEGIN INSERT INTO theirs VALUES (new.id); END";
    run(&mut bed.stranger().await, theirs).await;
    for opened in [SqliteQueue::open(bed.queue.path()).await, SqliteQueue::open_existing(bed.queue.path()).await] {
        opened.unwrap().close().await;
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    let notes = "This is not a database.\n".repeat(400);
    std::fs::write(&path, &notes).unwrap();
    for refused in [SqliteQueue::open(&path).await, SqliteQueue::open_existing(&path).await] {
        let message = refused.err().unwrap().to_string();
        assert!(
            message.ends_with("notes.txt is not a database; name the queue's real file in queue.path"),
            "{message}"
        );
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);
}

#[tokio::test]
async fn a_directory_is_no_queue() {
    let dir = tempfile::tempdir().unwrap();
    for refused in [SqliteQueue::open(dir.path()).await, SqliteQueue::open_existing(dir.path()).await] {
        let message = refused.err().unwrap().to_string();
        assert!(message.contains(dir.path().to_str().unwrap()), "{message}");
    }
}

#[tokio::test]
async fn a_place_where_no_file_can_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let below_a_file = dir.path().join("file/queue.db");
    for path in [below_a_file.as_path(), Path::new("/proc/event-sender/queue.db")] {
        let error = SqliteQueue::open(path).await.err().unwrap();
        assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
        assert!(error.to_string().contains(path.parent().unwrap().to_str().unwrap()), "{error}");
        let error = SqliteQueue::open_existing(path).await.err().unwrap();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_named() {
    let bed = Bed::new().await;
    bed.queue.close().await;
    std::fs::set_permissions(bed.queue.path(), std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(bed.queue.path()).is_ok() {
        return; // the superuser may read everything
    }
    for refused in [SqliteQueue::open(bed.queue.path()).await, SqliteQueue::open_existing(bed.queue.path()).await] {
        let message = refused.err().unwrap().to_string();
        assert!(message.contains(bed.queue.path().to_str().unwrap()), "{message}");
    }
}

// Inserting

#[tokio::test]
async fn inserted_jobs_get_ids_in_order_and_read_as_they_were_judged() {
    let bed = Bed::new().await;
    let full = NewJob {
        body: Some("<p>ä</p>".into()),
        location: Some("Room 1".into()),
        attendees: Some(r#"[{"address":"ann@contoso.com","required":true}]"#.into()),
        mailbox: Some("bob@contoso.com".into()),
        calendar_id: Some("AAMk".into()),
        body_type: Some("html".into()),
        time_zone: Some("Asia/Tokyo".into()),
        extra: Some(r#"{"showAs":"free"}"#.into()),
        dedup_key: Some("key".into()),
        not_before: Some("2026-11-01T00:00:00Z".into()),
        ..job("full")
    };
    let jobs = [job("bare"), full, job("")];
    let ids = bed.queue.insert(&jobs).await.unwrap();
    assert!(ids.is_sorted() && ids.len() == 3, "{ids:?}");
    for (id, job) in ids.into_iter().zip(&jobs) {
        let mut found = bed.queue.input(JobId(id)).await.unwrap().unwrap();
        found.transaction_id = job.input().transaction_id;
        assert_eq!(found, job.input());
    }
}

#[tokio::test]
async fn one_refused_job_keeps_all_others_out_and_is_named_by_its_index() {
    let bed = Bed::new().await;
    for (wrong, part) in [
        (NewJob { attendees: Some("{}".into()), ..job("b") }, "attendees_is_a_json_array"),
        (NewJob { extra: Some("[]".into()), ..job("b") }, "extra_is_a_json_object"),
        (NewJob { body_type: Some("rtf".into()), ..job("b") }, "body_type_is_text_or_html"),
        (NewJob { start_time: None, ..job("b") }, "start_time"),
        (NewJob { end_time: Some(" ".into()), ..job("b") }, "end_time"),
    ] {
        let refused = bed.queue.insert(&[job("a"), wrong, job("c")]).await.unwrap_err();
        let InsertError::Refused { index, reason } = refused else { panic!("{refused}") };
        assert!(index == 1 && reason.contains(part), "{index} {reason}");
        // The lock is given back with the error.
        assert_eq!(one::<i64>(&mut bed.stranger().await, "SELECT count(*) FROM jobs").await, 0);
        run(&mut bed.stranger().await, "BEGIN IMMEDIATE; ROLLBACK").await;
    }
}

#[tokio::test]
async fn a_taken_dedup_key_is_named_within_a_batch_and_across() {
    let bed = Bed::new().await;
    let keyed = |key: &str| NewJob { dedup_key: Some(key.into()), ..job("a") };
    let within = bed.queue.insert(&[keyed("order-7"), job("b"), keyed("order-7")]).await.unwrap_err();
    assert!(matches!(within, InsertError::Refused { index: 2, .. }), "{within:?}");
    bed.queue.insert(&[keyed("order-7")]).await.unwrap();
    let across = bed.queue.insert(&[keyed("order-8"), keyed("order-7")]).await.unwrap_err();
    assert!(matches!(across, InsertError::Refused { index: 1, .. }), "{across:?}");
    assert_eq!(across.to_string(), "dedup_key: 'order-7' is taken; a job with this key is in the queue already");
    assert_eq!(bed.queue.outstanding().await.unwrap(), 1);
}

// Looking

#[tokio::test]
async fn the_list_shows_the_newest_jobs_oldest_first_by_every_filter() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for columns in [
        &[("mailbox", "'ann@contoso.com'")][..],
        &[("mailbox", "'ANN@contoso.com'"), ("state", "'failed'"), ("finished_at", "'x'"), ("error_kind", "'denied'")],
        &[
            ("mailbox", "'bob@contoso.com'"),
            ("state", "'failed'"),
            ("finished_at", "'x'"),
            ("error_kind", "'auth'"),
            ("in_doubt", "1"),
        ],
        &[("state", "'sent'"), ("finished_at", "'x'"), ("event_id", "'AAMk'")],
        &[("error_kind", "'throttled'")],
        &[("state", "'claimed'"), ("claimed_at", "'x'")],
        &[("state", "'cancelled'"), ("finished_at", "'x'")],
    ] {
        add(db, columns).await;
    }
    let list = async |filter: JobFilter| -> Vec<i64> {
        bed.queue.jobs(&filter).await.unwrap().iter().map(|job| job.id.0).collect()
    };
    let all = JobFilter { limit: 10, ..JobFilter::default() };
    assert_eq!(list(all.clone()).await, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(list(JobFilter { limit: 2, ..all.clone() }).await, [6, 7]);
    for (state, ids) in JobState::ALL.into_iter().zip([&[1, 5][..], &[6], &[4], &[2, 3], &[7]]) {
        assert_eq!(list(JobFilter { state: Some(state), ..all.clone() }).await, ids, "{state:?}");
    }
    let throttled = JobFilter { state: Some(JobState::Pending), error_kind: Some("throttled".into()), ..all.clone() };
    assert_eq!(list(throttled).await, [5]);
    assert_eq!(list(JobFilter { lanes: vec![LaneKey::of("Ann@Contoso.COM")], ..all.clone() }).await, [1, 2]);
    assert_eq!(list(JobFilter { error_kind: Some("auth".into()), ..all.clone() }).await, [3]);
    let one = JobFilter { lanes: vec![LaneKey::of("ann@contoso.com")], state: Some(JobState::Failed), ..all.clone() };
    assert_eq!(list(one).await, [2]);
    assert_eq!(list(JobFilter { in_doubt: true, ..all.clone() }).await, [3]);
    assert_eq!(list(JobFilter { in_doubt: true, state: Some(JobState::Sent), ..all }).await, [0; 0]);
}

#[tokio::test]
async fn a_job_is_shown_with_its_attempts_oldest_first() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let (id, other) = (add(db, &[("subject", "'Review'")]).await, add(db, &[]).await);
    for (job, claim) in [(id, 1), (other, 1), (id, 2)] {
        run(
            db,
            &format!(
                "INSERT INTO attempts (job_id, claim, started_at, duration_ms, outcome) VALUES ({job}, {claim}, '', 1, '')"
            ),
        )
        .await;
    }
    let (shown, attempts) = bed.queue.job(JobId(id)).await.unwrap().unwrap();
    assert_eq!((shown.summary.subject, shown.attendees), ("Review".into(), "[]".into()));
    assert!(shown.summary.event_id.is_null());
    assert_eq!(attempts.iter().map(|attempt| attempt.claim.integer()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert!(bed.queue.job(JobId(99)).await.unwrap().is_none());
    assert!(bed.queue.input(JobId(99)).await.unwrap().is_none());
}

#[tokio::test]
async fn blobs_and_broken_text_are_described_and_numbers_shown() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let broken = &[
        ("subject", "x'00ff00'"),
        ("body", "CAST(x'61ff' AS TEXT)"),
        ("location", "'a' || char(0) || 'b'"),
        ("calendar_id", "7"),
        ("http_status", "1.5"),
        ("error_code", "x''"),
    ];
    let id = add(db, broken).await;
    let row = bed.row(id).await;
    assert_eq!(row["subject"], "<BLOB of 3 bytes>");
    assert_eq!(row["body"], "<2 bytes that are not UTF-8>");
    assert_eq!(row["location"], "a\0b");
    assert_eq!(row["calendar_id"], "7");
    assert_eq!(row["http_status"], 1.5);
    assert_eq!(row["error_code"], "<BLOB of 0 bytes>");
    let list = bed.queue.jobs(&JobFilter { limit: 1, ..JobFilter::default() }).await.unwrap();
    assert_eq!(list[0].subject, Stored::Blob(3));
    let (shown, _) = bed.queue.job(JobId(id)).await.unwrap().unwrap();
    assert_eq!((shown.body, shown.summary.http_status), (Stored::NotUtf8(2), Stored::Real(1.5)));
}

#[tokio::test]
async fn the_input_shown_is_what_the_claim_reads() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for columns in [
        &[("subject", "'Review'"), ("extra", "'{\"a\":1}'"), ("not_before", "'2026-12-01T00:00Z'")][..],
        &[("subject", "x'ff'"), ("start_time", "'2026-12-01T09:00:00Z'"), ("end_time", "'2026-12-01T09:30:00+01:00'")],
        &[("body", "CAST(x'ff' AS TEXT)"), ("mailbox", "x'ff'"), ("location", "'a' || char(0)")],
        &[("body", "replace(hex(zeroblob(2100000)), '0', 'x')"), ("time_zone", "'Asia/Tokyo'")],
    ] {
        add(db, columns).await;
    }
    let mut before = HashMap::new();
    for id in 1..=4 {
        before.insert(JobId(id), bed.queue.input(JobId(id)).await.unwrap().unwrap());
    }
    let jobs = bed.claim().await;
    assert_eq!(jobs.len(), 4);
    for job in jobs {
        assert_eq!(before[&job.id].clone().with_defaults(&request().defaults), job.input, "{}", job.id);
        assert_eq!(bed.queue.input(job.id).await.unwrap().unwrap(), job.input, "{}", job.id);
    }
}

#[tokio::test]
async fn a_job_judged_before_its_insert_has_the_columns_default() {
    let input = NewJob::default().input();
    assert_eq!((input.attendees, input.subject), (Cell::Text("[]".into()), Cell::Null));
}
