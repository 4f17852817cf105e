//! Watching from outside: `/metrics` for Prometheus, `/healthz` and `/readyz` for probes of whether the agent lives and
//! sends. Reads what others measure; nothing the agent does waits for it, and nothing it answers names a mailbox, a
//! subject or a secret.

mod counts;
mod health;
mod metrics;
mod server;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::auth::TokenCache;
use crate::queue::Queue;
use crate::worker::Measures;

use counts::Counts;

pub use server::serve;

/// Whose numbers these are.
#[derive(Clone, Debug, Default)]
pub struct AgentInfo {
    pub name: String,
    pub host: String,
    /// The queue it works on. Agents that share one say the same.
    pub queue: String,
}

/// Everything there is to see. What is made only after the agent's start has begun is added when it is there.
pub struct Monitor {
    measures: Arc<Measures>,
    info: AgentInfo,
    started_at: DateTime<Utc>,
    unnamed: Unnamed,
    stop: CancellationToken,
    standing: OnceLock<Standing>,
}

/// What stands once the agent has started.
struct Standing {
    counts: Counts,
    queue: Arc<dyn Queue>,
    tokens: Arc<TokenCache>,
}

impl Monitor {
    /// A monitor of a worker that feeds `measures` and ends with `stop`.
    pub fn new(
        measures: Arc<Measures>,
        info: AgentInfo,
        unnamed: Option<String>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let known = Unnamed::default();
        known.set(unnamed);
        Arc::new(Self { measures, info, started_at: Utc::now(), unnamed: known, stop, standing: OnceLock::new() })
    }

    /// The agent has started on this queue, with these tokens.
    pub fn started(&self, queue: Arc<dyn Queue>, tokens: Arc<TokenCache>) {
        // An agent starts once.
        let counts = Counts::new(queue.clone(), self.unnamed.clone());
        let _ = self.standing.set(Standing { counts, queue, tokens });
    }

    /// Whose mailbox the rows are for from now on that name none.
    pub fn goes_by(&self, unnamed: Option<String>) {
        self.unnamed.set(unnamed);
    }
}

/// Whose mailbox the rows are for that name none; another one after a change of settings.
#[derive(Clone, Default)]
struct Unnamed(Arc<Mutex<Option<String>>>);

impl Unnamed {
    fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, mailbox: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mailbox;
    }
}

#[cfg(test)]
#[path = "monitor_tests.rs"]
mod tests;
