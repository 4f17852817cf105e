//! HUP, as `systemctl reload` sends it: the settings are read again. What can be followed at once is; a file with a problem
//! changes nothing; the log says what became other, never a secret.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::Utc;
use sd_notify::NotifyState;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

use super::run::{Running, warn_of_exposed};
use super::{Failure, wiring};
use crate::auth::TokenCache;
use crate::config::{Difference, Environment, Settings};
use crate::graph::GraphClient;
use crate::monitor::Monitor;
use crate::telemetry::Threshold;
use crate::worker::{Change, Notes};

/// What the daemon goes by, and whom to tell of other settings.
pub(super) struct Reload {
    file: Option<PathBuf>,
    settings: Settings,
    graph: Arc<GraphClient>,
    tokens: Arc<TokenCache>,
    threshold: Threshold,
    notes: Notes,
    monitor: Option<Arc<Monitor>>,
    changes: mpsc::UnboundedSender<Change>,
}

impl Reload {
    /// `file` is what `--config` says, `settings` what was read from it at the start.
    pub(super) fn new(
        file: Option<PathBuf>,
        settings: Settings,
        threshold: Threshold,
        running: Running,
        monitor: Option<Arc<Monitor>>,
    ) -> Self {
        let Running { graph, tokens, notes, changes, .. } = running;
        // The file that was found at the start, not one that has come before it in the search since.
        let file = settings.file.clone().or(file);
        Self { file, settings, graph, tokens, threshold, notes, monitor, changes }
    }

    /// For as long as the process lives.
    pub(super) async fn follow(mut self, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            let begin = sd_notify::NotifyState::monotonic_usec_now();
            if let Ok(begin) = begin {
                let _ = sd_notify::notify(&[NotifyState::Reloading, begin]);
            }
            if let Err(failure) = self.read_again() {
                self.notes.settings_refused(failure.text);
            }
            let _ = sd_notify::notify(&[NotifyState::Ready]);
        }
    }

    fn read_again(&mut self) -> Result<(), Failure> {
        let mut new = match Settings::load(self.file.clone(), &Environment::of_process()) {
            Ok(new) => new,
            Err(error) => {
                for problem in &error.problems {
                    tracing::error!(key = problem.key, problem = problem.what, "settings refused, the old ones hold");
                }
                return Err(error.into());
            }
        };
        let differences = self.settings.differences(&new);
        // A sign-in that was refused is tried again at once: whoever reloads may have mended something at Microsoft's end.
        let other_way = differences.iter().any(|difference| is_of_the_way(difference.key)) || self.tokens.is_refused();
        if other_way {
            let (tokens, graph) = way(&new).inspect_err(|failure| {
                tracing::error!(problem = failure.text, "settings refused, the old ones hold");
            })?;
            (self.tokens, self.graph) = (tokens, graph);
            if let Some(monitor) = &self.monitor {
                monitor.signs_in_with(self.tokens.clone());
            }
        }
        differences.iter().for_each(tell);
        let known = |file: &PathBuf| self.settings.exposed.contains(file);
        new.exposed.iter().filter(|file| !known(file)).for_each(|file| warn_of_exposed(file));
        // What holds until the next start is what the next reading is compared with.
        new.queue.path.clone_from(&self.settings.queue.path);
        new.monitor.listen = self.settings.monitor.listen;
        new.log.format = self.settings.log.format;
        self.threshold.set(new.log.level);
        self.settings = new;
        let settings = wiring::worker(&self.settings, false, None);
        // A worker that has ended needs none.
        let _ = self.changes.send(Change { settings, graph: self.graph.clone(), tokens: self.tokens.clone() });
        self.notes.settings_taken(Utc::now());
        tracing::info!(changed = differences.len(), "settings read again");
        Ok(())
    }
}

/// Whether it says where requests go, or with what right: then connections and token are new ones.
fn is_of_the_way(key: &str) -> bool {
    key.starts_with("auth.") || key.starts_with("graph.")
}

fn way(settings: &Settings) -> Result<(Arc<TokenCache>, Arc<GraphClient>), Failure> {
    let tokens = wiring::tokens(settings)?;
    let graph = wiring::graph(settings, tokens.clone())?;
    Ok((tokens, graph))
}

fn tell(difference: &Difference) {
    let Difference { key, from, to, at_once } = difference;
    if *at_once {
        tracing::info!(key, from, to, "setting changed");
    } else {
        tracing::warn!(key, from, to, "setting changed, but holds from the next start on only");
    }
}
