//! `list`: jobs, one line each.

use serde_json::Value;

use super::existing_queue;
use super::output::{self, short};
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::job::JobState;
use crate::queue::{ListFilter, Record};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Only jobs in this state: pending, claimed, sent, failed or cancelled
    #[arg(long, value_parser = state)]
    state: Option<JobState>,
    /// Only jobs of this mailbox
    #[arg(long)]
    mailbox: Option<String>,
    /// Only jobs whose last failure is of this kind, such as throttled or invalid_job
    #[arg(long, value_name = "KIND")]
    error_kind: Option<String>,
    /// Only jobs in doubt: an event may exist that no answer has confirmed
    #[arg(long)]
    in_doubt: bool,
    /// At most this many, the newest
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: u32,
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = existing_queue(&settings).await?;
    let filter = ListFilter {
        state: options.state,
        mailbox: options.mailbox,
        error_kind: options.error_kind,
        in_doubt: options.in_doubt,
        limit: options.limit,
    };
    let jobs = queue.list(&filter).await?;
    if options.json {
        output::json(&Value::Array(jobs.into_iter().map(Value::Object).collect()))?;
    } else if jobs.is_empty() {
        eprintln!("no jobs");
    } else {
        table(&jobs)?;
    }
    Ok(Exit::Done)
}

/// Jobs as a table; also the end of the demo.
pub(super) fn table(jobs: &[Record]) -> std::io::Result<()> {
    let rows = jobs.iter().map(row).collect();
    output::table(&["id", "state", "mailbox", "start", "subject", "tries", "event id or reason"], rows)
}

fn row(job: &Record) -> Vec<String> {
    let text = |name: &str, width: usize| short(&plain(column(job, name)), width);
    let doubt = if *column(job, "in_doubt") == 1 { " in doubt" } else { "" };
    let end = match (column(job, "event_id"), column(job, "error_message")) {
        (Value::String(id), _) => output::event_id(id),
        (_, Value::String(reason)) => format!("{}: {}", text("error_kind", 30), short(reason, 90)),
        _ => String::new(),
    };
    vec![
        text("id", 20),
        format!("{}{doubt}", output::state(&text("state", 20))),
        text("mailbox", 30),
        text("start_time", 25),
        text("subject", 30),
        text("attempts", 6),
        end,
    ]
}

/// A column of a row; null if the row has none of that name.
pub(super) fn column<'r>(row: &'r Record, name: &str) -> &'r Value {
    row.get(name).unwrap_or(&Value::Null)
}

/// A value without JSON's quotes; nothing for null.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn state(word: &str) -> Result<JobState, String> {
    JobState::parse(word).ok_or_else(|| {
        let words: Vec<_> = JobState::ALL.iter().map(|state| state.as_str()).collect();
        format!("it is one of {}", words.join(", "))
    })
}
