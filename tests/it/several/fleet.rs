//! Agents that share a queue, and what they have done to it and to Microsoft's side.

use std::collections::BTreeMap;
use std::time::Instant;

use event_sender::sandbox::RequestRecord;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};
use tokio::sync::Mutex;

use crate::bed::{Bed, Row};
use crate::cluster::Cluster;
use crate::ground::Server;
use crate::ledger::{End, Entry, Ledger};
use crate::life::reckoning::{self as life, Account};
use crate::process::{LOOK, PATIENCE, Process, Ran};
use crate::sandbox_process::SandboxProcess;

/// A request may be on its way for so long, in microseconds.
const CROSSING_US: i64 = 150_000;

pub struct Fleet {
    pub bed: Bed,
    pub sandbox: SandboxProcess,
    db: Mutex<PgConnection>,
}

impl Fleet {
    /// None: there is no server here.
    pub async fn new(server: Server, latency_ms: u64) -> Option<Self> {
        let cluster = Cluster::get()?;
        let schema = cluster.schema().await;
        Some(Self::on(&cluster.url(&schema), cluster.connect(&schema).await, server, latency_ms).await)
    }

    /// On an empty database; `db` is another program's connection to it.
    pub async fn on(url: &str, db: PgConnection, server: Server, latency_ms: u64) -> Self {
        let (deduplicate, lookup) = (server != Server::OnlyFinds, server != Server::OnlyHonours);
        let options = json!({ "deduplicate": deduplicate, "lookup": lookup, "latency_ms": latency_ms });
        let sandbox = SandboxProcess::start(options).await;
        let mut bed = Bed::beside(&sandbox.url).await;
        bed.unset("queue.path");
        bed.set("queue.url", url);
        bed.set("graph.request_timeout", "4s");
        bed.set("delivery.max_attempts", "1000");
        bed.command(&["migrate"]).await.expect(0);
        Self { bed, sandbox, db: Mutex::new(db) }
    }

    /// The other program's connection was lost, and it has made another one.
    pub async fn connected_anew(&self, db: PgConnection) {
        *self.db.lock().await = db;
    }

    /// Starts an agent of this name.
    pub fn agent(&mut self, name: &str) -> Process {
        self.agent_with(name, &[])
    }

    pub fn agent_with(&mut self, name: &str, options: &[&str]) -> Process {
        self.bed.forget_env();
        self.bed.env("EVENT_SENDER__AGENT__NAME", name);
        self.bed.run_with(options)
    }

    /// One that has begun.
    pub async fn begun(&mut self, name: &str) -> Process {
        let agent = self.agent(name);
        self.until_begun(name, &agent).await;
        agent
    }

    /// One that has begun, and comes to the database by this URL.
    pub async fn begun_by(&mut self, url: &str, name: &str) -> Process {
        let agent = self.agent_by(url, name);
        self.until_begun(name, &agent).await;
        agent
    }

    pub fn agent_by(&mut self, url: &str, name: &str) -> Process {
        self.agent_in(name, |bed| bed.env("EVENT_SENDER__QUEUE__URL", url))
    }

    /// One whose environment is prepared by that.
    pub fn agent_in<T>(&mut self, name: &str, prepare: impl FnOnce(&mut Bed) -> T) -> Process {
        self.bed.forget_env();
        prepare(&mut self.bed);
        self.bed.env("EVENT_SENDER__AGENT__NAME", name);
        self.bed.run()
    }

    pub async fn until_begun(&self, name: &str, agent: &Process) {
        self.until(&format!("{name} has started"), async |_| !agent.said("agent started").is_empty()).await;
    }

    pub async fn command(&mut self, arguments: &[&str]) -> Ran {
        self.bed.forget_env();
        self.bed.command(arguments).await
    }

    pub async fn status(&mut self) -> Value {
        self.command(&["status", "--json"]).await.expect(0).json()
    }

