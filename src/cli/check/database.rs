//! The database: what the queue finds of itself, and what stands in it for those who come after.

use chrono::Utc;

use super::agent;
use super::findings::Finding;
use crate::config::QueueSettings;
use crate::queue::{self, AgentRow, MailboxRow, Overview, QueueError};

const CHECK: &str = "database";

/// What was found of it, for those who come after.
pub(super) struct Database {
    pub(super) findings: Vec<Finding>,
    /// The queue at a glance, if it is one; or why that cannot be read.
    pub(super) overview: Option<Result<Overview, QueueError>>,
    /// The mailboxes that are paused or on hold.
    pub(super) stopped: Vec<MailboxRow>,
}

impl Database {
    /// `unnamed` and `mailboxes` as for an overview.
    pub(super) async fn look(settings: &QueueSettings, unnamed: Option<&str>, mailboxes: u32) -> Self {
        let examined = queue::examine(settings).await;
        let findings = examined.findings.into_iter().map(|finding| Finding::of_storage(CHECK, finding)).collect();
        let mut found = Self { findings, overview: None, stopped: Vec::new() };
        let Some(queue) = examined.queue else { return found };
        let now = Utc::now();
        match queue.overview(now, unnamed, mailboxes).await {
            Ok(overview) => {
                let due = overview.waiting.total.jobs > overview.waiting.total.later;
                found.findings.extend(agent::findings(overview.agents.first(), due, now));
                found.overview = Some(Ok(overview));
            }
            Err(error) => {
                let cure = "look at the permissions above, and at the disk ('dmesg')";
                found.findings.push(Finding::fail(CHECK, error.to_string()).cure(cure).about(queue.name()));
                found.overview = Some(Err(error));
            }
        }
        // What cannot be read now could not be read above either, and was said there.
        found.stopped = queue.mailboxes(now).await.unwrap_or_default();
        found
    }

    /// What the agent that ran last says of itself. What it was asked to leave alone until a time is left alone until then,
    /// also when it has been stopped meanwhile.
    pub(super) fn agent(&self) -> Option<&AgentRow> {
        self.overview.as_ref()?.as_ref().ok()?.agents.first()
    }
}
