//! The life of an event over HTTP: read, changed, cancelled, deleted, and who gets mail on the way.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use serde_json::{Value, json};

use crate::sandbox::testbed::{Bed, Got, MAILBOX, event_path, meeting, read};
use crate::sandbox::*;

const MARKER: &str = "String {66f5a359-4659-4830-9070-00040ec6ac6e} Name Marker";
const REVISION: &str = "String {66f5a359-4659-4830-9070-00040ec6ac6e} Name Revision";

fn people(names: &[&str]) -> Value {
    let one = |name: &&str| json!({"emailAddress": {"address": format!("{name}@contoso.com")}, "type": "required"});
    json!(names.iter().map(one).collect::<Vec<_>>())
}

fn stamped(names: &[&str]) -> Value {
    let mut event = meeting("Review", Some("t-1"));
    event["attendees"] = people(names);
    event["singleValueExtendedProperties"] = json!([{"id": MARKER, "value": "t-1"}]);
    event
}

async fn made(bed: &Bed, names: &[&str]) -> String {
    bed.create(MAILBOX, &stamped(names)).await.unwrap().id().to_owned()
}

/// The mails since the first `skip`, as `kind attendee`.
fn mails(bed: &Bed, skip: usize) -> Vec<String> {
    let mails = bed.sandbox.mails().into_iter().skip(skip);
    let words = mails.map(|mail| format!("{:?} {}", mail.kind, mail.attendee.trim_end_matches("@contoso.com")));
    words.collect()
}

async fn listed(bed: &Bed, filter: &str) -> usize {
    let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    let got = bed.get(&format!("/v1.0/users/{MAILBOX}/events?$filter={filter}")).await.unwrap();
    got.body["value"].as_array().unwrap_or_else(|| panic!("{}", got.text)).len()
}

fn by_marker(id: &str, value: &str) -> String {
    format!("singleValueExtendedProperties/Any(ep: ep/id eq '{id}' and ep/value eq '{value}')")
}

fn not_found(got: &Got) -> bool {
    (got.status, got.code()) == (404, "ErrorItemNotFound")
}

fn conflict(got: &Got) -> bool {
    (got.status, got.code()) == (412, "ErrorIrresolvableConflict")
}

#[tokio::test]
async fn a_change_replaces_what_it_names_and_gives_another_version() {
    let bed = Bed::new().await;
    let id = made(&bed, &[]).await;
    let before = bed.event(&id).await;
    let change = json!({
        "subject": "Retro",
        "start": {"dateTime": "2026-12-01T07:30:00", "timeZone": "W. Europe Standard Time"},
        "singleValueExtendedProperties": [{"id": REVISION, "value": "u-1"}],
    });
    let zone = "outlook.timezone=\"Tokyo Standard Time\"";
    let got = read(bed.request("PATCH", &event_path(&id), &change).header("prefer", zone)).await.unwrap();
    assert_eq!((got.status, got.id(), &got.body["subject"]), (200, id.as_str(), &json!("Retro")));
    assert_eq!(got.body["start"], json!({"dateTime": "2026-12-01T06:30:00.0000000", "timeZone": "UTC"}));
    assert_eq!(got.body["end"], before.body["end"]);
    for changed in ["changeKey", "@odata.etag"] {
        assert_ne!(got.body[changed], before.body[changed], "{changed}");
    }
    assert_eq!(got.body["iCalUId"], before.body["iCalUId"]);
    assert!(got.body["lastModifiedDateTime"].as_str() >= before.body["createdDateTime"].as_str());
    let expand = format!("singleValueExtendedProperties($filter=id eq '{MARKER}' or id eq '{REVISION}')");
    let path = format!("{}?$select=id&$expand={}", event_path(&id), expand.replace(' ', "%20"));
    let both = bed.get(&path).await.unwrap().body["singleValueExtendedProperties"].clone();
    assert_eq!((&both[0]["value"], &both[1]["value"]), (&json!("t-1"), &json!("u-1")));
    assert_eq!(listed(&bed, &by_marker(REVISION, "u-1")).await, 1);
    assert_eq!(listed(&bed, &by_marker(MARKER, "t-1")).await, 1);
    let stored = bed.sandbox.events().remove(0);
    assert_eq!((stored.changes, stored.received), (1, stamped(&[])));
    assert_eq!(stored.changed.unwrap()["subject"], "Retro");
}

