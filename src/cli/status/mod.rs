//! `status`: the queue at a glance, once or as a live screen. `text`, `json` and `nagios` are the forms for people, for programs
//! and for their monitoring, `live` and `screen` the screen.

mod json;
mod live;
mod nagios;
mod screen;
mod text;

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::ValueEnum;

use super::output::{self, short};
use super::paper::Paper;
use super::{time_arg, with_queue};
use crate::advice::health::{Health, Level, News};
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
    /// As JSON; the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// For whom: a person, a program, or a monitoring system that runs Nagios plugins (Icinga, Checkmk, …)
    #[arg(long, default_value = "text")]
    format: Form,
    /// Failed jobs are news if they failed since then: since you looked last. An age like 2h, or a UTC time [default: 1h]
    #[arg(long, value_name = "WHEN", value_parser = time_arg::past)]
    since: Option<DateTime<Utc>>,
    /// End with 0 if all is fine, 1 if something needs a look, 2 if nothing is sent, 3 if no agent works; with a word, with 0 unless it
    /// is as bad as that
    #[arg(long, value_name = "FROM", num_args = 0..=1, require_equals = true, default_missing_value = "look")]
    exit_code: Option<Threshold>,
    /// Name at most this many mailboxes, those with the most waiting jobs [default: 20; with --watch what fits]
    #[arg(long, value_name = "N")]
    mailboxes: Option<u32>,
    /// Cut nothing to the terminal's width
    #[arg(long)]
    wide: bool,
    /// As a live screen, looked at again after so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
        conflicts_with_all = ["json", "format", "exit_code"], value_parser = clap::value_parser!(u16).range(1..=3600))]
    watch: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
    Nagios,
}

/// From how bad on the exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Threshold {
    /// Anything that needs a look
    Look,
    /// Nothing is sent
    Stopped,
    /// No agent works
    NoAgent,
}

impl Threshold {
    fn level(self) -> Level {
        match self {
            Threshold::Look => Level::Look,
            Threshold::Stopped => Level::Stopped,
            Threshold::NoAgent => Level::NoAgent,
        }
    }
}

/// Everything one look found.
struct Glance {
    report: Overview,
    agent: AgentRow,
    news: News,
    /// What people call the queue.
    queue: String,
    /// Shown for a mailbox without a name.
    nameless: &'static str,
    now: DateTime<Utc>,
}

pub(super) async fn run(options: Options, file: Option<PathBuf>) -> Result<Exit, Failure> {
    if let Some(seconds) = options.watch {
        let mailboxes = options.mailboxes.unwrap_or(ON_A_SCREEN);
        let look = live::Look { mailboxes, since: options.since };
        return live::run(Duration::from_secs(seconds.into()), look, with_queue(file)?).await;
    }
    match look(&options, file).await {
        Ok(glance) => options.tell(&glance),
        Err(failure) => options.cannot_tell(failure),
    }
}

async fn look(options: &Options, file: Option<PathBuf>) -> Result<Glance, Failure> {
    let settings = with_queue(file)?;
    let queue = queue::open_existing(&settings.queue).await?;
    Ok(Glance::take(&*queue, &settings, options.mailboxes.unwrap_or(IN_TEXT), options.since).await?)
}

impl Options {
    fn tell(&self, glance: &Glance) -> Result<Exit, Failure> {
        let level = glance.health().level;
        match self.form() {
            Form::Text => output::lines(&text::lines(glance, Paper::new(self.wide)))?,
            Form::Json => output::json(&json::of(glance))?,
            Form::Nagios => {
                output::line(&nagios::line(glance))?;
                return Ok(Exit::Standing(nagios::code(level)));
            }
        }
        Ok(match self.exit_code {
            Some(from) if level >= from.level() => Exit::Standing(code(level)),
            _ => Exit::Done,
        })
    }

    /// Nobody knows how things stand, which is none of the four answers.
    fn cannot_tell(&self, failure: Failure) -> Result<Exit, Failure> {
        match (self.form(), failure.exit) {
            (Form::Nagios, _) => {
                output::line(&nagios::unknown(&failure.text))?;
                Ok(Exit::Standing(nagios::UNKNOWN))
            }
            (_, Exit::Failed) if self.exit_code.is_some() => Err(Failure::new(Exit::Unavailable, failure.text)),
            _ => Err(failure),
        }
    }

    fn form(&self) -> Form {
        if self.json { Form::Json } else { self.format }
    }
}

fn code(level: Level) -> u8 {
    match level {
        Level::Fine => 0,
        Level::Look => 1,
        Level::Stopped => 2,
        Level::NoAgent => 3,
    }
}

impl Glance {
    async fn take(
        queue: &dyn Read,
        settings: &LocalSettings,
        mailboxes: u32,
        since: Option<DateTime<Utc>>,
    ) -> Result<Self, QueueError> {
        let now = Utc::now();
        let report = queue.overview(now, settings.unnamed.as_deref(), mailboxes).await?;
        let news = match since {
            Some(time) => News { failed: queue.failures(time, 0).await?.jobs, since },
            None => News::of_last_hour(&report),
        };
        let agent = report.agent(now);
        let nameless = if settings.own_mailbox { "(the signed-in user's own)" } else { "(none named)" };
        Ok(Self { report, agent, news, queue: queue.name(), nameless, now })
    }

    fn health(&self) -> Health {
        Health::of(&self.report, &self.agent, self.news, self.now)
    }

    /// A mailbox's name for people, without what would steer a terminal: a producer wrote it.
    fn name(&self, mailbox: &str) -> String {
        short(if mailbox.is_empty() { self.nameless } else { mailbox }, usize::MAX)
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
