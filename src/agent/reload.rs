//! HUP, as `systemctl reload` sends it: the settings are read again. What can be followed at once is; a file with a problem
//! changes nothing; the log says what became other, never a secret.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use sd_notify::NotifyState;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

use super::{Running, Watchers, monitoring, warn_of_exposed};
use crate::agent::{Failure, sign_in, wiring};
use crate::auth::TokenCache;
use crate::config::{AuthMode, Difference, Environment, QueuePlace, Settings};
use crate::graph::GraphClient;
use crate::telemetry::Threshold;
use crate::worker::{Change, StatusReport};

/// What the daemon goes by, and whom to tell of other settings.
pub struct Reload {
    settings: Settings,
    graph: Arc<GraphClient>,
    tokens: Arc<TokenCache>,
    threshold: Threshold,
    status: StatusReport,
    watchers: Watchers,
    changes: mpsc::UnboundedSender<Change>,
}

impl Reload {
    /// `settings` is what was read at the start.
    pub fn new(settings: Settings, threshold: Threshold, running: Running, watchers: Watchers) -> Self {
        let Running { graph, tokens, status, changes, .. } = running;
        Self { settings, graph, tokens, threshold, status, watchers, changes }
    }

    /// For as long as the process lives.
    pub async fn follow(mut self, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            let begin = sd_notify::NotifyState::monotonic_usec_now();
            if let Ok(begin) = begin {
                let _ = sd_notify::notify(&[NotifyState::Reloading, begin]);
            }
            if let Err(failure) = self.read_again() {
                self.status.settings_refused(failure);
            }
            let _ = sd_notify::notify(&[NotifyState::Ready]);
        }
    }

    /// Takes over where requests go and how they sign in. Tells whether what could not be sent may be tried at once.
    fn take_the_way(&mut self, new: &Settings, differences: &[Difference]) -> Result<bool, Failure> {
        let differs = |is: fn(&str) -> bool| differences.iter().any(|difference| is(difference.key));
        let signs_in = differs(|key| key.starts_with("auth.") || CONNECTION.contains(&key));
        let graph = differs(|key| key.starts_with("graph."));
        // Both are made before either is used.
        let endpoint = signs_in.then(|| sign_in::token_endpoint(new)).transpose()?;
        let client = graph.then(|| wiring::graph(new)).transpose()?;
        if let Some(endpoint) = endpoint {
            let keeps_token = !differs(|key| key.starts_with("auth.") && !CREDENTIALS.contains(&key));
            self.tokens.sign_in_with(endpoint, keeps_token, Instant::now());
        }
        if let Some(client) = client {
            self.graph = client;
        }
        // Whoever reloads may have fixed something at Microsoft's end. A wrong password sent again may lock the account.
        let harmless = !matches!(new.auth.mode, AuthMode::Password { .. });
        let fixed = harmless && self.tokens.try_again(Instant::now());
        Ok(signs_in || graph || fixed)
    }

    /// The error names what is at fault, and nothing of its value: everybody in the queue's group may read it.
    fn read_again(&mut self) -> Result<(), String> {
        let mut new = match self.settings.load_again(&Environment::of_process()) {
            Ok(new) => new,
            Err(error) => {
                for problem in &error.problems {
                    tracing::error!(key = problem.key, problem = problem.what, "settings refused, the old ones hold");
                }
                let keys: Vec<&str> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
                return Err(format!("{}: the log says what is wrong with it", keys.join(", ")));
            }
        };
        if let Some(problem) = disagreement(&self.settings.queue.place, &new.queue.place) {
            tracing::error!(problem, "settings refused, the old ones hold");
            return Err(problem.to_owned());
        }
        let differences = self.settings.differences(&new);
        let try_again = self.take_the_way(&new, &differences).map_err(|failure| {
            tracing::error!(problem = failure.text, "settings refused, the old ones hold");
            failure.text
        })?;
        differences.iter().for_each(tell);
        new.exposed.iter().filter(|one| !self.settings.exposed.contains(one)).for_each(warn_of_exposed);
        // What holds until the next start is what the next reading is compared with.
        new.queue.place.clone_from(&self.settings.queue.place);
        new.monitor.listen = self.settings.monitor.listen;
        new.web.clone_from(&self.settings.web);
        new.log.format = self.settings.log.format;
        self.threshold.set(new.log.level);
        self.settings = new;
        let settings = wiring::worker(&self.settings, false, None);
        if let Some(monitor) = &self.watchers.monitor {
            monitor.goes_by(settings.unnamed.clone());
        }
        if let Some(page) = &self.watchers.page {
            page.goes_by(monitoring::filled(&settings));
        }
        // A worker that has ended needs none.
        let _ = self.changes.send(Change { settings, graph: self.graph.clone(), try_again });
        self.status.settings_taken(Utc::now());
        tracing::info!(changed = differences.len(), "settings read again");
        Ok(())
    }
}

/// What all agents of a queue go by is not changed by one of them.
fn disagreement(old: &QueuePlace, new: &QueuePlace) -> Option<&'static str> {
    let (QueuePlace::Database(old), QueuePlace::Database(new)) = (old, new) else { return None };
    (old.agreement != new.agreement).then_some(
        "all agents of a queue go by the same tenant, client, endpoint, request timeout, defaults and limits of a mailbox: \
         stop them all, change the settings of all, and start them again",
    )
}

/// Keys that say how a token is asked for, beside those of `[auth]`, …
const CONNECTION: [&str; 2] = ["graph.ca_file", "graph.connect_timeout"];
/// … and those of `[auth]` that do not change for whom it is.
const CREDENTIALS: [&str; 12] = [
    "auth.client_secret",
    "auth.client_secret_file",
    "auth.secret_expires",
    "auth.certificate_file",
    "auth.private_key_file",
    "auth.private_key_passphrase",
    "auth.private_key_passphrase_file",
    "auth.send_certificate_chain",
    "auth.arc_tokens_dir",
    "auth.federated_token_file",
    "auth.password",
    "auth.password_file",
];

fn tell(difference: &Difference) {
    let Difference { key, from, to, at_once } = difference;
    if *at_once {
        tracing::info!(key, from, to, "setting changed");
    } else {
        tracing::warn!(key, from, to, "setting changed, but holds from the next start on only");
    }
}
