//! Watching from outside: `/metrics` for Prometheus, `/healthz` and `/readyz` for who asks whether the agent lives and
//! sends. Reads what others measure; nothing the agent does waits for it, and nothing it answers names a mailbox, a
//! subject or a secret.

mod counts;
mod families;
mod health;
mod metrics;
mod server;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::auth::TokenCache;
use crate::queue::SqliteQueue;
use crate::worker::Measures;

use counts::Counts;

pub use server::serve;

/// Everything there is to see. What is made only after the agent's start has begun is added when it is there.
pub struct Monitor {
    measures: Arc<Measures>,
    started_at: DateTime<Utc>,
    /// Whose mailbox the rows are for that name none.
    unnamed: Option<String>,
    stop: CancellationToken,
    standing: OnceLock<Standing>,
}

/// What stands once the agent has started.
struct Standing {
    counts: Counts,
    /// Others after a reload with another sign-in.
    tokens: Mutex<Arc<TokenCache>>,
}

impl Standing {
    fn tokens(&self) -> Arc<TokenCache> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Monitor {
    /// A monitor of a worker that feeds `measures` and ends with `stop`.
    pub fn new(measures: Arc<Measures>, unnamed: Option<String>, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { measures, started_at: Utc::now(), unnamed, stop, standing: OnceLock::new() })
    }

    /// The agent has started on this queue, with these tokens.
    pub fn started(&self, queue: Arc<SqliteQueue>, tokens: Arc<TokenCache>) {
        // An agent starts once.
        let counts = Counts::new(queue, self.unnamed.clone());
        let _ = self.standing.set(Standing { counts, tokens: Mutex::new(tokens) });
    }

    /// The agent takes its tokens from here from now on.
    pub fn signs_in_with(&self, tokens: Arc<TokenCache>) {
        if let Some(standing) = self.standing.get() {
            *standing.tokens.lock().unwrap_or_else(PoisonError::into_inner) = tokens;
        }
    }
}

#[cfg(test)]
#[path = "monitor_tests.rs"]
mod tests;
