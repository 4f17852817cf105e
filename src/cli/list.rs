//! `list`: jobs, one line each.

use serde_json::Value;

use super::output::{self, short};
use crate::advice::row_json;
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::job::JobState;
use crate::queue::{self, JobFilter, JobSummary, Stored};

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
    /// Only jobs of the event that your programs call by this key
    #[arg(long, value_name = "KEY")]
    event_key: Option<String>,
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
    let queue = queue::open_existing(&settings.queue).await?;
    let filter = JobFilter {
        state: options.state,
        mailbox: options.mailbox,
        error_kind: options.error_kind,
        in_doubt: options.in_doubt,
        event_key: options.event_key,
        limit: options.limit,
    };
    let jobs = queue.jobs(&filter).await?;
    if options.json {
        output::json(&Value::Array(jobs.iter().map(|job| Value::Object(row_json::summary(job))).collect()))?;
    } else if jobs.is_empty() {
        eprintln!("no jobs");
    } else {
        table(&jobs)?;
    }
    Ok(Exit::Done)
}

/// Jobs as a table; also the end of the demo.
pub(super) fn table(jobs: &[JobSummary]) -> std::io::Result<()> {
    let rows = jobs.iter().map(row).collect();
    output::table(&["id", "operation", "state", "mailbox", "start", "subject", "tries", "event id or reason"], rows)
}

fn row(job: &JobSummary) -> Vec<String> {
    let text = |column: &Stored, width: usize| short(&column.to_string(), width);
    let doubt = if job.is_in_doubt() { " in doubt" } else { "" };
    let end = match (&job.event_id, &job.error_message) {
        (Stored::Null, Stored::Null) => {
            job.behind.integer().map_or_else(String::new, |first| format!("after job {first}"))
        }
        (Stored::Null, reason) => format!("{}: {}", short(&job.error_kind.word(), 30), text(reason, 90)),
        (id, _) => output::event_id(&id.to_string()),
    };
    vec![
        job.id.to_string(),
        text(&job.operation, 10),
        format!("{}{doubt}", output::state(&short(&job.state.word(), 20))),
        text(&job.mailbox, 30),
        text(&job.start_time, 25),
        text(&job.subject, 30),
        text(&job.attempts, 6),
        end,
    ]
}

fn state(word: &str) -> Result<JobState, String> {
    JobState::parse(word).ok_or_else(|| {
        let words: Vec<_> = JobState::ALL.iter().map(|state| state.as_str()).collect();
        format!("it is one of {}", words.join(", "))
    })
}
