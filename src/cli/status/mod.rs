//! `status`: the queue at a glance, once or as a live screen. `text` and `json` the forms for
//! people and for programs, `live` and `screen` the screen.

mod json;
mod live;
mod screen;
mod text;

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::output::{self, short};
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::queue::{self, AgentRow, Overview, QueueError, Read};

/// Mailboxes named if nobody says how many.
const IN_TEXT: u32 = 20;
/// More than the tallest terminal shows, so that another order has something to choose from.
const ON_A_SCREEN: u32 = 500;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Name at most this many mailboxes, those with the most waiting jobs [default: 20; with --watch what fits]
    #[arg(long, value_name = "N")]
    mailboxes: Option<u32>,
    /// As a live screen, looked at again after so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", conflicts_with = "json",
        value_parser = clap::value_parser!(u16).range(1..=3600))]
    watch: Option<u16>,
}

/// Everything one look found.
struct Glance {
    report: Overview,
    agent: AgentRow,
    /// What people call the queue.
    queue: String,
    /// Shown for a mailbox without a name.
    nameless: &'static str,
    now: DateTime<Utc>,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    if let Some(seconds) = options.watch {
        let mailboxes = options.mailboxes.unwrap_or(ON_A_SCREEN);
        return live::run(Duration::from_secs(seconds.into()), mailboxes, settings).await;
    }
    let queue = queue::open_existing(&settings.queue).await?;
    let glance = Glance::take(&*queue, &settings, options.mailboxes.unwrap_or(IN_TEXT)).await?;
    if options.json {
        output::json(&json::of(&glance))?;
    } else {
        text::print(&glance)?;
    }
    Ok(Exit::Done)
}

impl Glance {
    async fn take(queue: &dyn Read, settings: &LocalSettings, mailboxes: u32) -> Result<Self, QueueError> {
        let now = Utc::now();
        let report = queue.overview(now, settings.unnamed.as_deref(), mailboxes).await?;
        let agent = report.agents.first().cloned().unwrap_or_default();
        let nameless = if settings.own_mailbox { "(the signed-in user's own)" } else { "(none named)" };
        Ok(Self { report, agent, queue: queue.name(), nameless, now })
    }

    /// A mailbox's name for people, without what would steer a terminal: a producer wrote it.
    fn name(&self, mailbox: &str) -> String {
        short(if mailbox.is_empty() { self.nameless } else { mailbox }, usize::MAX)
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
