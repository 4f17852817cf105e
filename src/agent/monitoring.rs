//! The monitor's and the page's place in the daemon: beside everything, from before the queue is opened until the end.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::{QueuePlace, Settings};
use crate::monitor::{self, AgentInfo, Monitor};
use crate::queue::open_existing;
use crate::web::{self, Filled, Web};
use crate::worker::{Measures, WorkerSettings};

/// Answers from now on, if the settings say where.
pub fn start(
    settings: &Settings,
    worker: &WorkerSettings,
    measures: &Arc<Measures>,
    stop: &CancellationToken,
) -> Option<Arc<Monitor>> {
    let address = settings.monitor.listen?;
    let monitor = Monitor::new(measures.clone(), info(settings), worker.unnamed.clone(), stop.clone());
    tokio::spawn(monitor::serve(address, monitor.clone()));
    Some(monitor)
}

/// Whose numbers the metrics are. A file is called by its machine, too: others have one in the same place.
fn info(settings: &Settings) -> AgentInfo {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let place = &settings.queue.place;
    match place {
        QueuePlace::File(_) => AgentInfo { name: host.clone(), queue: format!("{host}:{}", place.name()), host },
        QueuePlace::Database(shared) => AgentInfo { name: shared.agent.clone(), queue: place.name(), host },
    }
}

/// The page, if the settings say where.
pub fn start_page(
    settings: &Settings,
    worker: &WorkerSettings,
    measures: &Arc<Measures>,
    stop: &CancellationToken,
) -> Option<Arc<Web>> {
    let address = settings.web.listen?;
    let web = Web::new(settings.web.clone(), measures.clone(), filled(worker), stop.clone());
    tokio::spawn(web::serve(address, web.clone()));
    Some(web)
}

/// What rows are filled with, as the page shows them.
pub fn filled(worker: &WorkerSettings) -> Filled {
    Filled { defaults: worker.defaults.clone(), unnamed: worker.unnamed.clone() }
}

/// The queue is the agent's. The page opens it once more, so that nothing the agent does waits for whoever looks.
pub async fn open_page(settings: &Settings, web: &Web) {
    match open_existing(&settings.queue).await {
        Ok(queue) => web.started(queue),
        Err(error) => tracing::error!(%error, "page cannot open the queue, restart the agent to try again"),
    }
}