#[tokio::test]
async fn an_event_is_found_by_its_ical_uid() {
    let bed = Bed::new().await;
    let id = made(&bed, &[]).await;
    let uid = bed.event(&id).await.body["iCalUId"].as_str().unwrap().to_owned();
    assert_eq!(listed(&bed, &format!("iCalUId eq '{uid}'")).await, 1);
    assert_eq!(listed(&bed, "iCalUId eq '0400'").await, 0);
}

#[tokio::test]
async fn a_stale_etag_is_a_conflict_and_changes_nothing() {
    let bed = Bed::new().await;
    let id = made(&bed, &["ann"]).await;
    let etag = bed.event(&id).await.body["@odata.etag"].as_str().unwrap().to_owned();
    let change = |subject: &str| bed.request("PATCH", &event_path(&id), &json!({"subject": subject}));
    assert_eq!(read(change("One").header("if-match", &etag)).await.unwrap().status, 200);
    let stale = read(change("Two").header("if-match", &etag)).await.unwrap();
    assert!(conflict(&stale) && stale.body["error"]["message"].as_str().unwrap().contains("change key"));
    assert_eq!(read(change("Three").header("if-match", "*")).await.unwrap().status, 200);
    let gone = bed.request("DELETE", &event_path(&id), &Value::Null).header("if-match", &etag);
    assert!(conflict(&read(gone).await.unwrap()));
    assert_eq!(mails(&bed, 1), ["Update ann", "Update ann"]);
}

#[tokio::test]
async fn two_changes_at_once_are_a_conflict() {
    let bed = Bed::new().await;
    let id = made(&bed, &[]).await;
    bed.sandbox.script(Fault::slow(Duration::from_secs(600)).on(FaultOn::Patch));
    let slow = tokio::spawn(bed.request("PATCH", &event_path(&id), &json!({"subject": "One"})).send());
    bed.until(|sandbox| sandbox.events()[0].changes == 1).await;
    assert!(conflict(&bed.patch(&id, &json!({"subject": "Two"})).await));
    slow.abort();
    bed.until(|sandbox| sandbox.requests().iter().all(|record| record.duration_ms.is_some())).await;
    assert_eq!(bed.patch(&id, &json!({"subject": "Two"})).await.status, 200);
}

#[tokio::test]
async fn a_change_that_comes_late_meets_the_one_that_overtook_it() {
    let bed = Bed::new().await;
    let id = made(&bed, &[]).await;
    bed.sandbox.script(Fault::late(Duration::from_millis(300)).on(FaultOn::Patch));
    let late = bed.request("PATCH", &event_path(&id), &json!({"subject": "One"})).timeout(Duration::from_millis(50));
    assert!(late.send().await.is_err());
    bed.until(|sandbox| sandbox.requests().iter().all(|record| record.duration_ms.is_some())).await;
    assert_eq!(bed.patch(&id, &json!({"subject": "Two"})).await.status, 200);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(bed.event(&id).await.body["subject"], "Two");
}

#[tokio::test]
async fn every_change_of_more_than_attendees_mails_everybody_each_time() {
    let bed = Bed::new().await;
    let id = made(&bed, &["ann", "bob"]).await;
    assert_eq!(mails(&bed, 0), ["Invitation ann", "Invitation bob"]);
    for _ in 0..2 {
        assert_eq!(bed.patch(&id, &json!({"subject": "Retro"})).await.status, 200);
    }
    assert_eq!(mails(&bed, 2), ["Update ann", "Update bob", "Update ann", "Update bob"]);
    bed.patch(&id, &json!({"subject": "Retro", "attendees": people(&["bob", "cyd"])})).await;
    assert_eq!(mails(&bed, 6), ["Cancellation ann", "Invitation cyd", "Update bob"]);
}

