//! `status`: the queue at a glance, once or as a live screen. `health` has the words, `text` and `json` the forms for
//! people and for programs, `live` and `screen` the screen.

mod health;
mod json;
mod live;
mod screen;
mod text;

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::existing_queue;
use super::output::{self, short};
use super::standing::Agent;
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::queue::{AgentLock, SqliteQueue, StatusReport};

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
    report: StatusReport,
    agent: Agent,
    path: PathBuf,
    /// The mailbox of jobs that name none, as it is shown.
    unnamed: String,
    now: DateTime<Utc>,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    if let Some(seconds) = options.watch {
        let mailboxes = options.mailboxes.unwrap_or(ON_A_SCREEN);
        return live::run(Duration::from_secs(seconds.into()), mailboxes, settings).await;
    }
    let queue = existing_queue(&settings).await?;
    let glance = Glance::take(&queue, &settings, options.mailboxes.unwrap_or(IN_TEXT)).await?;
    if options.json {
        output::json(&json::of(&glance))?;
    } else {
        text::print(&glance)?;
    }
    Ok(Exit::Done)
}

impl Glance {
    async fn take(queue: &SqliteQueue, settings: &LocalSettings, mailboxes: u32) -> sqlx::Result<Self> {
        let now = Utc::now();
        let report = queue.status(now, settings.unnamed.as_deref(), mailboxes).await?;
        let agent = Agent::new(AgentLock::holder(queue.path()), report.agent.as_ref());
        let unnamed = if settings.own_mailbox { "(the signed-in user's own)" } else { "(none named)" };
        Ok(Self { report, agent, path: queue.path().to_owned(), unnamed: unnamed.into(), now })
    }

    /// A mailbox's name for people, without what would steer a terminal: a producer wrote it.
    fn name(&self, mailbox: &str) -> String {
        short(if mailbox.is_empty() { &self.unnamed } else { mailbox }, usize::MAX)
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
