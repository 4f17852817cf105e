//! What producers notice of an agent that drains the queue under them.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::queue::{Queue, Rows};
use crate::statistics::percentile;
use crate::table::{Row, Spec, Target};
use crate::world::{Agent, FarSide};
use crate::{Bench, Result};

const FLAT_OUT: Spec = Spec {
    name: "producers' insert p99 while the agent drains ÷ alone, 4 writers",
    unit: "ms",
    target: Target::RatioAtMost(2.0),
};
const PACED: Spec = Spec { name: "(beside) the same, each writer 20 inserts/s", unit: "ms", target: Target::None };
const WRITERS: usize = 4;
const INSERT: &str = "INSERT INTO jobs (subject, body, start_time, end_time, mailbox)
    VALUES ('Review', 'Agenda attached', '2026-12-01T09:00:00', '2026-12-01T10:00:00', ?1)";
/// More than any agent sends in a second: the backlog must outlast the producers.
const DRAINED_PER_SECOND: usize = 15_000;

pub async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (spec, pause) in [(FLAT_OUT, Duration::ZERO), (PACED, Duration::from_millis(50))] {
        if !bench.wants(&spec) {
            continue;
        }
        let mut pairs = Vec::new();
        let mut inserted = (0, 0);
        for _ in 0..bench.sizes.long_pairs {
            let (draining, alone) = pair(bench, pause).await?;
            pairs.push((percentile(&draining, 0.99), percentile(&alone, 0.99)));
            inserted = (draining.len(), alone.len());
        }
        rows.push(spec.of_pairs(
            &pairs,
            format!("{} inserts in {} s, alone {}", inserted.0, bench.sizes.producing_s, inserted.1),
        ));
    }
    Ok(rows)
}

/// Latencies in milliseconds: beside a busy agent, and alone on the same queue.
async fn pair(bench: &Bench, pause: Duration) -> Result<(Vec<f64>, Vec<f64>)> {
    let home = bench.home()?;
    let queue = Queue::create(home.path()).await?;
    queue.fill(&Rows::due(DRAINED_PER_SECOND * (bench.sizes.producing_s as usize + 1))).await?;
    let alone = insert(bench, &queue, pause).await?;
    let sandbox = FarSide::light(bench)?;
    let mark = queue.mark().await?;
    let agent = Agent::start(&queue, &sandbox, "").await?;
    sandbox.until_events(1).await?;
    let draining = insert(bench, &queue, pause).await?;
    if queue.count("SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 'pending')").await? == 0 {
        return Err("the agent was done before the producers were".into());
    }
    agent.stop().await?;
    queue.check_one_event_each(&mark, &sandbox).await?;
    Ok((draining, alone))
}

/// Every writer with a connection of its own and one transaction per row.
async fn insert(bench: &Bench, queue: &Queue, pause: Duration) -> Result<Vec<f64>> {
    let mut writers = JoinSet::new();
    let until = Instant::now() + bench.sizes.producing();
    for writer in 0..WRITERS {
        let mut connection = queue.connect().await?;
        writers.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < until {
                tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
                let begin = Instant::now();
                let insert = sqlx::query(INSERT).bind(format!("producer{writer}@contoso.com"));
                insert.execute(&mut connection).await?;
                took.push(begin.elapsed().as_secs_f64() * 1000.0);
            }
            Ok::<_, crate::Error>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(writer) = writers.join_next().await {
        took.extend(writer??);
    }
    Ok(took)
}
