//! Events per second of one, two and four agents on one queue, beside as many pairs of pgbench's clients: an agent has one connection
//! that claims and one that settles.

use super::fill::Queue;
use super::floor;
use super::server::Server;
use crate::queue::Rows;
use crate::table::{Row, Spec, Target};
use crate::world::FarSide;
use crate::{Bench, Result};

const ONE: Spec = Spec { name: "PostgreSQL, 1 agent ÷ pgbench's floor: events/s", unit: "/s", target: Target::None };
const TWO: Spec = Spec { name: "PostgreSQL, 2 agents ÷ pgbench's floor: events/s", unit: "/s", target: Target::None };
const FOUR: Spec =
    Spec { name: "PostgreSQL, 4 agents ÷ pgbench's floor: events/s", unit: "/s", target: Target::RatioAtLeast(0.8) };
pub const SPECS: [Spec; 3] = [ONE, TWO, FOUR];

pub async fn measure(bench: &Bench, server: &Server) -> Result<Vec<Row>> {
    let rows = Rows::due(bench.sizes.burst / 2);
    let mut measured = Vec::new();
    for (spec, agents) in SPECS.into_iter().zip([1, 2, 4]) {
        if !bench.wants(&spec) {
            continue;
        }
        let (mut pairs, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..bench.sizes.long_pairs {
            let floor = floor_of(bench, server, &rows, agents).await?;
            let (rate, cpu_us) = race(bench, server, &rows, agents).await?;
            pairs.push((rate, floor));
            cpu.push(cpu_us);
        }
        let cpu = crate::statistics::median(&cpu);
        measured.push(spec.of_pairs(&pairs, format!("agents' CPU {cpu:.0} µs per event, the server's beside it")));
    }
    Ok(measured)
}

async fn floor_of(bench: &Bench, server: &Server, rows: &Rows<'_>, agents: usize) -> Result<f64> {
    let queue = Queue::create(server).await?;
    queue.fill(rows).await?;
    queue.settle_down().await?;
    let rate = floor::rate(bench, &queue, 2 * agents, rows.count).await?;
    queue.drop().await?;
    Ok(rate)
}

/// The agents are there before the rows are. Events per second, and microseconds of the agents' CPU per event.
async fn race(bench: &Bench, server: &Server, rows: &Rows<'_>, agents: usize) -> Result<(f64, f64)> {
    let queue = Queue::create(server).await?;
    let far_side = FarSide::light(bench)?;
    let agents = queue.agents(bench, &far_side, agents).await?;
    queue.fill(rows).await?;
    far_side.until_events(rows.count).await?;
    queue.until_settled().await?;
    let mut cpu = 0.0;
    for (_, agent) in &agents {
        cpu += agent.cpu_seconds()?;
    }
    for (_, agent) in agents {
        agent.stop().await?;
    }
    queue.check_one_event_each(&far_side, rows.count).await?;
    let rate = queue.flow_after(0).await?.rate_until(rows.count)?;
    queue.drop().await?;
    Ok((rate, cpu * 1e6 / rows.count as f64))
}
