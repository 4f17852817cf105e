//! Everything the sandbox knows, shared by all requests: knobs, the state of each wing below, and the journal.

use std::sync::Arc;

use chrono::Utc;

use crate::sandbox::calendar::{Lanes, Store};
use crate::sandbox::entra::{Entra, FederatedToken};
use crate::sandbox::faults::Script;
use crate::sandbox::guarded::Guarded;
use crate::sandbox::journal::{Counters, Journal};
use crate::sandbox::knobs::{Knobs, OptionsChange};

/// The state behind every request.
#[derive(Debug)]
pub(in crate::sandbox) struct World {
    pub(in crate::sandbox) entra: Entra,
    pub(in crate::sandbox) store: Store,
    pub(in crate::sandbox) lanes: Lanes,
    pub(in crate::sandbox) script: Script,
    pub(in crate::sandbox) journal: Journal,
    knobs: Guarded<Arc<Knobs>>,
    first_knobs: Knobs,
}

impl World {
    pub(in crate::sandbox) fn new(knobs: Knobs) -> Self {
        Self {
            entra: Entra::default(),
            store: Store::new(),
            lanes: Lanes::new(),
            script: Script::default(),
            journal: Journal::default(),
            knobs: Guarded::new(Arc::new(knobs.clone())),
            first_knobs: knobs,
        }
    }

    pub(in crate::sandbox) fn knobs(&self) -> Arc<Knobs> {
        Arc::clone(&self.knobs.lock())
    }

    pub(in crate::sandbox) fn turn(&self, change: OptionsChange) {
        let mut knobs = self.knobs.lock();
        *knobs = Arc::new(Knobs::clone(&knobs).changed(change));
    }

    /// What the other identity provider gives to a workload now.
    pub(in crate::sandbox) fn federated_token(&self, wanted: &FederatedToken) -> String {
        self.entra.provider.issue(wanted, &self.knobs().federated, Utc::now())
    }

    pub(in crate::sandbox) fn counters(&self) -> Counters {
        Counters {
            events: self.store.count(),
            retry_after_violations: self.lanes.violations(),
            max_in_flight: self.lanes.max_in_flight(),
            ..self.journal.counters()
        }
    }

    /// Back to the start: no events, no faults, no records, options as given at the start. Tokens stay valid, so that a
    /// running client does not notice.
    pub(in crate::sandbox) fn reset(&self) {
        *self.knobs.lock() = Arc::new(self.first_knobs.clone());
        self.script.clear();
        self.store.clear();
        self.lanes.reset();
        self.entra.reset();
        self.journal.reset();
    }
}
