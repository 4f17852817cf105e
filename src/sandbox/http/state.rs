//! Everything the sandbox knows, shared by all requests: options, the state of each wing below, and the journal.

use std::sync::Arc;

use chrono::Utc;

use crate::sandbox::calendar::{Lanes, MailKind, Store};
use crate::sandbox::entra::{Entra, FederatedToken};
use crate::sandbox::faults::Script;
use crate::sandbox::guarded::Guarded;
use crate::sandbox::journal::{Counters, Journal};
use crate::sandbox::options::{Options, OptionsChange};

/// The state behind every request.
#[derive(Debug)]
pub(in crate::sandbox) struct SandboxState {
    pub(in crate::sandbox) entra: Entra,
    pub(in crate::sandbox) store: Store,
    pub(in crate::sandbox) lanes: Lanes,
    pub(in crate::sandbox) script: Script,
    pub(in crate::sandbox) journal: Journal,
    options: Guarded<Arc<Options>>,
    initial_options: Options,
}

impl SandboxState {
    pub(in crate::sandbox) fn new(options: Options) -> Self {
        Self {
            entra: Entra::default(),
            store: Store::new(),
            lanes: Lanes::new(),
            script: Script::default(),
            journal: Journal::default(),
            options: Guarded::new(Arc::new(options.clone())),
            initial_options: options,
        }
    }

    pub(in crate::sandbox) fn options(&self) -> Arc<Options> {
        Arc::clone(&self.options.lock())
    }

    pub(in crate::sandbox) fn turn(&self, change: OptionsChange) {
        let mut options = self.options.lock();
        *options = Arc::new(Options::clone(&options).changed(change));
    }

    /// What the other identity provider gives to a workload now.
    pub(in crate::sandbox) fn federated_token(&self, wanted: &FederatedToken) -> String {
        self.entra.provider.issue(wanted, &self.options().federated, Utc::now())
    }

    pub(in crate::sandbox) fn counters(&self) -> Counters {
        Counters {
            events: self.store.count(),
            invitations: self.store.mailed(MailKind::Invitation),
            updates: self.store.mailed(MailKind::Update),
            cancellations: self.store.mailed(MailKind::Cancellation),
            retry_after_violations: self.lanes.violations(),
            max_in_flight: self.lanes.max_in_flight(),
            ..self.journal.counters()
        }
    }

    /// Back to the start: no events, no faults, no records, options as given at the start. Tokens stay valid, so that a
    /// running client does not notice.
    pub(in crate::sandbox) fn reset(&self) {
        *self.options.lock() = Arc::new(self.initial_options.clone());
        self.script.clear();
        self.store.clear();
        self.lanes.reset();
        self.entra.reset();
        self.journal.reset();
    }
}
