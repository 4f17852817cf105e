//! `enqueue`: one job from flags, or many from files. By default a file goes in whole or not at all; with
//! `--skip-invalid` whatever can go in does.

mod bytes;
mod delimiter;
mod documents;
mod files;
mod flags;
mod line;
mod results;
mod stoppable;
mod table;
mod whole;
mod with_gaps;

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;

use self::files::{Candidate, InputFile};
use self::flags::{Columns, Fault};
use self::results::{FileResult, Results};
use super::output;
use super::repair::jobs;
use crate::agent::{Failure, wiring};
use crate::config::{LocalSettings, no_file};
use crate::exit::Exit;
use crate::graph::preview;
use crate::job::Defaults;
use crate::queue::{self, InsertError, NewJob, Queue};
use crate::shutdown::{self, Hangup};

#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("source").required(true).multiple(true).args(["files"]).args(flags::ONE),
    after_help = "A job makes an event, or changes one: --update and --delete name an event by the key it was given when it was made \
        (--key), --update-event and --delete-event by its EventID. --body \"\" clears a text; --attendee replaces all who are invited; \
        --extra '{\"attendees\":[]}' takes them all away.\n\n\
        NDJSON is one object per line; an object over several lines and a list of objects are taken too. CSV has a header line, \
        is quoted as RFC 4180 has it, and its columns are separated by commas, semicolons, tabs or |, whichever the header has. Keys and \
        headers are the columns of the queue; attendees may be listed, like \"Ann <ann@contoso.com>; bob@contoso.com\". Files are in \
        UTF-8. The ids of the jobs are printed in the order of their lines.\n\n\
        Every file is judged before the first one is inserted. Each goes in whole, in one transaction, or not at all; one that does \
        not go in does not keep the others out. Exit code 1: a file, or the job, was not inserted. Other writers wait for that \
        transaction, some five seconds for 100,000 jobs: split larger files, or use --skip-invalid.\n\n\
        With --skip-invalid, jobs go in as they are read, 500 in a transaction, and each line left out is named with the reason on \
        stderr, also one whose dedup_key is taken. Exit code 1: no job was inserted, or a file could not be read to its end.\n\n\
        Ctrl-C ends it with exit code 1 and says what went in from which file. Without --skip-invalid nothing did from the one under \
        way; with it, all that was read before. A second Ctrl-C ends it at once."
)]
pub(super) struct Options {
    /// NDJSON or CSV files; - is stdin
    #[arg(conflicts_with = "one")]
    files: Vec<PathBuf>,
    /// Format of the files [default: by their names; NDJSON for stdin]
    #[arg(long, value_enum, requires = "files", conflicts_with = "one")]
    format: Option<Format>,
    /// Insert what is in order and leave the rest of the lines out
    #[arg(long, requires = "files", conflicts_with = "one")]
    skip_invalid: bool,
    /// Validate only; insert nothing, and do not check which dedup_keys are taken
    #[arg(long)]
    dry_run: bool,
    /// Say what went in as JSON, instead of the ids
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    columns: Columns,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON objects: one per line, one after another, or in one list
    Ndjson,
    /// With a header line; columns are separated by commas, semicolons, tabs or |
    Csv,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let stop = shutdown::on_signals(Hangup::Stops)?;
    let results = Results::new(options.json, options.dry_run);
    let judge = Judge(wiring::defaults(&settings.defaults, settings.own_mailbox));
    let queue = (!options.dry_run).then_some(&settings);
    if options.columns.is_given() {
        let job = options.columns.job().map_err(|fault| match fault {
            Fault::Usage(fault) => Failure::new(Exit::Usage, format!("{fault}\nnothing was inserted")),
            Fault::Value(fault) => nothing("the job", &fault),
        })?;
        return one(judge.job(job).map_err(|fault| nothing("the job", &fault))?, queue, results).await;
    }
    let given = InputFile::all(&options.files, options.format, &stop)?;
    match options.skip_invalid {
        true => with_gaps::insert(given, &judge, queue, results, &stop).await,
        false => whole::insert(given, &judge, queue, results).await,
    }
}

/// A queue that is made where nobody named settings is likely to be in the wrong directory.
async fn open(settings: &LocalSettings) -> Result<Arc<dyn Queue>, Failure> {
    let is_new = settings.file.is_none() && queue::is_missing(&settings.queue);
    if let Some(why) = queue::not_writable(&settings.queue) {
        return Err(Failure::failed(format!("cannot insert into the queue {}: {why}", settings.queue.place.name())));
    }
    let queue = queue::open_to_insert(&settings.queue).await?;
    if is_new {
        eprintln!("made a new queue at {}; {}", settings.queue.place.name(), no_file());
    }
    Ok(queue)
}

/// Without a queue it is only judged.
async fn one(job: NewJob, queue: Option<&LocalSettings>, mut results: Results) -> Result<Exit, Failure> {
    let mut result = FileResult::default();
    let Some(settings) = queue else {
        results.line(&format!("would insert {}", jobs(1)))?;
        result.would_insert(1);
        results.add(result);
        results.end()?;
        return Ok(Exit::Done);
    };
    let queue = open(settings).await?;
    let ids = queue.insert(&[job]).await.map_err(|error| match error {
        InsertError::Refused { reason, .. } => nothing("the job", &reason),
        error => Failure::failed(error),
    })?;
    // Whoever is not told that it is in inserts it again.
    results.print_ids(&ids).map_err(|error| Failure::failed(format!("the job: {}", unprinted(&ids, &error))))?;
    result.inserted(&ids);
    results.add(result);
    results.end()?;
    Ok(Exit::Done)
}

/// Whether a job can become a request, as the agent would see it.
struct Judge(Defaults);

impl Judge {
    fn job(&self, job: NewJob) -> Result<NewJob, String> {
        let Self(defaults) = self;
        match preview(&job.input().with_defaults(defaults), None, defaults.own_mailbox) {
            Ok(_) => Ok(job),
            Err(invalid) => Err(invalid.to_string()),
        }
    }

    /// A job of a file, or its place and its fault.
    fn candidate(&self, candidate: Candidate) -> Result<NewJob, String> {
        candidate.job.and_then(|job| self.job(job)).map_err(|fault| format!("{}: {fault}", candidate.from))
    }
}

fn nothing(from: &str, fault: &str) -> Failure {
    Failure::failed(format!("{from}: {fault}\nnothing was inserted"))
}

/// What went in from a file or the flags: how many, and which.
fn inserted(count: usize, first_and_last: Option<(i64, i64)>) -> String {
    match first_and_last {
        None => "inserted 0 jobs".into(),
        Some((first, last)) if first == last => format!("inserted 1 job, id {first}"),
        Some((first, last)) => format!("inserted {}, ids {first} to {last}", jobs(count)),
    }
}

fn ends(ids: &[i64]) -> Option<(i64, i64)> {
    Some((*ids.first()?, *ids.last()?))
}

/// The jobs are in, and nobody could be told their ids.
fn unprinted(ids: &[i64], error: &std::io::Error) -> String {
    let whose = if ids.len() == 1 { "its id" } else { "their ids" };
    format!("{}; {whose} could not be printed: {error}", inserted(ids.len(), ends(ids)))
}

fn print_ids(ids: &[i64]) -> std::io::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    output::line(&ids.join("\n"))
}
