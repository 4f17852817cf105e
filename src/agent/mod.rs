//! The daemon's own room, in the order of its life: `start` opens the queue and joins it, `wiring` and `sign_in` put together what
//! signs in and sends, the worker runs and drains; beside it `reload` reads the settings again, `expiry` watches the credentials,
//! `monitoring` answers the monitor, `log` writes.

pub mod expiry;
mod failure;
pub mod log;
pub mod monitoring;
pub mod network;
mod reload;
mod sign_in;
mod start;
pub mod wiring;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::auth::TokenCache;
use crate::config::{AuthMode, Exposed, Readers, Settings};
use crate::graph::GraphClient;
use crate::queue::{Queue, Started};
use crate::worker::{Change, Drained, Measures, StatusReport, Worker, WorkerSettings};

pub use failure::Failure;
pub use reload::Reload;
pub use sign_in::*;

/// Time to close the queue in good order after the drain.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// What there is to hold on to while the daemon runs.
pub struct Running {
    pub queue: Arc<dyn Queue>,
    pub measures: Arc<Measures>,
    pub graph: Arc<GraphClient>,
    pub tokens: Arc<TokenCache>,
    pub status: StatusReport,
    pub changes: mpsc::UnboundedSender<Change>,
}

/// Opens the queue, takes its lock, puts back what a dead agent left, and runs the worker until `stop`. `ready` is
/// told when everything stands.
pub async fn daemon(
    settings: &Settings,
    worker: WorkerSettings,
    measures: Arc<Measures>,
    stop: CancellationToken,
    ready: impl FnOnce(Running),
) -> Result<Drained, Failure> {
    let path = &settings.queue.path;
    let Some(Started { queue, recovered, .. }) = start::usable_queue(&settings.queue, &stop).await? else {
        return Ok(Drained { interrupted: 0, unrecorded: 0 });
    };
    let tokens = wiring::tokens(settings)?;
    let graph = wiring::graph(settings)?;
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
    let worker = Worker::new(queue.clone(), graph.clone(), tokens.clone(), worker, measures.clone())
        .left(&recovered.left)
        .following(following);
    ready(Running { queue: queue.clone(), measures, graph, tokens, status: worker.status(), changes });
    let drained = worker.run(stop).await.map_err(Failure::failed)?;
    // Results are written or given up by now; a producer's long write must not hold up the end of the process.
    let _ = tokio::time::timeout(CLOSE_WITHIN, queue.close()).await;
    tracing::info!(interrupted = drained.interrupted, unrecorded = drained.unrecorded, "agent stopped");
    Ok(drained)
}

pub fn warn_of_exposed(exposed: &Exposed) {
    let (file, hint) = (exposed.file.display(), exposed.hint());
    match exposed.readers {
        Readers::Everybody => tracing::warn!(%file, hint, "secret is readable for everybody"),
        Readers::Producers(_) => tracing::warn!(%file, hint, "secret is readable for producers"),
    }
}
