//! Following the settings while the agent runs. Attempts under way end as they began; everything after them goes by what
//! is new.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::WorkerSettings;
use crate::graph::GraphClient;

/// Other settings than those the worker began with.
pub struct Change {
    /// Limits, waits, defaults. `until_empty` and `heartbeat` stay as they were.
    pub settings: WorkerSettings,
    /// The same client as before, if nothing of `[graph]` has changed.
    pub graph: Arc<GraphClient>,
    /// What keeps everything from being sent may be fixed: one request finds out at once.
    pub try_again: bool,
}

/// The settings, and where other ones come from.
pub(super) struct Control {
    pub settings: WorkerSettings,
    pub changes: Option<mpsc::UnboundedReceiver<Change>>,
    /// `queue.retention`, for the task that goes by it.
    pub retention: watch::Sender<Duration>,
}

impl Control {
    pub(super) fn new(settings: WorkerSettings) -> Self {
        Self { retention: watch::Sender::new(settings.retention), settings, changes: None }
    }

    pub(super) fn set(&mut self, settings: WorkerSettings) {
        self.retention.send_if_modified(|keep| std::mem::replace(keep, settings.retention) != settings.retention);
        let (until_empty, heartbeat) = (self.settings.until_empty, self.settings.heartbeat);
        self.settings = WorkerSettings { until_empty, heartbeat, ..settings };
    }

    /// The next change of settings; never, if none can come.
    pub(super) async fn next(&mut self) -> Option<Change> {
        match &mut self.changes {
            Some(changes) => changes.recv().await,
            None => std::future::pending().await,
        }
    }
}
