//! Events per second and CPU per event against the bare loop, where nothing but the agent itself is in the way, and
//! where the far side's latency sets the pace.

use serde_json::{Value, json};

use crate::bare::Protocol;
use crate::queue::{Queue, Rows};
use crate::statistics::median;
use crate::table::{Row, Spec, Target};
use crate::world::{Agent, IN_FLIGHT, Sandbox};
use crate::{Bench, Result, bare};

const RATE: Spec =
    Spec { name: "throughput, 500 mailboxes, zero latency: events/s", unit: "/s", target: Target::RatioAtLeast(0.75) };
const CPU: Spec = Spec { name: "agent's CPU per event", unit: "µs", target: Target::RatioAtMost(1.6) };
const ONE: Spec =
    Spec { name: "one mailbox, 100 ms, 4 slots: events/s", unit: "/s", target: Target::RatioAtLeast(0.99) };
const SPREAD: Spec = Spec {
    name: "200 mailboxes, lognormal 150 ms, 64 in flight: events/s",
    unit: "/s",
    target: Target::RatioAtLeast(0.99),
};

const PROTOCOL: Spec = Spec {
    name: "(beside) bare loop, the same: HTTP/2 on one connection ÷ pooled HTTP/1.1",
    unit: "/s",
    target: Target::None,
};
const PROTOCOL_CPU: Spec =
    Spec { name: "(beside) its CPU per event: HTTP/2 ÷ HTTP/1.1", unit: "µs", target: Target::None };

/// What both sides get to do.
struct Load {
    rows: usize,
    mailboxes: usize,
    in_flight: usize,
    sandbox: Value,
}

/// One side's figures.
#[derive(Debug)]
struct Side {
    rate: f64,
    /// While all slots were in use: how the last few run out is a matter of luck where latencies are long.
    full_rate: f64,
    cpu_us: f64,
    sandbox_cpu_us: f64,
}

/// Agent and bare loop on the same rows.
struct Pair {
    agent: Side,
    bare: Side,
}

pub async fn many_mailboxes(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&RATE) && !bench.wants(&CPU) {
        return Ok(Vec::new());
    }
    let load =
        Load { rows: bench.sizes.burst, mailboxes: 500, in_flight: IN_FLIGHT, sandbox: json!({"limits": false}) };
    let pairs = race(bench, &load).await?;
    let of_sandbox = |pick: fn(&Pair) -> &Side| -> f64 {
        median(&pairs.iter().map(|pair| pick(pair).sandbox_cpu_us).collect::<Vec<_>>())
    };
    let note = format!(
        "the sandbox itself uses {:.0} µs of CPU per event of the agent, {:.0} µs per event of the bare loop",
        of_sandbox(|pair| &pair.agent),
        of_sandbox(|pair| &pair.bare)
    );
    let mut rows = Vec::new();
    if bench.wants(&RATE) {
        rows.push(RATE.of_pairs(&figures(&pairs, |side| side.rate), note));
    }
    if bench.wants(&CPU) {
        rows.push(CPU.of_pairs(&figures(&pairs, |side| side.cpu_us), "user and system, log lines to a file included"));
    }
    Ok(rows)
}

pub async fn one_mailbox(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&ONE) {
        return Ok(Vec::new());
    }
    let load = Load {
        rows: bench.sizes.one_mailbox,
        mailboxes: 1,
        in_flight: 4,
        sandbox: json!({"limits": false, "latency_ms": 100}),
    };
    let pairs = race(bench, &load).await?;
    Ok(vec![ONE.of_pairs(&figures(&pairs, |side| side.full_rate), "")])
}

pub async fn spread_latency(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&SPREAD) {
        return Ok(Vec::new());
    }
    let load = spread(bench);
    let pairs = race(bench, &load).await?;
    let note = "median 150 ms, sigma 0.5; both sides meet the same latencies in the same order";
    Ok(vec![SPREAD.of_pairs(&figures(&pairs, |side| side.full_rate), note)])
}

