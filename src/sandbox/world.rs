//! Everything the sandbox knows, shared by all requests: knobs, tokens, mailboxes, lanes, the script, the journal
//! and the identity provider beside Entra.

use std::sync::Arc;

use chrono::Utc;

use super::arc::Challenges;
use super::federation::{FederatedToken, Provider};
use super::guarded::Guarded;
use super::journal::{Counters, Journal};
use super::knobs::{Knobs, OptionsChange};
use super::lanes::Lanes;
use super::presented::Presented;
use super::script::Script;
use super::store::Store;
use super::token_rate::AskedTooOften;
use super::tokens::Tokens;

/// The state behind every request.
#[derive(Debug)]
pub(super) struct World {
    pub(super) tokens: Tokens,
    pub(super) token_rate: AskedTooOften,
    pub(super) provider: Provider,
    pub(super) presented: Presented,
    pub(super) challenges: Challenges,
    pub(super) store: Store,
    pub(super) lanes: Lanes,
    pub(super) script: Script,
    pub(super) journal: Journal,
    knobs: Guarded<Arc<Knobs>>,
    first_knobs: Knobs,
}

impl World {
    pub(super) fn new(knobs: Knobs) -> Self {
        Self {
            tokens: Tokens::default(),
            token_rate: AskedTooOften::default(),
            provider: Provider::default(),
            presented: Presented::default(),
            challenges: Challenges::default(),
            store: Store::new(),
            lanes: Lanes::new(),
            script: Script::default(),
            journal: Journal::default(),
            knobs: Guarded::new(Arc::new(knobs.clone())),
            first_knobs: knobs,
        }
    }

    pub(super) fn knobs(&self) -> Arc<Knobs> {
        Arc::clone(&self.knobs.lock())
    }

    pub(super) fn turn(&self, change: OptionsChange) {
        let mut knobs = self.knobs.lock();
        *knobs = Arc::new(Knobs::clone(&knobs).changed(change));
    }

    /// What the other identity provider gives to a workload now.
    pub(super) fn federated_token(&self, wanted: &FederatedToken) -> String {
        self.provider.issue(wanted, &self.knobs().federated, Utc::now())
    }

    pub(super) fn counters(&self) -> Counters {
        Counters {
            events: self.store.count(),
            retry_after_violations: self.lanes.violations(),
            max_in_flight: self.lanes.max_in_flight(),
            ..self.journal.counters()
        }
    }

    /// Back to the start: no events, no faults, no records, options as given at the start. Tokens stay valid, so that a
    /// running client does not notice.
    pub(super) fn reset(&self) {
        *self.knobs.lock() = Arc::new(self.first_knobs.clone());
        self.script.clear();
        self.store.clear();
        self.lanes.reset();
        self.token_rate.reset();
        self.presented.reset();
        self.challenges.reset();
        self.journal.reset();
    }
}
