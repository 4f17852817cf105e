//! An event as it is before a change: whether it may be changed at all, and what of it the change depends on.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;

use super::Whose;
use super::create;
use crate::graph::reply::event_ref;
use crate::graph::wire::{EXTENDED, REVISION, property};
use crate::job::{
    Answer, AttendeeType, Body, BodyType, CallResult, Cause, EventRef, EventTarget, EventType, Outcome, Snapshot,
};

/// The event in an answer, as a change wants to know it. None: the answer does not tell.
pub(super) fn snapshot(event: &Value, target: &EventTarget) -> Option<Snapshot> {
    let kind = match event["type"].as_str()? {
        "singleInstance" => EventType::Single,
        "seriesMaster" => EventType::SeriesMaster,
        _ => EventType::Instance,
    };
    Some(Snapshot {
        event: EventRef { id: target.event_id.clone(), ..event_ref(event)? },
        etag: event["@odata.etag"].as_str().map(str::to_owned),
        kind,
        is_all_day: event["isAllDay"].as_bool()?,
        body: body(&event["body"]),
        is_online: event["isOnlineMeeting"].as_bool().unwrap_or(false),
        attendees: attendees(&event["attendees"]),
        ends_at: moment(&event["end"]).filter(|_| kind == EventType::Single),
        created_at: event["createdDateTime"].as_str().and_then(|at| at.parse().ok()),
    })
}

/// The revision that an event bears.
pub(super) fn revision(event: &Value) -> Option<&str> {
    property(&event[EXTENDED], REVISION)
}

/// Why the event must not be changed, if that is so. An event named by its id has no marker to bear.
pub(super) fn obstacle(event: &Value, target: &EventTarget) -> Option<Cause> {
    let is_other = target.marker.as_deref().is_some_and(|marker| create::whose(event, marker) == Whose::Another);
    match event["type"].as_str() {
        _ if is_other => Some(Cause::OtherEvent),
        _ if event["isOrganizer"] == false => Some(Cause::NotOrganizer),
        Some("occurrence" | "exception") => Some(Cause::OneOfSeries),
        _ => None,
    }
}

/// The same, in words.
pub(super) fn refused(cause: Cause) -> CallResult {
    let words = match cause {
        Cause::OtherEvent => "the event with this id is not the one that the create of this event_key made",
        Cause::NotOrganizer => {
            "the mailbox is not the organizer of this event, and only the organizer changes it for all"
        }
        Cause::OneOfSeries => "this is one event of a series, and a series is changed as a whole only: name the series",
        Cause::EventCalledOff => "the event was called off",
        _ => "the event is not there any more",
    };
    let answer = Answer {
        status: Some(200),
        code: Some(cause.as_str().to_owned()),
        message: Some(words.to_owned()),
        ..Answer::default()
    };
    CallResult::new(Outcome::NoTarget(cause), answer)
}

pub(super) fn attendees(list: &Value) -> Vec<(String, AttendeeType)> {
    let read = |attendee: &Value| {
        let address = attendee["emailAddress"]["address"].as_str()?.trim().to_lowercase();
        let kind = match attendee["type"].as_str().unwrap_or_default().to_ascii_lowercase().as_str() {
            "optional" => AttendeeType::Optional,
            "resource" => AttendeeType::Resource,
            _ => AttendeeType::Required,
        };
        Some((address, kind))
    };
    list.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(read).collect()
}

fn body(body: &Value) -> Option<Body> {
    let kind = BodyType::parse(&body["contentType"].as_str()?.to_ascii_lowercase())?;
    Some(Body { content: body["content"].as_str()?.to_owned(), kind })
}

/// A time of an answer, which is in UTC as nothing else was asked for.
pub(super) fn moment(time: &Value) -> Option<DateTime<Utc>> {
    let is_utc = time["timeZone"].as_str().is_none_or(|zone| zone.eq_ignore_ascii_case("utc"));
    let wall = NaiveDateTime::parse_from_str(time["dateTime"].as_str()?, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    is_utc.then(|| wall.and_utc())
}
