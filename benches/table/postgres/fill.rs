//! A queue in a schema of its own: filled by one statement through all of the table's triggers, and read afterwards.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use event_sender::config::Database;
use event_sender::queue::{PostgresQueue, Server as Address};
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

use super::server::Server;
use crate::process::PATIENCE;
use crate::queue::{Flow, Rows, agenda};
use crate::world::{Agent, FarSide, Workplace};
use crate::{Bench, Result};

const WAITING: &str = r#"INSERT INTO jobs (subject, body, start_time, end_time, location, attendees, mailbox)
    SELECT 'Review ' || i, $2, '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'Room 1',
        '[{"name":"Ann","address":"ann@contoso.com","required":true},{"name":"Bob","address":"bob@contoso.com","required":false}]',
        $3::text || (i % $4) || '@contoso.com'
    FROM generate_series(1, $1::bigint) AS n(i)"#;

const FLOW: &str = "SELECT (extract(epoch FROM started_at) * 1000)::bigint, duration_ms::bigint FROM attempts
    WHERE outcome = 'sent' AND job_id > $1";

pub struct Queue<'s> {
    pub server: &'s Server,
    pub schema: String,
}

/// An agent's place at it.
pub struct Place {
    home: PathBuf,
    name: String,
    url: String,
    _temporary: TempDir,
}

impl Workplace for Place {
    fn home(&self) -> &Path {
        &self.home
    }

    fn settings(&self) -> String {
        format!("[agent]\nname = \"{}\"\n[queue]\nurl = \"{}\"\n", self.name, self.url)
    }
}

impl<'s> Queue<'s> {
    pub async fn create(server: &'s Server) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let schema = format!("bench_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        server.run("public", &format!("CREATE SCHEMA {schema}")).await?;
        let address = Database::of(&server.url(&schema), None).map_err(|problem| format!("{problem:?}"))?;
        PostgresQueue::migrate(Address::of(&address)).await.map_err(|error| error.to_string())?;
        Ok(Self { server, schema })
    }

    /// Gone with all that is in it.
    pub async fn drop(self) -> Result<()> {
        self.server.run("public", &format!("DROP SCHEMA {} CASCADE", self.schema)).await
    }

    /// Adds rows by one statement: all are there at once.
    pub async fn fill(&self, rows: &Rows<'_>) -> Result<()> {
        let mut connection = self.server.connect(&self.schema).await?;
        sqlx::query(WAITING)
            .bind(i64::try_from(rows.count)?)
            .bind(agenda(rows.body))
            .bind(rows.mailbox)
            .bind(i64::try_from(rows.mailboxes)?)
            .execute(&mut connection)
            .await?;
        Ok(connection.close().await?)
    }

    /// What autovacuum would have done by the time a backlog is old.
    pub async fn settle_down(&self) -> Result<()> {
        self.server.run(&self.schema, "VACUUM ANALYZE jobs").await?;
        self.server.run(&self.schema, "CHECKPOINT").await
    }

    pub fn place(&self, bench: &Bench, name: &str) -> Result<Place> {
        let temporary = bench.home()?;
        Ok(Place {
            home: temporary.path().to_owned(),
            name: name.to_owned(),
            url: self.server.url(&self.schema),
            _temporary: temporary,
        })
    }

    /// So many of them, each started when the one before it had.
    pub async fn agents(&self, bench: &Bench, far_side: &FarSide, count: usize) -> Result<Vec<(Place, Agent)>> {
        let mut agents = Vec::new();
        for number in 1..=count {
            let place = self.place(bench, &format!("agent-{number}"))?;
            let agent = Agent::start(&place, far_side, "").await?;
            agents.push((place, agent));
        }
        Ok(agents)
    }

    pub async fn count(&self, statement: &str) -> Result<i64> {
        let mut connection = self.server.connect(&self.schema).await?;
        let count = sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(count)
    }

    pub async fn until_settled(&self) -> Result<()> {
        let begin = Instant::now();
        while self.count("SELECT count(*) FROM jobs WHERE state = 'claimed'").await? > 0 {
            if begin.elapsed() > PATIENCE {
                return Err("jobs stay claimed".into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// What was sent of the jobs after this id.
    pub async fn flow_after(&self, id: i64) -> Result<Flow> {
        let mut connection = self.server.connect(&self.schema).await?;
        let attempts: Vec<(i64, i64)> = sqlx::query_as(FLOW).bind(id).fetch_all(&mut connection).await?;
        connection.close().await?;
        Flow::of(&attempts)
    }

    /// The promise, of all that this far side has seen.
    pub async fn check_one_event_each(&self, far_side: &FarSide, sent: usize) -> Result<()> {
        let ids = self.count("SELECT count(DISTINCT event_id) FROM jobs WHERE state = 'sent'").await?;
        let events = far_side.events().await?;
        if usize::try_from(ids)? != sent || usize::try_from(events)? != sent {
            return Err(format!("lost or doubled: {sent} jobs, {ids} event ids, {events} events").into());
        }
        Ok(())
    }
}
