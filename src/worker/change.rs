//! Following the settings while the agent runs. Attempts under way end as they began; everything after them goes by what
//! is new.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::mpsc;

use super::attempt::Context;
use super::{Worker, WorkerSettings};
use crate::clock::Now;
use crate::graph::GraphClient;

/// Other settings than those the worker began with.
pub struct Change {
    /// Limits, waits, defaults. `until_empty` and `heartbeat` stay as they were.
    pub settings: WorkerSettings,
    /// The same client as before, if nothing of `[graph]` has changed.
    pub graph: Arc<GraphClient>,
    /// What keeps everything from being sent may be mended: one request finds out at once.
    pub try_again: bool,
}

impl Worker {
    /// Goes by other settings from now on. Attempts under way end as they began.
    pub(super) fn apply(&mut self, change: Change) {
        let Change { settings, graph, try_again } = change;
        self.lanes.set_limits(settings.per_mailbox, settings.max_in_flight);
        self.context = Arc::new(Context {
            graph,
            tokens: self.context.tokens.clone(),
            policy: settings.policy.clone(),
            own_mailbox: settings.defaults.own_mailbox,
            stop: self.context.stop.clone(),
            cut: self.context.cut.clone(),
            resting: self.context.resting.clone(),
            zone_taken: AtomicBool::new(false),
            measures: self.measures.clone(),
        });
        self.retention.send_if_modified(|keep| std::mem::replace(keep, settings.retention) != settings.retention);
        self.measures.max_in_flight.set(settings.max_in_flight as i64);
        // Attempts under way go by the old one.
        self.progress.longest_attempt = self.progress.longest_attempt.max(settings.longest_attempt);
        let (until_empty, heartbeat) = (self.settings.until_empty, self.settings.heartbeat);
        self.settings = WorkerSettings { until_empty, heartbeat, ..settings };
        if try_again && self.gate.waits_for_a_cure() {
            self.gate.try_now(Now::read().steady);
        }
        self.forget_refused_defaults();
        self.look.want();
    }
}

/// The next change of settings; never, if nobody makes any.
pub(super) async fn next(changes: &mut Option<mpsc::UnboundedReceiver<Change>>) -> Option<Change> {
    match changes {
        Some(changes) => changes.recv().await,
        None => std::future::pending().await,
    }
}
