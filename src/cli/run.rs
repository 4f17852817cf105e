//! `run`: the daemon. The only place where it is put together: queue (see `start`), sign-in, Graph, worker, systemd.

use std::io::{BufWriter, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use sd_notify::NotifyState;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::reload::Reload;
use super::{Failure, expiry, monitoring, progress, start, wiring};
use crate::auth::TokenCache;
use crate::config::{AuthMode, EXPOSED_CURE, LogFormat, LogSettings, Settings};
use crate::exit::Exit;
use crate::graph::GraphClient;
use crate::queue::{ChangeNotice, Queue, SqliteQueue, watch};
use crate::shutdown::{self, Hangup};
use crate::telemetry::{self, Form, Threshold};
use crate::worker::{Change, Drained, Measures, Notes, Worker, WorkerSettings};

/// Time to close the queue in good order after the drain.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// Lines the log may be behind.
const LINES_AHEAD: usize = 8192;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// End when no job is pending or claimed any more
    #[arg(long)]
    until_empty: bool,
}

/// `file` is what `--config` says.
pub(super) async fn run(options: Options, settings: Settings, file: Option<PathBuf>) -> Result<Exit, Failure> {
    let bar = options.until_empty.then(progress_bar);
    // Dropped at the end, when the last line is out.
    let (_lines, threshold) = start_log(settings.log, bar.clone());
    settings.exposed.iter().for_each(|file| warn_of_exposed(file));
    // Who sits at a terminal and closes it does not expect the program to go on.
    let at_a_terminal = std::io::stdin().is_terminal();
    let stop = shutdown::on_signals(if at_a_terminal { Hangup::Stops } else { Hangup::IsForOthers })?;
    let hangups = if at_a_terminal { None } else { shutdown::hangups()? };
    let heartbeat = sd_notify::watchdog_enabled().map(|limit| (limit / 3, beat as fn()));
    let mut worker = wiring::worker(&settings, options.until_empty, heartbeat);
    let measures = Arc::new(Measures::default());
    let monitor = monitoring::start(&settings, &mut worker, &measures, &stop);
    let announced = announce_stopping(stop.clone());
    let ended = daemon(&settings, worker, measures, stop, |running| {
        if let Some(monitor) = &monitor {
            monitor.started(running.queue.clone(), running.tokens.clone());
        }
        tokio::spawn(expiry::Watch::begin(running.tokens.clone(), running.notes.clone()).follow());
        // Without systemd there is nobody to tell.
        let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status("sending")]);
        if let Some(bar) = bar.clone().filter(|bar| !bar.is_hidden()) {
            tokio::spawn(show_progress(bar, running.queue.clone(), running.measures.clone()));
        }
        if let Some(hangups) = hangups {
            tokio::spawn(Reload::new(file, settings.clone(), threshold, running, monitor).follow(hangups));
        }
    })
    .await;
    announced.abort();
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    ended.map(|_| Exit::Done)
}

/// What there is to hold on to while the daemon runs.
pub(super) struct Running {
    pub queue: Arc<SqliteQueue>,
    pub measures: Arc<Measures>,
    pub graph: Arc<GraphClient>,
    pub tokens: Arc<TokenCache>,
    pub notes: Notes,
    pub changes: mpsc::UnboundedSender<Change>,
}

/// Opens the queue, takes its lock, puts back what a dead agent left, and runs the worker until `stop`. `ready` is
/// told when everything stands.
pub(super) async fn daemon(
    settings: &Settings,
    worker: WorkerSettings,
    measures: Arc<Measures>,
    stop: CancellationToken,
    ready: impl FnOnce(Running),
) -> Result<Drained, Failure> {
    let path = &settings.queue.path;
    let Some((queue, recovered)) = start::usable_queue(path, &stop).await? else {
        return Ok(Drained { interrupted: 0, unrecorded: 0 });
    };
    let tokens = wiring::tokens(settings)?;
    let graph = wiring::graph(settings, tokens.clone())?;
    let notice = watch(path).unwrap_or_else(|error| {
        tracing::warn!(%error, "queue cannot be watched, polling it instead");
        ChangeNotice::none()
    });
    tracing::info!(version = env!("CARGO_PKG_VERSION"), queue = %path.display(), recovered = recovered.jobs, "agent started");
    for refusal in &recovered.left {
        tracing::error!(
            job_id = refusal.id.0,
            error = refusal.why,
            "job of an earlier run cannot be put back, left as it is"
        );
    }
    if matches!(settings.auth.mode, AuthMode::Password { .. }) {
        tracing::warn!("password sign-in is a legacy mode, multi-factor authentication breaks it");
    }
    let (changes, following) = mpsc::unbounded_channel();
    let worker = Worker::new(queue.clone(), graph.clone(), tokens.clone(), notice, worker, measures.clone())
        .wary_of(&recovered)
        .following(following);
    ready(Running { queue: queue.clone(), measures, graph, tokens, notes: worker.notes(), changes });
    let drained = worker.run(stop).await.map_err(Failure::failed)?;
    // Results are written or given up by now; a producer's long write must not hold up the end of the process.
    let _ = tokio::time::timeout(CLOSE_WITHIN, queue.close()).await;
    tracing::info!(interrupted = drained.interrupted, unrecorded = drained.unrecorded, "agent stopped");
    Ok(drained)
}

/// The first value keeps the log's thread; with its end the lines still waiting are written.
fn start_log(settings: LogSettings, bar: Option<ProgressBar>) -> (Option<WorkerGuard>, Threshold) {
    let terminal = std::io::stdout().is_terminal();
    let form = match settings.format {
        LogFormat::Json => Form::Json,
        LogFormat::Auto if !terminal => Form::Json,
        LogFormat::Auto | LogFormat::Text => Form::Text { colour: terminal },
    };
    let (writer, guard) = match bar {
        // Lines and the bar share a terminal: each line first takes the bar away.
        Some(bar) if terminal => (BoxMakeWriter::new(move || BesideBar(bar.clone())), None),
        _ => {
            // Sending does not wait for whoever reads the log; only a reader far behind is waited for, as no line is
            // dropped.
            let lines = NonBlockingBuilder::default().lossy(false).buffered_lines_limit(LINES_AHEAD);
            let (lines, guard) = lines.finish(BufWriter::new(std::io::stdout()));
            (BoxMakeWriter::new(lines), Some(guard))
        }
    };
    let threshold = telemetry::start(form, settings.level, writer);
    (guard, threshold)
}

pub(super) fn warn_of_exposed(file: &std::path::Path) {
    tracing::warn!(file = %file.display(), hint = EXPOSED_CURE, "secret is readable for everybody");
}

struct BesideBar(ProgressBar);

impl std::io::Write for BesideBar {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.suspend(|| std::io::stdout().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stdout().flush()
    }
}

/// On stderr, and only if that is a terminal; indicatif sees to it.
fn progress_bar() -> ProgressBar {
    progress::styled(0, "{bar:40} {pos}/{len} jobs  {per_sec}  {elapsed}")
}

async fn show_progress(bar: ProgressBar, queue: Arc<SqliteQueue>, measures: Arc<Measures>) {
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
