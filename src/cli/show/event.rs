//! `show KEY`: one event from its first job to its last: what each did to it, what its attendees were mailed as far as the queue
//! knows, and what became of it. Exchange alone knows what it mailed: what is said of that follows from what was asked for.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::super::output::{self, Tone, paint, short};
use super::super::paper::{Cell, Column, Paper};
use crate::advice::row_json;
use crate::agent::Failure;
use crate::format::moment;
use crate::job::{Cause, JobState, OperationKind};
use crate::queue::{AttemptRow, JobRow, Read, Stored};

const COLUMNS: [Column; 7] = [
    Column::new("id").right(),
    Column::new("operation"),
    Column::new("state"),
    Column::new("when").between(12, 36).goes(1),
    Column::new("changes").between(8, 40).goes(2),
    Column::new("waits for, or reason").between(10, 60),
    Column::new("mailed"),
];

/// What became of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    NeverMade,
    /// Its create waits.
    NotYet,
    Exists,
    InDoubt,
    Deleted,
}

impl Verdict {
    /// For programs.
    fn as_str(self) -> &'static str {
        match self {
            Verdict::NeverMade => "never_made",
            Verdict::NotYet => "not_yet",
            Verdict::Exists => "exists",
            Verdict::InDoubt => "in_doubt",
            Verdict::Deleted => "deleted",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Verdict::NeverMade => "no event was made",
            Verdict::NotYet => "the event is not made yet",
            Verdict::Exists => "the event exists",
            Verdict::InDoubt => "in doubt, no answer has confirmed what became of the event",
            Verdict::Deleted => "the event is deleted",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Verdict::Exists => Tone::Good,
            Verdict::NotYet | Verdict::InDoubt => Tone::Waiting,
            Verdict::NeverMade => Tone::Bad,
            Verdict::Deleted => Tone::Faint,
        }
    }
}

/// One job of the event, with what it does to it.
struct Step {
    job: JobRow,
    attempts: Vec<AttemptRow>,
    operation: OperationKind,
    /// The columns by which it changes the event.
    changes: Vec<&'static str>,
    /// In words.
    mailed: String,
}

/// All jobs of an event, in their order.
pub(super) struct Event {
    key: String,
    steps: Vec<Step>,
}

impl Event {
    /// None if no job names this key.
    pub(super) async fn of(queue: &dyn Read, key: &str) -> Result<Option<Self>, Failure> {
        let mut steps = Vec::new();
        for summary in queue.jobs_of_key(key).await? {
            // Deleted meanwhile.
            let Some((job, attempts)) = queue.job(summary.id).await? else { continue };
            steps.push(Step::new(job, attempts));
        }
        tell_mails(&mut steps);
        Ok((!steps.is_empty()).then(|| Self { key: key.to_owned(), steps }))
    }

    fn verdict(&self) -> Verdict {
        self.steps.iter().fold(Verdict::NeverMade, |verdict, step| step.verdict(verdict))
    }

    /// The last job that knows the event, while it is there.
    fn known(&self) -> Option<&JobRow> {
        let mut sent = self.steps.iter().rev().map(|step| &step.job);
        sent.find(|job| !job.summary.event_id.is_null()).filter(|_| self.verdict() == Verdict::Exists)
    }

    /// A column of the event that Graph gave back: of the last job that has it.
    fn given_back(&self, column: fn(&JobRow) -> &Stored) -> Value {
        if self.known().is_none() {
            return Value::Null;
        }
        let mut values = self.steps.iter().rev().map(|step| column(&step.job));
        values.find(|value| !value.is_null()).map_or(Value::Null, row_json::stored)
    }

    pub(super) fn json(&self) -> Value {
        let verdict = self.verdict();
        json!({
            "event_key": self.key,
            "verdict": verdict.as_str(),
            "event_id": self.given_back(|job| &job.summary.event_id),
            "web_link": self.given_back(|job| &job.summary.web_link),
            "ical_uid": self.given_back(|job| &job.summary.ical_uid),
            "join_url": self.given_back(|job| &job.summary.join_url),
            "jobs": self.steps.iter().map(Step::json).collect::<Vec<_>>(),
        })
    }