#[tokio::test]
async fn a_change_of_attendees_alone_mails_those_concerned() {
    let bed = Bed::new().await;
    let id = made(&bed, &["ann", "bob"]).await;
    bed.patch(&id, &json!({"attendees": people(&["Bob", "cyd"])})).await;
    assert_eq!(mails(&bed, 2), ["Cancellation ann", "Invitation cyd"]);
    bed.patch(&id, &json!({"attendees": people(&["bob", "cyd"])})).await;
    assert_eq!(mails(&bed, 4), [""; 0]);
    bed.patch(&id, &json!({"attendees": []})).await;
    assert_eq!(mails(&bed, 4), ["Cancellation bob", "Cancellation cyd"]);
    assert_eq!(bed.event(&id).await.body["attendees"], json!([]));
}

#[tokio::test]
async fn a_refused_change_leaves_the_event_and_its_attendees_alone() {
    let bed = Bed::new().await;
    let id = made(&bed, &["ann"]).await;
    for (change, code) in [
        (json!({"transactionId": "t-2"}), "ErrorInvalidRequest"),
        (json!({"end": {"dateTime": "2026-12-01T10:00:00"}}), "TimeZoneNotSupportedException"),
        (json!({"subject": 7}), "RequestBodyRead"),
        (json!([1]), "BadRequest"),
    ] {
        let got = bed.patch(&id, &change).await;
        assert_eq!((got.status, got.code()), (400, code), "{change}");
    }
    assert_eq!((mails(&bed, 1).len(), bed.sandbox.events()[0].changes), (0, 0));
    assert!(not_found(&bed.patch("AAkAnone", &json!({"subject": "x"})).await));
}

#[tokio::test]
async fn a_deleted_event_is_gone_and_its_attendees_are_told_once() {
    let bed = Bed::new().await;
    let id = made(&bed, &["ann"]).await;
    let gone = bed.delete(&id).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    assert!(not_found(&bed.delete(&id).await) && not_found(&bed.event(&id).await));
    assert!(not_found(&bed.patch(&id, &json!({"subject": "x"})).await) && not_found(&bed.cancel(&id, "").await));
    assert_eq!(listed(&bed, &by_marker(MARKER, "t-1")).await, 0);
    assert_eq!(mails(&bed, 1), ["Cancellation ann"]);
    assert_eq!((bed.sandbox.events()[0].state, bed.sandbox.counters().events), (EventState::Deleted, 0));
    assert_ne!(made(&bed, &["ann"]).await, id, "a deleted event does not stand for a new one");
}

#[tokio::test]
async fn a_cancelled_event_lies_in_deleted_items_where_its_id_still_finds_it() {
    let bed = Bed::new().await;
    let id = made(&bed, &["ann"]).await;
    let gone = bed.cancel(&id, "Room flooded").await;
    assert_eq!((gone.status, gone.text.as_str()), (202, ""));
    let read = bed.event(&id).await;
    assert_eq!((read.status, &read.body["isCancelled"]), (200, &json!(true)));
    assert_eq!(listed(&bed, &by_marker(MARKER, "t-1")).await, 0);
    assert_eq!(mails(&bed, 1), ["Cancellation ann"]);
    assert_eq!(bed.sandbox.mails()[1].comment.as_deref(), Some("Room flooded"));
    bed.control("options", &json!({"tell_cancelled": false})).await;
    assert_eq!(bed.event(&id).await.body["isCancelled"], false);
    assert_eq!(bed.cancel(&id, "").await.status, 202);
    assert_eq!(mails(&bed, 2), ["Cancellation ann"], "a second cancel mails again");
    assert_eq!(bed.delete(&id).await.status, 204);
    assert_eq!((mails(&bed, 3).len(), bed.sandbox.counters().events), (0, 0));
}

