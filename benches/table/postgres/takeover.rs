//! How long a mailbox waits for its next request when the agent that serves it goes: by TERM, by kill -9, or silent like a machine
//! that hangs. Three agents, answers that take 100 ms, and a job for each mailbox four times a second; or a backlog, where every place
//! of every mailbox has a request under way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::json;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::task::JoinHandle;

use super::fill::{Place, Queue};
use super::server::Server;
use crate::process::PATIENCE;
use crate::queue::Rows;
use crate::statistics::{median, percentile};
use crate::table::{Row, Spec, Target};
use crate::world::{Agent, FarSide};
use crate::{Bench, Result};

const TERM: Spec = Spec {
    name: "PostgreSQL, 3 agents, one stopped (TERM) → its mailboxes' next request: p50",
    unit: "s",
    target: Target::AtMost(1.0),
};
const KILL: Spec = Spec {
    name: "PostgreSQL, 3 agents, one killed (kill -9) → its mailboxes' next request: p50",
    unit: "s",
    target: Target::AtMost(12.0),
};
const SILENT: Spec = Spec {
    name: "PostgreSQL, 3 agents, one silent (STOP) → its mailboxes' next request: p50",
    unit: "s",
    target: Target::AtMost(12.0),
};
const FULL: Spec = Spec {
    name: "(beside) PostgreSQL, the same, killed with every place of its mailboxes taken: p50",
    unit: "s",
    target: Target::None,
};
pub const SPECS: [Spec; 4] = [TERM, KILL, SILENT, FULL];

const MAILBOXES: usize = 30;
const ROWS: usize = 60_000;
const BETWEEN_INSERTS: Duration = Duration::from_millis(250);
/// What was on its way when the agent went has arrived.
const ON_ITS_WAY: Duration = Duration::from_millis(30);
/// A mailbox whose places all had a request of the dead agent waits until none of those can be under way any more.
const ALL: Duration = Duration::from_secs(45);
const OWNED: &str = "SELECT lane FROM lanes JOIN agents ON agents.id = owner WHERE name = $1 AND gone_at IS NULL";

pub async fn measure(bench: &Bench, server: &Server) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for spec in SPECS {
        if !bench.wants(&spec) {
            continue;
        }
        let mut took = Vec::new();
        for _ in 0..bench.sizes.kills {
            took.extend(take_over(bench, server, spec.name).await?);
        }
        let note = format!(
            "{} mailboxes in {} runs; p90 {:.1} s, worst {:.1} s",
            took.len(),
            bench.sizes.kills,
            percentile(&took, 0.9),
            percentile(&took, 1.0)
        );
        rows.push(spec.of(median(&took), None, note));
    }
    Ok(rows)
}

/// Seconds for each mailbox of the agent that goes.
async fn take_over(bench: &Bench, server: &Server, how: &str) -> Result<Vec<f64>> {
    let queue = Queue::create(server).await?;
    let sandbox = FarSide::sandbox(bench, json!({"limits": false, "latency_ms": 100})).await?;
    if how == FULL.name {
        queue.fill(&Rows { mailboxes: MAILBOXES, ..Rows::due(ROWS) }).await?;
        queue.settle_down().await?;
    }
    let mut agents = queue.agents(bench, &sandbox, 3).await?;
    let producer = insert(server.connect(&queue.schema).await?);
    let owned = until_shared(&queue).await?;
    let (place, agent): (Place, Agent) = agents.remove(0);
    let gone = Utc::now().timestamp_micros();
    if how == TERM.name {
        agent.stop().await?;
    } else if how == SILENT.name {
        agent.freeze()?;
        agents.push((place, agent));
    } else {
        agent.kill()?;
    }
    let from = match how == TERM.name {
        // It ends what it has begun, which is not waiting.
        true => gone,
        false => gone + i64::try_from(ON_ITS_WAY.as_micros())?,
    };
    let took = until_asked(&sandbox, &owned, from).await?;
    producer.abort();
    // Those that are left would send for a long time yet; the frozen one goes with its process.
    for (_, agent) in agents {
        agent.kill()?;
    }
    queue.drop().await?;
    Ok(took.into_values().map(|at| (at - gone) as f64 / 1e6).collect())
}

/// A job for each mailbox, again and again.
fn insert(mut connection: PgConnection) -> JoinHandle<()> {
    const ALL: &str = "INSERT INTO jobs (subject, start_time, end_time, mailbox)
        SELECT 'Review', '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'user' || n || '@contoso.com' FROM generate_series(0, $1) AS n";
    let last = i32::try_from(MAILBOXES).unwrap_or(0) - 1;
    tokio::spawn(async move {
        // Who measures finds out that nothing comes any more.
        while sqlx::query(ALL).bind(last).execute(&mut connection).await.is_ok() {
            tokio::time::sleep(BETWEEN_INSERTS).await;
        }
    })
}

/// The first agent's mailboxes, once every mailbox is somebody's and it has about a third.
async fn until_shared(queue: &Queue<'_>) -> Result<BTreeSet<String>> {
    let begin = Instant::now();
    loop {
        let mut connection = queue.server.connect(&queue.schema).await?;
        let owned: Vec<String> = sqlx::query_scalar(OWNED).bind("agent-1").fetch_all(&mut connection).await?;
        connection.close().await?;
        let all = queue.count("SELECT count(*) FROM lanes WHERE owner IS NOT NULL").await?;
        if usize::try_from(all)? == MAILBOXES && (MAILBOXES / 6..=MAILBOXES / 2).contains(&owned.len()) {
            return Ok(owned.into_iter().collect());
        }
        if begin.elapsed() > PATIENCE {
            return Err(format!("the mailboxes are not shared: {} of {all}", owned.len()).into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// When each of them was asked for next, in microseconds.
async fn until_asked(sandbox: &FarSide, mailboxes: &BTreeSet<String>, from: i64) -> Result<BTreeMap<String, i64>> {
    let begin = Instant::now();
    let (mut asked, mut after) = (BTreeMap::new(), 0);
    while asked.len() < mailboxes.len() {
        for arrival in sandbox.arrivals("create", after).await? {
            after = after.max(arrival.sequence);
            let Some(mailbox) = arrival.mailbox.filter(|mailbox| mailboxes.contains(mailbox)) else { continue };
            if arrival.at_us >= from {
                asked.entry(mailbox).or_insert(arrival.at_us);
            }
        }
        if begin.elapsed() > ALL {
            return Err(format!("{} of {} mailboxes are asked for again", asked.len(), mailboxes.len()).into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(asked)
}
