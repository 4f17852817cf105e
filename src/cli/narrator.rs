//! Tells the log's lines in words, for somebody who watches the demo, or `run` on a terminal. Made from the log itself: what is
//! told is what an administrator would find there.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;
use std::time::Instant;

use chrono::Utc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::Context;

use super::output::{self, Tone, paint, short};
use super::paper::Paper;
use crate::format::{Zone, clock_in};
use crate::job::{ErrorKind, parse_utc};
use crate::visible::{self, Through};

/// A layer that prints one line per event worth telling.
pub(super) struct Narrator {
    told: Told,
    zone: Zone,
    paper: Paper,
    writer: Through<BoxMakeWriter>,
}

/// What is told, and when it was.
enum Told {
    /// What makes the story, by the time since it began.
    Story(Instant),
    /// Everything the log has, by the time of day.
    Everything,
}

impl Narrator {
    /// Of the demo.
    pub(super) fn of_story(zone: Zone, paper: Paper, writer: BoxMakeWriter) -> Self {
        Self::new(Told::Story(Instant::now()), zone, paper, writer)
    }

    /// Of an agent that runs.
    pub(super) fn of_everything(zone: Zone, writer: BoxMakeWriter) -> Self {
        Self::new(Told::Everything, zone, Paper::new(false), writer)
    }

    fn new(told: Told, zone: Zone, paper: Paper, writer: BoxMakeWriter) -> Self {
        Self { told, zone, paper, writer: Through::new(writer, visible::coloured) }
    }

    fn head(&self) -> String {
        match self.told {
            Told::Story(start) => format!("{:5.2} s", start.elapsed().as_secs_f64()),
            Told::Everything => clock_in(self.zone, Utc::now(), Utc::now()),
        }
    }

    fn line(&self, level: Level, fields: &Fields) -> Option<String> {
        let said = said(fields, self.zone);
        match self.told {
            Told::Story(_) => said,
            Told::Everything => Some(said.unwrap_or_else(|| as_logged(level, fields))),
        }
    }
}

impl<S: Subscriber> Layer<S> for Narrator {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Some(line) = self.line(*event.metadata().level(), &fields) else { return };
        let head = format!("  {}  ", paint(Tone::Faint, &self.head()));
        let whole = self.paper.painted_prose(&head, &line).join("\n") + "\n";
        // Where nobody watches any more there is nobody to tell.
        let _ = self.writer.make_writer().write_all(whole.as_bytes());
    }
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), short(&format!("{value:?}"), usize::MAX));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), short(value, usize::MAX));
    }
}

/// A line of the log that has no words of its own: its message, then its fields.
fn as_logged(level: Level, fields: &Fields) -> String {
    let tone = match level {
        Level::ERROR => Tone::Bad,
        Level::WARN => Tone::Waiting,
        _ => return logged(fields.get("message"), fields),
    };
    logged(&paint(tone, fields.get("message")), fields)
}

fn logged(message: &str, fields: &Fields) -> String {
    let fields = fields.0.iter().filter(|(name, _)| **name != "message").map(|(name, value)| format!("{name} {value}"));
    let fields = fields.collect::<Vec<_>>().join(", ");
    if fields.is_empty() { message.to_owned() } else { format!("{message}: {fields}") }
}

/// When it is tried again, if the line says so.
fn until(fields: &Fields, zone: Zone) -> Option<String> {
    Some(clock_in(zone, parse_utc(fields.get("retry_at"))?, Utc::now()))
}

fn attempt(fields: &Fields) -> String {
    match fields.get("attempt") {
        "" | "1" => String::new(),
        attempt => format!(" (attempt {attempt})"),
    }
}

/// Why, as far as the log knows it: the reason itself may repeat parts of the event, and is `show`'s to tell.
fn reason(fields: &Fields) -> String {
    let words = [fields.get("error_kind"), fields.get("error_code")];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ")
}

fn said(fields: &Fields, zone: Zone) -> Option<String> {
    of_job(fields, zone).or_else(|| of_agent(fields, zone))
}

