//! From a commit by another process to the request at the far side, the queue being idle. Both ends are read off the
//! same machine's wall clock, in microseconds: the producer's when its commit has returned, the sandbox's in its journal.

use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::json;

use crate::process::PATIENCE;
use crate::queue::Queue;
use crate::statistics::{median, percentile};
use crate::table::{Row, Spec, Target};
use crate::world::{Agent, Arrival, FarSide};
use crate::{Bench, Result};

const P50: Spec =
    Spec { name: "insert committed → request, idle queue: p50", unit: "ms", target: Target::AtMost(3.0) };
const P99: Spec =
    Spec { name: "insert committed → request, idle queue: p99", unit: "ms", target: Target::AtMost(10.0) };
const INSERT: &str = "INSERT INTO jobs (subject, start_time, end_time, mailbox, transaction_id)
    VALUES ('Review', '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'ann@contoso.com', ?1)";
/// Between two inserts: longer than the agent keeps looking after a change.
const QUIET: Duration = Duration::from_millis(600);
/// Between two requests of the baseline.
const BREATH: Duration = Duration::from_millis(100);

pub async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&P50) && !bench.wants(&P99) {
        return Ok(Vec::new());
    }
    let bare = bare(bench).await?;
    let home = bench.home()?;
    let queue = Queue::create(home.path()).await?;
    let sandbox = FarSide::sandbox(bench, json!({})).await?;
    let mark = queue.mark().await?;
    let agent = Agent::start(&queue, &sandbox, "").await?;
    let mut producer = queue.connect().await?;
    let mut took = Vec::new();
    let mut after = 0;
    for number in 0..=bench.sizes.pickups {
        // A little uneven, so that nothing that ticks can keep step with it.
        tokio::time::sleep(QUIET.mul_f64(1.0 + fastrand::f64() / 4.0)).await;
        let transaction = format!("pickup-{number}");
        sqlx::query(INSERT).bind(&transaction).execute(&mut producer).await?;
        let committed = Utc::now().timestamp_micros();
        let arrival = until_arrived(&sandbox, after, Some(&transaction)).await?;
        after = arrival.sequence;
        // The first one fetches the token and makes the connection.
        if number > 0 {
            took.push((arrival.at_us - committed) as f64 / 1000.0);
        }
    }
    agent.stop().await?;
    queue.check_one_event_each(&mark, &sandbox).await?;
    let note = format!("{} inserts, {} ms or more apart; baseline: a bare POST", took.len(), QUIET.as_millis());
    let mut rows = Vec::new();
    if bench.wants(&P50) {
        rows.push(P50.of(median(&took), Some(median(&bare)), note.clone()));
    }
    if bench.wants(&P99) {
        rows.push(P99.of(percentile(&took, 0.99), Some(percentile(&bare, 0.99)), note));
    }
    Ok(rows)
}

/// The floor: an idle client's POST until the sandbox has noted it. That it is refused makes no difference.
async fn bare(bench: &Bench) -> Result<Vec<f64>> {
    let sandbox = FarSide::sandbox(bench, json!({})).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{}/v1.0/users/ann@contoso.com/events", sandbox.url());
    let mut took = Vec::new();
    let mut after = 0;
    for number in 0..=bench.sizes.pickups {
        tokio::time::sleep(BREATH).await;
        let begin = Utc::now().timestamp_micros();
        http.post(&url).body("{}").send().await?.bytes().await?;
        let arrival = until_arrived(&sandbox, after, None).await?;
        after = arrival.sequence;
        if number > 0 {
            took.push((arrival.at_us - begin) as f64 / 1000.0);
        }
    }
    Ok(took)
}

pub async fn until_arrived(sandbox: &FarSide, after: u64, transaction: Option<&str>) -> Result<Arrival> {
    let begin = Instant::now();
    loop {
        // Asked late rather than often: asking costs the CPU that is measured.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut arrivals = sandbox.arrivals("create", after).await?.into_iter();
        let wanted = |arrival: &Arrival| transaction.is_none() || arrival.transaction_id.as_deref() == transaction;
        if let Some(arrival) = arrivals.find(wanted) {
            return Ok(arrival);
        }
        if begin.elapsed() > PATIENCE {
            return Err("a request did not come".into());
        }
    }
}
