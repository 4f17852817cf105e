//! The page and the API behind it: how things stand, why jobs failed, and the operator's verbs. A room beside the monitor: it
//! reads and operates through the queue's traits, over a connection of its own, and nothing the agent does waits for it.
//!
//! `guard` decides who may ask, `sessions` knows who has signed in, `look` has the latest look at the queue, `groups` the reasons of failures, `charts` the last
//! hour; `overview`, `jobs`, `mailboxes` and `actions` are the API; `page` is the page.

mod actions;
mod charts;
mod groups;
mod guard;
mod jobs;
mod look;
mod mailboxes;
mod overview;
mod page;
mod reply;
mod server;
mod sessions;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::config::WebSettings;
use crate::job::Defaults;
use crate::queue::Queue;
use crate::worker::Measures;

use charts::Charts;
use guard::Guard;
use look::Look;
use sessions::Sessions;

pub use server::serve;

/// Everything there is to show and to do. What is made only after the agent's start has begun is added when it is there.
pub struct Web {
    settings: WebSettings,
    guard: Guard,
    sessions: Sessions,
    measures: Arc<Measures>,
    charts: Charts,
    /// What fills a row that says nothing; another one after a change of settings.
    filled: Mutex<Filled>,
    stop: CancellationToken,
    standing: OnceLock<Standing>,
}

/// What rows are filled with.
#[derive(Clone)]
pub struct Filled {
    pub defaults: Defaults,
    /// Whose mailbox the rows are for that name none.
    pub unnamed: Option<String>,
}

struct Standing {
    queue: Arc<dyn Queue>,
    look: Look,
}

impl Web {
    /// A page of a worker that feeds `measures` and ends with `stop`.
    pub fn new(settings: WebSettings, measures: Arc<Measures>, filled: Filled, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            guard: Guard::new(&settings),
            sessions: Sessions::default(),
            charts: Charts::default(),
            filled: Mutex::new(filled),
            settings,
            measures,
            stop,
            standing: OnceLock::new(),
        })
    }

    /// The agent has started on this queue, which is open once more for the page alone.
    pub fn started(&self, queue: Arc<dyn Queue>) {
        // An agent starts once.
        let _ = self.standing.set(Standing { look: Look::new(queue.clone()), queue });
    }

    /// What rows are filled with from now on.
    pub fn goes_by(&self, filled: Filled) {
        *self.filled.lock().unwrap_or_else(PoisonError::into_inner) = filled;
    }

    /// Gives the queue back: whoever closes it last puts its log away.
    pub async fn close(&self) {
        if let Some(standing) = self.standing.get() {
            standing.queue.close().await;
        }
    }

    fn filled(&self) -> Filled {
        self.filled.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
