//! A received event, checked the way Graph and Exchange check one: types first, then zones and times, then the rules of
//! all-day events and attendees. Shares nothing with the client's idea of an event, so that it cannot share its mistakes.

use serde_json::{Map, Value};

use super::mails::Attendee;
use super::marker::Marker;
use super::schema::EVENT;
use super::times::{EventTime, TimeFault};
use crate::sandbox::refusal::Refusal;

/// Attendees per event.
const MAX_ATTENDEES: usize = 500;
/// An address that contains this is refused although the event is made: seen on real tenants.
const INVALID_RECIPIENT: &str = "invalid-recipient";

/// An event that Exchange takes.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) start: EventTime,
    pub(super) end: EventTime,
    pub(super) all_day: bool,
    pub(super) transaction_id: Option<String>,
    /// Its single-value extended properties.
    pub(super) markers: Vec<Marker>,
    pub(super) attendees: Vec<Attendee>,
    /// One address cannot be resolved; the event is made, the answer is an error.
    pub(super) invalid_recipient: bool,
}

impl Draft {
    pub(super) fn read(event: &Map<String, Value>) -> Result<Self, Refusal> {
        EVENT.check(event)?;
        let attendees = attendees(event)?;
        let draft = Self {
            start: time(event, "start")?,
            end: time(event, "end")?,
            all_day: event.get("isAllDay").and_then(Value::as_bool).unwrap_or(false),
            transaction_id: text(event, "transactionId").map(str::to_owned),
            markers: markers(event)?,
            invalid_recipient: attendees.iter().any(|one| one.address.contains(INVALID_RECIPIENT)),
            attendees,
        };
        match draft.all_day {
            true => draft.check_all_day()?,
            false if draft.end.instant < draft.start.instant => return Err(Refusal::validation()),
            false => {}
        }
        Ok(draft)
    }

    /// What the journal remarks about an event that was taken.
    pub(super) fn note(&self) -> Option<&'static str> {
        let odd = self.start.had_offset || self.end.had_offset;
        odd.then_some("dateTime carries an offset: which of offset and timeZone wins is undocumented")
    }

    fn check_all_day(&self) -> Result<(), Refusal> {
        for (name, when) in [("Start", &self.start), ("End", &self.end)] {
            if !when.is_midnight() {
                return Err(invalid_request(&format!(
                    "The Event.{name} property for an all-day event needs to be set to midnight."
                )));
            }
        }
        if !self.start.zone.eq_ignore_ascii_case(&self.end.zone) {
            return Err(invalid_request("The start and end of an all-day event must be in the same time zone."));
        }
        // The end is exclusive: an event that ends on its first midnight has no day.
        match self.start.local < self.end.local {
            true => Ok(()),
            false => Err(Refusal::validation()),
        }
    }
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

fn time(event: &Map<String, Value>, name: &str) -> Result<EventTime, Refusal> {
    let Some(Value::Object(value)) = event.get(name) else {
        return Err(Refusal::validation());
    };
    let date_time = text(value, "dateTime").ok_or_else(Refusal::validation)?;
    EventTime::parse(date_time, text(value, "timeZone").unwrap_or("UTC")).map_err(|fault| match fault {
        TimeFault::UnknownZone(zone) => Refusal::unknown_zone(&zone),
        TimeFault::Text | TimeFault::RefusedZone => Refusal::validation(),
    })
}

fn markers(event: &Map<String, Value>) -> Result<Vec<Marker>, Refusal> {
    let properties = event.get("singleValueExtendedProperties").and_then(Value::as_array);
    let mut markers = Vec::new();
    for property in properties.into_iter().flatten().filter_map(Value::as_object) {
        let id = text(property, "id").unwrap_or_default();
        let marker = Marker::new(id, text(property, "value").unwrap_or_default());
        markers.push(marker.ok_or_else(|| {
            Refusal::bad_request("ErrorInvalidProperty", format!("The property ID '{id}' is invalid."))
        })?);
    }
    Ok(markers)
}

fn attendees(event: &Map<String, Value>) -> Result<Vec<Attendee>, Refusal> {
    let attendees = event.get("attendees").and_then(Value::as_array);
    let attendees = attendees.map(Vec::as_slice).unwrap_or_default();
    if attendees.len() > MAX_ATTENDEES {
        return Err(invalid_request("The number of attendees exceeds the maximum of 500."));
    }
    attendees.iter().map(|sent| Attendee::read(sent).ok_or_else(Refusal::validation)).collect()
}

pub(super) fn invalid_request(message: &str) -> Refusal {
    Refusal::bad_request("ErrorInvalidRequest", message)
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
