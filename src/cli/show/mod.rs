//! `show`: one job. What happened to it and what to do, every column, its whole history with Microsoft's request ids; or
//! the exact request it makes. Or one event, by its key: all its jobs.

mod event;

use chrono::Utc;
use clap::ArgGroup;
use serde_json::{Value, json};

use self::event::Event;
use super::output::{self, Tone, line, paint, short};
use crate::advice::request::{Request, request_of};
use crate::advice::waits::waits_for;
use crate::advice::{Advice, Case, row_json};
use crate::agent::{Failure, wiring};
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::format::clock_of;
use crate::graph::GraphBase;
use crate::job::{JobId, JobState, OperationKind};
use crate::queue::{self, AttemptRow, JobRow, Read, Stored};

/// Of a value on a terminal. A program gets all of it.
const LONGEST: usize = 400;

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("what").required(true).args(["id_or_key", "key"]))]
pub(super) struct Options {
    /// Id of a job; or the key of an event, which shows all its jobs
    #[arg(value_name = "ID|KEY")]
    id_or_key: Option<String>,
    /// Key of an event, also one that looks like an id
    #[arg(long)]
    key: Option<String>,
    /// Print the exact body of the job's request instead
    #[arg(long, conflicts_with_all = ["json", "key"])]
    request: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What is to be shown.
enum What {
    Job(i64),
    Event(String),
}

impl Options {
    fn what(&self) -> What {
        match (&self.key, &self.id_or_key) {
            (Some(key), _) => What::Event(key.clone()),
            (None, Some(text)) => text.parse().map_or_else(|_| What::Event(text.clone()), What::Job),
            // The command line has one of them.
            (None, None) => What::Event(String::new()),
        }
    }
}

/// A job with everything that is to be said of it.
struct Shown {
    job: JobRow,
    attempts: Vec<AttemptRow>,
    advice: Advice,
    /// What keeps it from being sent, beyond its own time.
    waits_for: Vec<String>,
    /// The request that finds its event, if that may exist and no answer says so.
    lookup: Option<String>,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = queue::open_existing(&settings.queue).await?;
    match options.what() {
        What::Event(_) if options.request => {
            return Err(Failure::new(Exit::Usage, "--request prints the request of one job: give its id"));
        }
        What::Event(key) => event(&*queue, &key, options.json).await?,
        What::Job(id) if options.request => request(&*queue, &settings, id).await?,
        What::Job(id) => job(&*queue, &settings, id, options.json).await?,
    }
    Ok(Exit::Done)
}

async fn event(queue: &dyn Read, key: &str, as_json: bool) -> Result<(), Failure> {
    let shown = Event::of(queue, key).await?;
    let shown = shown.ok_or_else(|| Failure::failed(format!("there is no job for an event with the key '{key}'")))?;
    match as_json {
        true => output::json(&shown.json())?,
        false => shown.print(Utc::now())?,
    }
    Ok(())
}

async fn job(queue: &dyn Read, settings: &LocalSettings, id: i64, as_json: bool) -> Result<(), Failure> {
    let Some((job, attempts)) = queue.job(JobId(id)).await? else {
        let is_key = !queue.jobs_of_key(&id.to_string()).await?.is_empty();
        let key = if is_key { format!("; an event has this key: event-sender show --key {id}") } else { String::new() };
        return Err(Failure::failed(format!("there is no job {id}{key}")));
    };
    let shown = Shown::of(job, attempts, queue, settings).await?;
    match as_json {
        true => output::json(&shown.json())?,
        false => shown.print()?,
    }
    Ok(())
}

async fn request(queue: &dyn Read, settings: &LocalSettings, id: i64) -> Result<(), Failure> {
    let defaults = wiring::defaults(&settings.defaults, settings.own_mailbox);
    let made = request_of(queue, JobId(id), &defaults).await?.ok_or_else(|| missing(id))?;
    let Request { body, note } =
        made.map_err(|invalid| Failure::failed(format!("no request can be made of job {id}: {invalid}")))?;
    output::json_as_it_is(&body)?;
    if let Some(note) = note {
        eprintln!("{note}");
    }
    Ok(())
}

fn missing(id: i64) -> Failure {
    Failure::failed(format!("there is no job {id}"))
}

impl Shown {
    async fn of(
        job: JobRow,
        attempts: Vec<AttemptRow>,
        queue: &dyn Read,
        settings: &LocalSettings,
    ) -> Result<Self, Failure> {
        let named = job.summary.mailbox.text().map(str::trim).filter(|mailbox| !mailbox.is_empty());
        let whose = named.or(settings.unnamed.as_deref()).unwrap_or_default();
        let advice = Case::of(&job, whose).map(|case| case.advice(Utc::now()));
        let lookup = match job.summary.is_in_doubt() {
            true => lookup(queue, &job, named.or(settings.defaults.mailbox.as_deref()), settings).await?,
            false => None,
        };
        let waits_for = match job.summary.state.known() {
            Some(JobState::Pending | JobState::Claimed) => waits_for(queue, &job, whose, Utc::now()).await?,
            _ => Vec::new(),
        };
        Ok(Self { job, attempts, advice: advice.unwrap_or_default(), waits_for, lookup })
    }

