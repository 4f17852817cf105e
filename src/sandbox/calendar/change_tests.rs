//! What a PATCH is taken for, and what it leaves of an event.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

const MARKER: &str = "String {66f5a359-4659-4830-9070-00040ec6ac6e} Name Marker";
const REVISION: &str = "String {66f5a359-4659-4830-9070-00040ec6ac6e} Name Revision";

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn event() -> Map<String, Value> {
    object(json!({
        "subject": "Review",
        "transactionId": "t-1",
        "start": {"dateTime": "2026-12-01T09:00:00", "timeZone": "UTC"},
        "end": {"dateTime": "2026-12-01T10:00:00", "timeZone": "UTC"},
        "locations": [{"displayName": "Room 1"}],
        "singleValueExtendedProperties": [{"id": MARKER, "value": "t-1"}],
    }))
}

fn applied(change: Value) -> Result<Changed, Refusal> {
    Change::read(object(change))?.apply(&event(), None)
}

#[test]
fn what_a_change_leaves_out_stays() {
    let changed = applied(json!({"subject": "Retro", "location": {"displayName": "Room 2"}, "id": "x"})).unwrap();
    assert_eq!(changed.properties["subject"], "Retro");
    assert_eq!(changed.properties["start"], event()["start"]);
    assert!(!changed.properties.contains_key("locations") && !changed.properties.contains_key("id"));
    assert_eq!(changed.draft.transaction_id.as_deref(), Some("t-1"));
}

#[test]
fn extended_properties_are_merged_by_id() {
    let two = json!([{"id": REVISION, "value": "u-1"}, {"id": MARKER.replace("String", "string"), "value": "t-2"}]);
    let changed = applied(json!({"singleValueExtendedProperties": two})).unwrap();
    let properties = changed.properties["singleValueExtendedProperties"].as_array().unwrap();
    assert_eq!((properties.len(), &properties[0]["value"], &properties[1]["value"]), (2, &json!("t-2"), &json!("u-1")));
    let odd = applied(json!({"singleValueExtendedProperties": [{"id": "Revision", "value": "x"}]})).unwrap_err();
    assert_eq!(odd.code, "ErrorInvalidProperty");
}

#[test]
fn what_a_change_may_not_name_is_refused() {
    for (change, code) in [
        (json!({"transactionId": "t-2"}), "ErrorInvalidRequest"),
        (json!({"start": {"dateTime": "2026-12-01T08:00:00"}}), "TimeZoneNotSupportedException"),
        (json!({"end": null}), "TimeZoneNotSupportedException"),
        (json!({"end": {"dateTime": "2026-12-01T08:00:00", "timeZone": "UTC"}}), "ErrorPropertyValidationFailure"),
        (json!({"Subject": "x"}), "RequestBodyRead"),
        (json!({"isAllDay": true}), "ErrorInvalidRequest"),
    ] {
        assert_eq!(applied(change.clone()).unwrap_err().code, code, "{change}");
    }
}

#[test]
fn a_series_stays_in_its_zone() {
    let mut series = event();
    series.insert("recurrence".into(), json!({"pattern": {"type": "daily"}}));
    let moved = |zone: &str| {
        let start = json!({"start": {"dateTime": "2026-12-01T08:00:00", "timeZone": zone}});
        Change::read(object(start)).unwrap().apply(&series, None).map(|_| ())
    };
    assert_eq!(moved("utc"), Ok(()));
    assert_eq!(moved("Tokyo Standard Time").unwrap_err().code, "ErrorPropertyValidationFailure");
}

#[test]
fn a_body_without_the_link_takes_the_meeting_offline() {
    let mut online = event();
    online.insert("isOnlineMeeting".into(), json!(true));
    let lost = |change: Value| Change::read(object(change)).unwrap().apply(&online, Some("https://join/1")).unwrap();
    let gone = lost(json!({"body": {"contentType": "html", "content": "New agenda"}}));
    assert!(gone.link_lost && gone.properties["isOnlineMeeting"] == false);
    let kept = lost(json!({"body": {"contentType": "html", "content": "New <a href=\"https://join/1\">join</a>"}}));
    assert!(!kept.link_lost && kept.properties["isOnlineMeeting"] == true);
    assert!(lost(json!({"isOnlineMeeting": false})).properties["isOnlineMeeting"] == true);
}

#[test]
fn only_a_change_of_nothing_but_attendees_is_about_attendees_alone() {
    let alone = |change: Value| Change::read(object(change)).unwrap().is_attendees_alone();
    assert!(alone(json!({"attendees": []})) && alone(json!({"attendees": [], "attendees@odata.type": "x"})));
    assert!(!alone(json!({"attendees": [], "subject": "x"})) && !alone(json!({"subject": "x"})));
}
