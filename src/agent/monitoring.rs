//! The monitor's and the page's place in the daemon: beside everything, from before the queue is opened until the end.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::monitor::{self, Monitor};
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
    let monitor = Monitor::new(measures.clone(), worker.unnamed.clone(), stop.clone());
    tokio::spawn(monitor::serve(address, monitor.clone()));
    Some(monitor)
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
