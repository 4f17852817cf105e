//! Cold starts: after kill -9 in the middle of the work, and the demo's.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::json;
use sqlx::Connection;

use crate::process::{PATIENCE, Process, binary};
use crate::queue::{Queue, Rows};
use crate::statistics::{median, percentile};
use crate::table::{Row, Spec, Target};
use crate::world::{Agent, Arrival, FarSide};
use crate::{Bench, Result};

const KILL: Spec =
    Spec { name: "kill -9 → first request after restart, 1,000,000 rows", unit: "ms", target: Target::AtMost(200.0) };
const DEMO: Spec = Spec { name: "demo, cold start to first event sent", unit: "ms", target: Target::AtMost(300.0) };
/// Events sent before the agent is killed.
const WARM: usize = 1000;
/// A little more than the agent leaves a job alone that a dead agent may still be sending.
const DOUBT_RESTS: Duration = Duration::from_millis(2500);

pub async fn after_kill(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&KILL) {
        return Ok(Vec::new());
    }
    let rows = Rows::due(bench.sizes.waiting);
    let home = bench.home()?;
    let queue = Queue::create(home.path()).await?;
    queue.fill(&rows).await?;
    let mut took = Vec::new();
    for _ in 0..bench.sizes.kills {
        queue.top_up(&rows).await?;
        took.push(restart(bench, &queue).await?);
    }
    let note = format!("median of {}, slowest {:.0} ms, {} rows", took.len(), percentile(&took, 1.0), rows.count);
    Ok(vec![KILL.of(median(&took), None, note)])
}

/// Milliseconds from the kill to the new agent's first POST.
async fn restart(bench: &Bench, queue: &Queue) -> Result<f64> {
    let sandbox = FarSide::sandbox(bench, json!({"limits": false})).await?;
    let mark = queue.mark().await?;
    let agent = Agent::start(queue, &sandbox, "").await?;
    sandbox.until_events(WARM).await?;
    let signed_in = first(&sandbox, "token", 0).await?.sequence;
    let killed = Utc::now().timestamp_micros();
    agent.kill()?;
    let agent = Agent::spawn(queue, &sandbox, "")?;
    // Requests of the dead agent may still be arriving; the new one's come after its own sign-in.
    let signed_in = first(&sandbox, "token", signed_in).await?.sequence;
    let arrival = first(&sandbox, "create", signed_in).await?;
    until_no_doubt(queue).await?;
    agent.stop().await?;
    queue.check_one_event_each(&mark, &sandbox).await?;
    Ok((arrival.at_us - killed) as f64 / 1000.0)
}

/// What the dead agent had under way waits behind the backlog of its mailboxes; the bench does not, and moves it to the
/// front once its own wait is over.
async fn until_no_doubt(queue: &Queue) -> Result<()> {
    tokio::time::sleep(DOUBT_RESTS).await;
    let mut connection = queue.connect().await?;
    sqlx::query(
        "UPDATE jobs SET next_attempt_at = '2000-01-01T00:00:00.000Z' WHERE in_doubt = 1 AND state = 'pending'",
    )
    .execute(&mut connection)
    .await?;
    connection.close().await?;
    let begin = Instant::now();
    while queue.count("SELECT count(*) FROM jobs WHERE in_doubt = 1").await? > 0 {
        if begin.elapsed() > PATIENCE {
            return Err("jobs stay in doubt after a kill".into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

/// The first request of this kind after that one.
async fn first(sandbox: &FarSide, kind: &str, after: u64) -> Result<Arrival> {
    let begin = Instant::now();
    loop {
        if let Some(arrival) = sandbox.arrivals(kind, after).await?.into_iter().next() {
            return Ok(arrival);
        }
        if begin.elapsed() > PATIENCE {
            return Err(format!("no {kind} request came").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn demo(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&DEMO) {
        return Ok(Vec::new());
    }
    let mut took = Vec::new();
    for _ in 0..bench.sizes.demos {
        took.push(first_event_of_demo(bench).await?);
    }
    let note = format!("median of {}, slowest {:.0} ms, to the line on stdout", took.len(), percentile(&took, 1.0));
    Ok(vec![DEMO.of(median(&took), None, note)])
}

/// Milliseconds from the start of the process to the line that tells of the first event.
async fn first_event_of_demo(bench: &Bench) -> Result<f64> {
    let home = bench.home()?;
    let begin = Instant::now();
    let mut process = Process::start(binary().arg("demo").env("TMPDIR", home.path()).stdout(Stdio::piped()))?;
    let stdout = process.child().stdout.take().ok_or("the demo has no output")?;
    let mut first = None;
    // Read to the end: the demo checks itself, and says so with its exit code.
    for line in BufReader::new(stdout).lines() {
        if line?.contains("sent as event") {
            first.get_or_insert_with(|| begin.elapsed());
        }
    }
    if !process.end().await?.success() {
        return Err("the demo failed".into());
    }
    Ok(first.ok_or("the demo sent nothing")?.as_secs_f64() * 1000.0)
}