fn of_job(fields: &Fields, zone: Zone) -> Option<String> {
    let job = format!("job {}", fields.get("job_id"));
    let again = until(fields, zone).unwrap_or_else(|| "when sending resumes".into());
    Some(match fields.get("message") {
        // A created event is answered with 201; a lookup that found one with 200.
        "event sent" if fields.get("status") == "200" => format!(
            "{job}  {} in the calendar, event {}: nothing is sent again",
            paint(Tone::Good, "found"),
            output::event_id(fields.get("event_id")),
        ),
        "event sent" => format!(
            "{job}  {} as event {}{}",
            paint(Tone::Good, "sent"),
            output::event_id(fields.get("event_id")),
            attempt(fields)
        ),
        message @ ("event updated" | "event deleted") => {
            let (_, done) = message.split_once(' ')?;
            format!("{job}  {} event {}", paint(Tone::Good, done), output::event_id(fields.get("event_id")))
        }
        "attempt failed" if fields.get("error_kind") == ErrorKind::Throttled.as_str() => {
            format!(
                "{job}  {}: waits for {again}, costs no attempt",
                paint(Tone::Waiting, "throttled by Exchange (429)")
            )
        }
        "attempt failed" if fields.get("in_doubt") == "true" => format!(
            "{job}  {}: the event may exist, and is looked up at {again} before anything is sent again",
            paint(Tone::Waiting, "no answer came back")
        ),
        "attempt failed" => {
            format!("{job}  {} ({}), again at {again}", paint(Tone::Waiting, "not yet"), reason(fields))
        }
        "job failed" => format!("{job}  {} ({})", paint(Tone::Bad, "failed"), reason(fields)),
        "job superseded" => format!("{job}  cancelled: a later delete of its event came before anything had left"),
        _ => return None,
    })
}

fn of_agent(fields: &Fields, zone: Zone) -> Option<String> {
    let mailbox = fields.get("mailbox");
    Some(match fields.get("message") {
        "agent started" => "the agent is up".into(),
        "token acquired" => format!("signed in, token acquired in {} ms", fields.get("duration_ms")),
        "mailbox paused" => format!("{mailbox} is paused until {}; all others continue", until(fields, zone)?),
        "mailbox resumed" => format!("{mailbox} continues"),
        "mailbox held" => format!("{mailbox} is on hold until it is released"),
        "mailbox released" => format!("{mailbox} is released"),
        "sending paused" => format!(
            "{}: {} Tried again at {}",
            paint(Tone::Bad, "nothing is sent"),
            fields.get("hint"),
            until(fields, zone)?
        ),
        "sending resumed" => "sending again".into(),
        "stopping, finishing what is under way" => "stopping: what is under way is finished first".into(),
        "agent stopped" => "the agent has stopped".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(all: &[(&'static str, &str)]) -> Fields {
        Fields(all.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    }

    fn line(told: Told, all: &[(&'static str, &str)]) -> Option<String> {
        let narrator = Narrator::new(told, Zone::Utc, Paper::new(false), BoxMakeWriter::new(std::io::sink));
        narrator.line(Level::WARN, &fields(all))
    }

    #[test]
    fn a_job_that_is_sent_at_once_needs_no_number_of_its_attempt() {
        let sent = |attempt| {
            line(
                Told::Everything,
                &[("message", "event sent"), ("job_id", "7"), ("event_id", "AA="), ("attempt", attempt)],
            )
        };
        assert_eq!(sent("1").as_deref(), Some("job 7  sent as event AA="));
        assert_eq!(sent("3").as_deref(), Some("job 7  sent as event AA= (attempt 3)"));
    }

    #[test]
    fn an_agent_leaves_out_no_line_of_its_log_and_the_demo_all_that_is_no_story() {
        let odd = [("message", "setting changed"), ("key", "log.level")];
        assert_eq!(line(Told::Everything, &odd).as_deref(), Some("setting changed: key log.level"));
        assert_eq!(line(Told::Story(Instant::now()), &odd), None);
    }

    #[test]
    fn a_pause_says_until_when_and_what_to_do() {
        let told = line(
            Told::Everything,
            &[("message", "sending paused"), ("hint", "Do this."), ("retry_at", "2000-01-01T10:00:00.000Z")],
        );
        assert_eq!(told.as_deref(), Some("nothing is sent: Do this. Tried again at 2000-01-01 10:00:00 UTC"));
    }
}