/// Latencies as a real calendar has them.
fn spread(bench: &Bench) -> Load {
    Load {
        rows: bench.sizes.spread,
        mailboxes: 200,
        in_flight: IN_FLIGHT,
        sandbox: json!({"limits": false, "latency_ms": 150, "latency_sigma": 0.5, "latency_seed": 1}),
    }
}

/// Which of the two protocols carries the requests better.
pub async fn protocols(bench: &Bench) -> Result<Vec<Row>> {
    if !bench.wants(&PROTOCOL) && !bench.wants(&PROTOCOL_CPU) {
        return Ok(Vec::new());
    }
    let load = spread(bench);
    let home = bench.home()?;
    let queue = Queue::create(home.path()).await?;
    queue.fill(&Rows { mailboxes: load.mailboxes, ..Rows::due(load.rows) }).await?;
    let mut pairs = Vec::new();
    for _ in 0..bench.sizes.long_pairs {
        let pooled = bare_side(bench, &load, &queue, Protocol::Own).await?;
        pairs.push((bare_side(bench, &load, &queue, Protocol::Http2).await?, pooled));
    }
    let figures = |pick: fn(&Side) -> f64| -> Vec<(f64, f64)> {
        pairs.iter().map(|(http2, pooled)| (pick(http2), pick(pooled))).collect()
    };
    let rates = PROTOCOL.of_pairs(&figures(|side| side.full_rate), "");
    Ok(vec![rates, PROTOCOL_CPU.of_pairs(&figures(|side| side.cpu_us), "")])
}

fn figures(pairs: &[Pair], pick: fn(&Side) -> f64) -> Vec<(f64, f64)> {
    pairs.iter().map(|pair| (pick(&pair.agent), pick(&pair.bare))).collect()
}

/// In turns, each pair on rows of its own.
async fn race(bench: &Bench, load: &Load) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for _ in 0..bench.sizes.pairs {
        let home = bench.home()?;
        let queue = Queue::create(home.path()).await?;
        queue.fill(&Rows { mailboxes: load.mailboxes, ..Rows::due(load.rows) }).await?;
        let bare = bare_side(bench, load, &queue, Protocol::Own).await?;
        let agent = agent_side(bench, load, &queue).await?;
        pairs.push(Pair { agent, bare });
    }
    Ok(pairs)
}

async fn bare_side(bench: &Bench, load: &Load, queue: &Queue, protocol: Protocol) -> Result<Side> {
    let sandbox = Sandbox::start(bench, load.sandbox.clone()).await?;
    let before = sandbox.cpu()?;
    let bare = bare::run(queue, &sandbox, load.in_flight, protocol).await?;
    if bare.sent != load.rows {
        return Err(format!("the bare loop sent {} of {}", bare.sent, load.rows).into());
    }
    Ok(Side {
        rate: bare.rate(),
        full_rate: bare.full_rate(),
        cpu_us: bare.cpu_us(),
        sandbox_cpu_us: sandbox.cpu()?.since(&before) * 1e6 / load.rows as f64,
    })
}

async fn agent_side(bench: &Bench, load: &Load, queue: &Queue) -> Result<Side> {
    let sandbox = Sandbox::start(bench, load.sandbox.clone()).await?;
    let (mark, before) = (queue.mark().await?, sandbox.cpu()?);
    let agent = Agent::start(queue, &sandbox, "").await?;
    sandbox.until_events(load.rows).await?;
    queue.until_settled().await?;
    let per_event = 1e6 / load.rows as f64;
    let (cpu_us, sandbox_cpu_us) = (agent.cpu_seconds()? * per_event, sandbox.cpu()?.since(&before) * per_event);
    agent.stop().await?;
    queue.check_one_event_each(&mark, &sandbox).await?;
    let flow = queue.flow_since(&mark).await?;
    if flow.count() != load.rows {
        return Err(format!("{} of {} were recorded", flow.count(), load.rows).into());
    }
    Ok(Side {
        rate: flow.rate_until(load.rows)?,
        full_rate: flow.rate_until(load.rows - load.in_flight)?,
        cpu_us,
        sandbox_cpu_us,
    })
}
