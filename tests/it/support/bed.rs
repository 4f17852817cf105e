//! The test bed: a sandbox, a directory with a queue and settings, and a producer's own connection to the queue.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use event_sender::queue::SqliteQueue;
use event_sender::sandbox::{self, RequestKind, RequestRecord, Sandbox, SandboxOptions, StoredEvent};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, FromRow};
use tempfile::TempDir;

use crate::process::{LOOK, Output, PATIENCE, Process, Ran, binary};

/// The mailbox of rows that name none.
pub const MAILBOX: &str = "calendar@contoso.com";
/// Id of the property that marks the agent's events. Older events are found by it, so it never changes.
pub const MARKER: &str = "String {6d0c5f0e-27a4-4a4b-9f0e-3c1d5b8e7a92} Name EventSenderTransactionId";

pub struct Bed {
    sandbox: Option<Sandbox>,
    home: TempDir,
    settings: BTreeMap<String, String>,
    environment: Vec<(String, String)>,
    producer: tokio::sync::Mutex<SqliteConnection>,
    outputs: Mutex<Vec<Arc<Output>>>,
}

/// The columns of [`Job`]. What a producer wrote may be anything; seen as text it is at least readable.
const JOB: &str = "SELECT CAST(mailbox AS TEXT) AS mailbox, body_type, CAST(time_zone AS TEXT) AS time_zone, state,
    event_id, in_doubt, attempts, claims, next_attempt_at, transaction_id, error_kind, cause, http_status, error_code,
    error_message, request_id, created_at, claimed_at, finished_at FROM jobs";

/// The columns of a row that tests look at.
#[derive(Clone, Debug, FromRow)]
pub struct Job {
    pub mailbox: Option<String>,
    pub body_type: Option<String>,
    pub time_zone: Option<String>,
    pub state: String,
    pub event_id: Option<String>,
    pub in_doubt: i64,
    pub attempts: i64,
    pub claims: i64,
    pub next_attempt_at: String,
    pub transaction_id: String,
    pub error_kind: Option<String>,
    pub cause: Option<String>,
    pub http_status: Option<i64>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub request_id: Option<String>,
    pub created_at: String,
    pub claimed_at: Option<String>,
    pub finished_at: Option<String>,
}

impl Job {
    /// State and kind of the last failure.
    pub fn end(&self) -> (&str, Option<&str>) {
        (&self.state, self.error_kind.as_deref())
    }

    pub fn message(&self) -> &str {
        self.error_message.as_deref().unwrap_or_default()
    }
}

#[derive(Clone, Debug, FromRow)]
pub struct AttemptRow {
    pub job_id: i64,
    pub claim: i64,
    pub started_at: String,
    pub duration_ms: i64,
    pub outcome: String,
    pub http_status: Option<i64>,
    pub error_code: Option<String>,
    pub message: Option<String>,
    pub request_id: Option<String>,
    pub client_request_id: Option<String>,
}

#[derive(Clone, Debug, FromRow)]
pub struct PauseRow {
    pub mailbox: String,
    pub paused_until: String,
    pub reason: String,
}

