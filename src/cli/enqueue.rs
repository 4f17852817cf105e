//! `enqueue`: one job from flags, or many from files. Everything is judged before anything is inserted, and a file goes
//! in whole or not at all.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Failure, columns, output, wiring};
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::graph::encode;
use crate::job::{Defaults, EventDraft};
use crate::queue::{InsertError, NewJob, SqliteQueue};

/// Faults shown before the rest is only counted.
const SHOWN: usize = 20;
/// Longest line of a file: a request is at most 4 MB, and JSON may escape every byte of it.
const LONGEST_LINE: u64 = 32 * 1024 * 1024;
/// Longest row of a CSV file, which escapes nothing but quotes.
const LONGEST_ROW: u64 = 16 * 1024 * 1024;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["files", "start"]))]
pub(super) struct Options {
    /// NDJSON or CSV files with the columns of the queue; - is stdin
    files: Vec<PathBuf>,
    /// Format of the files [default: by their names; NDJSON for stdin]
    #[arg(long, value_enum, requires = "files")]
    format: Option<Format>,
    /// Start, like "2026-12-01 09:00" or 2026-12-01T09:00:00+01:00
    #[arg(long, value_name = "TIME", requires = "end", conflicts_with = "files")]
    start: Option<String>,
    /// End
    #[arg(long, value_name = "TIME", requires = "start")]
    end: Option<String>,
    #[command(flatten)]
    columns: Columns,
}

#[derive(Debug, clap::Args)]
#[group(skip)]
struct Columns {
    /// Subject
    #[arg(long, requires = "start")]
    subject: Option<String>,
    /// Body
    #[arg(long, requires = "start")]
    body: Option<String>,
    /// What the body is: text or html
    #[arg(long, requires = "start", value_name = "TYPE")]
    body_type: Option<String>,
    /// Place
    #[arg(long, requires = "start")]
    location: Option<String>,
    /// Required attendee, like ann@contoso.com or "Ann <ann@contoso.com>"; may be given several times
    #[arg(long, requires = "start", value_name = "WHO")]
    attendee: Vec<String>,
    /// Optional attendee
    #[arg(long, requires = "start", value_name = "WHO")]
    optional: Vec<String>,
    /// Room or equipment
    #[arg(long, requires = "start", value_name = "WHO")]
    resource: Vec<String>,
    /// Whose calendar
    #[arg(long, requires = "start")]
    mailbox: Option<String>,
    /// Which of its calendars
    #[arg(long, requires = "start", value_name = "ID")]
    calendar_id: Option<String>,
    /// Zone of times without an offset
    #[arg(long, requires = "start", value_name = "ZONE")]
    time_zone: Option<String>,
    /// Further event properties, as a JSON object
    #[arg(long, requires = "start", value_name = "JSON")]
    extra: Option<String>,
    /// Key of your own; a second job with it is refused
    #[arg(long, requires = "start", value_name = "KEY")]
    dedup_key: Option<String>,
    /// Not to be sent before this UTC time
    #[arg(long, requires = "start", value_name = "TIME")]
    not_before: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object per line
    Ndjson,
    /// With a header line
    Csv,
}

/// A job and where it came from, for messages.
struct Candidate {
    from: String,
    job: Result<NewJob, String>,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let candidates = match (options.start, options.end) {
        (Some(start), Some(end)) => {
            vec![Candidate { from: "the job".into(), job: Ok(from_flags(options.columns, start, end)) }]
        }
        _ => from_files(&options.files, options.format)?,
    };
    let defaults = wiring::defaults(&settings.defaults, settings.own_mailbox);
    let jobs = judged(candidates, &defaults)?;
    let queue = SqliteQueue::open_to_insert(&settings.queue.path).await?;
    let plain: Vec<NewJob> = jobs.iter().map(|(_, job)| job.clone()).collect();
    let ids = queue.insert(&plain).await.map_err(|error| match error {
        InsertError::Refused { index, reason } => {
            let from = jobs.get(index).map_or("the job", |(from, _)| from.as_str());
            Failure::failed(format!("{from}: {reason}\nnothing was inserted"))
        }
        InsertError::Sqlite(_) => Failure::failed(error),
    })?;
    for id in ids {
        output::line(&id.to_string())?;
    }
    Ok(Exit::Done)
}

/// All jobs, if every one of them is in order.
fn judged(candidates: Vec<Candidate>, defaults: &Defaults) -> Result<Vec<(String, NewJob)>, Failure> {
    let (mut jobs, mut faults) = (Vec::new(), Vec::new());
    for Candidate { from, job } in candidates {
        let judged = job.and_then(|job| {
            let draft = EventDraft::from_input(&job.input().with_defaults(defaults), defaults.own_mailbox);
            draft.and_then(|draft| encode(&draft)).map_err(|invalid| invalid.to_string())?;
            Ok(job)
        });
        match judged {
            Ok(job) => jobs.push((from, job)),
            Err(fault) => faults.push(format!("{from}: {fault}")),
        }
    }
    if faults.is_empty() {
        return Ok(jobs);
    }
    let more = faults.len().saturating_sub(SHOWN);
    faults.truncate(SHOWN);
    if more > 0 {
        faults.push(format!("and {more} more"));
    }
    faults.push("nothing was inserted".into());
    Err(Failure::failed(faults.join("\n")))
}

