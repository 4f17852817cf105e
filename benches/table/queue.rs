//! A queue as the bench sees it: filled by SQL, far faster than any producer would, and read afterwards. The schema is
//! the program's own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use event_sender::queue::SqliteQueue;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::Result;
use crate::far_side::ID_PREFIX;
use crate::process::PATIENCE;
use crate::world::{FarSide, Workplace};

/// An ordinary invitation.
pub const ORDINARY_BODY: usize = 300;
/// Later than any run.
pub const NEVER: &str = "2100-01-01T00:00:00.000Z";

/// Number ?1, body ?2, mailboxes' name ?3 and number ?4, due time ?5.
const WAITING: &str = r#"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
    INSERT INTO jobs (subject, body, start_time, end_time, location, attendees, mails, mailbox, mailbox_key, next_attempt_at)
    SELECT 'Review ' || i, ?2, '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'Room 1',
        '[{"name":"Ann","address":"ann@contoso.com","required":true},{"name":"Bob","address":"bob@contoso.com","required":false}]', 1,
        ?3 || (i % ?4) || '@contoso.com', ?3 || (i % ?4) || '@contoso.com', coalesce(?5, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    FROM n"#;

/// As the agent leaves them, a day ago. Ids are as long as Exchange's.
const FINISHED: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
    INSERT INTO jobs (subject, body, start_time, end_time, location, mailbox, mailbox_key, body_type, time_zone, state, event_id,
        attempts, claims, http_status, request_id, created_at, claimed_at, first_sent_at, finished_at)
    SELECT 'Review ' || i, ?2, '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'Room 1',
        ?3 || (i % ?4) || '@contoso.com', ?3 || (i % ?4) || '@contoso.com', 'text', 'UTC', 'sent', 'AAkALgAA' || hex(randomblob(70)), 1, 1, 201,
        lower(hex(randomblob(16))), ago, ago, ago, ago
    FROM n, (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') AS ago)";

const FAILED: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
    INSERT INTO jobs (subject, body, start_time, end_time, mailbox, mailbox_key, state, error_kind, cause, error_code, attempts, claims,
        http_status, request_id, claimed_at, first_sent_at, finished_at)
    SELECT 'Review ' || i, ?2, '2026-12-01T09:00:00', '2026-12-01T10:00:00', ?3 || (i % ?4) || '@contoso.com',
        ?3 || (i % ?4) || '@contoso.com', 'failed', iif(i % 2, 'not_found', 'rejected'), iif(i % 2, 'no_mailbox', NULL),
        'ErrorInvalidRequest', 1, 1, 404, lower(hex(randomblob(16))), lately, lately, lately
    FROM n, (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour') AS lately)";

const FINISHED_ATTEMPTS: &str = "INSERT INTO attempts
        (job_id, claim, started_at, duration_ms, outcome, http_status, request_id, client_request_id)
    SELECT id, 1, claimed_at, 150, 'sent', 201, request_id, request_id FROM jobs WHERE state = 'sent'";

/// Events that were made a day ago, each with a key, and a row for each that changes it: operation ?6 with subject ?7 and body ?8. The
/// far side knows them by the ends of their ids.
const CHANGES: [&str; 2] = [
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
    INSERT INTO jobs (subject, body, start_time, end_time, location, mailbox, mailbox_key, body_type, time_zone, event_key, transaction_id,
        state, event_id, attempts, claims, http_status, request_id, created_at, claimed_at, first_sent_at, finished_at, ends_at)
    SELECT 'Review ' || i, ?2, '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'Room 1', ?3 || (i % ?4) || '@contoso.com',
        ?3 || (i % ?4) || '@contoso.com', 'text', 'UTC', 'key-' || i, printf('00000000-0000-4000-8000-%012d', i), 'sent',
        ?5 || printf('00000000-0000-4000-8000-%012d', i), 1, 1, 201, lower(hex(randomblob(16))), ago, ago, ago, ago, '2026-12-01T10:00:00.000Z'
    FROM n, (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') AS ago)",
    "INSERT INTO jobs (operation, event_key, subject, body, start_time, end_time, mailbox, mailbox_key)
    SELECT ?1, event_key, ?2, ?3, NULL, NULL, mailbox, mailbox_key FROM jobs WHERE state = 'sent' ORDER BY id",
];

/// First start and the ends of all attempts after the mark, in milliseconds since 1970.
const FLOW: &str = "SELECT CAST(round((julianday(started_at) - 2440587.5) * 86400000.0) AS INTEGER), duration_ms
    FROM attempts WHERE started_at >= ?1 AND outcome = 'sent'";

/// A queue in a file.
pub struct Queue {
    path: PathBuf,
}

/// Rows to be made.
pub struct Rows<'a> {
    pub count: usize,
    /// The mailboxes are this name with a number behind it, …
    pub mailbox: &'a str,
    /// … so many of them.
    pub mailboxes: usize,
    /// Length of the body.
    pub body: usize,
    /// Now, unless given.
    pub due: Option<&'a str>,
}

impl Rows<'_> {
    /// Ordinary rows, due now, over as many mailboxes as the targets say.
    pub fn due(count: usize) -> Self {
        Rows { count, mailbox: "user", mailboxes: 500, body: ORDINARY_BODY, due: None }
    }
}

/// A time in the history of a queue, as its rows write it.
#[derive(Clone, Debug)]
pub struct Mark(String);

/// What was sent since a mark, from the rows' own times.
#[derive(Debug)]
pub struct Flow {
    first_ms: i64,
    ends_ms: Vec<i64>,
}

impl Flow {
    /// Of the first start and the duration of each attempt, in milliseconds.
    pub fn of(attempts: &[(i64, i64)]) -> Result<Self> {
        let first_ms = attempts.iter().map(|(start, _)| *start).min().ok_or("nothing was sent")?;
        let mut ends_ms: Vec<i64> = attempts.iter().map(|(start, took)| start + took).collect();
        ends_ms.sort_unstable();
        Ok(Self { first_ms, ends_ms })
    }

    pub fn count(&self) -> usize {
        self.ends_ms.len()
    }

    /// Events per second from the first claim to the end of the `count`th event.
    pub fn rate_until(&self, count: usize) -> Result<f64> {
        let end = count.checked_sub(1).and_then(|last| self.ends_ms.get(last)).ok_or("fewer events than expected")?;
        Ok(count as f64 * 1000.0 / (end - self.first_ms).max(1) as f64)
    }
}

/// A body of this length.
pub fn agenda(length: usize) -> Option<String> {
    "Agenda attached. ".repeat(length / 17 + 1).get(..length).map(str::to_owned)
}

impl Workplace for Queue {
    fn home(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn settings(&self) -> String {
        format!("[queue]\npath = \"{}\"\n", self.path.display())
    }
}

impl Queue {
    /// A new one in this directory.
    pub async fn create(home: &Path) -> Result<Self> {
        let path = home.join("queue.db");
        SqliteQueue::open(&path).await?.close().await;
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A foreign program's connection, with the defaults of its library. None is kept: an open connection would change
    /// what the agent meets at its start and its end.
    pub async fn connect(&self) -> Result<SqliteConnection> {
        Ok(SqliteConnectOptions::new().filename(&self.path).busy_timeout(Duration::from_secs(60)).connect().await?)
    }

    /// Adds waiting rows. No agent may run.
    pub async fn fill(&self, rows: &Rows<'_>) -> Result<()> {
        self.load(&[WAITING], rows).await
    }

    /// Adds rows until as many wait.
    pub async fn top_up(&self, rows: &Rows<'_>) -> Result<()> {
        let waiting = self.count("SELECT count(*) FROM jobs WHERE state = 'pending'").await?;
        match rows.count.saturating_sub(usize::try_from(waiting)?) {
            0 => Ok(()),
            missing => self.fill(&Rows { count: missing, ..*rows }).await,
        }
    }

    /// Adds rows that change or end as many events of a day ago. No agent may run.
    pub async fn fill_changes(&self, count: usize, operation: &str) -> Result<()> {
        let rows = Rows::due(count);
        let (create, change) = (CHANGES[0], CHANGES[1]);
        let (subject, body) = if operation == "delete" { (None, Some("Cancelled.")) } else { (Some("Moved"), None) };
        self.unhindered(async |connection| {
            sqlx::query(create)
                .bind(i64::try_from(rows.count)?)
                .bind(agenda(rows.body))
                .bind(rows.mailbox)
                .bind(i64::try_from(rows.mailboxes)?)
                .bind(ID_PREFIX)
                .execute(&mut *connection)
                .await?;
            sqlx::query(change).bind(operation).bind(subject).bind(body).execute(&mut *connection).await?;
            Ok(())
        })
        .await
    }

    /// Adds finished rows with their attempts to a new queue. No agent may run.
    pub async fn fill_finished(&self, count: usize) -> Result<()> {
        self.load(&[FINISHED, FINISHED_ATTEMPTS], &Rows::due(count)).await
    }

    /// The same for so many mailboxes.
    pub async fn fill_finished_for(&self, count: usize, mailboxes: usize) -> Result<()> {
        self.load(&[FINISHED, FINISHED_ATTEMPTS], &Rows { mailboxes, ..Rows::due(count) }).await
    }

    /// Adds jobs that failed within the last day, half of them for each of two reasons. No agent may run.
    pub async fn fill_failed(&self, count: usize) -> Result<()> {
        self.load(&[FAILED], &Rows::due(count)).await
    }

    async fn load(&self, statements: &[&'static str], rows: &Rows<'_>) -> Result<()> {
        self.unhindered(async |connection| {
            for statement in statements {
                sqlx::query(*statement)
                    .bind(i64::try_from(rows.count)?)
                    .bind(agenda(rows.body))
                    .bind(rows.mailbox)
                    .bind(i64::try_from(rows.mailboxes)?)
                    .bind(rows.due)
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(())
        })
        .await
    }

    /// The triggers look at every row for the sake of foreign writers; taken out meanwhile, a million rows are made in
    /// seconds. Nothing is synced before the end.
    async fn unhindered(&self, fill: impl AsyncFnOnce(&mut SqliteConnection) -> Result<()>) -> Result<()> {
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off)
            .pragma("cache_size", "-400000");
        let mut connection = options.connect().await?;
        let triggers: Vec<(String, String)> =
            sqlx::query_as("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
                .fetch_all(&mut connection)
                .await?;
        let mut tx = connection.begin().await?;
        for (name, _) in &triggers {
            sqlx::query(AssertSqlSafe(format!("DROP TRIGGER {name}"))).execute(&mut *tx).await?;
        }
        fill(&mut tx).await?;
        for (_, sql) in triggers {
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        sqlx::query("PRAGMA journal_mode = WAL").execute(&mut connection).await?;
        connection.close().await?;
        File::open(&self.path)?.sync_all()?;
        Ok(())
    }

    /// Pauses mailboxes for good: those of these rows.
    pub async fn pause(&self, rows: &Rows<'_>) -> Result<()> {
        let mut connection = self.connect().await?;
        for number in 0..rows.mailboxes {
            sqlx::query("INSERT INTO mailboxes (mailbox, paused_until, reason) VALUES (?1, ?2, 'paused by the bench')")
                .bind(format!("{}{number}@contoso.com", rows.mailbox))
                .bind(NEVER)
                .execute(&mut connection)
                .await?;
        }
        Ok(connection.close().await?)
    }

    pub async fn count(&self, statement: &'static str) -> Result<i64> {
        let mut connection = self.connect().await?;
        let count = sqlx::query_scalar(statement).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(count)
    }

    pub async fn text(&self, statement: &'static str) -> Result<String> {
        let mut connection = self.connect().await?;
        let text = sqlx::query_scalar(statement).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(text)
    }

    /// Now: what an agent starts from here on lies behind it.
    pub async fn mark(&self) -> Result<Mark> {
        let mut connection = self.connect().await?;
        let now = sqlx::query_scalar("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(Mark(now))
    }

    /// Waits until nothing is under way.
    pub async fn until_settled(&self) -> Result<()> {
        let claimed = "SELECT count(*) FROM jobs INDEXED BY jobs_claimed WHERE state = 'claimed'";
        let begin = std::time::Instant::now();
        while self.count(claimed).await? > 0 {
            if begin.elapsed() > PATIENCE {
                return Err("jobs stay claimed".into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// What was sent since.
    pub async fn flow_since(&self, mark: &Mark) -> Result<Flow> {
        let mut connection = self.connect().await?;
        let rows: Vec<(i64, i64)> = sqlx::query_as(FLOW).bind(&mark.0).fetch_all(&mut connection).await?;
        connection.close().await?;
        Flow::of(&rows)
    }

    /// The promise: since the mark every job sent has an event of its own, and this far side has no other, nor was one changed
    /// twice. The agent must have ended.
    pub async fn check_one_event_each(&self, mark: &Mark, sandbox: &FarSide) -> Result<()> {
        let mut connection = self.connect().await?;
        let (sent, ids): (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(DISTINCT event_id) FROM jobs
             WHERE state = 'sent' AND id IN (SELECT job_id FROM attempts WHERE started_at >= ?1)",
        )
        .bind(&mark.0)
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        let events = i64::try_from(sandbox.events().await?)?;
        if sent != events || ids != events {
            return Err(format!("lost or doubled: {sent} jobs sent with {ids} event ids, {events} events").into());
        }
        Ok(())
    }
}
