//! One job from flags, a flag for each column.

use serde_json::{Value, json};

use crate::job::{Guest, guests};
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
    ///
    /// # Errors
    /// Attendees of whom nobody can tell who is meant.
    pub(super) fn job(self, start: String, end: String) -> Result<NewJob, String> {
        let mut attendees = Vec::new();
        for (kind, people) in [("required", self.attendee), ("optional", self.optional), ("resource", self.resource)] {
            for people in people {
                attendees.extend(listed(&people, kind)?);
            }
        }
        Ok(NewJob {
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
            ..NewJob::default()
        })
    }
}

/// `ann@contoso.com`, `Ann <ann@contoso.com>`, or several of them.
fn listed(people: &str, kind: &str) -> Result<Vec<Value>, String> {
    let guests = guests(people).map_err(|fault| fault.to_string())?;
    if guests.is_empty() {
        return Err("attendees: one of the flags is empty; write ann@contoso.com or leave it out".to_owned());
    }
    Ok(guests
        .into_iter()
        .map(|Guest { name, address }| json!({ "name": name, "address": address, "type": kind }))
        .collect())
}
