//! What the agent uses while it has nothing to do: with no rows, with rows for later, with rows of paused mailboxes.

use std::time::Duration;

use crate::queue::{NEVER, Queue, Rows};
use crate::table::{Row, Spec, Target};
use crate::world::{Agent, FarSide};
use crate::{Bench, Result};

const SPECS: [Spec; 3] = [
    Spec { name: "idle CPU, empty queue", unit: "% of a core", target: Target::AtMost(0.1) },
    Spec { name: "idle CPU, 1,000,000 rows not yet due", unit: "% of a core", target: Target::AtMost(0.1) },
    Spec { name: "idle CPU, all lanes paused", unit: "% of a core", target: Target::AtMost(0.1) },
];
/// Until the start and its echoes are over.
const CALM: Duration = Duration::from_secs(3);

/// All at once: idle agents do not disturb each other.
pub async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    if !SPECS.iter().any(|spec| bench.wants(spec)) {
        return Ok(Vec::new());
    }
    let sandbox = FarSide::light(bench)?;
    let homes = [bench.home()?, bench.home()?, bench.home()?];
    let mut agents = Vec::new();
    for (kind, home) in homes.iter().enumerate() {
        let queue = Queue::create(home.path()).await?;
        match kind {
            0 => {}
            1 => queue.fill(&Rows { due: Some(NEVER), ..Rows::due(bench.sizes.waiting) }).await?,
            _ => {
                let rows = Rows::due(bench.sizes.waiting);
                queue.fill(&rows).await?;
                queue.pause(&rows).await?;
            }
        }
        agents.push(Agent::start(&queue, &sandbox, "").await?);
    }
    tokio::time::sleep(CALM).await;
    let before = agents.iter().map(Agent::cpu_seconds).collect::<Result<Vec<_>>>()?;
    tokio::time::sleep(bench.sizes.idle()).await;
    let after = agents.iter().map(Agent::cpu_seconds).collect::<Result<Vec<_>>>()?;
    for agent in agents {
        agent.stop().await?;
    }
    if sandbox.events().await? > 0 {
        return Err("an agent that should idle has sent something".into());
    }
    let idle = bench.sizes.idle();
    let notes = [
        format!("over {} s", idle.as_secs()),
        format!("{} rows in 500 mailboxes", bench.sizes.waiting),
        format!("{} rows due in 500 mailboxes, all paused", bench.sizes.waiting),
    ];
    let measured = before.iter().zip(after).map(|(before, after)| (after - before) * 100.0 / idle.as_secs_f64());
    let rows = SPECS.iter().zip(measured).zip(notes).filter(|((spec, _), _)| bench.wants(spec));
    Ok(rows.map(|((spec, used), note)| spec.of(used, None, note)).collect())
}
