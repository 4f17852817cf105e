//! A queue moves from a SQLite file to PostgreSQL: all of it, once, whatever happens on the way.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use event_sender::sandbox::Fault;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use crate::bed::{Bed, Row, row, row_for};
use crate::cluster::Cluster;
use crate::process::{Process, Ran};

/// A queue in a file, and an empty schema that it may move to.
struct Move {
    bed: Bed,
    db: PgConnection,
    url: String,
}

macro_rules! move_or_return {
    ($moving:ident) => {
        #[allow(unused_mut)]
        let Some(mut $moving) = Move::new().await else { return };
    };
}

const COPY: [&str; 3] = ["migrate", "--copy-from", "queue.db"];

impl Move {
    /// None: there is no server here.
    async fn new() -> Option<Self> {
        let cluster = Cluster::get()?;
        let schema = cluster.schema().await;
        let (url, db) = (cluster.url(&schema), cluster.connect(&schema).await);
        Some(Self { bed: Bed::new().await, db, url })
    }

    /// From here on the settings name the database.
    fn name_the_database(&mut self) {
        self.bed.unset("queue.path");
        self.bed.set("queue.url", &self.url);
        self.bed.write_settings();
    }

    fn name_the_file(&mut self) {
        let file = self.bed.queue_path();
        self.bed.unset("queue.url");
        self.bed.set("queue.path", file.to_str().unwrap());
        self.bed.write_settings();
    }

    async fn copy(&mut self) -> Ran {
        self.name_the_database();
        self.bed.command(&COPY).await
    }

    async fn number(&mut self, question: &str) -> i64 {
        let question = AssertSqlSafe(question.to_owned());
        sqlx::query_scalar(question).fetch_one(&mut self.db).await.unwrap()
    }

    async fn sql(&mut self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut self.db).await.unwrap();
    }

    /// Whether there is a queue in the database, and whether nothing is in it.
    async fn is_there(&mut self) -> bool {
        self.number("SELECT (to_regclass('jobs') IS NOT NULL)::int::bigint").await == 1
    }

    async fn has_nothing(&mut self) -> bool {
        self.number("SELECT count(*) FROM jobs").await == 0 && self.number("SELECT count(*) FROM attempts").await == 0
    }

    /// The columns of a table there, with how each is written in a file.
    async fn columns(&mut self, table: &str) -> Vec<(String, String)> {
        let columns = "SELECT column_name::text, data_type::text FROM information_schema.columns
            WHERE table_schema = current_schema() AND table_name = $1 AND column_name <> 'claimed_by' ORDER BY 1";
        let columns: Vec<(String, String)> = sqlx::query_as(columns).bind(table).fetch_all(&mut self.db).await.unwrap();
        let written = |(name, kind): (String, String)| {
            let written = match kind.as_str() {
                "timestamp with time zone" => {
                    format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
                }
                "boolean" => format!("{name}::int::text"),
                _ => format!("{name}::text"),
            };
            (name, written)
        };
        columns.into_iter().map(written).collect()
    }

    /// All rows of a table, in a file and in the database, each column as text.
    async fn both(&mut self, file: &Path, table: &str, order: &str) -> (Vec<Columns>, Vec<Columns>) {
        let columns = self.columns(table).await;
        let there = columns.iter().map(|(name, written)| format!("{written} AS {name}")).collect::<Vec<_>>().join(", ");
        let there = AssertSqlSafe(format!("SELECT {there} FROM {table} ORDER BY {order}"));
        let here = columns.iter().map(|(name, _)| format!("CAST({name} AS TEXT) AS {name}")).collect::<Vec<_>>();
        let here = AssertSqlSafe(format!("SELECT {} FROM {table} ORDER BY {order}", here.join(", ")));
        let mut file = crate::bed::producer(file).await;
        let here = sqlx::query(here).fetch_all(&mut file).await.unwrap();
        let there = sqlx::query(there).fetch_all(&mut self.db).await.unwrap();
        let told = |get: &dyn Fn(&str) -> Option<String>| -> Columns {
            columns.iter().map(|(name, _)| (name.clone(), get(name))).collect()
        };
        (
            here.iter().map(|row| told(&|name| row.get(name))).collect(),
            there.iter().map(|row| told(&|name| row.get(name))).collect(),
        )
    }

    /// The same rows in both.
    async fn assert_same(&mut self, file: &Path) {
        for (table, order) in
            [("jobs", "id"), ("attempts", "job_id, claim"), ("mailboxes", "mailbox"), ("mailings", "mailbox, minute")]
        {
            let (here, there) = self.both(file, table, order).await;
            assert!(!here.is_empty(), "{table}");
            assert_eq!(here, there, "{table}");
        }
    }

    /// Jobs that are waiting, most of them plain.
    async fn fill(&self, rows: usize) {
        let fill = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
            INSERT INTO jobs (subject, start_time, end_time, mailbox)
            SELECT 'plain ' || i, '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'user' || (i % 50) || '@contoso.com' FROM n"
        );
        self.bed.sql(&fill).await;
    }
}

