//! `show`: one job. What happened to it and what to do, every column, its whole history with Microsoft's request ids; or
//! the exact request it makes. Or one event, by its key: all its jobs.

mod event;

use chrono::Utc;
use clap::ArgGroup;
use serde_json::{Value, json};
use textwrap::core::display_width;

use self::event::Event;
use super::output::{self, Tone, paint, short};
use super::paper::Paper;
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

/// What a value's name takes of its line.
const NAME: usize = 17;

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
    /// Cut nothing to the terminal's width
    #[arg(long)]
    wide: bool,
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
        What::Event(key) => event(&*queue, &key, &options).await?,
        What::Job(id) if options.request => request(&*queue, &settings, id).await?,
        What::Job(id) => job(&*queue, &settings, id, &options).await?,
    }
    Ok(Exit::Done)
}

async fn event(queue: &dyn Read, key: &str, options: &Options) -> Result<(), Failure> {
    let shown = Event::of(queue, key).await?;
    let shown = shown.ok_or_else(|| Failure::failed(format!("there is no job for an event with the key '{key}'")))?;
    match options.json {
        true => output::json(&shown.json())?,
        false => output::lines(&shown.lines(Paper::new(options.wide), Utc::now()))?,
    }
    Ok(())
}

async fn job(queue: &dyn Read, settings: &LocalSettings, id: i64, options: &Options) -> Result<(), Failure> {
    let Some((job, attempts)) = queue.job(JobId(id)).await? else {
        let is_key = !queue.jobs_of_key(&id.to_string()).await?.is_empty();
        let key = if is_key { format!("; an event has this key: event-sender show --key {id}") } else { String::new() };
        return Err(Failure::failed(format!("there is no job {id}{key}")));
    };
    let shown = Shown::of(job, attempts, queue, settings).await?;
    match options.json {
        true => output::json(&shown.json())?,
        false => output::lines(&shown.lines(Paper::new(options.wide)))?,
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

    /// What there is to know, and at the end, where the eye is, what to make of it.
    fn lines(&self, paper: Paper) -> Vec<String> {
        let mut lines = self.columns(paper);
        lines.push(String::new());
        lines.extend(self.history(paper));
        lines.push(String::new());
        let (id, state) = (self.job.summary.id, self.job.summary.state.word());
        let state = paint(output::state(&state), &short(&state, 40));
        let doubt = if self.job.summary.is_in_doubt() { ", in doubt" } else { "" };
        lines.push(format!("{} is {state}{doubt}", paint(Tone::Strong, &format!("job {id}"))));
        lines.extend(self.told(paper));
        lines
    }

    fn columns(&self, paper: Paper) -> Vec<String> {
        let columns = row_json::job(&self.job);
        let shown = columns.iter().filter(|(column, value)| is_worth_a_line(column, value));
        let line = |(column, value): (&String, &Value)| {
            format!("{} {}", paint(Tone::Faint, &format!("{column:16}")), paper.cut(NAME, &plain(column, value)))
        };
        shown.map(line).collect()
    }

    fn told(&self, paper: Paper) -> Vec<String> {
        let named = |name: &str, text: &str| match text {
            "" => Vec::new(),
            text => paper.prose(&paint(Tone::Faint, &format!("{name:16} ")), text, None),
        };
        let mut lines = named("what happened", &self.advice.happened);
        lines.extend(named("error", &self.job.summary.error_message.to_string()));
        lines.extend(self.waits_for.iter().flat_map(|reason| named("waits for", reason)));
        lines.extend(named("by itself", &self.advice.by_itself));
        if let Some(lookup) = &self.lookup {
            let shown = paper.cut(NAME, lookup);
            let whole = if shown == *lookup { "" } else { "(--wide shows it whole, to be pasted)" };
            lines.extend(named("to look for it", &shown));
            lines.extend(named("", whole));
        }
        let steps = self.advice.to_do.iter().enumerate();
        lines.extend(steps.flat_map(|(place, step)| named(if place == 0 { "what to do" } else { "" }, step)));
        lines
    }

    fn history(&self, paper: Paper) -> Vec<String> {
        if self.attempts.is_empty() {
            return vec!["no attempts yet".into()];
        }
        let mut lines = vec![paint(Tone::Strong, "Attempts, the oldest first")];
        let known = &self.job.summary.error_message;
        lines.extend(self.attempts.iter().flat_map(|attempt| attempt_lines(attempt, known, paper)));
        if let Some(attempt) = self.attempts.iter().rev().find(|attempt| is_trouble(attempt)) {
            lines.push(String::new());
            lines.extend(paper.prose("", &format!("for Microsoft's support: {}", support(attempt)), None));
        }
        lines
    }
}

/// One attempt, with what was said unless that is `known` from elsewhere.
fn attempt_lines(attempt: &AttemptRow, known: &Stored, paper: Paper) -> Vec<String> {
    let text = |column: &Stored| short(&column.to_string(), usize::MAX);
    let outcome = text(&attempt.outcome);
    let tone = match outcome.as_str() {
        "sent" => Tone::Good,
        "failed" => Tone::Bad,
        _ => Tone::Waiting,
    };
    let head = format!(
        "  {}  claim {}  {}  ",
        clock_of(&text(&attempt.started_at), Utc::now()),
        text(&attempt.claim),
        paint(tone, &outcome)
    );
    let answer = [text(&attempt.http_status), text(&attempt.error_code)].join(" ");
    let answer = format!("{} ms  {}", text(&attempt.duration_ms), answer.trim());
    let mut lines = match paper.has(display_width(&head) + display_width(&answer)) {
        true => vec![format!("{head}{answer}").trim_end().to_owned()],
        false => [vec![head.trim_end().to_owned()], paper.prose("    ", &answer, None)].concat(),
    };
    lines.extend(ids(attempt).iter().map(|id| format!("    {}", paper.cut(4, id))));
    if attempt.message != *known && !attempt.message.is_null() {
        lines.extend(paper.prose("    ", &attempt.message.to_string(), None));
    }
    lines
}

/// Microsoft asks for these.
fn ids(attempt: &AttemptRow) -> Vec<String> {
    let named = [("request-id", &attempt.request_id), ("client-request-id", &attempt.client_request_id)];
    let named = named.iter().map(|(header, id)| (header, id.to_string()));
    named.filter(|(_, id)| !id.is_empty()).map(|(header, id)| format!("{header} {id}")).collect()
}

fn support(attempt: &AttemptRow) -> String {
    format!("{}, at {}", ids(attempt).join(", "), attempt.started_at)
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

/// Most jobs create an event, invite nobody and come in their turn; doubt is told with the state, the error at the end.
fn is_worth_a_line(column: &str, value: &Value) -> bool {
    let is_usual = match column {
        "error_message" => true,
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