#[tokio::test]
async fn only_a_meeting_can_be_cancelled_and_only_by_its_organizer() {
    let bed = Bed::new().await;
    let alone = made(&bed, &[]).await;
    let refused = bed.cancel(&alone, "").await;
    assert_eq!((refused.status, refused.code()), (400, "ErrorInvalidRequest"));
    let event = stamped(&["ann"]).as_object().unwrap().clone();
    let organizer = Some("boss@contoso.com".to_owned());
    let found = FoundEvent {
        mailbox: MAILBOX.into(),
        calendar_id: None,
        event,
        organizer,
        occurrence: false,
        state: EventState::Present,
    };
    let id = bed.sandbox.put(found).unwrap().id;
    let refused = bed.cancel(&id, "").await;
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("You need to be an organizer"));
    let changed = bed.patch(&id, &json!({"subject": "Mine"})).await;
    assert_eq!(
        (changed.status, &changed.body["subject"], &changed.body["isOrganizer"]),
        (200, &json!("Mine"), &json!(false))
    );
    assert_eq!(bed.delete(&id).await.status, 204);
    assert!(bed.sandbox.mails().is_empty());
    let odd =
        read(bed.request("POST", &format!("{}/cancel", event_path(&alone)), &json!({"reason": "x"}))).await.unwrap();
    assert_eq!((odd.status, odd.code()), (400, "BadRequest"));
}

#[tokio::test]
async fn an_online_meeting_loses_its_link_with_its_body() {
    let bed = Bed::new().await;
    let mut event = stamped(&["ann"]);
    event["isOnlineMeeting"] = json!(true);
    bed.control("options", &json!({"late_join_url": true})).await;
    let made = bed.create(MAILBOX, &event).await.unwrap();
    assert!(made.body["onlineMeeting"].is_null() && made.body["isOnlineMeeting"] == true);
    let online = bed.event(made.id()).await.body;
    let link = online["onlineMeeting"]["joinUrl"].as_str().unwrap();
    let html = online["body"]["content"].as_str().unwrap();
    assert!(
        html.contains("Microsoft Teams meeting")
            && html.contains(&format!("<a href=\"{link}\""))
            && html.contains("____")
    );
    let kept = json!({"body": {"contentType": "html", "content": html.replace("Agenda", "Plan")}});
    let kept = bed.patch(made.id(), &kept).await.body;
    assert_eq!((&kept["onlineMeeting"]["joinUrl"], &kept["isOnlineMeeting"]), (&json!(link), &json!(true)));
    assert_eq!(kept["body"]["content"], html.replace("Agenda", "Plan"));
    bed.patch(made.id(), &json!({"isOnlineMeeting": false, "subject": "Retro"})).await;
    assert_eq!(bed.event(made.id()).await.body["onlineMeeting"]["joinUrl"], link);
    let lost = bed.patch(made.id(), &json!({"body": {"contentType": "text", "content": "Plan B"}})).await.body;
    assert!(lost["onlineMeeting"].is_null() && lost["isOnlineMeeting"] == false);
    let back = bed.patch(made.id(), &json!({"isOnlineMeeting": true})).await.body;
    assert_ne!(back["onlineMeeting"]["joinUrl"], link);
}

