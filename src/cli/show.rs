//! `show`: one job, every column, its attempts; or the exact request it makes.

use serde_json::Value;

use super::list::plain;
use super::output::{self, Tone, paint, short};
use super::{Failure, existing_queue, wiring};
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::graph::encode;
use crate::job::{EventDraft, JobId};
use crate::queue::{Record, SqliteQueue};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Id of the job
    id: i64,
    /// Print the exact body of the create request instead
    #[arg(long, conflicts_with = "json")]
    request: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = existing_queue(&settings).await?;
    if options.request {
        return request(&queue, &settings, options.id).await;
    }
    let (mut job, attempts) = queue.show(JobId(options.id)).await?.ok_or_else(|| missing(options.id))?;
    if options.json {
        let attempts: Vec<Value> = attempts.into_iter().map(Value::Object).collect();
        // `attempts` is the column that counts them.
        job.insert("history".into(), attempts.into());
        output::json(&Value::Object(job))?;
    } else {
        print(&job, &attempts)?;
    }
    Ok(Exit::Done)
}

async fn request(queue: &SqliteQueue, settings: &LocalSettings, id: i64) -> Result<Exit, Failure> {
    let input = queue.input(JobId(id)).await?.ok_or_else(|| missing(id))?;
    let defaults = wiring::defaults(&settings.defaults, settings.own_mailbox);
    let draft = EventDraft::from_input(&input.with_defaults(&defaults), defaults.own_mailbox);
    let body = draft
        .and_then(|draft| encode(&draft))
        .map_err(|invalid| Failure::failed(format!("job {id} makes no request: {invalid}")))?;
    output::bytes(&body)?;
    Ok(Exit::Done)
}

fn missing(id: i64) -> Failure {
    Failure::failed(format!("there is no job {id}"))
}

fn print(job: &Record, attempts: &[Record]) -> std::io::Result<()> {
    for (column, value) in job.iter().filter(|(_, value)| !value.is_null()) {
        let text = if column == "state" { output::state(&plain(value)) } else { short(&plain(value), 400) };
        output::line(&format!("{} {text}", paint(Tone::Faint, &format!("{column:16}"))))?;
    }
    if attempts.is_empty() {
        return output::line("\nno attempts yet");
    }
    output::line("")?;
    let columns =
        ["claim", "started_at", "duration_ms", "outcome", "http_status", "error_code", "request_id", "message"];
    let row = |attempt: &Record| columns.iter().map(|column| short(&plain(&attempt[*column]), 100)).collect();
    output::table(
        &["claim", "started", "ms", "outcome", "status", "code", "request id", "message"],
        attempts.iter().map(row).collect(),
    )
}
