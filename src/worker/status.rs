//! What the agent reports of itself in the queue, for programs beside it (`status`, `check`): its version, its settings,
//! why nothing is sent if that is so, and when what it signs in with ends. Written beside the loop; only the newest status counts.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::auth::CredentialEnd;
use crate::queue::{Agent, AgentStatus, CredentialNote, DefaultNote, GateNote, Refusal, Refusals};

/// Between two tries where the queue cannot be written.
const AGAIN: Duration = Duration::from_secs(5);

/// Where everyone who knows something of the agent's status says it.
#[derive(Clone, Debug)]
pub struct StatusReport(Arc<watch::Sender<AgentStatus>>);

impl StatusReport {
    /// An agent that starts now.
    pub fn begin(now: DateTime<Utc>) -> Self {
        Self(Arc::new(watch::Sender::new(AgentStatus {
            version: env!("CARGO_PKG_VERSION"),
            started_at: now,
            settings_at: now,
            settings_refused: None,
            gate: None,
            credential: None,
            default: None,
            refused: Refusals::default(),
        })))
    }

    /// The settings were read again.
    pub fn settings_taken(&self, now: DateTime<Utc>) {
        self.0.send_modify(|status| {
            status.settings_at = now;
            status.settings_refused = None;
        });
    }

    /// They could not be used, and the old ones hold.
    pub fn settings_refused(&self, why: String) {
        self.0.send_modify(|status| status.settings_refused = Some(why));
    }

    /// What it signs in with serves until then.
    pub fn signs_in_until(&self, end: Option<CredentialEnd>) {
        let credential = end.map(|end| CredentialNote { name: end.credential, expires: end.at });
        self.0.send_if_modified(|status| std::mem::replace(&mut status.credential, credential) != credential);
    }

    /// These jobs of an earlier run stay claimed, because they cannot be put back.
    pub(super) fn left(&self, left: &[Refusal]) {
        let left = left.first().map(|first| (left.len(), first.clone()));
        self.refused(|refused| &mut refused.left, left);
    }

    /// So many results cannot be recorded.
    pub(super) fn refused_results(&self, results: Option<(usize, Refusal)>) {
        self.refused(|refused| &mut refused.results, results);
    }

    /// So many jobs cannot be claimed.
    pub(super) fn refused_claims(&self, claims: Option<(usize, Refusal)>) {
        self.refused(|refused| &mut refused.claims, claims);
    }

    fn refused(&self, which: fn(&mut Refusals) -> &mut Option<(usize, Refusal)>, now: Option<(usize, Refusal)>) {
        self.0.send_if_modified(|status| {
            let known = which(&mut status.refused);
            let changed = *known != now;
            *known = now;
            changed
        });
    }

    /// The gate is shut.
    pub(super) fn gate_shut(&self, gate: GateNote) {
        self.0.send_modify(|status| status.gate = Some(gate));
    }

    /// Sending from a default waits, or from none any more.
    pub(super) fn default_refused(&self, default: Option<DefaultNote>) {
        self.0.send_if_modified(|status| {
            let before = std::mem::replace(&mut status.default, default);
            before != status.default
        });
    }

    pub(super) fn gate_open(&self) {
        self.0.send_if_modified(|status| status.gate.take().is_some());
    }
}

/// Reports the status to the queue until `stop`.
pub(super) fn keep(status: &StatusReport, queue: Arc<dyn Agent>, stop: CancellationToken) {
    let mut newest = status.0.subscribe();
    newest.mark_changed();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = newest.changed() => if changed.is_err() { return },
            }
            let status = newest.borrow_and_update().clone();
            // Trouble with the storage is said by those who have more to write.
            if queue.report(&status).await.is_err() {
                newest.mark_changed();
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
        }
    });
}