#[tokio::test]
async fn the_occurrences_of_a_series_have_ids_of_their_own() {
    let bed = Bed::new().await;
    let mut event = stamped(&["ann"]);
    event["recurrence"] = json!({
        "pattern": {"type": "weekly", "interval": 2, "daysOfWeek": ["tuesday", "Thursday"]},
        "range": {"type": "numbered", "startDate": "2026-12-01", "numberOfOccurrences": 3, "endDate": "0001-01-01"},
    });
    let series = bed.create(MAILBOX, &event).await.unwrap();
    assert_eq!(series.body["type"], "seriesMaster");
    let path = format!("{}/instances", event_path(series.id()));
    let dates = bed.get(&path).await.unwrap().body["value"].clone();
    let starts: Vec<&str> =
        dates.as_array().unwrap().iter().map(|date| &date["start"]["dateTime"].as_str().unwrap()[..10]).collect();
    assert_eq!(starts, ["2026-12-01", "2026-12-03", "2026-12-15"]);
    assert_eq!((&dates[1]["type"], dates[1]["seriesMasterId"].is_string()), (&json!("occurrence"), true));
    let second = dates[1]["id"].as_str().unwrap();
    assert_eq!(bed.patch(second, &json!({"subject": "Moved"})).await.status, 200);
    assert_eq!(bed.event(second).await.body["subject"], "Moved");
    assert_eq!(mails(&bed, 1), ["Update ann"]);
    assert_eq!(listed(&bed, &by_marker(MARKER, "t-1")).await, 1, "a listing shows the series, not its dates");
    bed.delete(second).await;
    assert_eq!(bed.get(&path).await.unwrap().body["value"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_event_is_found_by_way_of_its_own_calendar_only() {
    let bed = Bed::new().await;
    let posted = bed.post(&format!("/v1.0/users/{MAILBOX}/calendars/Team/events"), &stamped(&[]));
    let id = read(posted).await.unwrap().id().to_owned();
    let path = |calendar: &str| format!("/v1.0/users/{MAILBOX}/calendars/{calendar}/events/{id}");
    assert_eq!(bed.get(&path("Team")).await.unwrap().status, 200);
    assert!(not_found(&bed.get(&path("Other")).await.unwrap()));
    assert!(not_found(&read(bed.request("DELETE", &path("Other"), &Value::Null)).await.unwrap()));
    assert_eq!(read(bed.request("DELETE", &path("Team"), &Value::Null)).await.unwrap().status, 204);
}

#[tokio::test]
async fn mailboxes_in_trouble_treat_changes_as_they_treat_creates() {
    let bed = Bed::new().await;
    for (mailbox, status) in [("full@contoso.com", 403), ("suspended@contoso.com", 403), ("denied@contoso.com", 403)] {
        let event = json!({"mailbox": mailbox, "event": stamped(&[])});
        let id = bed.control("events", &event).await.id().to_owned();
        let path = format!("/v1.0/users/{mailbox}/events/{id}");
        let got = read(bed.request("PATCH", &path, &json!({"subject": "x"}))).await.unwrap();
        assert_eq!(got.status, status, "{mailbox}");
    }
    let changes: Vec<u32> = bed.sandbox.events().iter().map(|event| event.changes).collect();
    assert_eq!(changes, [0, 1, 0], "only what a suspended mailbox refuses is carried out all the same");
}

#[tokio::test]
async fn faults_strike_every_kind_of_change_and_choose_by_the_subject_of_the_event() {
    let bed = Bed::new().await;
    let id = made(&bed, &["ann"]).await;
    for fault in [
        Fault::answer(409, "ErrorConflict").on(FaultOn::Get).subject("Review"),
        Fault::answer(412, "ErrorIrresolvableConflict").on(FaultOn::Patch).subject("Review"),
        Fault::lost_reply().on(FaultOn::Patch),
        Fault::answer(504, "UnknownError").applied().on(FaultOn::Cancel),
        Fault::answer(429, "ApplicationThrottled").retry_after("600").on(FaultOn::Delete).subject("Retro"),
    ] {
        bed.sandbox.script(fault);
    }
    assert_eq!(bed.event(&id).await.status, 409);
    assert!(conflict(&bed.patch(&id, &json!({"attendees": people(&["ann"])})).await));
    assert!(read(bed.request("PATCH", &event_path(&id), &json!({"subject": "Retro"}))).await.is_err());
    assert_eq!(bed.event(&id).await.body["subject"], "Retro");
    assert_eq!(bed.cancel(&id, "").await.status, 504);
    assert_eq!(bed.event(&id).await.body["isCancelled"], true);
    assert_eq!(bed.delete(&id).await.status, 429);
    assert_eq!(bed.delete(&id).await.status, 204);
    assert_eq!(bed.sandbox.counters().retry_after_violations, 1);
}