/// A row to be inserted; columns not named are left to the database.
#[derive(Clone, Debug)]
pub struct Row(pub Vec<(&'static str, Option<String>)>);

/// A row with nothing but its times.
pub fn row() -> Row {
    Row(Vec::new()).with("start_time", "2026-12-01T09:00:00").with("end_time", "2026-12-01T10:00:00")
}

/// A row for this mailbox.
pub fn row_for(mailbox: &str) -> Row {
    row().with("mailbox", mailbox)
}

impl Row {
    pub fn with(mut self, column: &'static str, value: &str) -> Self {
        self.0.retain(|(name, _)| *name != column);
        self.0.push((column, Some(value.to_owned())));
        self
    }

    pub fn null(mut self, column: &'static str) -> Self {
        self.0.retain(|(name, _)| *name != column);
        self.0.push((column, None));
        self
    }
}

impl Bed {
    pub async fn new() -> Self {
        Self::with_sandbox(SandboxOptions::default()).await
    }

    pub async fn with_sandbox(options: SandboxOptions) -> Self {
        let sandbox = Sandbox::start(options).await.unwrap();
        let mut bed = Self::beside(&sandbox.url()).await;
        bed.sandbox = Some(sandbox);
        bed
    }

    /// A bed whose sandbox is a process of its own, at this address.
    pub async fn beside(url: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let queue = home.path().join("queue.db");
        // The schema is the program's; rows come from the producer below.
        SqliteQueue::open(&queue).await.unwrap().close().await;
        let producer = producer(&queue).await;
        let mut bed = Self {
            home,
            settings: BTreeMap::new(),
            environment: Vec::new(),
            producer: tokio::sync::Mutex::new(producer),
            outputs: Mutex::default(),
            sandbox: None,
        };
        for (key, value) in [
            ("auth.instance", url),
            ("auth.tenant_id", sandbox::TENANT_ID),
            ("auth.client_id", sandbox::CLIENT_ID),
            ("auth.client_secret", sandbox::CLIENT_SECRET),
            ("graph.endpoint", url),
            ("defaults.mailbox", MAILBOX),
            ("queue.path", queue.to_str().unwrap()),
            ("delivery.first_retry", "50ms"),
            ("delivery.longest_retry", "400ms"),
            // The rows of the tests have dates of their own, whatever the day.
            ("delivery.past_events", "send"),
        ] {
            bed.set(key, value);
        }
        bed
    }

    /// Puts a copy of the queue, alone in a directory, in its place.
    pub async fn move_queue_apart(&mut self) -> PathBuf {
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)").await;
        let directory = self.home().join("var");
        std::fs::create_dir(&directory).unwrap();
        let queue = directory.join("queue.db");
        std::fs::copy(self.queue_path(), &queue).unwrap();
        self.set("queue.path", queue.to_str().unwrap());
        queue
    }

    /// Signs in as the sandbox's user with the public application.
    pub fn sign_in_as_user(&mut self) {
        self.set("auth.mode", "password");
        self.set("auth.client_id", sandbox::PUBLIC_CLIENT_ID);
        self.set("auth.username", sandbox::USERNAME);
        self.set("auth.password", sandbox::PASSWORD);
        self.unset("auth.client_secret");
    }

    /// Sets a key of agent.toml. Whole numbers are written as such, everything else as text.
    pub fn set(&mut self, key: &str, value: &str) {
        let literal = match value.parse::<i64>() {
            Ok(_) => value.to_owned(),
            Err(_) => serde_json::to_string(value).unwrap(),
        };
        self.settings.insert(key.to_owned(), literal);
    }

    /// Sets a key of agent.toml to a TOML value as written here.
    pub fn set_literal(&mut self, key: &str, value: &str) {
        self.settings.insert(key.to_owned(), value.to_owned());
    }

    pub fn unset(&mut self, key: &str) {
        self.settings.remove(key);
    }

    /// Sets a variable of the program's environment.
    pub fn env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Sets none of the variables set before.
    pub fn forget_env(&mut self) {
        self.environment.clear();
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn queue_path(&self) -> PathBuf {
        self.home().join("queue.db")
    }

    pub fn config_path(&self) -> PathBuf {
        self.home().join("agent.toml")
    }

    pub fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().expect("the sandbox runs")
    }

    /// Ends the sandbox: from now on its port refuses connections.
    pub async fn stop_sandbox(&mut self) {
        self.sandbox.take().expect("the sandbox runs").stop().await;
    }

    /// Starts a new sandbox, as where an earlier one was.
    pub async fn start_sandbox(&mut self, options: SandboxOptions) {
        self.sandbox = Some(Sandbox::start(options).await.unwrap());
    }

    pub fn write_settings(&self) {
        let mut text = String::new();
        let mut section = "";
        // Sorted, so the keys of a section stand together.
        for (key, value) in &self.settings {
            let (part, name) = key.split_once('.').unwrap();
            if part != section {
                writeln!(text, "[{part}]").unwrap();
                section = part;
            }
            writeln!(text, "{name} = {value}").unwrap();
        }
        // Whole at any moment: another process of this bed may be reading it.
        let new = self.home().join("agent.toml.new");
        std::fs::write(&new, text).unwrap();
        // The secret stands in it; an operator would close it too.
        chmod(&new, 0o640);
        std::fs::rename(new, self.config_path()).unwrap();
    }

    fn start(&self, arguments: &[&str], stdin: Option<&str>) -> Process {
        let mut command = binary(self.home(), &self.environment);
        command.args(arguments);
        self.launch(command, stdin)
    }

    fn launch(&self, command: Command, stdin: Option<&str>) -> Process {
        let process = Process::start(command, stdin);
        self.outputs.lock().unwrap().push(process.output.clone());
        process
    }

    pub fn run(&self) -> Process {
        self.run_with(&[])
    }

    pub fn run_with(&self, options: &[&str]) -> Process {
        self.write_settings();
        self.start(&[&["run"], options].concat(), None)
    }

    /// Starts the daemon by another program, made from the command that would start it.
    pub fn run_by(&self, by: impl FnOnce(&Command) -> Command) -> Process {
        self.write_settings();
        self.launch(by(&binary(self.home(), &self.environment)), None)
    }

    /// Starts a command that goes on.
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        self.start(arguments, None)
    }

    /// Runs a command to its end, with the bed's settings.
    pub async fn command(&self, arguments: &[&str]) -> Ran {
        self.write_settings();
        self.start(arguments, None).end().await
    }

    /// The same with something to read on stdin.
    pub async fn command_reading(&self, stdin: &str, arguments: &[&str]) -> Ran {
        self.write_settings();
        self.start(arguments, Some(stdin)).end().await
    }

    /// Runs a command to its end with whatever settings are there.
    pub async fn bare_command(&self, arguments: &[&str]) -> Ran {
        self.start(arguments, None).end().await
    }

    /// Everything any process of this bed wrote.
    pub fn all_output(&self) -> String {
        self.outputs.lock().unwrap().iter().map(|output| output.all()).collect()
    }

    /// Runs one statement as a producer.
    pub async fn sql(&self, statement: &str) {
        self.try_sql(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    pub async fn try_sql(&self, statement: &str) -> Result<i64, sqlx::Error> {
        let mut producer = self.producer.lock().await;
        let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *producer).await?;
        Ok(done.last_insert_rowid())
    }

    /// Puts a backup in the queue's place.
    pub async fn put_back(&self, backup: &Path) {
        let queue = self.queue_path();
        let mut producer_now = self.producer.lock().await;
        for file in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{file}", queue.display()));
        }
        std::fs::rename(backup, &queue).unwrap();
        *producer_now = producer(&queue).await;
    }

    /// Whether the queue says yes to this question; no, if it cannot be asked.
    pub async fn is_so(&self, question: &str) -> bool {
        let mut producer = self.producer.lock().await;
        let answer = sqlx::query_scalar(AssertSqlSafe(question.to_owned())).fetch_optional(&mut *producer).await;
        answer.ok().flatten().is_some_and(|answer: bool| answer)
    }

    /// Inserts a row and gives its id.
    pub async fn insert(&self, row: Row) -> i64 {
        let mut producer = self.producer.lock().await;
        let names: Vec<&str> = row.0.iter().map(|(name, _)| *name).collect();
        let places = vec!["?"; names.len()].join(", ");
        let statement = format!("INSERT INTO jobs ({}) VALUES ({places})", names.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (_, value) in row.0 {
            query = query.bind(value);
        }
        query.execute(&mut *producer).await.unwrap().last_insert_rowid()
    }

    /// Inserts rows in one transaction.
    pub async fn insert_all(&self, rows: impl IntoIterator<Item = Row>) -> Vec<i64> {
        self.sql("BEGIN IMMEDIATE").await;
        let mut ids = Vec::new();
        for row in rows {
            ids.push(self.insert(row).await);
        }
        self.sql("COMMIT").await;
        ids
    }

    pub async fn jobs(&self) -> Vec<Job> {
        let mut producer = self.producer.lock().await;
        sqlx::query_as(AssertSqlSafe(format!("{JOB} ORDER BY id"))).fetch_all(&mut *producer).await.unwrap()
    }

    pub async fn job(&self, id: i64) -> Job {
        let mut producer = self.producer.lock().await;
        let query = sqlx::query_as(AssertSqlSafe(format!("{JOB} WHERE id = ?1"))).bind(id);
        query.fetch_one(&mut *producer).await.unwrap()
    }

    pub async fn attempts(&self, id: i64) -> Vec<AttemptRow> {
        let mut producer = self.producer.lock().await;
        let query = sqlx::query_as("SELECT * FROM attempts WHERE job_id = ?1 ORDER BY claim").bind(id);
        query.fetch_all(&mut *producer).await.unwrap()
    }

    /// Rows of the history, of all jobs.
    pub async fn recorded_attempts(&self) -> i64 {
        let mut producer = self.producer.lock().await;
        sqlx::query_scalar("SELECT count(*) FROM attempts").fetch_one(&mut *producer).await.unwrap()
    }

    pub async fn pauses(&self) -> Vec<PauseRow> {
        let mut producer = self.producer.lock().await;
        sqlx::query_as("SELECT * FROM mailboxes ORDER BY mailbox").fetch_all(&mut *producer).await.unwrap()
    }

    /// Number of rows in this state.
    pub async fn count(&self, state: &str) -> i64 {
        let mut producer = self.producer.lock().await;
        let query = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE state = ?1").bind(state);
        query.fetch_one(&mut *producer).await.unwrap()
    }

    /// State, kind, message and attempts of a row whose other columns may hold anything.
    pub async fn end_of(&self, id: i64) -> Option<(String, Option<String>, Option<String>, i64)> {
        let mut producer = self.producer.lock().await;
        let query =
            "SELECT state, error_kind, error_message, attempts FROM jobs WHERE id = ?1 AND finished_at IS NOT NULL";
        sqlx::query_as(query).bind(id).fetch_optional(&mut *producer).await.unwrap()
    }

    /// Waits until `look` finds something. `what` says for what, should it never come.
    pub async fn wait<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if start.elapsed() > PATIENCE {
                panic!("waited in vain until {what}\njobs: {:#?}", self.jobs().await);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the job is in this state.
    pub async fn until(&self, id: i64, state: &str) -> Job {
        let look = async || Some(self.job(id).await).filter(|job| job.state == state);
        self.wait(&format!("job {id} is {state}"), look).await
    }

    /// Waits until the job has met something and is back to waiting.
    pub async fn until_back(&self, id: i64, kind: &str) -> Job {
        let fits = |job: &Job| job.state == "pending" && job.error_kind.as_deref() == Some(kind);
        self.wait(&format!("job {id} is pending after {kind}"), async || Some(self.job(id).await).filter(fits)).await
    }

    /// Waits until as many rows are in this state.
    pub async fn until_count(&self, count: usize, state: &str) {
        let look = async || (self.count(state).await == count as i64).then_some(());
        self.wait(&format!("{count} jobs are {state}"), look).await;
    }

    /// Waits until the process has logged this message, and gives the first such line.
    pub async fn until_said(&self, process: &Process, message: &str) -> Value {
        let look = async || process.said(message).into_iter().next();
        self.wait(&format!("'{message}' is logged"), look).await
    }

    pub fn events(&self) -> Vec<StoredEvent> {
        self.sandbox().events()
    }

    /// The one event of a job.
    pub async fn event_of(&self, id: i64) -> StoredEvent {
        let job = self.job(id).await;
        let of_job = |event: &StoredEvent| event.transaction_id.as_deref() == Some(job.transaction_id.as_str());
        let mut events: Vec<StoredEvent> = self.events().into_iter().filter(of_job).collect();
        assert_eq!(events.len(), 1, "one job, one event: {events:?}");
        events.remove(0)
    }

    /// Create requests, all or those of one mailbox.
    pub fn creates(&self, mailbox: Option<&str>) -> Vec<RequestRecord> {
        let wanted = |record: &RequestRecord| {
            record.kind == RequestKind::Create
                && mailbox.is_none_or(|mailbox| record.mailbox.as_deref() == Some(mailbox))
        };
        self.sandbox().requests().into_iter().filter(wanted).collect()
    }

    /// The promise: every sent job has its own event, and there is no other event.
    pub async fn assert_one_event_each(&self) {
        let mut recorded: Vec<String> = self.jobs().await.into_iter().filter_map(|job| job.event_id).collect();
        let mut created: Vec<String> = self.events().into_iter().map(|event| event.id).collect();
        recorded.sort();
        created.sort();
        assert_eq!(recorded, created);
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- output of the program ---\n{}", self.all_output());
        }
    }
}

pub fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A foreign program's connection, with the defaults of its library.
pub async fn producer(queue: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(queue).connect().await.unwrap()
}

/// Runs cases side by side, each with a bed of its own; the first that fails fails the test.
pub async fn side_by_side<T: 'static, F>(cases: impl IntoIterator<Item = F>) -> Vec<T>
where
    F: Future<Output = T> + 'static,
{
    let local = tokio::task::LocalSet::new();
    let all = async {
        let mut running = tokio::task::JoinSet::new();
        cases.into_iter().for_each(|case| drop(running.spawn_local(case)));
        running.join_all().await
    };
    local.run_until(all).await
}
