//! Whether size costs: a long backlog, one mailbox that holds most of it paused, millions of finished rows, their
//! deletion, and large bodies in memory.

use crate::queue::{Queue, Rows};
use crate::table::{Row, Spec, Target};
use crate::world::{Agent, FarSide, IN_FLIGHT};
use crate::{Bench, Result};

const WAITING: Spec = Spec {
    name: "throughput with 1,000,000 waiting rows ÷ with 10,000",
    unit: "/s",
    target: Target::RatioAtLeast(0.95),
};
const NO_MORE_THAN: Spec =
    Spec { name: "(beside) throughput with 1,000,000 waiting rows ÷ with 50,000", unit: "/s", target: Target::None };
const PAUSED: Spec = Spec {
    name: "throughput with 990,000 rows of one paused mailbox ÷ without",
    unit: "/s",
    target: Target::RatioAtLeast(0.95),
};
const FINISHED: Spec =
    Spec { name: "throughput with 5,000,000 finished jobs ÷ fresh", unit: "/s", target: Target::RatioAtLeast(0.95) };
const PURGE: Spec = Spec {
    name: "throughput while retention purges 1,000,000 rows ÷ before",
    unit: "/s",
    target: Target::RatioAtLeast(0.9),
};
const MEMORY: Spec = Spec {
    name: "resident memory, 1,000,000 waiting rows, 4 KB bodies, full load",
    unit: "MB",
    target: Target::AtMost(40.0),
};

/// The small backlog all others are compared with …
const SMALL: usize = 10_000;
/// … and how many events of it are timed: the last ones would find fewer mailboxes than the rest.
const TIMED: usize = 9_000;
/// A backlog that lasts while so many are timed, as a long one does: a small one shrinks to a tenth meanwhile.
const LASTING: usize = 50_000;
const LARGE_BODY: usize = 4096;
/// MB as people and the targets count them.
const MB_PER_MIB: f64 = 1.048_576;

pub async fn many_waiting(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&WAITING) && !bench.wants(&NO_MORE_THAN) {
        return Ok(Vec::new());
    }
    let large = Rows::due(bench.sizes.waiting);
    let home = bench.home()?;
    let queue = Queue::create(home.path()).await?;
    queue.fill(&large).await?;
    let (mut pairs, mut lasting) = (Vec::new(), Vec::new());
    for _ in 0..bench.sizes.pairs {
        let (small, medium) = (fresh(bench, SMALL).await?, fresh(bench, LASTING).await?);
        queue.top_up(&large).await?;
        let pace = pace(bench, &queue, TIMED, "").await?;
        pairs.push((pace, small));
        lasting.push((pace, medium));
    }
    let of = |small| format!("the first {TIMED} of {} and of {small} waiting rows", large.count);
    Ok(vec![WAITING.of_pairs(&pairs, of(SMALL)), NO_MORE_THAN.of_pairs(&lasting, of(LASTING))])
}

pub async fn one_paused(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&PAUSED) {
        return Ok(Vec::new());
    }
    let paused = Rows { mailbox: "paused", mailboxes: 1, ..Rows::due(bench.sizes.waiting - SMALL) };
    let home = bench.home()?;
    let queue = Queue::create(home.path()).await?;
    queue.fill(&paused).await?;
    queue.pause(&paused).await?;
    let mut pairs = Vec::new();
    for _ in 0..bench.sizes.pairs {
        let fresh = fresh(bench, SMALL).await?;
        queue.top_up(&Rows::due(paused.count + SMALL)).await?;
        pairs.push((pace(bench, &queue, TIMED, "").await?, fresh));
    }
    Ok(vec![PAUSED.of_pairs(&pairs, format!("{} rows paused beside {SMALL}", paused.count))])
}

pub async fn many_finished(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&FINISHED) {
        return Ok(Vec::new());
    }
    let home = bench.home()?;
    let queue = Queue::create(home.path()).await?;
    queue.fill_finished(bench.sizes.finished).await?;
    let mut pairs = Vec::new();
    for _ in 0..bench.sizes.pairs {
        let fresh = fresh(bench, SMALL).await?;
        queue.top_up(&Rows::due(SMALL)).await?;
        pairs.push((pace(bench, &queue, TIMED, "").await?, fresh));
    }
    Ok(vec![FINISHED.of_pairs(&pairs, format!("{} finished rows with their attempts", bench.sizes.finished))])
}

pub async fn purge(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&PURGE) {
        return Ok(Vec::new());
    }
    const OLD: &str = "SELECT count(*) FROM jobs WHERE finished_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour')";
    let waiting = Rows::due(bench.sizes.purging + 1_000);
    let home = bench.home()?;
    let queue = Queue::create(home.path()).await?;
    queue.fill_finished(bench.sizes.purged).await?;
    let mut pairs = Vec::new();
    for _ in 0..bench.sizes.pairs {
        queue.top_up(&waiting).await?;
        let before = pace(bench, &queue, bench.sizes.purging, "").await?;
        queue.top_up(&waiting).await?;
        let during = pace(bench, &queue, bench.sizes.purging, "retention = \"1h\"\n").await?;
        pairs.push((during, before));
    }
    let deleted = i64::try_from(bench.sizes.purged)? - queue.count(OLD).await?;
    if deleted <= 0 {
        return Err("retention deleted nothing".into());
    }
    let note = format!("{deleted} of {} finished rows were deleted within {} runs", bench.sizes.purged, pairs.len());
    Ok(vec![PURGE.of_pairs(&pairs, note)])
}

pub async fn memory(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&MEMORY) {
        return Ok(Vec::new());
    }
    let rows = Rows { body: LARGE_BODY, ..Rows::due(bench.sizes.large_bodies) };
    let home = bench.home()?;
    let queue = Queue::create(home.path()).await?;
    queue.fill(&rows).await?;
    let sandbox = FarSide::light(bench)?;
    let mark = queue.mark().await?;
    let agent = Agent::start(&queue, &sandbox, "").await?;
    sandbox.until_events(rows.count.min(50_000) / 2).await?;
    let memory = agent.memory()?;
    agent.stop().await?;
    queue.check_one_event_each(&mark, &sandbox).await?;
    let (now, events) = (memory.now * MB_PER_MIB, sandbox.events().await?);
    let note = format!("peak; {now:.1} MB after {events} events of {} rows", rows.count);
    Ok(vec![MEMORY.of(memory.peak * MB_PER_MIB, None, note)])
}

/// Events per second of a new queue with this backlog.
async fn fresh(bench: &Bench, waiting: usize) -> Result<f64> {
    let home = bench.home()?;
    let queue = Queue::create(home.path()).await?;
    queue.fill(&Rows::due(waiting)).await?;
    pace(bench, &queue, TIMED, "").await
}

/// Events per second of an agent with these settings of `[queue]`, until it has sent so many.
async fn pace(bench: &Bench, queue: &Queue, timed: usize, settings: &str) -> Result<f64> {
    let sandbox = FarSide::light(bench)?;
    let mark = queue.mark().await?;
    let agent = Agent::start(queue, &sandbox, settings).await?;
    // A few more than are timed: those that were begun before the last one that counts ended.
    sandbox.until_events(timed + IN_FLIGHT).await?;
    agent.stop().await?;
    queue.check_one_event_each(&mark, &sandbox).await?;
    queue.flow_since(&mark).await?.rate_until(timed)
}
