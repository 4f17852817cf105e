//! The daemon's own room, in the order of its life: `start` opens the queue and joins it, `wiring` and `sign_in` put together what
//! signs in and sends, the worker runs and drains; beside it `reload` reads the settings again, `expiry` watches the credentials,
//! `monitoring` has the monitor and the page, `log` writes.

mod expiry;
mod failure;
pub mod log;
mod monitoring;
pub mod network;
mod reload;
mod sign_in;
mod start;
pub mod wiring;

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::auth::TokenCache;
use crate::config::{AuthMode, Exposed, Readers, Settings};
use crate::graph::GraphClient;
use crate::monitor::Monitor;
use crate::queue::{Queue, Recovered, Started};
use crate::telemetry::Threshold;
use crate::web::Web;
use crate::worker::{Change, Drained, Measures, StatusReport, Worker, WorkerSettings};

use reload::Reload;

pub use failure::Failure;

/// Time to close the queue in good order after the drain.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// What a daemon is started with.
pub struct Daemon {
    pub settings: Settings,
    /// End when no job is pending or claimed any more.
    pub until_empty: bool,
    /// Told that the loop turns, at least this often.
    pub heartbeat: Option<(Duration, fn())>,
    pub measures: Arc<Measures>,
    pub reloads: Option<Reloads>,
    pub stop: CancellationToken,
}

/// What asks to read the settings again, and the level of the log, which may be another one then.
pub struct Reloads {
    pub hangups: Signal,
    pub threshold: Threshold,
}

/// What there is to hold on to while the daemon runs.
pub struct Running {
    pub queue: Arc<dyn Queue>,
    pub measures: Arc<Measures>,
    pub graph: Arc<GraphClient>,
    pub tokens: Arc<TokenCache>,
    pub status: StatusReport,
    pub changes: mpsc::UnboundedSender<Change>,
}

/// Those beside the worker who go by its settings.
#[derive(Default)]
struct Watchers {
    monitor: Option<Arc<Monitor>>,
    page: Option<Arc<Web>>,
}

impl Daemon {
    /// Opens the queue and joins it, wires and signs in, runs until `stop` and drains. `ready` is told when everything stands.
    ///
    /// # Errors
    /// The queue cannot be used or is another agent's, or the settings make no client.
    pub async fn run(self, ready: impl FnOnce(&Running)) -> Result<Drained, Failure> {
        let settings = wiring::worker(&self.settings, self.until_empty, self.heartbeat);
        // From before the queue is opened, which may take long.
        let monitor = monitoring::start(&self.settings, &settings, &self.measures, &self.stop);
        let page = monitoring::start_page(&self.settings, &settings, &self.measures, &self.stop);
        let Some(started) = start::usable_queue(&self.settings.queue, &self.stop).await? else {
            return Ok(Drained { interrupted: 0, unrecorded: 0 });
        };
        let (worker, running) = self.wire(settings, started)?;
        let (queue, stop) = (running.queue.clone(), self.stop.clone());
        watch(&running, monitor.as_deref());
        if let Some(page) = &page {
            monitoring::open_page(&self.settings, page).await;
        }
        ready(&running);
        self.follow(running, Watchers { monitor, page: page.clone() });
        let drained = worker.run(stop).await.map_err(Failure::failed)?;
        // Results are written or given up by now; a producer's long write must not hold up the end of the process.
        if let Some(page) = page {
            let _ = tokio::time::timeout(CLOSE_WITHIN, page.close()).await;
        }
        let _ = tokio::time::timeout(CLOSE_WITHIN, queue.close()).await;
        tracing::info!(interrupted = drained.interrupted, unrecorded = drained.unrecorded, "agent stopped");
        Ok(drained)
    }

    /// Puts together what signs in and sends, on the queue that is this agent's now.
    fn wire(&self, worker: WorkerSettings, started: Started) -> Result<(Worker, Running), Failure> {
        let Started { queue, recovered, .. } = started;
        let tokens = wiring::tokens(&self.settings)?;
        let graph = wiring::graph(&self.settings)?;
        self.say_started(&recovered);
        let (changes, following) = mpsc::unbounded_channel();
        let measures = self.measures.clone();
        let worker = Worker::new(queue.clone(), graph.clone(), tokens.clone(), worker, measures.clone())
            .left(&recovered.left)
            .following(following);
        let status = worker.status();
        Ok((worker, Running { queue, measures, graph, tokens, status, changes }))
    }

    fn say_started(&self, recovered: &Recovered) {
        let queue = self.settings.queue.place.name();
        tracing::info!(version = env!("CARGO_PKG_VERSION"), %queue, recovered = recovered.jobs, "agent started");
        for refusal in &recovered.left {
            tracing::error!(
                job_id = refusal.id.0,
                error = refusal.why,
                "job of an earlier run cannot be put back, left as it is"
            );
        }
        if matches!(self.settings.auth.mode, AuthMode::Password { .. }) {
            tracing::warn!("password sign-in is a legacy mode, multi-factor authentication breaks it");
        }
    }

    /// Reads the settings again whenever that is asked for.
    fn follow(self, running: Running, watchers: Watchers) {
        if let Some(Reloads { hangups, threshold }) = self.reloads {
            tokio::spawn(Reload::new(self.settings, threshold, running, watchers).follow(hangups));
        }
    }
}

/// Beside the worker: the monitor, and the end of what is signed in with.
fn watch(running: &Running, monitor: Option<&Monitor>) {
    if let Some(monitor) = monitor {
        monitor.started(running.queue.clone(), running.tokens.clone());
    }
    tokio::spawn(expiry::Watch::begin(running.tokens.clone(), running.status.clone()).follow());
}

pub fn warn_of_exposed(exposed: &Exposed) {
    let (file, hint) = (exposed.file.display(), exposed.hint());
    match exposed.readers {
        Readers::Everybody => tracing::warn!(%file, %hint, "secret is readable for everybody"),
        Readers::Producers(_) => tracing::warn!(%file, %hint, "secret is readable for producers"),
    }
}
