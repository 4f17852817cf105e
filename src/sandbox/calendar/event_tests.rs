//! What is taken and what is refused, with the code Graph answers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::*;

/// A plain meeting with some properties replaced.
fn event(changes: Value) -> Map<String, Value> {
    let mut event = json!({
        "subject": "Review",
        "body": {"contentType": "Text", "content": "Agenda"},
        "start": {"dateTime": "2026-12-01T09:00:00", "timeZone": "UTC"},
        "end": {"dateTime": "2026-12-01T10:00:00", "timeZone": "UTC"},
    });
    let target = event.as_object_mut().unwrap();
    target.extend(changes.as_object().unwrap().clone());
    target.clone()
}

fn refused(changes: Value) -> Refusal {
    Draft::read(&event(changes)).unwrap_err()
}

fn code(changes: Value) -> String {
    refused(changes).code
}

fn all_day(start: &str, end: &str) -> Value {
    json!({
        "isAllDay": true,
        "start": {"dateTime": start, "timeZone": "UTC"},
        "end": {"dateTime": end, "timeZone": "UTC"},
    })
}

#[test]
fn a_full_event_is_taken() {
    let draft = Draft::read(&event(json!({
        "location": {"displayName": "Room 1"},
        "attendees": [{"emailAddress": {"address": "a@x.example", "name": "A"}, "type": "required"}],
        "transactionId": "0d7c5c1e",
        "showAs": "busy", "importance": "normal", "sensitivity": "normal",
        "isReminderOn": true, "reminderMinutesBeforeStart": 15,
        "categories": ["Blue category"], "isOnlineMeeting": false, "hideAttendees": false,
        "recurrence": {
            "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"]},
            "range": {"type": "noEnd", "startDate": "2026-12-01"},
        },
        "singleValueExtendedProperties": [
            {"id": "String {66f5a359-4659-4830-9070-00040ec6ac6e} Name Key", "value": "row"},
        ],
    })))
    .unwrap();
    assert_eq!(draft.transaction_id.as_deref(), Some("0d7c5c1e"));
    assert_eq!(draft.markers.len(), 1);
    assert!(!draft.invalid_recipient && draft.note().is_none());
}

#[test]
fn an_unknown_property_is_named_with_its_type() {
    let outer = refused(json!({"Subject": "x"}));
    assert_eq!(outer.code, "RequestBodyRead");
    assert!(outer.message.starts_with("The property 'Subject' does not exist on type 'microsoft.graph.event'."));
    let inner = refused(json!({"location": {"name": "x"}}));
    assert!(inner.message.contains("'microsoft.graph.location'"));
}

#[test]
fn a_property_of_the_wrong_type_is_named() {
    for changes in [
        json!({"subject": 7}),
        json!({"subject": {}}),
        json!({"isAllDay": "true"}),
        json!({"attendees": {}}),
        json!({"attendees": [null]}),
        json!({"categories": [1]}),
        json!({"reminderMinutesBeforeStart": 1.5}),
        json!({"showAs": "away"}),
        json!({"body": {"contentType": "markdown"}}),
    ] {
        assert_eq!(code(changes.clone()), "RequestBodyRead", "{changes}");
    }
}

#[test]
fn start_and_end_are_needed() {
    assert_eq!(code(json!({"start": null})), "ErrorPropertyValidationFailure");
    assert_eq!(code(json!({"end": {"timeZone": "UTC"}})), "ErrorPropertyValidationFailure");
}

#[test]
fn an_unknown_zone_is_repeated_in_the_message() {
    let refusal = refused(json!({"start": {"dateTime": "2026-12-01T09:00:00", "timeZone": "Greenwich Mean Time"}}));
    assert_eq!(refusal.code, "TimeZoneNotSupportedException");
    assert!(refusal.message.contains("Greenwich Mean Time"));
}

#[test]
fn an_end_before_the_start_fails_without_naming_the_culprit() {
    let refusal = refused(json!({"end": {"dateTime": "2026-12-01T08:00:00", "timeZone": "UTC"}}));
    assert_eq!(refusal, Refusal::validation());
}

#[test]
fn moments_are_compared_across_zones() {
    let changes = json!({"end": {"dateTime": "2026-12-01T04:30:00", "timeZone": "Eastern Standard Time"}});
    assert!(Draft::read(&event(changes)).is_ok());
}

#[test]
fn an_all_day_event_runs_from_midnight_to_a_later_midnight() {
    assert!(Draft::read(&event(all_day("2026-12-01T00:00:00", "2026-12-02T00:00:00"))).is_ok());
    let start = refused(all_day("2026-12-01T09:00:00", "2026-12-02T00:00:00"));
    assert_eq!(start.code, "ErrorInvalidRequest");
    assert!(start.message.contains("Event.Start property for an all-day event needs to be set to midnight"));
    assert!(refused(all_day("2026-12-01T00:00:00", "2026-12-01T23:59:59")).message.contains("Event.End"));
    assert_eq!(code(all_day("2026-12-01T00:00:00", "2026-12-01T00:00:00")), "ErrorPropertyValidationFailure");
}

#[test]
fn an_offset_is_taken_and_remarked() {
    let draft = Draft::read(&event(json!({"start": {"dateTime": "2026-12-01T09:00:00Z", "timeZone": "UTC"}})));
    assert!(draft.unwrap().note().is_some());
}

#[test]
fn attendees_have_addresses_and_are_not_too_many() {
    assert_eq!(code(json!({"attendees": [{"type": "required"}]})), "ErrorPropertyValidationFailure");
    let many: Vec<Value> = (0..501).map(|n| json!({"emailAddress": {"address": format!("a{n}@x.example")}})).collect();
    assert_eq!(code(json!({"attendees": many})), "ErrorInvalidRequest");
    let odd = event(json!({"attendees": [{"emailAddress": {"address": "invalid-recipient@x.example"}}]}));
    assert!(Draft::read(&odd).unwrap().invalid_recipient);
}

#[test]
fn a_marker_needs_an_id_of_a_known_form() {
    let changes = json!({"singleValueExtendedProperties": [{"id": "Key", "value": "x"}]});
    assert_eq!(code(changes), "ErrorInvalidProperty");
}