    fn json(&self) -> Value {
        let mut job = row_json::job(&self.job);
        // `attempts` is the column that counts them.
        job.insert("history".into(), self.attempts.iter().map(row_json::attempt).collect());
        let advice = json!({
            "happened": self.advice.happened,
            "by_itself": self.advice.by_itself,
            "to_do": self.advice.to_do,
            "waits_for": self.waits_for,
            "lookup": self.lookup,
        });
        job.insert("advice".into(), advice);
        Value::Object(job)
    }

    fn print(&self) -> std::io::Result<()> {
        let (id, state) = (self.job.summary.id, cut(&self.job.summary.state.word()));
        let doubt = if self.job.summary.is_in_doubt() { ", in doubt" } else { "" };
        line(&format!("{} is {}{doubt}", paint(Tone::Strong, &format!("job {id}")), output::state(&state)))?;
        self.print_advice()?;
        line("")?;
        for (column, value) in row_json::job(&self.job).iter().filter(|(column, value)| is_worth_a_line(column, value))
        {
            let text = cut(&plain(column, value));
            let text = if column == "state" { output::state(&text) } else { text };
            line(&format!("{} {text}", paint(Tone::Faint, &format!("{column:16}"))))?;
        }
        line("")?;
        self.print_attempts()
    }

    fn print_advice(&self) -> std::io::Result<()> {
        let said = self.job.summary.error_message.to_string();
        let once = |name: &str, text: &str| match text {
            "" => Ok(()),
            text => output::prose(&paint(Tone::Faint, &format!("{name:16} ")), 17, &cut(text), None),
        };
        once("what happened", &self.advice.happened)?;
        once("error", &said)?;
        for reason in &self.waits_for {
            once("waits for", reason)?;
        }
        once("by itself", &self.advice.by_itself)?;
        for (place, step) in self.advice.to_do.iter().enumerate() {
            once(if place == 0 { "what to do" } else { " " }, step)?;
        }
        if let Some(lookup) = &self.lookup {
            // To be pasted, so whole.
            line(&format!("{} {}", paint(Tone::Faint, "to look for it  "), short(lookup, usize::MAX)))?;
        }
        Ok(())
    }

