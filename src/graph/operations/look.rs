//! An event as it is before a change: whether it may be changed at all, and what of it the change depends on.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::Value;

use super::Whose;
use super::create;
use crate::graph::reply::{event_ref, word};
use crate::graph::wire::{EXTENDED, REVISION, property};
use crate::job::{
    Answer, AttendeeType, Body, BodyType, CallResult, Cause, EventRef, EventTarget, EventType, Outcome, Seen, Snapshot,
};

/// The zone that is the last to see a day end is so far behind UTC.
const LAST_ZONE: TimeDelta = TimeDelta::hours(12);

/// What of an event decides whether it may be changed.
pub(super) struct Standing {
    pub is_cancelled: bool,
    pub is_organizer: bool,
}

/// The event in an answer, as a change wants to know it. None: the answer does not tell, and what it does not tell is not
/// supposed.
pub(super) fn seen(event: &Value) -> Option<(Snapshot, Standing)> {
    let kind = match event["type"].as_str()? {
        "singleInstance" => EventType::Single,
        "seriesMaster" => EventType::SeriesMaster,
        "occurrence" | "exception" => EventType::Instance,
        _ => return None,
    };
    let standing =
        Standing { is_cancelled: event["isCancelled"].as_bool()?, is_organizer: event["isOrganizer"].as_bool()? };
    let told = event_ref(event)?;
    let is_all_day = event["isAllDay"].as_bool()?;
    // Dates are told as midnights of UTC, wherever they are.
    let floats = if is_all_day { LAST_ZONE } else { TimeDelta::zero() };
    let ends_at = moment(&event["end"]).and_then(|end| end.checked_add_signed(floats));
    let snapshot = Snapshot {
        etag: word(&event["@odata.etag"]),
        kind,
        is_all_day,
        body: body(&event["body"]),
        is_online: event["isOnlineMeeting"] == true || told.join_url.is_some(),
        attendees: event["attendees"].as_array()?.iter().map(attendee).collect(),
        ends_at: ends_at.filter(|_| kind == EventType::Single),
        created_at: event["createdDateTime"].as_str().and_then(|at| at.parse().ok()),
        event: told,
    };
    Some((snapshot, standing))
}

/// Whether it is the event that is meant. One named by its id has no marker to bear.
pub(super) fn is_meant(event: &Value, target: &EventTarget) -> bool {
    let bears = |marker: &str| matches!(create::whose(event, marker), Whose::Marked | Whose::Same);
    target.marker.as_deref().is_none_or(bears)
}

/// What a job gets back of the event that was seen, under the id that its row knows it by.
pub(super) fn named(seen: Snapshot, target: &EventTarget) -> EventRef {
    let guests = u32::try_from(seen.attendees.len()).unwrap_or(u32::MAX);
    let told = Seen { guests, ends_at: seen.ends_at };
    EventRef { id: target.event_id.clone(), seen: Some(told), ..seen.event }
}

/// The revision that an event bears.
pub(super) fn revision(event: &Value) -> Option<&str> {
    property(&event[EXTENDED], REVISION)
}

/// That the event must not be changed, and why.
pub(super) fn refused(cause: Cause) -> CallResult {
    let words = match cause {
        Cause::OtherEvent => "the event with this id is not the one that was created under this event_key",
        Cause::NotOrganizer => {
            "the mailbox is not the organizer of this event; only the organizer can change it for everybody"
        }
        Cause::OneOfSeries => {
            "this is one occurrence of a series; only the whole series can be changed: name the series"
        }
        Cause::EventCalledOff => "the event was cancelled; to bring it back, insert a create",
        _ => "the event no longer exists",
    };
    let answer = Answer {
        status: Some(200),
        code: Some(cause.as_str().to_owned()),
        message: Some(words.to_owned()),
        ..Answer::default()
    };
    CallResult::new(Outcome::NoTarget(cause), answer)
}

/// Also one without an address is somebody who is invited.
fn attendee(attendee: &Value) -> (String, AttendeeType) {
    let address = attendee["emailAddress"]["address"].as_str().unwrap_or_default().trim().to_lowercase();
    let kind = match attendee["type"].as_str().unwrap_or_default().to_ascii_lowercase().as_str() {
        "optional" => AttendeeType::Optional,
        "resource" => AttendeeType::Resource,
        _ => AttendeeType::Required,
    };
    (address, kind)
}

fn body(body: &Value) -> Option<Body> {
    let kind = BodyType::parse(&body["contentType"].as_str()?.to_ascii_lowercase())?;
    Some(Body { content: body["content"].as_str()?.to_owned(), kind })
}

/// A time of an answer, which is in UTC as nothing else was asked for.
pub(super) fn moment(time: &Value) -> Option<DateTime<Utc>> {
    let is_utc = time["timeZone"].as_str().is_none_or(|zone| zone.eq_ignore_ascii_case("utc"));
    wall(time).filter(|_| is_utc).map(|wall| wall.and_utc())
}

/// The same of an event of whole days, whose times are dates in every zone.
pub(super) fn wall(time: &Value) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(time["dateTime"].as_str()?, "%Y-%m-%dT%H:%M:%S%.f").ok()
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
