//! The table of performance targets, measured: every row with its baseline in the same run.
//!
//! ```text
//! cargo bench --bench table                 the whole table
//! cargo bench --bench table -- --short      smaller sizes, at most ten minutes on two cores
//! cargo bench --bench table -- --json       for programs
//! cargo bench --bench table -- --only WORD  rows whose name contains WORD
//! ```
//!
//! What is measured is the real binary, started like any user would, against a far side in a process of its own: the sandbox
//! where latencies, limits or faults matter, else one that costs next to nothing. This file has the arguments and the order
//! of the rows. A missed target is a result, not an error; the bench fails only
//! when something is wrong, such as an event lost or doubled.

mod backlog;
mod bare;
mod far_side;
mod idle;
mod isolation;
mod ledger;
mod machine;
mod page;
mod pickup;
mod postgres;
mod process;
mod producers;
mod queue;
mod sizes;
mod start;
mod statistics;
mod table;
mod throughput;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use bare::BareLoop;
use far_side::FarSideProcess;
use sizes::Sizes;
use table::{Row, Spec, Table};

/// Anything that makes a measurement worthless.
type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

#[derive(Parser)]
#[command(name = "cargo bench --bench table --", about = "Measures the table of performance targets")]
struct Arguments {
    /// Smaller sizes: at most ten minutes on a machine with two cores
    #[arg(long)]
    short: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Only rows whose name contains this
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Where the queues are made: the disk that is measured
    #[arg(long, value_name = "DIRECTORY", default_value = env!("CARGO_TARGET_TMPDIR"))]
    dir: PathBuf,
    /// Given by 'cargo bench'; without it ('cargo test --all-targets') nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(clap::Subcommand)]
enum Role {
    /// The baseline, in a process of its own
    #[command(hide = true)]
    BareLoop(BareLoop),
    /// What costs next to nothing, in a process of its own
    #[command(hide = true)]
    FarSide(FarSideProcess),
}

/// What all measurements share.
struct Bench {
    sizes: Sizes,
    dir: PathBuf,
    only: Option<String>,
    /// For the sandbox's control API.
    http: reqwest::Client,
}

impl Bench {
    fn wants(&self, spec: &Spec) -> bool {
        self.only.as_ref().is_none_or(|word| spec.name.contains(word.as_str()))
    }

    /// A directory for one measurement, removed with it.
    fn home(&self) -> Result<tempfile::TempDir> {
        Ok(tempfile::Builder::new().prefix("table-").tempdir_in(&self.dir)?)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What is measured, and what it is measured against, has one thread, as the agent has.
    let mut threads = match arguments.role {
        Some(_) => tokio::runtime::Builder::new_current_thread(),
        None => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match threads.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let done = runtime.block_on(async {
        match arguments.role {
            Some(Role::BareLoop(bare)) => bare.run().await,
            Some(Role::FarSide(far_side)) => far_side.run().await,
            // Dropping the measurement ends its processes and removes its files.
            None => tokio::select! {
                done = measure(arguments) => done,
                _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
            },
        }
    });
    done.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

fn failed(error: &Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn measure(arguments: Arguments) -> Result<()> {
    if !arguments.bench {
        eprintln!("nothing measured: start it with 'cargo bench --bench table'");
        return Ok(());
    }
    let begin = Instant::now();
    let sizes = if arguments.short { Sizes::short() } else { Sizes::full() };
    let bench =
        Bench { sizes, dir: arguments.dir, only: arguments.only, http: reqwest::Client::builder().no_proxy().build()? };
    let machine = machine::describe(&bench.dir)?;
    let mut rows: Vec<Row> = Vec::new();
    // Short things first: who looks on sees early whether it works.
    rows.extend(throughput::many_mailboxes(&bench).await?);
    rows.extend(throughput::changes(&bench).await?);
    rows.extend(throughput::one_mailbox(&bench).await?);
    rows.extend(throughput::spread_latency(&bench).await?);
    rows.extend(throughput::protocols(&bench).await?);
    rows.extend(pickup::measure(&bench).await?);
    rows.extend(idle::measure(&bench).await?);
    rows.extend(backlog::many_waiting(&bench).await?);
    rows.extend(backlog::one_paused(&bench).await?);
    rows.extend(backlog::many_finished(&bench).await?);
    rows.extend(backlog::memory(&bench).await?);
    rows.extend(isolation::measure(&bench).await?);
    rows.extend(start::after_kill(&bench).await?);
    rows.extend(producers::measure(&bench).await?);
    rows.extend(page::measure(&bench).await?);
    rows.extend(postgres::measure(&bench).await?);
    rows.extend(backlog::purge(&bench).await?);
    rows.extend(start::demo(&bench).await?);
    let table = Table { machine, sizes: bench.sizes, rows, took: begin.elapsed() };
    table.print(arguments.json)
}
