//! What the wake-up costs those who insert: single rows from 16 connections, with the trigger that announces them and without it.

use std::fs;
use std::time::Instant;

use super::fill::Queue;
use super::server::Server;
use crate::table::{Row, Spec, Target};
use crate::{Bench, Result};

const NOTIFY: Spec = Spec {
    name: "PostgreSQL, 16 producers: inserts/s with the wake-up ÷ without",
    unit: "/s",
    target: Target::RatioAtLeast(0.8),
};
pub const SPECS: [Spec; 1] = [NOTIFY];

const PRODUCERS: usize = 16;
/// For later: nobody sends it meanwhile.
const SCRIPT: &str = "INSERT INTO jobs (subject, start_time, end_time, mailbox, not_before)
    VALUES ('Review', '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'user' || :client_id || '@contoso.com', '2100-01-01T00:00:00Z');\n";

pub async fn measure(bench: &Bench, server: &Server) -> Result<Vec<Row>> {
    if !bench.wants(&NOTIFY) {
        return Ok(Vec::new());
    }
    let home = bench.home()?;
    let script = home.path().join("insert.sql");
    fs::write(&script, SCRIPT)?;
    let times = bench.sizes.burst / 2 / PRODUCERS;
    let mut pairs = Vec::new();
    for _ in 0..bench.sizes.long_pairs {
        let mut rates = Vec::new();
        for trigger in ["DISABLE", "ENABLE"] {
            let queue = Queue::create(server).await?;
            server.run(&queue.schema, &format!("ALTER TABLE jobs {trigger} TRIGGER jobs_are_announced")).await?;
            let begin = Instant::now();
            server.pgbench(&queue.schema, &script, PRODUCERS, times)?;
            rates.push((times * PRODUCERS) as f64 / begin.elapsed().as_secs_f64());
            queue.drop().await?;
        }
        pairs.push((rates[1], rates[0]));
    }
    Ok(vec![NOTIFY.of_pairs(&pairs, format!("{} inserts, each committed alone", times * PRODUCERS))])
}
