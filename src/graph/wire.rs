//! The JSON of an event that is created or changed, and nothing else. What is none is left out: Graph's answer to an explicit
//! `null` is not documented (graph-facts 1.4). Deterministic: the same draft gives the same bytes, on every attempt.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::job::{self, EventChange, EventDraft, EventTime, InvalidJob};

/// Id of the single-value extended property that holds the transaction id: how an event is found again when the
/// reply to its creation was lost (graph-facts 2.4). Must never change, or events of older versions are not found.
pub const MARKER: &str = "String {6d0c5f0e-27a4-4a4b-9f0e-3c1d5b8e7a92} Name EventSenderTransactionId";

/// Id of the property that holds the transaction id of the job that changed the event last: how a change is seen whose answer
/// was lost. Must never change either.
pub(super) const REVISION: &str = "String {6d0c5f0e-27a4-4a4b-9f0e-3c1d5b8e7a92} Name EventSenderRevision";

pub(super) const EXTENDED: &str = "singleValueExtendedProperties";

/// The marker's value among the extended properties of an event that Graph tells of.
pub(super) fn marker(extended: &Value) -> Option<&str> {
    property(extended, MARKER)
}

/// The value of an extended property.
pub(super) fn property<'v>(extended: &'v Value, name: &str) -> Option<&'v str> {
    let is_it = |property: &&Value| property["id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(name));
    extended.as_array()?.iter().find(is_it)?["value"].as_str()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Body<'a>>,
    start: Time<'a>,
    end: Time<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attendees: Vec<Attendee<'a>>,
    #[serde(flatten)]
    extra: Map<String, Value>,
    transaction_id: &'a str,
    single_value_extended_properties: Vec<Extended<'a>>,
}

/// Every property that is none stays as it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Change<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Body<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Time<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Time<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attendees: Option<Vec<Attendee<'a>>>,
    #[serde(flatten)]
    extra: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    single_value_extended_properties: Vec<Extended<'a>>,
}

/// An extended property: one of the producer's, or the agent's own.
#[derive(Serialize)]
#[serde(untagged)]
enum Extended<'a> {
    Producers(Value),
    Agents { id: &'static str, value: &'a str },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    content_type: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Time<'a> {
    date_time: &'a str,
    time_zone: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location<'a> {
    display_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attendee<'a> {
    email_address: EmailAddress<'a>,
    r#type: &'static str,
}

#[derive(Serialize)]
struct EmailAddress<'a> {
    address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// The bytes of the request body.
///
/// # Errors
/// The request is larger than Graph allows; names the column that fills it.
pub fn encode(draft: &EventDraft) -> Result<Vec<u8>, InvalidJob> {
    let mut extra = draft.extra.clone();
    let mut extended = extended_of(&mut extra)?;
    extended.push(Extended::Agents { id: MARKER, value: &draft.transaction_id });
    let event = Event {
        subject: draft.subject.as_deref(),
        body: draft.body.as_ref().map(|body| Body { content_type: body.kind.as_str(), content: &body.content }),
        start: time(&draft.start),
        end: time(&draft.end),
        location: draft.location.as_deref().map(|display_name| Location { display_name }),
        attendees: draft.attendees.iter().map(attendee).collect(),
        extra,
        transaction_id: &draft.transaction_id,
        single_value_extended_properties: extended,
    };
    let bytes = bytes(&event)?;
    draft.check_size(bytes.len())?;
    Ok(bytes)
}

/// The bytes of a change: exactly what the row says. `times` as the event wants them, `body` if it is another than the row's
/// own. The revision goes along, but not with attendees alone, who would not be alone then (graph-lifecycle 1.3).
///
/// # Errors
/// The request is larger than Graph allows.
pub(super) fn encode_change(
    change: &EventChange,
    times: Option<&(EventTime, EventTime)>,
    body: Option<&job::Body>,
) -> Result<Vec<u8>, InvalidJob> {
    let mut extra = change.extra.clone();
    let mut extended = extended_of(&mut extra)?;
    if !change.is_of_attendees_alone() {
        extended.push(Extended::Agents { id: REVISION, value: &change.revision });
    }
    let event = Change {
        subject: change.subject.as_deref(),
        body: body.map(|body| Body { content_type: body.kind.as_str(), content: &body.content }),
        start: times.map(|(start, _)| time(start)),
        end: times.map(|(_, end)| time(end)),
        location: change.location.as_deref().map(|display_name| Location { display_name }),
        attendees: change.attendees.as_ref().map(|attendees| attendees.iter().map(attendee).collect()),
        extra,
        single_value_extended_properties: extended,
    };
    let bytes = bytes(&event)?;
    change.check_size(bytes.len())?;
    Ok(bytes)
}

/// Maps with text keys and plain values always serialize; should that ever change, the job says so.
fn bytes(event: &impl Serialize) -> Result<Vec<u8>, InvalidJob> {
    serde_json::to_vec(event).map_err(|error| InvalidJob::new("extra", format!("cannot be sent ({error})")))
}

/// The producer's own extended properties, taken out of `extra`.
fn extended_of<'a>(extra: &mut Map<String, Value>) -> Result<Vec<Extended<'a>>, InvalidJob> {
    let extended = match extra.shift_remove(EXTENDED) {
        Some(Value::Array(own)) => own,
        _ => Vec::new(),
    };
    match extended.iter().find_map(markers_own) {
        Some(id) => Err(InvalidJob::new(
            "extra",
            format!("sets '{id}' in singleValueExtendedProperties, the agent's own marker property; leave it out"),
        )),
        None => Ok(extended.into_iter().map(Extended::Producers).collect()),
    }
}

