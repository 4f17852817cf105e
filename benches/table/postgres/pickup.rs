//! From a commit by another program to the request, three agents waiting: NOTIFY, a look, a claim.

use std::time::Duration;

use chrono::Utc;
use serde_json::json;
use sqlx::Connection;

use super::fill::Queue;
use super::server::Server;
use crate::pickup::until_arrived;
use crate::statistics::{median, percentile};
use crate::table::{Row, Spec, Target};
use crate::world::FarSide;
use crate::{Bench, Result};

const P50: Spec = Spec {
    name: "PostgreSQL, 3 agents: insert committed → request, idle queue: p50",
    unit: "ms",
    target: Target::AtMost(5.0),
};
const P99: Spec = Spec {
    name: "PostgreSQL, 3 agents: insert committed → request, idle queue: p99",
    unit: "ms",
    target: Target::AtMost(20.0),
};
pub const SPECS: [Spec; 2] = [P50, P99];

const INSERT: &str = "INSERT INTO jobs (subject, start_time, end_time, mailbox, transaction_id)
    VALUES ('Review', '2026-12-01T09:00:00', '2026-12-01T10:00:00', $1, $2)";
const MAILBOXES: usize = 30;
const QUIET: Duration = Duration::from_millis(300);

pub async fn measure(bench: &Bench, server: &Server) -> Result<Vec<Row>> {
    if !SPECS.iter().any(|spec| bench.wants(spec)) {
        return Ok(Vec::new());
    }
    let queue = Queue::create(server).await?;
    let sandbox = FarSide::sandbox(bench, json!({"limits": false})).await?;
    let agents = queue.agents(bench, &sandbox, 3).await?;
    let mut producer = server.connect(&queue.schema).await?;
    let (mut took, mut after) = (Vec::new(), 0);
    // The first ones take the mailboxes, fetch the tokens and make the connections.
    let warm = 3 * MAILBOXES;
    for number in 0..warm + bench.sizes.pickups {
        let quiet = if number < warm { Duration::ZERO } else { QUIET.mul_f64(1.0 + fastrand::f64() / 4.0) };
        tokio::time::sleep(quiet).await;
        let transaction = format!("pickup-{number}");
        let mailbox = format!("user{}@contoso.com", number % MAILBOXES);
        sqlx::query(INSERT).bind(mailbox).bind(&transaction).execute(&mut producer).await?;
        let committed = Utc::now().timestamp_micros();
        let arrival = until_arrived(&sandbox, after, Some(&transaction)).await?;
        after = arrival.sequence;
        if number >= warm {
            took.push((arrival.at_us - committed) as f64 / 1000.0);
        }
    }
    producer.close().await?;
    for (_, agent) in agents {
        agent.stop().await?;
    }
    queue.drop().await?;
    let note = format!("{} inserts into {MAILBOXES} mailboxes, {} ms or more apart", took.len(), QUIET.as_millis());
    Ok(vec![P50.of(median(&took), None, note.clone()), P99.of(percentile(&took, 0.99), None, note)])
}
