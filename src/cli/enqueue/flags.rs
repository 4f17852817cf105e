//! One job from flags, a flag for each column.

use serde_json::{Value, json};

use crate::queue::NewJob;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Columns {
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

impl Columns {
    /// The job they make.
    pub(super) fn job(self, start: String, end: String) -> NewJob {
        let people = [("required", self.attendee), ("optional", self.optional), ("resource", self.resource)];
        let attendees: Vec<Value> =
            people.iter().flat_map(|(kind, people)| people.iter().map(|person| attendee(person, kind))).collect();
        NewJob {
            subject: self.subject,
            body: self.body,
            start_time: Some(start),
            end_time: Some(end),
            location: self.location,
            attendees: (!attendees.is_empty()).then(|| Value::Array(attendees).to_string()),
            mailbox: self.mailbox,
            calendar_id: self.calendar_id,
            body_type: self.body_type,
            time_zone: self.time_zone,
            extra: self.extra,
            dedup_key: self.dedup_key,
            not_before: self.not_before,
        }
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