fn from_flags(columns: Columns, start: String, end: String) -> NewJob {
    let people = [("required", columns.attendee), ("optional", columns.optional), ("resource", columns.resource)];
    let attendees: Vec<Value> =
        people.iter().flat_map(|(kind, people)| people.iter().map(|person| attendee(person, kind))).collect();
    NewJob {
        subject: columns.subject,
        body: columns.body,
        start_time: Some(start),
        end_time: Some(end),
        location: columns.location,
        attendees: (!attendees.is_empty()).then(|| Value::Array(attendees).to_string()),
        mailbox: columns.mailbox,
        calendar_id: columns.calendar_id,
        body_type: columns.body_type,
        time_zone: columns.time_zone,
        extra: columns.extra,
        dedup_key: columns.dedup_key,
        not_before: columns.not_before,
    }
}

/// `ann@contoso.com` or `Ann <ann@contoso.com>`.
fn attendee(person: &str, kind: &str) -> Value {
    let named = person.trim().strip_suffix('>').and_then(|person| person.rsplit_once('<'));
    match named {
        Some((name, address)) => {
            let name = name.trim().trim_matches('"');
            json!({ "name": (!name.is_empty()).then_some(name), "address": address.trim(), "type": kind })
        }
        None => json!({ "address": person.trim(), "type": kind }),
    }
}

fn from_files(files: &[PathBuf], format: Option<Format>) -> Result<Vec<Candidate>, Failure> {
    let mut candidates = Vec::new();
    for file in files {
        let stdin = file.as_os_str() == "-";
        let format = match format.or_else(|| if stdin { Some(Format::Ndjson) } else { by_name(file) }) {
            Some(format) => format,
            None => {
                let text = format!(
                    "{}: neither .ndjson, .jsonl nor .csv; say --format ndjson or --format csv",
                    file.display()
                );
                return Err(Failure::new(Exit::Usage, text));
            }
        };
        let name = if stdin { "stdin".to_owned() } else { file.display().to_string() };
        let reader: Box<dyn Read> = if stdin {
            Box::new(std::io::stdin().lock())
        } else {
            Box::new(File::open(file).map_err(|error| Failure::failed(format!("{name}: {error}")))?)
        };
        match format {
            Format::Ndjson => ndjson(&name, reader, &mut candidates)?,
            Format::Csv => csv(&name, reader, &mut candidates)?,
        }
    }
    if candidates.is_empty() {
        return Err(Failure::failed("there is no job in what was given; nothing was inserted"));
    }
    Ok(candidates)
}

fn by_name(file: &Path) -> Option<Format> {
    match file.extension().and_then(OsStr::to_str)?.to_ascii_lowercase().as_str() {
        "ndjson" | "jsonl" | "json" => Some(Format::Ndjson),
        "csv" => Some(Format::Csv),
        _ => None,
    }
}

fn ndjson(name: &str, reader: impl Read, into: &mut Vec<Candidate>) -> Result<(), Failure> {
    let mut reader = BufReader::new(reader);
    for number in 1u64.. {
        let mut line = Vec::new();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        let read = read.map_err(|error| Failure::failed(format!("{name}: {error}")))?;
        if read == 0 {
            break;
        }
        if read as u64 == LONGEST_LINE {
            return Err(Failure::failed(format!("{name}, line {number}: longer than 32 MB; one line is one job")));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let job = match serde_json::from_slice::<Value>(&line) {
            Ok(Value::Object(object)) => columns::from_object(object),
            Ok(_) => Err("is not a JSON object; write {\"subject\": …, \"start_time\": …, \"end_time\": …}".into()),
            Err(error) => Err(format!("is not JSON: {error}")),
        };
        into.push(Candidate { from: format!("{name}, line {number}"), job });
    }
    Ok(())
}

fn csv(name: &str, reader: impl Read, into: &mut Vec<Candidate>) -> Result<(), Failure> {
    let fault = |error: csv::Error| Failure::failed(format!("{name}: {error}"));
    let left = Rc::new(Cell::new(LONGEST_ROW));
    let reader = Bounded { reader, left: left.clone() };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(reader);
    let header = reader.headers().map_err(fault)?.clone();
    if let Some(unknown) =
        header.iter().find(|column| !columns::COLUMNS.contains(&column.trim_start_matches('\u{feff}')))
    {
        return Err(Failure::failed(format!("{name}: {}", columns::unknown(unknown))));
    }
    for record in reader.records() {
        let record = record.map_err(fault)?;
        left.set(LONGEST_ROW);
        let line = record.position().map_or(0, csv::Position::line);
        let fields = header.iter().map(|column| column.trim_start_matches('\u{feff}')).zip(record.iter());
        into.push(Candidate { from: format!("{name}, line {line}"), job: columns::from_fields(fields) });
    }
    Ok(())
}

/// Reads on until the allowance is used up. A CSV reader takes as much memory as one row has bytes, and a quote that
/// is never closed makes the rest of the file one row; so each row read renews the allowance.
struct Bounded<R> {
    reader: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let left = self.left.get().checked_sub(read as u64);
        self.left.set(left.ok_or_else(|| std::io::Error::other("a row is longer than 16 MB; one row is one job"))?);
        Ok(read)
    }
}

#[cfg(test)]
#[path = "enqueue_tests.rs"]
mod tests;
