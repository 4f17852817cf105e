//! What a healthy mailbox notices of a hundred throttled ones.

use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};

use crate::process::PATIENCE;
use crate::queue::{Queue, Rows};
use crate::statistics::percentile;
use crate::table::{Row, Spec, Target};
use crate::world::{Agent, FarSide};
use crate::{Bench, Result};

const P99: Spec = Spec {
    name: "healthy mailbox's insert → sent p99 while 100 others answer 429 ÷ alone",
    unit: "ms",
    target: Target::RatioAtMost(1.1),
};
/// As a real calendar takes.
const SERVICE_MS: u64 = 100;
const THROTTLED: usize = 100;
/// Waiting rows of each throttled mailbox.
const ROWS_EACH: usize = 50;
const BETWEEN: Duration = Duration::from_millis(50);
/// Until every throttled mailbox has been asked, and asked again.
const SETTLE: Duration = Duration::from_secs(2);
const INSERT: &str = "INSERT INTO jobs (subject, start_time, end_time, mailbox)
    VALUES ('Review', '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'healthy@contoso.com')";
/// Id and end in milliseconds since 1970.
const ENDS: &str = "SELECT id, CAST(round((julianday(finished_at) - 2440587.5) * 86400000.0) AS INTEGER) FROM jobs
    WHERE state = 'sent' AND id >= ?1";

pub async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&P99) {
        return Ok(Vec::new());
    }
    let mut pairs = Vec::new();
    for _ in 0..bench.sizes.long_pairs {
        let alone = healthy(bench, 0).await?;
        pairs.push((healthy(bench, THROTTLED).await?, alone));
    }
    let note = format!("service time {SERVICE_MS} ms, an insert every {} ms, Retry-After 1 s", BETWEEN.as_millis());
    Ok(vec![P99.of_pairs(&pairs, note)])
}

/// The healthy mailbox's p99, beside so many throttled ones.
async fn healthy(bench: &Bench, throttled: usize) -> Result<f64> {
    let home = bench.home()?;
    let queue = Queue::create(home.path()).await?;
    if throttled > 0 {
        let rows = Rows { mailbox: "busy", mailboxes: throttled, ..Rows::due(throttled * ROWS_EACH) };
        queue.fill(&rows).await?;
    }
    let sandbox = FarSide::sandbox(bench, json!({"limits": false, "latency_ms": SERVICE_MS})).await?;
    // Also where nobody meets them: the sandbox looks through them for every request.
    sandbox.tell("faults", &Value::Array((0..THROTTLED).map(too_many_requests).collect())).await?;
    let mark = queue.mark().await?;
    let agent = Agent::start(&queue, &sandbox, "").await?;
    tokio::time::sleep(SETTLE).await;
    let mut producer = queue.connect().await?;
    let mut committed = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < bench.sizes.healthy() {
        let id = sqlx::query(INSERT).execute(&mut producer).await?.last_insert_rowid();
        committed.push((id, Utc::now().timestamp_micros()));
        tokio::time::sleep(BETWEEN.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
    }
    let first = committed.first().ok_or("nothing inserted")?.0;
    let ends = loop {
        let ends: Vec<(i64, i64)> = sqlx::query_as(ENDS).bind(first).fetch_all(&mut producer).await?;
        if ends.len() == committed.len() {
            break ends;
        }
        if begin.elapsed() > bench.sizes.healthy() + PATIENCE {
            return Err("the healthy mailbox's jobs do not end".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    agent.stop().await?;
    queue.check_one_event_each(&mark, &sandbox).await?;
    let took = committed.iter().zip(ends).map(|((_, committed), (_, end))| end as f64 - *committed as f64 / 1000.0);
    Ok(percentile(&took.collect::<Vec<_>>(), 0.99))
}

/// For ever, to one mailbox.
fn too_many_requests(number: usize) -> Value {
    json!({
        "mailbox": format!("busy{number}@contoso.com"),
        "times": 0,
        "action": {"answer": {
            "status": 429,
            "code": "ApplicationThrottled",
            "message": "Application is over its RequestRate limit.",
            "retry_after": "1",
        }},
    })
}