    /// One statement of another program; how many rows it changed.
    pub async fn sql(&self, statement: &str) -> u64 {
        self.try_sql(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    pub async fn try_sql(&self, statement: &str) -> Result<u64, String> {
        let mut db = self.db.lock().await;
        let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut *db).await;
        done.map(|done| done.rows_affected()).map_err(|error| error.to_string())
    }

    /// Inserts rows in one transaction.
    pub async fn insert(&self, rows: &[Row]) -> Vec<i64> {
        let mut db = self.db.lock().await;
        let mut ids = Vec::new();
        for row in rows {
            let names: Vec<&str> = row.0.iter().map(|(name, _)| *name).collect();
            let places: Vec<String> = (1..=names.len()).map(|place| format!("${place}")).collect();
            let statement =
                format!("INSERT INTO jobs ({}) VALUES ({}) RETURNING id", names.join(", "), places.join(", "));
            let mut query = sqlx::query_scalar(AssertSqlSafe(statement));
            for (_, value) in &row.0 {
                query = query.bind(value);
            }
            ids.push(query.fetch_one(&mut *db).await.unwrap());
        }
        ids
    }

    pub async fn number(&self, question: &str) -> i64 {
        let mut db = self.db.lock().await;
        sqlx::query_scalar(AssertSqlSafe(question.to_owned())).fetch_one(&mut *db).await.unwrap()
    }

    pub async fn text(&self, question: &str) -> Option<String> {
        let mut db = self.db.lock().await;
        sqlx::query_scalar(AssertSqlSafe(question.to_owned())).fetch_optional(&mut *db).await.unwrap().flatten()
    }

    pub async fn count(&self, state: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM jobs WHERE state = '{state}'")).await
    }

    /// Mailboxes that each agent has, by its name.
    pub async fn shares(&self) -> BTreeMap<String, i64> {
        let mut db = self.db.lock().await;
        let shares = "SELECT a.name, count(l.lane) AS lanes FROM agents AS a LEFT JOIN lanes AS l ON l.owner = a.id
            WHERE a.gone_at IS NULL GROUP BY a.name";
        let rows = sqlx::query(shares).fetch_all(&mut *db).await.unwrap();
        rows.iter().map(|row| (row.get("name"), row.get("lanes"))).collect()
    }

    /// Waits until that is so.
    pub async fn until(&self, what: &str, mut look: impl AsyncFnMut(&Self) -> bool) {
        let start = Instant::now();
        while !look(self).await {
            if start.elapsed() > PATIENCE * 2 {
                let jobs = self.text("SELECT string_agg(j::text, chr(10)) FROM (SELECT id, state, mailbox_key, behind, in_doubt, next_attempt_at, claimed_by, error_message FROM jobs WHERE state IN ('pending', 'claimed') ORDER BY id LIMIT 30) AS j").await;
                let agents = self.text("SELECT string_agg(a::text, chr(10)) FROM (SELECT id, name, lease_until, gone_at, how, cleaned_at FROM agents) AS a").await;
                let lanes =
                    self.text("SELECT string_agg(l::text, chr(10)) FROM (SELECT * FROM lanes LIMIT 30) AS l").await;
                panic!(
                    "waited in vain until {what}\n{}\n{}\n{}",
                    jobs.unwrap_or_default(),
                    agents.unwrap_or_default(),
                    lanes.unwrap_or_default()
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub async fn until_all_have_ended(&self) {
        let left = "SELECT count(*) FROM jobs WHERE state IN ('pending', 'claimed')";
        self.until("all jobs have ended", async |fleet| fleet.number(left).await == 0).await;
    }

    /// The reckoning: every job against every event.
    pub async fn ledger(&self, end: impl Fn(&str) -> End) -> Ledger {
        self.ledger_without(&[], end).await
    }

    /// The same without the events of jobs that the database has lost, by their transaction ids.
    pub async fn ledger_without(&self, lost: &[String], end: impl Fn(&str) -> End) -> Ledger {
        let entries = "SELECT subject, state, event_id, in_doubt::int::bigint AS in_doubt, transaction_id, error_kind,
            error_message FROM jobs ORDER BY id";
        let entries: Vec<Entry> = sqlx::query_as(entries).fetch_all(&mut *self.db.lock().await).await.unwrap();
        let mut events = self.sandbox.events().await;
        events.retain(|event| !event.transaction_id.as_ref().is_some_and(|id| lost.contains(id)));
        Ledger::reckoned(entries, events, end)
    }

    /// The reckoning of whole lives: every row of a key, in order.
    pub async fn account(&self) -> Account {
        let entries = "SELECT id, operation, event_key, state, subject, attendees, body, event_id,
            in_doubt::int::bigint AS in_doubt, error_kind, error_message, transaction_id FROM jobs ORDER BY event_key, id";
        let entries: Vec<life::Entry> = sqlx::query_as(entries).fetch_all(&mut *self.db.lock().await).await.unwrap();
        Account::reckoned(&entries, self.sandbox.events().await, self.sandbox.mails().await)
    }

    /// The most requests that were under way at once at one mailbox.
    pub async fn most_at_once(&self) -> u32 {
        self.sandbox.requests(0).await.iter().map(|request| request.in_flight).max().unwrap_or_default()
    }

    /// Requests that came before their mailbox's Retry-After had passed, without those that were on their way when a sibling's
    /// answer named it.
    pub async fn early(&self) -> Vec<RequestRecord> {
        let requests = self.sandbox.requests(0).await;
        let crossed = |early: &&RequestRecord| {
            let answered = |one: &RequestRecord| Some(one.at_us + i64::try_from(one.duration_ms?).ok()? * 1000);
            let named = requests.iter().filter(|one| one.retry_after_ms.is_some() && one.mailbox == early.mailbox);
            named.filter_map(answered).any(|answered| (0..CROSSING_US).contains(&(early.at_us - answered)))
        };
        let early = requests.iter().filter(|request| request.early_by_ms.is_some());
        early.filter(|early| !crossed(early)).cloned().collect()
    }
}
