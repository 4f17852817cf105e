//! The monitor's place in the daemon: beside everything, from before the queue is opened until the end.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::monitor::{Monitor, serve};
use crate::worker::{Measures, WorkerSettings};

/// The loop turns at least this often, so that one that does not can be told from one that has nothing to do.
const TURNS_EVERY: Duration = Duration::from_secs(20);

/// Answers from now on, if the settings say where.
pub fn start(
    settings: &Settings,
    worker: &mut WorkerSettings,
    measures: &Arc<Measures>,
    stop: &CancellationToken,
) -> Option<Arc<Monitor>> {
    let address = settings.monitor.listen?;
    let (interval, beat) = worker.heartbeat.unwrap_or((TURNS_EVERY, || {}));
    worker.heartbeat = Some((interval.min(TURNS_EVERY), beat));
    let monitor = Monitor::new(measures.clone(), worker.unnamed.clone(), stop.clone());
    tokio::spawn(serve(address, monitor.clone()));
    Some(monitor)
}
