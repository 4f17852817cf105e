//! Events per second and CPU per event against the bare loop, where nothing but the agent itself is in the way, and
//! where the far side's latency sets the pace.

use serde_json::{Value, json};

use crate::bare::Way;
use crate::queue::{Queue, Rows};
use crate::statistics::median;
use crate::table::{Row, Spec, Target};
use crate::world::{Agent, FarSide, IN_FLIGHT};
use crate::{Bench, Result, bare};

const RATE: Spec =
    Spec { name: "throughput, 500 mailboxes, zero latency: events/s", unit: "/s", target: Target::RatioAtLeast(0.5) };
const CPU: Spec = Spec { name: "zero latency: agent's CPU per event", unit: "µs", target: Target::RatioAtMost(2.3) };
const RATE_OF_FLOOR: Spec =
    Spec { name: "zero latency ÷ the floor: events/s", unit: "/s", target: Target::RatioAtLeast(0.85) };
const CPU_OF_FLOOR: Spec =
    Spec { name: "zero latency ÷ the floor: CPU per event", unit: "µs", target: Target::RatioAtMost(1.25) };
const UPDATES: Spec = Spec { name: "updates, 500 mailboxes, zero latency: events/s", unit: "/s", target: Target::None };
const UPDATES_CPU: Spec = Spec { name: "updates, zero latency: CPU per event", unit: "µs", target: Target::None };
const DELETES: Spec = Spec { name: "deletes, 500 mailboxes, zero latency: events/s", unit: "/s", target: Target::None };
const DELETES_CPU: Spec = Spec { name: "deletes, zero latency: CPU per event", unit: "µs", target: Target::None };
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
    operation: &'static str,
    /// The sandbox with these options; none: the far side that costs next to nothing.
    sandbox: Option<Value>,
}

impl Load {
    async fn far_side(&self, bench: &Bench) -> Result<FarSide> {
        match &self.sandbox {
            Some(options) => FarSide::sandbox(bench, options.clone()).await,
            None => FarSide::light(bench),
        }
    }

    async fn fill(&self, queue: &Queue) -> Result<()> {
        match self.operation {
            "create" => queue.fill(&Rows { mailboxes: self.mailboxes, ..Rows::due(self.rows) }).await,
            change => queue.fill_changes(self.rows, change).await,
        }
    }
}

/// One side's figures.
#[derive(Debug)]
struct Side {
    rate: f64,
    /// While all slots were in use: how the last few run out is a matter of luck where latencies are long.
    full_rate: f64,
    cpu_us: f64,
    far_side_cpu_us: f64,
}

/// The agent and what it is compared with, on the same rows.
struct Pair {
    agent: Side,
    bare: Side,
}

