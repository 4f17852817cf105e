//! `list`: jobs, one line each.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::output;
use super::paper::{Cell, Column, Paper};
use super::selector::{lanes, mailbox};
use super::time_arg;
use crate::advice::row_json;
use crate::agent::Failure;
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::format::count;
use crate::job::{ErrorKind, JobId, JobState, OperationKind};
use crate::queue::{self, JobFilter, JobSummary, LaneKey, Read, Stored};
use crate::visible;

/// Counting what is not shown may take this long.
const COUNT_WITHIN: Duration = Duration::from_secs(1);

const COLUMNS: [Column; 8] = [
    Column::new("id").right(),
    Column::new("operation").goes(3),
    Column::new("state"),
    Column::new("mailbox").between(15, 30),
    Column::new("start").between(16, 25).goes(2),
    Column::new("subject").between(12, 30).goes(1),
    Column::new("tries").right().goes(4),
    Column::new("event id or reason"),
];

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Only jobs in this state: pending, claimed, sent, failed or cancelled
    #[arg(long, value_parser = state)]
    state: Option<JobState>,
    /// Only jobs of this mailbox
    #[arg(long, value_parser = mailbox)]
    mailbox: Option<LaneKey>,
    /// Only jobs whose last failure is of this kind, such as throttled or invalid_job
    #[arg(long, value_name = "KIND")]
    error_kind: Option<String>,
    /// Only jobs of the event that your programs call by this key
    #[arg(long, value_name = "KEY")]
    event_key: Option<String>,
    /// Only the job that your programs call by this key
    #[arg(long, value_name = "KEY")]
    dedup_key: Option<String>,
    /// Only jobs in doubt: an event may exist that no answer has confirmed
    #[arg(long)]
    in_doubt: bool,
    /// Only jobs that ended since then (waiting ones: were inserted since then): an age like 2h, or a UTC time
    #[arg(long, value_name = "WHEN", value_parser = time_arg::past)]
    since: Option<DateTime<Utc>>,
    /// Only jobs with a smaller id: with the first id of a list, what comes before it
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// At most this many, the newest
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: u32,
    /// Cut nothing to the terminal's width
    #[arg(long)]
    wide: bool,
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

impl Options {
    fn filter(&self, settings: &LocalSettings) -> JobFilter {
        JobFilter {
            state: self.state,
            lanes: self.mailbox.as_ref().map(|mailbox| lanes(mailbox.as_str(), settings)).unwrap_or_default(),
            error_kind: self.error_kind.clone(),
            event_key: self.event_key.clone(),
            dedup_key: self.dedup_key.clone(),
            in_doubt: self.in_doubt,
            since: self.since,
            before: self.before.map(JobId),
            limit: self.limit,
        }
    }
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = queue::open_existing(&settings.queue).await?;
    let filter = options.filter(&settings);
    let jobs = queue.jobs(&filter).await?;
    if options.json {
        output::json(&Value::Array(jobs.iter().map(|job| Value::Object(row_json::summary(job))).collect()))?;
        return Ok(Exit::Done);
    }
    if jobs.is_empty() {
        // A slip of the keyboard would be good news.
        match options.error_kind.filter(|kind| ErrorKind::parse(kind).is_none()) {
            Some(kind) => eprintln!(
                "no jobs: {} is not a kind of failure; there are {}",
                visible::line(&kind),
                ErrorKind::ALL.map(ErrorKind::as_str).join(", ")
            ),
            None => eprintln!("no jobs"),
        }
        return Ok(Exit::Done);
    }
    output::lines(&table(Paper::new(options.wide), &jobs))?;
    if jobs.len() >= usize::try_from(options.limit).unwrap_or(usize::MAX) {
        say_what_is_left_out(&*queue, &filter, &jobs).await?;
    }
    Ok(Exit::Done)
}

/// That the list is cut, and how to see the rest.
async fn say_what_is_left_out(queue: &dyn Read, filter: &JobFilter, jobs: &[JobSummary]) -> Result<(), Failure> {
    let all = queue.count(filter, COUNT_WITHIN).await?.map(|all| i64::try_from(all).unwrap_or(i64::MAX));
    let (shown, first) = (i64::try_from(jobs.len()).unwrap_or(i64::MAX), jobs.first().map_or(0, |job| job.id.0));
    match all {
        Some(all) if all <= shown => return Ok(()),
        Some(all) => eprintln!(
            "newest {} of {}: --before {first} lists those before them, --limit N more at once",
            count(shown),
            count(all)
        ),
        // There are too many to count; perhaps none besides these.
        None => eprintln!(
            "newest {}: --before {first} lists those before them, if any; there are too many jobs to count",
            count(shown)
        ),
    }
    Ok(())
}

/// Jobs as a table; also the end of the demo.
pub(super) fn table(paper: Paper, jobs: &[JobSummary]) -> Vec<String> {
    paper.table(&columns(jobs), &jobs.iter().map(row).collect::<Vec<_>>())
}

/// Where all of them create events, that may go unsaid.
fn columns(jobs: &[JobSummary]) -> [Column; 8] {
    let mut columns = COLUMNS;
    if jobs.iter().any(|job| job.operation.text() != Some(OperationKind::Create.as_str())) {
        columns[1] = columns[1].goes(1);
        columns[3] = columns[3].between(12, 30);
        columns[4] = columns[4].goes(3);
        columns[5] = columns[5].between(8, 30).goes(2);
    }
    columns
}

fn row(job: &JobSummary) -> Vec<Cell> {
    let state = job.state.word();
    vec![
        Cell::from(job.id.to_string()),
        Cell::from(job.operation.to_string()),
        Cell::from(&state).toned(output::state(&state)),
        Cell::from(job.mailbox.to_string()),
        Cell::from(job.start_time.to_string()),
        Cell::from(job.subject.to_string()),
        Cell::from(job.attempts.to_string()),
        end(job),
    ]
}

/// What became of it, or what is in its way.
fn end(job: &JobSummary) -> Cell {
    let doubt = if job.is_in_doubt() { "in doubt" } else { "" };
    let said = match (&job.event_id, &job.error_message) {
        (Stored::Null, Stored::Null) => {
            job.behind.integer().map_or_else(String::new, |first| format!("after job {first}"))
        }
        (Stored::Null, reason) => format!("{}: {reason}", job.error_kind.word()),
        (id, _) => return Cell::event_id(&id.to_string()),
    };
    let parts = [doubt, said.as_str()].into_iter().filter(|part| !part.is_empty());
    Cell::from(parts.collect::<Vec<_>>().join(", "))
}

fn state(word: &str) -> Result<JobState, String> {
    JobState::parse(word).ok_or_else(|| {
        let words: Vec<_> = JobState::ALL.iter().map(|state| state.as_str()).collect();
        format!("it is one of {}", words.join(", "))
    })
}