type Columns = BTreeMap<String, Option<String>>;

/// Every kind of row there is.
async fn with_everything(moving: &Move) {
    let bed = &moving.bed;
    bed.sandbox().script(Fault::answer(429, "ApplicationThrottled").mailbox("busy@contoso.com").retry_after("600"));
    bed.sandbox().script(Fault::answer(503, "ErrorServerBusy").mailbox("ann@contoso.com"));
    let agent = bed.run();
    let guests = r#"[{"name":"Cy","address":"cy@contoso.com","required":true}]"#;
    let created = bed.insert(row_for("ann@contoso.com").with("attendees", guests).with("event_key", "visit-7")).await;
    let failed = bed.insert(row().with("end_time", "2026-02-30 10:00").with("dedup_key", "a key")).await;
    let busy =
        bed.insert(row_for(" Busy@Contoso.com ").with("subject", "tab\there, \\N, new\nline, 'quotes', 🎂")).await;
    bed.until(created, "sent").await;
    bed.until(failed, "failed").await;
    bed.until_back(busy, "throttled").await;
    agent.stop().await.expect(0);
    bed.command(&["hold", "held@contoso.com", "--reason", "being moved"]).await.expect(0);
    let waits = [
        row_for("held@contoso.com").with("extra", r#"{"showAs":"oof"}"#).with("priority", "1"),
        Row(Vec::new()).with("operation", "update").with("event_key", "visit-7").with("subject", "Moved"),
        Row(Vec::new()).with("operation", "delete").with("event_key", "visit-7"),
        row()
            .with("attendees", guests)
            .with("not_before", "2030-01-01T00:00:00Z")
            .with("not_after", "2030-02-01T00:00Z"),
    ];
    bed.insert_all(waits).await;
    let cancelled = bed.insert(row().with("attendees", guests)).await;
    bed.command(&["cancel", &cancelled.to_string()]).await.expect(0);
    let doubted = bed.insert(row().with("attendees", guests)).await;
    bed.sql(&format!("UPDATE jobs SET in_doubt = 1 WHERE id = {doubted}")).await;
    // A job that is gone, whose id nobody gets again.
    let last = bed.insert(row()).await;
    bed.sql(&format!("DELETE FROM jobs WHERE id = {last}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_row_arrives_as_it_was_in_every_column() {
    move_or_return!(moving);
    with_everything(&moving).await;
    let ran = moving.copy().await.expect(0);
    assert!(ran.stdout.contains("moved 9 jobs from queue.db to postgres://"), "{ran:?}");
    let file = moving.bed.queue_path();
    moving.assert_same(&file).await;
    // As the database's own rules would have it.
    let derived =
        "SELECT count(*) FROM jobs AS j WHERE mailbox_key <> job_lane(mailbox) OR behind IS DISTINCT FROM job_turn(j)
        OR expires_at IS DISTINCT FROM job_moment(not_after)";
    assert_eq!(moving.number(derived).await, 0);
    let next = "INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01T09:00', '2026-12-01T10:00') RETURNING id";
    assert_eq!(moving.number(next).await, 11, "the id of the job that is gone is not given again");
    let rules =
        "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'jobs'::regclass AND NOT tgisinternal AND tgenabled <> 'O'";
    assert_eq!(moving.number(rules).await, 0, "the rules hold again");
}

/// The request is under way when the agent dies, and reaches its calendar.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_killed_agent_had_claimed_is_looked_up_and_not_sent_again() {
    move_or_return!(moving);
    moving.bed.sandbox().script(Fault::hang(Duration::from_secs(600)).applied().mailbox("late@contoso.com"));
    let agent = moving.bed.run();
    let id = moving.bed.insert(row_for("late@contoso.com").with("subject", "once")).await;
    let other = moving.bed.insert(row_for("held@contoso.com")).await;
    moving.bed.until(other, "sent").await;
    moving
        .bed
        .wait("its event is there", async || {
            moving.bed.events().iter().any(|e| e.mailbox == "late@contoso.com").then_some(())
        })
        .await;
    agent.kill().await;
    assert_eq!(moving.bed.job(id).await.state, "claimed");
    let ran = moving.copy().await.expect(0);
    assert!(ran.stderr.contains("1 in doubt"), "{ran:?}");
    let arrived =
        "SELECT count(*) FROM jobs WHERE id = 1 AND state = 'pending' AND in_doubt AND first_sent_at IS NOT NULL
        AND settled = 'claim 1' AND claimed_by IS NULL AND NOT mails AND next_attempt_at > clock_timestamp()";
    assert_eq!(moving.number(arrived).await, 1);
    assert_eq!(moving.number("SELECT count(*) FROM lanes WHERE suspect AND lane = 'late@contoso.com'").await, 1);
    moving.bed.run_with(&["--until-empty"]).end().await.expect(0);
    assert_eq!(moving.number("SELECT count(*) FROM jobs WHERE state = 'sent' AND NOT in_doubt").await, 2);
    assert_eq!(moving.bed.events().len(), 2, "one event each");
    assert_eq!(moving.bed.creates(None).len(), 2, "and none was asked for twice");
}

/// Killed at moments that come later each time, until it is done before that.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_on_the_way_it_goes_through_when_it_is_run_again() {
    move_or_return!(moving);
    moving.fill(4000).await;
    moving.name_the_database();
    let (mut kills, mut wait) = (0, 20.0);
    loop {
        let mut copy = moving.bed.spawn(&COPY);
        let moment = Duration::from_secs_f64(wait * (0.8 + 0.4 * fastrand::f64()) / 1000.0);
        if let Ok(ran) = tokio::time::timeout(moment, copy.end()).await {
            // Killed between the last commit and the note in the file, it finds its rows.
            ran.expect(0);
            break;
        }
        copy.kill().await;
        kills += 1;
        // Never can both be sent from.
        let is_shut = moving.bed.is_so("SELECT count(*) FROM sqlite_master WHERE name = 'moved'").await;
        assert!(is_shut || !moving.is_there().await || moving.has_nothing().await, "after {kills} kills");
        wait *= 1.2;
    }
    assert!(kills > 2, "{kills}");
    let file = moving.bed.queue_path();
    let (here, there) = moving.both(&file, "jobs", "id").await;
    assert_eq!((here.len(), &here), (4000, &there));
    let again = moving.copy().await.expect(0);
    assert!(again.stdout.contains("was moved to postgres://") && again.stdout.contains("already"), "{again:?}");
    assert_eq!(moving.number("SELECT count(*) FROM jobs").await, 4000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_agent_on_either_queue_is_in_the_way() {
    move_or_return!(moving);
    moving.fill(3).await;
    moving.bed.command(&["hold", "user1@contoso.com"]).await.expect(0);
    let agent = moving.bed.run();
    moving.bed.until_count(2, "sent").await;
    let ran = moving.copy().await.expect(69);
    assert!(ran.stderr.contains("is running on queue.db: stop it first"), "{ran:?}");
    let look = moving.bed.command(&[&COPY[..], &["--dry-run"]].concat()).await.expect(0);
    assert!(look.stdout.starts_with("would move 3 jobs"), "{look:?}");
    agent.stop().await.expect(0);
    moving.bed.command(&["migrate"]).await.expect(0);
    let agent = moving.bed.run();
    moving.bed.until_said(&agent, "agent started").await;
    let ran = moving.copy().await.expect(69);
    assert!(ran.stderr.contains("stop it first"), "{ran:?}");
    agent.stop().await.expect(0);
    assert!(moving.has_nothing().await);
    moving.copy().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_that_has_moved_takes_no_agent_and_no_job_and_moves_nowhere_else() {
    move_or_return!(moving);
    moving.fill(3).await;
    moving.copy().await.expect(0);
    let url = moving.url.clone();
    moving.url = Cluster::get().unwrap().url(&Cluster::get().unwrap().schema().await);
    let elsewhere = moving.copy().await.expect(78);
    assert!(
        elsewhere.stderr.contains("was moved to postgres://") && elsewhere.stderr.contains("its jobs are there"),
        "{elsewhere:?}"
    );
    moving.url = url;
    // As if it had been killed before it could say so.
    moving.bed.sql("UPDATE moved SET moved_at = NULL").await;
    for _ in 0..2 {
        let again = moving.copy().await.expect(0);
        assert!(again.stdout.contains("was moved to postgres://") && again.stdout.contains("already"), "{again:?}");
        assert!(moving.bed.is_so("SELECT count(moved_at) FROM moved").await);
    }
    assert_eq!(moving.number("SELECT count(*) FROM jobs").await, 3);
    for write in [
        "INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01T09:00', '2026-12-01T10:00')",
        "INSERT OR IGNORE INTO jobs (start_time, end_time) VALUES ('2026-12-01T09:00', '2026-12-01T10:00')",
        "UPDATE jobs SET subject = 'x' WHERE id = 1",
        "DELETE FROM jobs WHERE id = 1",
    ] {
        let refused = moving.bed.try_sql(write).await.unwrap_err().to_string();
        assert!(
            refused.contains("this queue has moved to postgres://")
                && refused.contains("write to the table jobs there"),
            "{refused}"
        );
    }
    moving.name_the_file();
    let agent = moving.bed.run().end().await.expect(78);
    assert!(format!("{}{}", agent.stdout, agent.stderr).contains("set queue.url instead of queue.path"), "{agent:?}");
    for command in [
        &["status"][..],
        &["list"],
        &["migrate"],
        &["enqueue", "--start", "2030-12-01 09:00", "--end", "2030-12-01 10:00"],
        &["retry", "1"],
    ] {
        let ran = moving.bed.command(command).await.expect(78);
        assert!(ran.stderr.contains("its jobs are there"), "{ran:?}");
    }
    // As a release from before the mark sees it: a schema that is newer than its own.
    assert!(moving.bed.is_so("SELECT max(version) = 1000000 FROM _sqlx_migrations").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_queue_with_jobs_of_its_own_takes_no_other() {
    move_or_return!(moving);
    moving.fill(3).await;
    moving.name_the_database();
    moving.bed.command(&["migrate"]).await.expect(0);
    moving.sql("INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01T09:00', '2026-12-01T10:00')").await;
    for arguments in [&COPY[..], &["migrate", "--copy-from", "queue.db", "--dry-run"]] {
        let ran = moving.bed.command(arguments).await.expect(78);
        assert!(ran.stderr.contains("is not empty (table jobs)") && ran.stderr.contains("search_path"), "{ran:?}");
    }
    moving.name_the_file();
    moving.bed.run_with(&["--until-empty"]).end().await.expect(0);
    moving.bed.until_count(3, "sent").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_postgresql_cannot_take_is_named_and_nothing_moves() {
    move_or_return!(moving);
    moving.fill(6).await;
    let bed = &moving.bed;
    bed.sql("UPDATE jobs SET subject = 'a' || char(0) || 'b' WHERE id = 1").await;
    bed.sql("UPDATE jobs SET body = CAST(x'ff41' AS TEXT) WHERE id = 2").await;
    bed.sql("UPDATE jobs SET location = x'4142' WHERE id = 3").await;
    bed.sql(&format!("UPDATE jobs SET dedup_key = '{}' WHERE id = 4", "k".repeat(2001))).await;
    bed.sql("UPDATE jobs SET created_at = 'yesterday' WHERE id = 5").await;
    bed.sql("UPDATE jobs SET http_status = 99999999999 WHERE id = 6").await;
    bed.sql("INSERT INTO mailboxes (mailbox, paused_until, reason) VALUES ('m@b.c', 'soon', '')").await;
    let ran = moving.copy().await.expect(1);
    for said in [
        "job 1: subject has a NUL character, which PostgreSQL cannot store: remove that character",
        "job 2: body is not UTF-8",
        "job 3: location is a BLOB: rewrite it as text",
        "job 4: dedup_key has 2001 bytes, and PostgreSQL indexes at most 2000: shorten it",
        "job 5: created_at is \"yesterday\", not a time: write a UTC time into it",
        "job 6: http_status is 99999999999, which is too large",
        "mailbox m@b.c: paused_until is \"soon\", not a time",
        "7 faults in queue.db: nothing was moved",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    assert!(moving.has_nothing().await);
    let dry = moving.bed.command(&[&COPY[..], &["--dry-run", "--json"]].concat()).await.expect(1);
    assert_eq!(dry.json()["faults"][2]["column"], "location", "{dry:?}");
    // The file is as it was: an agent starts on it, and producers fix it.
    moving.bed.sql("UPDATE jobs SET subject = 'ab', body = NULL, location = 'AB', dedup_key = NULL, created_at = '2026-01-02 03:04:05', http_status = NULL").await;
    moving.bed.sql("DELETE FROM mailboxes").await;
    moving.copy().await.expect(0);
    assert_eq!(moving.number("SELECT count(*) FROM jobs WHERE created_at = '2026-01-02T03:04:05Z'").await, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_column_of_another_program_is_not_lost_without_a_word() {
    move_or_return!(moving);
    moving.bed.sql("ALTER TABLE jobs ADD COLUMN crm_id TEXT").await;
    moving.fill(1).await;
    let ran = moving.copy().await.expect(1);
    assert!(
        ran.stderr.contains("table jobs: crm_id is not the queue's own, and would be lost: keep its values"),
        "{ran:?}"
    );
    moving.bed.sql("ALTER TABLE jobs DROP COLUMN crm_id").await;
    // As a run leaves it that was killed before it could shut the file.
    moving.sql("UPDATE queue_state SET copy_of = 'a mark that no file has'").await;
    moving.copy().await.expect(0);
}

/// The database is the only way to send what waits in it, so no older program is needed for the last step up.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_of_an_older_schema_is_brought_up_to_date_first() {
    move_or_return!(moving);
    let older = moving.bed.home().join("older.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&older).create_if_missing(true);
    let mut file = options.connect().await.unwrap();
    let steps = sqlx::migrate!().iter().filter(|step| step.version <= 10).cloned().collect::<Vec<_>>();
    let migrator = sqlx::migrate::Migrator { migrations: steps.into(), ..sqlx::migrate!() };
    migrator.run(&mut file).await.unwrap();
    let insert = "INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01T09:00', '2026-12-01T10:00')";
    sqlx::raw_sql(insert).execute(&mut file).await.unwrap();
    let unnamed = moving.bed.command(&["migrate", "--copy-from", "older.db"]).await.expect(78);
    assert!(unnamed.stderr.contains("queue.url: not set"), "{unnamed:?}");
    moving.name_the_database();
    let arguments = ["migrate", "--copy-from", "older.db", "--json"];
    let told = moving.bed.command(&arguments).await.expect(0).json();
    assert_eq!((&told["jobs"], &told["dry_run"], &told["faults"]), (&1.into(), &false.into(), &serde_json::json!([])));
    let schema = include_str!("../../../docs/schema/cli/migrate.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    assert!(schema.is_valid(&told), "{told}");
    let missing = moving.bed.command(&["migrate", "--copy-from", "missing.db"]).await.expect(1);
    assert!(missing.stderr.contains("there is no queue at missing.db"), "{missing:?}");
    assert!(!moving.bed.home().join("missing.db").exists());
}

/// Only the server itself can tell: the rows are on their way already.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_row_that_the_server_refuses_is_named_and_the_file_is_open_again() {
    move_or_return!(moving);
    moving.fill(1500).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(moving.bed.queue_path());
    let mut unruly = options.pragma("ignore_check_constraints", "ON").connect().await.unwrap();
    sqlx::raw_sql("UPDATE jobs SET priority = 5 WHERE id = 1321").execute(&mut unruly).await.unwrap();
    let ran = moving.copy().await.expect(1);
    assert!(ran.stderr.contains("job 1321: priority_is_minus_1_0_or_1 is refused by PostgreSQL"), "{ran:?}");
    assert!(moving.has_nothing().await);
    moving.bed.sql("UPDATE jobs SET priority = 0 WHERE id = 1321").await;
    moving.bed.insert(row()).await;
    moving.copy().await.expect(0);
    assert_eq!(moving.number("SELECT count(*) FROM jobs").await, 1501);
}

/// Begun for one queue, it is not finished in another, where the same jobs would be sent, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_move_that_was_begun_goes_on_to_where_it_began() {
    move_or_return!(moving);
    moving.fill(20_000).await;
    moving.name_the_database();
    let copy = moving.bed.spawn(&COPY);
    moving
        .bed
        .wait("it has begun", async || {
            moving.bed.is_so("SELECT count(*) FROM sqlite_master WHERE name = 'moved'").await.then_some(())
        })
        .await;
    killed(copy).await;
    moving.name_the_file();
    let agent = moving.bed.run().end().await.expect(78);
    let said = format!("{}{}", agent.stdout, agent.stderr);
    assert!(said.contains("has not finished: finish it with 'event-sender migrate --copy-from"), "{said}");
    let cluster = Cluster::get().unwrap();
    let first = std::mem::replace(&mut moving.url, cluster.url(&cluster.schema().await));
    let ran = moving.copy().await.expect(78);
    assert!(ran.stderr.contains("has begun; set queue.url to that queue to finish it"), "{ran:?}");
    moving.url = first;
    moving.copy().await.expect(0);
    assert_eq!(moving.number("SELECT count(*) FROM jobs").await, 20_000);
}

/// By the scripts of the page, with a job that an agent had claimed there when it died.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_queue_moves_back_into_a_new_file_as_it_is() {
    move_or_return!(moving);
    with_everything(&moving).await;
    moving.copy().await.expect(0);
    let claimed =
        moving.number("SELECT max(id) FROM jobs WHERE state = 'pending' AND NOT in_doubt AND behind IS NULL").await;
    moving.sql(&format!("UPDATE jobs SET state = 'claimed', claims = claims + 1, claimed_at = clock_timestamp(), claimed_by = 7 WHERE id = {claimed}")).await;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy");
    let mut psql = Command::new("psql");
    let printed = psql.args([&moving.url, "-XqAt", "-f"]).arg(docs.join("postgres-to-sqlite.sql")).output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let sql = moving.bed.home().join("queue.sql");
    std::fs::write(&sql, printed.stdout).unwrap();

    let refused = moving.bed.run().end().await.expect(78);
    assert!(
        format!("{}{}", refused.stdout, refused.stderr).contains("set queue.path instead of queue.url"),
        "{refused:?}"
    );
    let insert = "INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01T09:00', '2026-12-01T10:00')";
    let refused = sqlx::raw_sql(insert).execute(&mut moving.db).await.unwrap_err().to_string();
    assert!(refused.contains("this queue has moved to a SQLite file"), "{refused}");

    let back = moving.bed.home().join("back.db");
    moving.bed.unset("queue.url");
    moving.bed.set("queue.path", back.to_str().unwrap());
    moving.bed.command(&["migrate"]).await.expect(0);
    sqlite3(&back, &sql);
    // What was claimed there came back in doubt, as its own hand would have put it back.
    moving.sql("DELETE FROM _sqlx_migrations WHERE version = 1000000; DROP TRIGGER moved_away ON jobs; DROP FUNCTION moved_away").await;
    moving.sql("UPDATE jobs SET state = 'pending', claimed_by = NULL, settled = 'claim ' || claims, in_doubt = true, first_sent_at = claimed_at WHERE state = 'claimed'").await;
    moving.assert_same(&back).await;
    assert!(moving.bed.command(&["check", "--offline"]).await.stdout.contains("PASS"));
    let mut producer = crate::bed::producer(&back).await;
    let id: i64 =
        sqlx::query_scalar(AssertSqlSafe(format!("{insert} RETURNING id"))).fetch_one(&mut producer).await.unwrap();
    assert!(id > 10, "the id of the job that is gone is not given again");
    let stays = sqlx::raw_sql("UPDATE jobs SET state = 'pending' WHERE state = 'sent'").execute(&mut producer).await;
    assert!(stays.is_err(), "the rules hold in the new file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_move_is_taken_back_by_the_script_of_the_page() {
    move_or_return!(moving);
    moving.fill(2).await;
    moving.copy().await.expect(0);
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy");
    sqlite3(&moving.bed.queue_path(), &docs.join("take-back.sql"));
    moving.name_the_file();
    moving.bed.insert(row()).await;
    moving.bed.run_with(&["--until-empty"]).end().await.expect(0);
    assert_eq!(moving.bed.count("sent").await, 3);
}

fn sqlite3(queue: &Path, script: &Path) {
    let mut sqlite3 = Command::new("sqlite3");
    sqlite3.args(["-bail", "-init", "/dev/null"]).arg(queue).stdin(std::fs::File::open(script).unwrap());
    let done = sqlite3.stdout(Stdio::null()).output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
}

async fn killed(mut process: Process) {
    process.kill_at_once();
    process.end().await;
}