pub async fn many_mailboxes(bench: &Bench) -> Result<Vec<Row>> {
    let specs = [RATE, CPU, RATE_OF_FLOOR, CPU_OF_FLOOR];
    if !specs.iter().any(|spec| bench.wants(spec)) {
        return Ok(Vec::new());
    }
    let load =
        Load { rows: bench.sizes.burst, mailboxes: 500, in_flight: IN_FLIGHT, operation: "create", sandbox: None };
    let (mut pairs, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..bench.sizes.pairs {
        let home = bench.home()?;
        let queue = Queue::create(home.path()).await?;
        load.fill(&queue).await?;
        let bare = bare_side(bench, &load, &queue, Way::Own).await?;
        let floor = bare_side(bench, &load, &queue, Way::Recorded).await?;
        let agent = agent_side(bench, &load, &queue).await?;
        floors.push(((agent.rate, floor.rate), (agent.cpu_us, floor.cpu_us)));
        pairs.push(Pair { agent, bare });
    }
    let note = cost_of_far_side(&pairs);
    let rows = [
        RATE.of_pairs(&figures(&pairs, |side| side.rate), note),
        CPU.of_pairs(&figures(&pairs, |side| side.cpu_us), "user and system, log lines to a file included"),
        RATE_OF_FLOOR.of_pairs(
            &floors.iter().map(|(rates, _)| *rates).collect::<Vec<_>>(),
            "the loop, and each row claimed before and recorded after, 64 in a synced transaction",
        ),
        CPU_OF_FLOOR.of_pairs(&floors.iter().map(|(_, cpu)| *cpu).collect::<Vec<_>>(), ""),
    ];
    Ok(rows.into())
}

fn cost_of_far_side(pairs: &[Pair]) -> String {
    let of =
        |pick: fn(&Pair) -> &Side| median(&pairs.iter().map(|pair| pick(pair).far_side_cpu_us).collect::<Vec<_>>());
    format!(
        "the far side itself uses {:.1} µs of CPU per event of the agent, {:.1} µs per event of the bare loop",
        of(|pair| &pair.agent),
        of(|pair| &pair.bare)
    )
}

/// Each a look and a request, beside a loop that makes both.
pub async fn changes(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (operation, rate, cpu) in [("update", UPDATES, UPDATES_CPU), ("delete", DELETES, DELETES_CPU)] {
        if !bench.wants(&rate) && !bench.wants(&cpu) {
            continue;
        }
        let load = Load { rows: bench.sizes.burst / 2, mailboxes: 500, in_flight: IN_FLIGHT, operation, sandbox: None };
        let pairs = race(bench, &load).await?;
        rows.push(rate.of_pairs(&figures(&pairs, |side| side.rate), cost_of_far_side(&pairs)));
        rows.push(cpu.of_pairs(&figures(&pairs, |side| side.cpu_us), ""));
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
        operation: "create",
        sandbox: Some(json!({"limits": false, "latency_ms": 100})),
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
        operation: "create",
        sandbox: Some(json!({"limits": false, "latency_ms": 150, "latency_sigma": 0.5, "latency_seed": 1})),
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
    load.fill(&queue).await?;
    let mut pairs = Vec::new();
    for _ in 0..bench.sizes.long_pairs {
        let pooled = bare_side(bench, &load, &queue, Way::Own).await?;
        pairs.push((bare_side(bench, &load, &queue, Way::Http2).await?, pooled));
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
        load.fill(&queue).await?;
        let bare = bare_side(bench, load, &queue, Way::Own).await?;
        let agent = agent_side(bench, load, &queue).await?;
        pairs.push(Pair { agent, bare });
    }
    Ok(pairs)
}

async fn bare_side(bench: &Bench, load: &Load, queue: &Queue, way: Way) -> Result<Side> {
    let far_side = load.far_side(bench).await?;
    let before = far_side.cpu()?;
    let bare = bare::run(queue, &far_side, load.in_flight, way).await?;
    if bare.sent != load.rows {
        return Err(format!("the bare loop sent {} of {}", bare.sent, load.rows).into());
    }
    Ok(Side {
        rate: bare.rate(),
        full_rate: bare.full_rate(),
        cpu_us: bare.cpu_us(),
        far_side_cpu_us: far_side.cpu()?.since(&before) * 1e6 / load.rows as f64,
    })
}

async fn agent_side(bench: &Bench, load: &Load, queue: &Queue) -> Result<Side> {
    let far_side = load.far_side(bench).await?;
    let (mark, before) = (queue.mark().await?, far_side.cpu()?);
    let agent = Agent::start(queue, &far_side, "").await?;
    far_side.until_events(load.rows).await?;
    queue.until_settled().await?;
    let per_event = 1e6 / load.rows as f64;
    let (cpu_us, far_side_cpu_us) = (agent.cpu_seconds()? * per_event, far_side.cpu()?.since(&before) * per_event);
    agent.stop().await?;
    queue.check_one_event_each(&mark, &far_side).await?;
    let flow = queue.flow_since(&mark).await?;
    if flow.count() != load.rows {
        return Err(format!("{} of {} were recorded", flow.count(), load.rows).into());
    }
    Ok(Side {
        rate: flow.rate_until(load.rows)?,
        full_rate: flow.rate_until(load.rows - load.in_flight)?,
        cpu_us,
        far_side_cpu_us,
    })
}
