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
mod help;
mod hold;
mod init;
mod list;
mod man;
mod man_settings;
mod migrate;
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
mod temporary;
mod time_arg;
mod version;

use std::path::PathBuf;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::agent::Failure;
use crate::config::{Environment, LocalSettings, no_file};
use crate::exit::Exit;
use crate::format::{self, Zone};
use crate::queue;

/// Turns rows of a queue table into Microsoft 365 calendar events: one row, one event.
#[derive(Debug, Parser)]
#[command(name = "event-sender", version, long_version = version::long(), max_term_width = 100)]
struct Cli {
    /// Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Run(WithSettings<WithTimes<run::Options>>),
    /// Run a self-contained demonstration: sandbox, temporary queue, sample jobs
    Demo(WithTimes<demo::Options>),
    /// Serve a fake Entra and Graph on this machine
    Sandbox(sandbox::Options),
    /// Check settings, files, database, network, sign-in and mailboxes
    Check(WithSettings<WithTimes<check::Options>>),
    /// Insert jobs, from flags or from NDJSON or CSV files
    Enqueue(Box<WithSettings<enqueue::Options>>),
    /// List jobs
    List(WithSettings<WithTimes<list::Options>>),
    /// Show one job with its history
    Show(WithSettings<WithTimes<show::Options>>),
    /// Show the queue at a glance
    Status(WithSettings<WithTimes<status::Options>>),
    /// After restoring a backup: have every waiting job looked up before it is sent
    AfterRestore(WithSettings<after_restore::Options>),
    /// Bring the schema of the queue up to date
    Migrate(WithSettings<migrate::Options>),
    /// Retry failed or cancelled jobs, or waiting ones now
    Retry(WithSettings<WithTimes<retry::Options>>),
    /// Cancel waiting or failed jobs
    Cancel(WithSettings<cancel::Options>),
    /// Send nothing to a mailbox until it is released
    Hold(WithSettings<WithTimes<hold::HoldOptions>>),
    /// Resume sending to a mailbox on hold
    Release(WithSettings<hold::ReleaseOptions>),
    /// End a mailbox's pause early
    Resume(WithSettings<WithTimes<resume::Options>>),
    /// Delete jobs that ended a while ago
    Purge(WithSettings<purge::Options>),
    /// Write agent.toml from a few answers, and check it
    Init(WithSettings<init::Options>),
    /// Print the annotated settings file
    Settings,
    /// Print a shell completion script
    Completions(completions::Options),
    /// Write man pages, completions and the page of the settings
    #[command(hide = true)]
    Reference(reference::Options),
}

#[derive(Debug, clap::Args)]
struct NoOptions {}

// A command that reads settings, which may be named behind it as well as before it.
#[derive(Debug, clap::Args)]
struct WithSettings<T: clap::Args> {
    #[command(flatten)]
    options: T,
    /// Settings file [default: $EVENT_SENDER_CONFIG, ./agent.toml, /etc/event-sender/agent.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

// A command that tells people times.
#[derive(Debug, clap::Args)]
struct WithTimes<T: clap::Args> {
    #[command(flatten)]
    options: T,
    /// Tell times in this machine's zone instead of UTC
    #[arg(long)]
    local: bool,
}

impl<T: clap::Args> WithTimes<T> {
    fn zone(&self) -> Zone {
        if self.local { Zone::Local } else { Zone::Utc }
    }

    /// The options; times are told as asked for from now on.
    fn take(self) -> T {
        format::tell_times_in(self.zone());
        self.options
    }
}

/// Tasks of the one thread that may have their turn before another thread's wake-up is looked at.
const SOON: u32 = 4;

/// Parses the process's arguments and runs the command. Wrong usage ends the process with 2 and an explanation.
pub fn main() -> Exit {
    completions::answer_shell();
    let cli = Cli::from_arg_matches(&program().get_matches()).unwrap_or_else(|error| error.exit());
    if let Err(failure) = clock_is_set() {
        return report(failure);
    }
    let mut builder = match cli.command {
        // Stands for a cloud: whoever measures with it wants all of the machine.
        Command::Sandbox(_) => tokio::runtime::Builder::new_multi_thread(),
        // Waits for files and pipes itself: a thread of its own hears Ctrl-C meanwhile.
        Command::Enqueue(_) => one_beside(),
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

fn one_beside() -> tokio::runtime::Builder {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1);
    builder
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
    let before = cli.config;
    match cli.command {
        Command::Run(command) => {
            let (zone, file) = (command.options.zone(), command.config.or(before));
            run::run(command.options.options, zone, file).await
        }
        Command::Demo(command) => {
            let zone = command.zone();
            demo::run(command.options, zone).await
        }
        Command::Sandbox(options) => sandbox::run(options).await,
        Command::Check(command) => check::run(command.options.take(), command.config.or(before)).await,
        Command::Enqueue(command) => enqueue::run(command.options, local(command.config.or(before))?).await,
        Command::List(command) => list::run(command.options.take(), with_queue(command.config.or(before))?).await,
        Command::Show(command) => show::run(command.options.take(), with_queue(command.config.or(before))?).await,
        Command::Status(command) => status::run(command.options.take(), command.config.or(before)).await,
        Command::Migrate(command) => migrate::run(command.options, local(command.config.or(before))?).await,
        Command::AfterRestore(command) => {
            after_restore::run(command.options, to_change(command.config.or(before))?).await
        }
        Command::Retry(command) => retry::run(command.options.take(), to_change(command.config.or(before))?).await,
        Command::Cancel(command) => cancel::run(command.options, to_change(command.config.or(before))?).await,
        Command::Hold(command) => hold::hold(command.options.take(), to_change(command.config.or(before))?).await,
        Command::Release(command) => hold::release(command.options, to_change(command.config.or(before))?).await,
        Command::Resume(command) => resume::run(command.options.take(), to_change(command.config.or(before))?).await,
        Command::Purge(command) => purge::run(command.options, to_change(command.config.or(before))?).await,
        Command::Init(command) => init::run(command.options, command.config.or(before)).await,
        Command::Settings => settings::run(),
        Command::Completions(options) => completions::run(&options),
        Command::Reference(options) => reference::run(&options),
    }
}

/// The definition of the commands as it is typed against.
fn program() -> clap::Command {
    help::complete(Cli::command())
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

/// The settings of a command that needs a queue. Typed in the wrong directory, it finds neither settings nor queue, and says where
/// it looked for both.
fn with_queue(file: Option<PathBuf>) -> Result<LocalSettings, Failure> {
    let settings = local(file)?;
    if settings.file.is_none() && queue::is_missing(&settings.queue) {
        let cure = "name the file with --config or EVENT_SENDER_CONFIG, or go to its directory";
        let queue = settings.queue.place.name();
        return Err(Failure::failed(format!("there is no queue at {queue}, and {}; {cure}", no_file())));
    }
    Ok(settings)
}

/// The settings of a command that writes: who may only read the queue is told before anything is tried.
fn to_change(file: Option<PathBuf>) -> Result<LocalSettings, Failure> {
    let settings = with_queue(file)?;
    match queue::not_writable(&settings.queue) {
        Some(why) => Err(Failure::failed(format!("cannot change the queue {}: {why}", settings.queue.place.name()))),
        None => Ok(settings),
    }
}

fn report(failure: Failure) -> Exit {
    if failure.exit != Exit::Done {
        eprintln!("event-sender: {}", failure.text);
    }
    failure.exit
}