    pub(super) fn lines(&self, paper: Paper, now: DateTime<Utc>) -> Vec<String> {
        let verdict = self.verdict();
        let rows: Vec<_> = self.steps.iter().map(|step| step.row(now)).collect();
        let mut lines = paper.table(&COLUMNS, &rows);
        lines.push(String::new());
        let json = self.json();
        for name in ["event_id", "web_link", "ical_uid", "join_url"] {
            if let Value::String(value) = &json[name] {
                lines.push(format!("{} {}", paint(Tone::Faint, &format!("{name:16}")), paper.cut(17, value)));
            }
        }
        let name = format!("{}: ", paint(Tone::Strong, &format!("event {}", short(&self.key, 80))));
        lines.extend(paper.prose(&name, verdict.words(), Some(verdict.tone())));
        if let Some(step) = self.steps.iter().rev().find(|step| step.needs_a_person()) {
            let show = format!("event-sender show {}", step.job.summary.id);
            lines.extend(paper.prose(&format!("{:17}", "what to do"), &show, None));
        }
        lines
    }
}

impl Step {
    fn new(job: JobRow, attempts: Vec<AttemptRow>) -> Self {
        let operation = job.summary.operation.text().and_then(OperationKind::parse).unwrap_or_default();
        let changes = changes(&job);
        Self { job, attempts, operation, changes, mailed: String::new() }
    }

    fn state(&self) -> Option<JobState> {
        self.job.summary.state.known()
    }

    /// What is known of the event after this job, by what was known before it.
    fn verdict(&self, before: Verdict) -> Verdict {
        let (in_doubt, state) = (self.job.summary.is_in_doubt(), self.state());
        match (self.operation, state) {
            (OperationKind::Create, Some(JobState::Sent)) => Verdict::Exists,
            (OperationKind::Create | OperationKind::Delete, _) if in_doubt => Verdict::InDoubt,
            (OperationKind::Create, Some(JobState::Pending | JobState::Claimed)) => Verdict::NotYet,
            (OperationKind::Delete, Some(JobState::Sent)) => Verdict::Deleted,
            // Its create was deleted from the queue.
            (OperationKind::Update, Some(JobState::Sent)) if before == Verdict::NeverMade => Verdict::Exists,
            (OperationKind::Update | OperationKind::Delete, Some(JobState::Failed)) if self.found_it_gone() => {
                Verdict::Deleted
            }
            _ => before,
        }
    }

    /// What `show` has advice for.
    fn needs_a_person(&self) -> bool {
        self.state() == Some(JobState::Failed) || self.job.summary.is_in_doubt()
    }

    fn found_it_gone(&self) -> bool {
        matches!(self.job.summary.cause(), Some(Cause::EventGone | Cause::EventCalledOff))
    }

    fn json(&self) -> Value {
        let mut shown: Map<String, Value> = row_json::summary(&self.job.summary);
        shown.insert("changes".into(), self.changes.clone().into());
        shown.insert("mailed".into(), self.mailed.clone().into());
        Value::Object(shown)
    }

    fn row(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let of = &self.job.summary;
        let state = of.state.word();
        vec![
            Cell::from(of.id.to_string()),
            Cell::from(of.operation.to_string()),
            Cell::from(&state).toned(output::state(&state)),
            Cell::from(self.when(now)),
            Cell::from(self.changes.join(", ")),
            Cell::from(self.reason()),
            Cell::from(&self.mailed),
        ]
    }

    /// When it ended, or is due.
    fn when(&self, now: DateTime<Utc>) -> String {
        let of = &self.job.summary;
        let time = match of.finished_at.is_null() {
            true => &of.next_attempt_at,
            false => &of.finished_at,
        };
        moment(&time.to_string(), now)
    }

    fn reason(&self) -> String {
        let of = &self.job.summary;
        if let Some(first) = of.behind.integer() {
            return format!("job {first}");
        }
        let doubt = if of.is_in_doubt() { "in doubt" } else { "" };
        match (doubt, of.error_kind.word().as_str()) {
            (doubt, "") => doubt.into(),
            ("", kind) => format!("{kind}: {}", of.error_message),
            (doubt, kind) => format!("{doubt}, {kind}: {}", of.error_message),
        }
    }

    /// It took effect, or may have.
    fn may_have_taken_effect(&self) -> bool {
        self.state() == Some(JobState::Sent) || self.job.summary.is_in_doubt()
    }

