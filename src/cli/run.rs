//! `run`: the daemon as a command: its options, the terminal it may run in, and what systemd is told. What it does is `agent`'s.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::narrator::Narrator;
use super::progress;
use crate::agent::log::{self, Log};
use crate::agent::{Daemon, Failure, Reloads, warn_of_exposed};
use crate::config::{ConfigError, Environment, LogSettings, Settings};
use crate::exit::Exit;
use crate::format::Zone;
use crate::queue::Queue;
use crate::shutdown::{self, Hangup};
use crate::telemetry::Form;
use crate::worker::Measures;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// End when no job is pending or claimed any more
    #[arg(long)]
    until_empty: bool,
}

/// `file` is what `--config` says; `zone` is for whoever watches it on a terminal.
pub(super) async fn run(options: Options, zone: Zone, file: Option<PathBuf>) -> Result<Exit, Failure> {
    let environment = Environment::of_process();
    let settings = Settings::load(file.clone(), &environment)
        .inspect_err(|error| log_refusal(error, LogSettings::of_refused(file, &environment)))?;
    let bar = options.until_empty.then(progress_bar);
    // Dropped at the end, when the last line is out.
    let (log, threshold) = match log::is_for_a_person(settings.log) {
        true => Log::start_in_words(settings.log, bar.clone(), |writer| Narrator::of_everything(zone, writer)),
        false => Log::start(settings.log, bar.clone()),
    };
    settings.exposed.iter().for_each(warn_of_exposed);
    // Who sits at a terminal and closes it does not expect the program to go on.
    let at_a_terminal = std::io::stdin().is_terminal();
    let stop = shutdown::on_signals(if at_a_terminal { Hangup::Stops } else { Hangup::IsForOthers })?;
    let hangups = if at_a_terminal { None } else { shutdown::hangups()? };
    let reloads = hangups.map(|hangups| Reloads { hangups, threshold });
    let heartbeat = sd_notify::watchdog_enabled().map(|limit| (limit / 3, beat as fn()));
    let measures = Arc::new(Measures::new().map_err(Failure::failed)?);
    log.watch(measures.clone());
    let announced = announce_stopping(stop.clone());
    let (mut started, log_settings) = (false, settings.log);
    let daemon = Daemon { settings, until_empty: options.until_empty, heartbeat, measures, reloads, stop };
    let ended = daemon
        .run(|running| {
            started = true;
            // Without systemd there is nobody to tell.
            let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status("sending")]);
            if let Some(bar) = bar.clone().filter(|bar| !bar.is_hidden()) {
                tokio::spawn(show_progress(bar, running.queue.clone(), running.measures.clone()));
            }
        })
        .await;
    announced.abort();
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if let Err(failure) = &ended
        && !started
        && log::form(log_settings) == Form::Json
    {
        tracing::error!(exit_code = failure.exit.code(), problem = failure.text, "agent cannot start");
    }
    ended.map(|_| Exit::Done)
}

/// One line for each problem, for whoever reads only the log. In text there is none: stderr has the same, to be read.
fn log_refusal(error: &ConfigError, settings: LogSettings) {
    if log::form(settings) != Form::Json {
        return;
    }
    let (_log, _) = Log::start(settings, None);
    for problem in &error.problems {
        tracing::error!(key = problem.key, problem = problem.what, "settings refused");
    }
}

/// On stderr, and only if that is a terminal; indicatif sees to it.
fn progress_bar() -> ProgressBar {
    progress::styled(0, "{bar:40} {pos}/{len} jobs  {per_sec}  {elapsed}")
}

async fn show_progress(bar: ProgressBar, queue: Arc<dyn Queue>, measures: Arc<Measures>) {
    loop {
        if let Ok(outstanding) = queue.outstanding().await {
            let ended = measures.ended();
            bar.set_length(ended + outstanding);
            bar.set_position(ended);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn beat() {
    let _ = sd_notify::notify(&[NotifyState::Watchdog]);
}

fn announce_stopping(stop: CancellationToken) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        stop.cancelled().await;
        let _ = sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status("finishing what is under way")]);
        tracing::info!("stopping, finishing what is under way");
    })
}
