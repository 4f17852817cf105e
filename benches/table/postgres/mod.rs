//! A queue in PostgreSQL, on a server of the bench's own that syncs every commit: several agents beside pgbench doing nothing but the
//! changes of rows, the wake-up, the takeover, a long backlog, and what the wake-up costs those who insert.

mod backlog;
mod fill;
mod floor;
mod pickup;
mod producers;
mod server;
mod takeover;
mod throughput;

use crate::table::Row;
use crate::{Bench, Result};
use server::Server;

pub async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let wanted = throughput::SPECS.iter().chain(&pickup::SPECS).chain(&takeover::SPECS).chain(&backlog::SPECS);
    if !wanted.chain(&producers::SPECS).any(|spec| bench.wants(spec)) {
        return Ok(Vec::new());
    }
    let Some(server) = Server::start(bench)? else {
        eprintln!("PostgreSQL is not installed: its rows are left out");
        return Ok(Vec::new());
    };
    let mut rows = Vec::new();
    rows.extend(throughput::measure(bench, &server).await?);
    rows.extend(pickup::measure(bench, &server).await?);
    rows.extend(takeover::measure(bench, &server).await?);
    rows.extend(producers::measure(bench, &server).await?);
    rows.extend(backlog::measure(bench, &server).await?);
    Ok(rows)
}
