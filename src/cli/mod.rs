//! The commands: one file each, its options beside its `run`. Only `output.rs` writes to stdout.

/// In all of the commands this stands for the one of `std`: what is said on stderr repeats what others wrote, too.
macro_rules! eprintln {
    ($($said:tt)*) => { $crate::cli::output::say(&format!($($said)*)) };
}

mod after_restore;
mod cancel;
mod check;
mod columns;
mod completions;
mod demo;
mod enqueue;
mod hold;
mod init;
mod list;
mod man;
mod man_settings;
mod narrator;
mod output;
mod paper;
mod progress;
mod purge;
mod reference;
mod repair;
mod resume;
mod retry;
mod run;
mod sandbox;
mod selector;
mod settings;
mod settings_page;
mod show;
mod status;
mod time_arg;

use std::path::PathBuf;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use clap::{CommandFactory, Parser, Subcommand};

use crate::agent::Failure;
use crate::config::{Environment, LocalSettings};
use crate::exit::Exit;

/// Turns rows of a SQLite queue into Microsoft 365 calendar events: one row, one event.
#[derive(Debug, Parser)]
#[command(name = "event-sender", version, max_term_width = 100)]
struct Cli {
    /// Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run(run::Options),
    /// Run a self-contained demonstration: sandbox, temporary queue, sample jobs
    Demo(demo::Options),
    /// Serve a fake Entra and Graph on this machine
    Sandbox(sandbox::Options),
    /// Check settings, files, database, network, sign-in and mailboxes
    Check(check::Options),
    /// Insert jobs, from flags or from NDJSON or CSV files
    Enqueue(Box<enqueue::Options>),
    /// List jobs
    List(list::Options),
    /// Show one job with its history
    Show(show::Options),
    /// Show the queue at a glance
    Status(status::Options),
    /// After restoring a backup: have every waiting job looked up before it is sent
    AfterRestore(after_restore::Options),
    /// Retry failed or cancelled jobs, or waiting ones now
    Retry(retry::Options),
    /// Cancel waiting or failed jobs
    Cancel(cancel::Options),
    /// Send nothing to a mailbox until it is released
    Hold(hold::HoldOptions),
    /// Resume sending to a mailbox on hold
    Release(hold::ReleaseOptions),
    /// End a mailbox's pause early
    Resume(resume::Options),
    /// Delete jobs that ended a while ago
    Purge(purge::Options),
    /// Write agent.toml from a few answers, and check it
    Init(init::Options),
    /// Print the annotated settings file
    Settings,
    /// Print a shell completion script
    Completions(completions::Options),
    /// Write man pages, completions and the page of the settings
    #[command(hide = true)]
    Reference(reference::Options),
}

/// Tasks of the one thread that may have their turn before another thread's wake-up is looked at.
const SOON: u32 = 4;

/// Parses the process's arguments and runs the command. Wrong usage ends the process with 2 and an explanation.
pub fn main() -> Exit {
    let cli = Cli::parse();
    if let Err(failure) = clock_is_set() {
        return report(failure);
    }
    let mut builder = match cli.command {
        // Stands for a cloud: whoever measures with it wants all of the machine.
        Command::Sandbox(_) => tokio::runtime::Builder::new_multi_thread(),
        // One thread does far more than Exchange lets through (docs/develop/performance.md), and hands nothing over to another:
        // per event that costs a third less, and memory as well. SQLite and the log have threads of their own.
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    // SQLite's answers come from its thread: under load they would wait behind the turns of thirty requests.
    let runtime = match builder.enable_all().global_queue_interval(SOON).build() {
        Ok(runtime) => runtime,
        Err(error) => return report(Failure::failed(format!("cannot start: {error}"))),
    };
    let result = runtime.block_on(dispatch(cli));
    // What is left runs for nobody: a request that was cut off, a file watch.
    runtime.shutdown_background();
    result.unwrap_or_else(report)
}

/// Seconds from 1970 to the end of the year 9999.
const YEAR_10000: u64 = 253_402_300_800;

/// No certificate is valid and no date of HTTP can be written before 1970; after 9999 no time of the queue can be. So nothing
/// is begun then.
fn clock_is_set() -> Result<(), Failure> {
    let now = SystemTime::now();
    let said = match now.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) if since.as_secs() < YEAR_10000 => return Ok(()),
        Ok(_) => "is after the year 9999".to_owned(),
        Err(_) => {
            let said = DateTime::<Utc>::from(now).format("%Y-%m-%d %H:%M:%S");
            format!("says {said} UTC, which is before 1970")
        }
    };
    let cure = "set it ('timedatectl set-time'), or have it set from the network ('timedatectl set-ntp true')";
    Err(Failure::failed(format!("this machine's clock {said}; {cure}")))
}

async fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    let file = cli.config;
    match cli.command {
        Command::Run(options) => run::run(options, file).await,
        Command::Demo(options) => demo::run(options).await,
        Command::Sandbox(options) => sandbox::run(options).await,
        Command::Check(options) => check::run(options, file).await,
        Command::Enqueue(options) => enqueue::run(*options, local(file)?).await,
        Command::List(options) => list::run(options, local(file)?).await,
        Command::Show(options) => show::run(options, local(file)?).await,
        Command::Status(options) => status::run(options, file).await,
        Command::AfterRestore(options) => after_restore::run(options, local(file)?).await,
        Command::Retry(options) => retry::run(options, local(file)?).await,
        Command::Cancel(options) => cancel::run(options, local(file)?).await,
        Command::Hold(options) => hold::hold(options, local(file)?).await,
        Command::Release(options) => hold::release(options, local(file)?).await,
        Command::Resume(options) => resume::run(options, local(file)?).await,
        Command::Purge(options) => purge::run(options, local(file)?).await,
        Command::Init(options) => init::run(options, file).await,
        Command::Settings => settings::run(),
        Command::Completions(options) => completions::run(&options),
        Command::Reference(options) => reference::run(&options),
    }
}

/// The definition of the commands, without the hidden ones.
fn definition() -> clap::Command {
    let all = Cli::command();
    clap::Command::new("event-sender")
        .version(env!("CARGO_PKG_VERSION"))
        .about(all.get_about().cloned().unwrap_or_default())
        .subcommand_required(true)
        .args(all.get_arguments().cloned())
        .subcommands(all.get_subcommands().filter(|command| !command.is_hide_set()).cloned())
}

fn local(file: Option<PathBuf>) -> Result<LocalSettings, Failure> {
    Ok(LocalSettings::load(file, &Environment::of_process())?)
}

fn report(failure: Failure) -> Exit {
    if failure.exit != Exit::Done {
        eprintln!("event-sender: {}", failure.text);
    }
    failure.exit
}
