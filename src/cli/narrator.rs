//! Tells the worker's log lines in words, for somebody who watches the demo. Made from the log itself: what is told is
//! what an administrator would find there.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::output::{self, Tone, paint, short};
use super::paper::Paper;
use crate::job::ErrorKind;

/// A layer that prints one line per event worth telling.
pub(super) struct Narrator {
    start: Instant,
    paper: Paper,
}

impl Narrator {
    pub(super) fn new(paper: Paper) -> Self {
        Self { start: Instant::now(), paper }
    }
}

impl<S: Subscriber> Layer<S> for Narrator {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let Some(told) = told(&fields) {
            let time = paint(Tone::Faint, &format!("{:5.2} s", self.start.elapsed().as_secs_f64()));
            // A demo nobody watches any more has nobody to tell.
            let _ = output::lines(&self.paper.painted_prose(&format!("  {time}  "), &told));
        }
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

fn told(fields: &Fields) -> Option<String> {
    let job = format!("job {}", fields.get("job_id"));
    let until = fields.get("retry_at").get(11..23).unwrap_or_default();
    Some(match fields.get("message") {
        "agent started" => "the agent is up".into(),
        "token acquired" => format!("signed in, token acquired in {} ms", fields.get("duration_ms")),
        // A created event is answered with 201; a lookup that found one with 200.
        "event sent" if fields.get("status") == "200" => format!(
            "{job}  {} in the calendar, event {}: nothing is sent again",
            paint(Tone::Good, "found"),
            output::event_id(fields.get("event_id")),
        ),
        "event sent" => format!(
            "{job}  {} as event {} (attempt {})",
            paint(Tone::Good, "sent"),
            output::event_id(fields.get("event_id")),
            fields.get("attempt")
        ),
        message @ ("event updated" | "event deleted") => {
            let (_, done) = message.split_once(' ')?;
            format!("{job}  {} event {}", paint(Tone::Good, done), output::event_id(fields.get("event_id")))
        }
        "attempt failed" if fields.get("error_kind") == ErrorKind::Throttled.as_str() => {
            format!(
                "{job}  {}: waits for {until} UTC, costs no attempt",
                paint(Tone::Waiting, "throttled by Exchange (429)")
            )
        }
        "attempt failed" if fields.get("in_doubt") == "true" => format!(
            "{job}  {}: the event may exist, and is looked up at {until} UTC before anything is sent again",
            paint(Tone::Waiting, "no answer came back")
        ),
        "attempt failed" => {
            format!("{job}  {} ({}), again at {until} UTC", paint(Tone::Waiting, "not yet"), fields.get("error_kind"))
        }
        "job failed" => {
            format!(
                "{job}  {} ({}, {})",
                paint(Tone::Bad, "failed"),
                fields.get("error_kind"),
                fields.get("error_code")
            )
        }
        "mailbox paused" => format!("{} is paused until {until} UTC; all others continue", fields.get("mailbox")),
        "mailbox resumed" => format!("{} continues", fields.get("mailbox")),
        "agent stopped" => "the agent has stopped".into(),
        _ => return None,
    })
}
