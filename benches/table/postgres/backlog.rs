//! Whether size costs: a long backlog of which one paused mailbox has nearly all; and what many jobs leave behind.

use super::fill::Queue;
use super::server::Server;
use crate::queue::{NEVER, Rows};
use crate::table::{Row, Spec, Target};
use crate::world::{FarSide, IN_FLIGHT};
use crate::{Bench, Result};

const WAITING: Spec = Spec {
    name: "PostgreSQL, 1,000,000 waiting rows, 900,000 of one paused mailbox ÷ 10,000: events/s",
    unit: "/s",
    target: Target::RatioAtLeast(0.95),
};
const DEAD: Spec = Spec {
    name: "PostgreSQL, dead rows of jobs after a million were sent, autovacuum as it comes",
    unit: "%",
    target: Target::None,
};
pub const SPECS: [Spec; 2] = [WAITING, DEAD];

const SMALL: usize = 10_000;
const TIMED: usize = 9_000;
/// Inserted at a time while many are sent.
const BATCH: usize = 50_000;

pub async fn measure(bench: &Bench, server: &Server) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    if bench.wants(&WAITING) {
        rows.push(many_waiting(bench, server).await?);
    }
    if bench.wants(&DEAD) {
        rows.push(dead_rows(bench, server).await?);
    }
    Ok(rows)
}

async fn many_waiting(bench: &Bench, server: &Server) -> Result<Row> {
    let paused = Rows { mailbox: "paused", mailboxes: 1, ..Rows::due(bench.sizes.waiting / 10 * 9) };
    let others = Rows { mailboxes: 10_000, ..Rows::due(bench.sizes.waiting / 10) };
    let mut pairs = Vec::new();
    for _ in 0..bench.sizes.long_pairs {
        let small = Queue::create(server).await?;
        small.fill(&Rows { mailboxes: 10_000, ..Rows::due(SMALL) }).await?;
        let small_pace = pace(bench, &small).await?;
        small.drop().await?;
        let large = Queue::create(server).await?;
        let pause = format!(
            "INSERT INTO mailboxes (mailbox, paused_until, reason) VALUES ('paused0@contoso.com', '{NEVER}', 'paused by the bench')"
        );
        server.run(&large.schema, &pause).await?;
        large.fill(&paused).await?;
        large.fill(&others).await?;
        pairs.push((pace(bench, &large).await?, small_pace));
        large.drop().await?;
    }
    let note = format!("1 agent; the first {TIMED} of {} in 10,000 mailboxes beside {}", others.count, paused.count);
    Ok(WAITING.of_pairs(&pairs, note))
}

/// Events per second of one agent.
async fn pace(bench: &Bench, queue: &Queue<'_>) -> Result<f64> {
    queue.settle_down().await?;
    let far_side = FarSide::light(bench)?;
    let agents = queue.agents(bench, &far_side, 1).await?;
    far_side.until_events(TIMED + IN_FLIGHT).await?;
    for (_, agent) in agents {
        agent.stop().await?;
    }
    queue.flow_after(0).await?.rate_until(TIMED)
}

async fn dead_rows(bench: &Bench, server: &Server) -> Result<Row> {
    const SHARE: &str = "SELECT (100 * n_dead_tup / greatest(n_live_tup + n_dead_tup, 1))::bigint
        FROM pg_stat_user_tables WHERE relid = 'jobs'::regclass";
    const RUNS: &str = "SELECT autovacuum_count FROM pg_stat_user_tables WHERE relid = 'jobs'::regclass";
    const MEGABYTES: &str = "SELECT pg_total_relation_size('jobs') / 1000000";
    let queue = Queue::create(server).await?;
    let far_side = FarSide::light(bench)?;
    let agents = queue.agents(bench, &far_side, 2).await?;
    let mut inserted = 0;
    while inserted < bench.sizes.waiting {
        queue.fill(&Rows::due(BATCH)).await?;
        inserted += BATCH;
        // The next ones come before these have ended.
        far_side.until_events(inserted - BATCH / 2).await?;
    }
    far_side.until_events(inserted).await?;
    queue.until_settled().await?;
    for (_, agent) in agents {
        agent.stop().await?;
    }
    queue.check_one_event_each(&far_side, inserted).await?;
    let (share, runs, size) = (queue.count(SHARE).await?, queue.count(RUNS).await?, queue.count(MEGABYTES).await?);
    queue.drop().await?;
    let note = format!(
        "{inserted} jobs by 2 agents, vacuumed {runs} times meanwhile; the table and its indexes have {size} MB"
    );
    Ok(DEAD.of(share as f64, None, note))
}