    /// It says who is invited, and nothing else: then only those added or removed hear of it.
    fn is_about_attendees_only(&self) -> bool {
        match self.changes.as_slice() {
            ["attendees"] => true,
            ["extra"] => self.job.extra.text().is_some_and(|extra| is_nobody(extra, true)),
            _ => false,
        }
    }

    /// How many are invited after it, if it says so.
    fn invites(&self) -> Option<usize> {
        if self.job.extra.text().is_some_and(|extra| is_nobody(extra, false)) {
            return Some(0);
        }
        let invited = invited(&self.job.attendees);
        (invited > 0 || self.operation == OperationKind::Create).then_some(invited)
    }

    /// What was mailed if it took effect. `before` and `after` it so many were invited, as far as is known.
    fn mails(&self, before: Option<usize>, after: Option<usize>) -> String {
        match self.operation {
            OperationKind::Create => match after {
                Some(0) => NOTHING.into(),
                invited => format!("an invitation to {}", all(invited)),
            },
            OperationKind::Update if self.is_about_attendees_only() => {
                "those added or removed: an invitation or a cancellation".into()
            }
            OperationKind::Update if before == Some(0) && after == Some(0) => NOTHING.into(),
            OperationKind::Update => format!("an update to {}", all(after)),
            OperationKind::Delete => self.mails_of_a_delete(before),
        }
    }

    /// Graph answers 202 to a cancellation, and 204 to the deletion of an event without attendees.
    fn mails_of_a_delete(&self, invited: Option<usize>) -> String {
        let cancellation = format!("a cancellation to {}", all(invited));
        match self.job.summary.http_status.integer() {
            Some(204) => NOTHING.into(),
            Some(202) | None => cancellation,
            Some(_) if self.job.summary.is_in_doubt() => cancellation,
            Some(_) if self.has_lost_an_answer() => format!("perhaps {cancellation}"),
            Some(_) => "nothing, the event was gone before".into(),
        }
    }

    /// A request left whose answer never came.
    fn has_lost_an_answer(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.outcome.text() != Some("sent") && attempt.http_status.is_null())
    }
}

const NOTHING: &str = "nothing, it has no attendees";

/// Who is invited.
fn all(invited: Option<usize>) -> String {
    match invited {
        None | Some(0) => "all attendees".into(),
        Some(1) => "1 attendee".into(),
        Some(invited) => format!("{invited} attendees"),
    }
}

/// What was mailed by each, which depends on who was invited by those before it.
fn tell_mails(steps: &mut [Step]) {
    let mut invited = None;
    for step in steps {
        let before = invited;
        let after = step.invites().or(before);
        step.mailed = match (step.state(), step.job.summary.is_in_doubt()) {
            (Some(JobState::Sent), _) => step.mails(before, after),
            (_, true) => format!("perhaps {}", step.mails(before, after)),
            (Some(JobState::Pending | JobState::Claimed), false) => "nothing yet".into(),
            _ => "nothing".into(),
        };
        if step.may_have_taken_effect() {
            invited = after;
        }
    }
}

/// The columns by which a row says how its event is to be. A default is none of them.
fn changes(job: &JobRow) -> Vec<&'static str> {
    let of = &job.summary;
    let columns = [
        ("subject", &of.subject),
        ("body", &job.body),
        ("start_time", &of.start_time),
        ("end_time", &of.end_time),
        ("location", &job.location),
        ("attendees", &job.attendees),
        ("extra", &job.extra),
    ];
    let says = |(name, value): &(&str, &Stored)| !(value.is_null() || *name == "attendees" && invited(value) == 0);
    columns.into_iter().filter(says).map(|(name, _)| name).collect()
}

fn invited(attendees: &Stored) -> usize {
    let array = attendees.text().and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
    array.map_or(0, |attendees| attendees.len())
}

/// `{"attendees":[]}`: all are to go. `alone`: and it says nothing else.
fn is_nobody(extra: &str, alone: bool) -> bool {
    let Ok(extra) = serde_json::from_str::<Map<String, Value>>(extra) else { return false };
    let is_empty = extra.get("attendees").and_then(Value::as_array).is_some_and(Vec::is_empty);
    is_empty && (!alone || extra.len() == 1)
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
