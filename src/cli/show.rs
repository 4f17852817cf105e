//! `show`: one job. What happened to it and what to do, every column, its whole history with Microsoft's request ids; or
//! the exact request it makes.

use chrono::Utc;
use serde_json::{Value, json};

use super::advice::{Advice, Case};
use super::list::{column, plain};
use super::output::{self, Tone, line, paint, short};
use super::standing::{Agent, Stop, rests_as_asked};
use super::{existing_queue, shell};
use crate::agent::{Failure, wiring};
use crate::config::LocalSettings;
use crate::exit::Exit;
use crate::format::moment;
use crate::graph::{GraphBase, encode};
use crate::job::{EventDraft, JobId};
use crate::queue::{AgentLock, Record, SqliteQueue};

/// Of a value on a terminal. A program gets all of it.
const LONGEST: usize = 400;

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

/// A job with everything that is to be said of it.
struct Shown {
    job: Record,
    attempts: Vec<Record>,
    advice: Advice,
    /// What keeps it from being sent, beyond its own time.
    waits_for: Vec<String>,
    /// The request that finds its event, if that may exist and nobody knows.
    lookup: Option<String>,
}

pub(super) async fn run(options: Options, settings: LocalSettings) -> Result<Exit, Failure> {
    let queue = existing_queue(&settings).await?;
    if options.request {
        return request(&queue, &settings, options.id).await;
    }
    let (job, attempts) = queue.show(JobId(options.id)).await?.ok_or_else(|| missing(options.id))?;
    let shown = Shown::of(job, attempts, &queue, &settings).await?;
    if options.json {
        output::json(&shown.into_json())?;
    } else {
        shown.print()?;
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
    output::json_as_it_is(&body)?;
    Ok(Exit::Done)
}

fn missing(id: i64) -> Failure {
    Failure::failed(format!("there is no job {id}"))
}

impl Shown {
    async fn of(
        job: Record,
        attempts: Vec<Record>,
        queue: &SqliteQueue,
        settings: &LocalSettings,
    ) -> Result<Self, Failure> {
        let own = column(&job, "mailbox").as_str().map(str::trim).filter(|mailbox| !mailbox.is_empty());
        let mailbox = own.or(settings.defaults.mailbox.as_deref());
        let whose = own.or(settings.unnamed.as_deref()).unwrap_or_default();
        let advice = Case::of(&job, whose).map(|case| case.advice(Utc::now()));
        let lookup = (plain(column(&job, "in_doubt")) == "1").then(|| {
            let (endpoint, version) = &settings.graph;
            let base = GraphBase::new(endpoint, version);
            format!(
                "GET {}",
                base.marked(mailbox, column(&job, "calendar_id").as_str(), &plain(column(&job, "transaction_id")))
            )
        });
        let waits_for = match plain(column(&job, "state")).as_str() {
            "pending" | "claimed" => waits_for(queue, &job, whose).await?,
            _ => Vec::new(),
        };
        Ok(Self { job, attempts, advice: advice.unwrap_or_default(), waits_for, lookup })
    }

    fn into_json(self) -> Value {
        let mut job = self.job;
        // `attempts` is the column that counts them.
        job.insert("history".into(), self.attempts.into_iter().map(Value::Object).collect());
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
        let (id, state) = (plain(column(&self.job, "id")), cut(&plain(column(&self.job, "state"))));
        let doubt = if self.lookup.is_some() { ", in doubt" } else { "" };
        line(&format!("{} is {}{doubt}", paint(Tone::Strong, &format!("job {id}")), output::state(&state)))?;
        self.print_advice()?;
        line("")?;
        for (column, value) in self.job.iter().filter(|(_, value)| !value.is_null()) {
            let text = if column == "state" { output::state(&cut(&plain(value))) } else { cut(&plain(value)) };
            line(&format!("{} {text}", paint(Tone::Faint, &format!("{column:16}"))))?;
        }
        line("")?;
        self.print_attempts()
    }

    fn print_advice(&self) -> std::io::Result<()> {
        let said = plain(column(&self.job, "error_message"));
        let once = |name: &str, text: &str| match text {
            "" => Ok(()),
            text => output::prose(&paint(Tone::Faint, &format!("{name:16} ")), 17, &cut(text), None),
        };
        once("what happened", &self.advice.happened)?;
        once("what was said", &said)?;
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

fn print_attempt(attempt: &Record) -> std::io::Result<()> {
    let text = |name: &str| short(&plain(column(attempt, name)), usize::MAX);
    let answer = [text("http_status"), text("error_code")].join(" ");
    let outcome = text("outcome");
    let tone = match outcome.as_str() {
        "sent" => Tone::Good,
        "failed" => Tone::Bad,
        _ => Tone::Waiting,
    };
    line(&format!(
        "  {}  claim {}  {}  {} ms  {}",
        text("started_at"),
        text("claim"),
        paint(tone, &outcome),
        text("duration_ms"),
        cut(answer.trim())
    ))?;
    for id in ids(attempt) {
        line(&format!("    {}", cut(&id)))?;
    }
    match text("message").as_str() {
        "" => Ok(()),
        message => output::prose("    ", 4, &cut(message), None),
    }
}

/// Microsoft asks for these.
fn ids(attempt: &Record) -> Vec<String> {
    let named = [("request-id", "request_id"), ("client-request-id", "client_request_id")];
    let named = named.iter().map(|(header, name)| (header, plain(column(attempt, name))));
    named.filter(|(_, id)| !id.is_empty()).map(|(header, id)| format!("{header} {id}")).collect()
}

fn support(attempt: &Record) -> String {
    cut(&format!("{}, at {}", ids(attempt).join(", "), plain(column(attempt, "started_at"))))
}

/// An attempt support can do something with.
fn is_trouble(attempt: &Record) -> bool {
    *column(attempt, "outcome") != "sent" && !ids(attempt).is_empty()
}

/// What keeps a waiting job of this mailbox from being sent.
async fn waits_for(queue: &SqliteQueue, job: &Record, mailbox: &str) -> Result<Vec<String>, Failure> {
    let now = Utc::now();
    let (agent, row) = queue.standing(mailbox).await?;
    let agent = Agent::new(AgentLock::holder(queue.path()), agent.as_ref());
    let mut reasons = Vec::new();
    if agent.holder.is_none() {
        reasons.push("an agent: none is running (systemctl start event-sender)".into());
    }
    if let Some(gate) = agent.gate() {
        reasons.push(format!("all sending, which is paused and {}: {}", gate.again(now), gate.words()));
    }
    if let Some(default) = agent.refused_default().filter(|default| default.concerns(job)) {
        reasons.push(format!("a setting: {} ({})", default.words(), default.cure(now)));
    }
    let asked = row.as_ref().is_some_and(|row| rests_as_asked(row, now));
    match row.and_then(|row| Stop::of(&row, now)) {
        Some(Stop::Held { since, reason }) => {
            let since = moment(&since, now);
            let release = shell::last(mailbox);
            reasons.push(format!("its mailbox, held since {since}: {reason} (event-sender release {release})"));
        }
        Some(Stop::Paused { until, kind, reason }) => {
            let resume = match asked {
                true => String::new(),
                false => format!(" (once that is mended: event-sender resume {})", shell::last(mailbox)),
            };
            reasons.push(format!("its mailbox, which rests until {}, {kind}: {reason}{resume}", moment(&until, now)));
        }
        None => {}
    }
    Ok(reasons)
}

fn cut(text: &str) -> String {
    output::cut(text, LONGEST)
}