    fn print_attempts(&self) -> std::io::Result<()> {
        if self.attempts.is_empty() {
            return line("no attempts yet");
        }
        line(&paint(Tone::Strong, "Attempts, the oldest first"))?;
        for attempt in &self.attempts {
            print_attempt(attempt)?;
        }
        match self.attempts.iter().rev().find(|attempt| is_trouble(attempt)) {
            Some(attempt) => output::prose("\n", 0, &format!("for Microsoft's support: {}", support(attempt)), None),
            None => Ok(()),
        }
    }
}

fn print_attempt(attempt: &AttemptRow) -> std::io::Result<()> {
    let text = |column: &Stored| short(&column.to_string(), usize::MAX);
    let answer = [text(&attempt.http_status), text(&attempt.error_code)].join(" ");
    let outcome = text(&attempt.outcome);
    let tone = match outcome.as_str() {
        "sent" => Tone::Good,
        "failed" => Tone::Bad,
        _ => Tone::Waiting,
    };
    line(&format!(
        "  {}  claim {}  {}  {} ms  {}",
        clock_of(&text(&attempt.started_at), Utc::now()),
        text(&attempt.claim),
        paint(tone, &outcome),
        text(&attempt.duration_ms),
        cut(answer.trim())
    ))?;
    for id in ids(attempt) {
        line(&format!("    {}", cut(&id)))?;
    }
    match text(&attempt.message).as_str() {
        "" => Ok(()),
        message => output::prose("    ", 4, &cut(message), None),
    }
}

/// Microsoft asks for these.
fn ids(attempt: &AttemptRow) -> Vec<String> {
    let named = [("request-id", &attempt.request_id), ("client-request-id", &attempt.client_request_id)];
    let named = named.iter().map(|(header, id)| (header, id.to_string()));
    named.filter(|(_, id)| !id.is_empty()).map(|(header, id)| format!("{header} {id}")).collect()
}

fn support(attempt: &AttemptRow) -> String {
    cut(&format!("{}, at {}", ids(attempt).join(", "), attempt.started_at))
}

/// An attempt support can do something with.
fn is_trouble(attempt: &AttemptRow) -> bool {
    attempt.outcome.text() != Some("sent") && !ids(attempt).is_empty()
}

/// The request that finds the event of a job in doubt: by the marker it was created with, else by its id, where that is known.
async fn lookup(
    queue: &dyn Read,
    job: &JobRow,
    mailbox: Option<&str>,
    settings: &LocalSettings,
) -> Result<Option<String>, Failure> {
    let (endpoint, version) = &settings.graph;
    let base = GraphBase::new(endpoint, version);
    let of = &job.summary;
    if of.operation.text().and_then(OperationKind::parse).unwrap_or_default() == OperationKind::Create {
        let url = base.marked(mailbox, job.calendar_id.text(), &job.transaction_id.to_string());
        return Ok(Some(format!("GET {url}")));
    }
    let named = match of.event_key.text() {
        Some(key) => {
            let jobs = queue.jobs_of_key(key).await?;
            let known = jobs.iter().rev().filter(|other| other.id < of.id).find_map(|other| other.event_id.text());
            known.map(str::to_owned)
        }
        None => of.target_event_id.text().map(str::to_owned),
    };
    Ok(named.map(|id| format!("GET {}", base.looked_at(mailbox, id.trim(), &[]))))
}

/// Most jobs create an event, invite nobody and come in their turn; doubt is told in the first line.
fn is_worth_a_line(column: &str, value: &Value) -> bool {
    let is_usual = match column {
        "operation" => value == "create",
        "priority" => *value == 0,
        "in_doubt" => *value == false,
        "attendees" => value.as_array().is_some_and(Vec::is_empty),
        _ => false,
    };
    !(value.is_null() || is_usual)
}

/// The columns with times of the agent, which people are told in one form; a producer's stand as they were written.
const TIMES: [&str; 6] = ["next_attempt_at", "created_at", "claimed_at", "finished_at", "first_sent_at", "give_up_at"];

/// A value without JSON's quotes.
fn plain(column: &str, value: &Value) -> String {
    match value.as_str() {
        Some(time) if TIMES.contains(&column) => clock_of(time, Utc::now()),
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

fn cut(text: &str) -> String {
    output::cut(text, LONGEST)
}