fn attendee(attendee: &job::Attendee) -> Attendee<'_> {
    Attendee {
        email_address: EmailAddress { address: &attendee.address, name: attendee.name.as_deref() },
        r#type: attendee.kind.as_str(),
    }
}

/// The id, however it is written, of a property that is one of the agent's own set: Exchange compares neither the letters
/// of the set's id nor those of the words around it, and people write it with and without its braces.
fn markers_own(property: &Value) -> Option<&str> {
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let own = plain(MARKER.split(['{', '}']).nth(1).unwrap_or(MARKER));
    let ids = property.as_object()?.iter().filter(|(key, _)| key.trim().eq_ignore_ascii_case("id"));
    ids.filter_map(|(_, id)| id.as_str()).find(|id| plain(id).contains(&own))
}

fn time(time: &EventTime) -> Time<'_> {
    Time { date_time: &time.date_time, time_zone: &time.time_zone }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::job::JobInput;

    fn request(change: impl FnOnce(&mut JobInput)) -> Value {
        let mut input = JobInput {
            start_time: "2026-12-01T09:00".into(),
            end_time: "2026-12-01T10:00".into(),
            mailbox: "ann@contoso.com".into(),
            transaction_id: "t-1".into(),
            ..JobInput::default()
        };
        change(&mut input);
        serde_json::from_slice(&encode(&EventDraft::from_input(&input, false).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_bare_row_sends_times_transaction_id_and_marker_only() {
        assert_eq!(
            request(|_| {}),
            json!({
                "start": { "dateTime": "2026-12-01T09:00:00", "timeZone": "UTC" },
                "end": { "dateTime": "2026-12-01T10:00:00", "timeZone": "UTC" },
                "transactionId": "t-1",
                "singleValueExtendedProperties": [{ "id": MARKER, "value": "t-1" }],
            })
        );
    }

    #[test]
    fn a_full_row_sends_everything_and_extra_as_given() {
        let sent = request(|input| {
            input.subject = "Review".into();
            input.body = "<b>Hi</b>".into();
            input.body_type = "html".into();
            input.location = "Room 1".into();
            input.attendees = r#"[{"name":"Ann","address":"ann@contoso.com","required":true},
                {"name":null,"address":"room1@contoso.com","type":"resource"}]"#
                .into();
            input.extra = r#"{"showAs":"oof","reminderMinutesBeforeStart":0,
                "singleValueExtendedProperties":[{"id":"String {0} Name X","value":"1"}]}"#
                .into();
        });
        assert_eq!(sent["subject"], "Review");
        assert_eq!(sent["body"], json!({ "contentType": "html", "content": "<b>Hi</b>" }));
        assert_eq!(sent["location"], json!({ "displayName": "Room 1" }));
        assert_eq!(
            sent["attendees"],
            json!([
                { "emailAddress": { "address": "ann@contoso.com", "name": "Ann" }, "type": "required" },
                { "emailAddress": { "address": "room1@contoso.com" }, "type": "resource" },
            ])
        );
        assert_eq!((&sent["showAs"], &sent["reminderMinutesBeforeStart"]), (&json!("oof"), &json!(0)));
        let properties = sent["singleValueExtendedProperties"].as_array().unwrap();
        assert_eq!((properties.len(), &properties[1]["id"]), (2, &json!(MARKER)));
    }

    #[test]
    fn the_marker_cannot_be_set_in_any_spelling() {
        for property in [
            format!(r#"{{"id":"{MARKER}","value":"x"}}"#),
            r#"{"id":"string {6D0C5F0E-27A4-4A4B-9F0E-3C1D5B8E7A92} name EVENTSENDERTRANSACTIONID","value":"x"}"#
                .into(),
            r#"{"id":"String  {6d0c5f0e-27a4-4a4b-9f0e-3c1d5b8e7a92}  Name  EventSenderTransactionId ","value":"x"}"#
                .into(),
            r#"{"id":"String {6d0c5f0e27a44a4b9f0e3c1d5b8e7a92} Name EventSenderTransactionId","value":"x"}"#.into(),
            r#"{"id":"String 6d0c5f0e-27a4-4a4b-9f0e-3c1d5b8e7a92 Name EventSenderTransactionId","value":"x"}"#.into(),
            r#"{"id":"Integer {6d0c5f0e-27a4-4a4b-9f0e-3c1d5b8e7a92} Id 0x1","value":"1"}"#.into(),
            r#"{"ID":"String {6d0c5f0e-27a4-4a4b-9f0e-3c1d5b8e7a92} Name Any","value":"x"}"#.into(),
        ] {
            let input = JobInput {
                start_time: "2026-12-01T09:00".into(),
                end_time: "2026-12-01T10:00".into(),
                mailbox: "ann@contoso.com".into(),
                extra: format!(r#"{{"singleValueExtendedProperties":[{property}]}}"#).as_str().into(),
                transaction_id: "t-1".into(),
                ..JobInput::default()
            };
            let refused = encode(&EventDraft::from_input(&input, false).unwrap()).unwrap_err();
            let said = refused.to_string();
            assert!(said.contains("extra") && said.contains("singleValueExtendedProperties"), "{property}: {said}");
        }
    }

    #[test]
    fn more_than_four_megabytes_are_refused_before_sending() {
        let input = JobInput {
            start_time: "2026-12-01T09:00".into(),
            end_time: "2026-12-01T10:00".into(),
            mailbox: "ann@contoso.com".into(),
            // Every quote takes two bytes in JSON: small enough as a column, too large as a request.
            body: "\"".repeat(3 * 1024 * 1024).as_str().into(),
            transaction_id: "t-1".into(),
            ..JobInput::default()
        };
        let error = encode(&EventDraft::from_input(&input, false).unwrap()).unwrap_err();
        assert_eq!(error.column, "body");
    }
}
