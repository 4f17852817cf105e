//! The calendar over HTTP: creating, repeating, looking up, reading, and the mailboxes that cause trouble.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use crate::sandbox::testbed::{Bed, Got, MAILBOX, meeting, read};
use crate::sandbox::*;

const KEY: &str = "String {66f5a359-4659-4830-9070-00040ec6ac6e} Name QueueKey";

fn stamped(subject: &str, value: &str) -> Value {
    let mut event = meeting(subject, None);
    event["singleValueExtendedProperties"] = json!([{"id": KEY, "value": value}]);
    event
}

async fn lookup(bed: &Bed, id: &str, value: &str, more: &str) -> Got {
    let filter = format!("singleValueExtendedProperties/Any(ep: ep/id eq '{id}' and ep/value eq '{value}')");
    let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    bed.get(&format!("/v1.0/users/{MAILBOX}/events?$filter={filter}{more}")).await.unwrap()
}

#[tokio::test]
async fn a_created_event_comes_back_whole_in_utc() {
    let bed = Bed::new().await;
    let got = bed.create(MAILBOX, &meeting("Review", Some("t-1"))).await.unwrap();
    assert_eq!(got.status, 201);
    assert!(got.id().len() > 140 && got.headers.contains_key("request-id") && got.headers.contains_key("date"));
    assert_eq!(got.body["start"], json!({"dateTime": "2026-12-01T08:00:00.0000000", "timeZone": "UTC"}));
    assert_eq!(got.body["originalStartTimeZone"], "W. Europe Standard Time");
    assert_eq!(got.body["transactionId"], "t-1");
    assert_eq!(got.body["body"]["contentType"], "html");
    assert!(got.body["body"]["content"].as_str().unwrap().contains("Agenda &lt;attached&gt;"));
    assert_eq!(got.body["attendees"][0]["emailAddress"]["name"], "ann@contoso.com");
    for field in ["iCalUId", "changeKey", "@odata.etag", "webLink", "createdDateTime"] {
        assert!(got.body[field].is_string(), "{field}");
    }
    let stored = bed.sandbox.events();
    assert_eq!((stored.len(), stored[0].id.as_str()), (1, got.id()));
    assert_eq!(stored[0].received, meeting("Review", Some("t-1")));
}

#[tokio::test]
async fn what_does_not_fit_a_page_is_behind_the_link_to_the_next() {
    let bed = Bed::with(SandboxOptions { deduplicate: false, ..SandboxOptions::default() }).await;
    for _ in 0..12 {
        bed.create(MAILBOX, &stamped("Copy", "row-1")).await.unwrap();
    }
    let expand: String = url::form_urlencoded::byte_serialize(
        format!("singleValueExtendedProperties($filter=id eq '{KEY}')").as_bytes(),
    )
    .collect();
    let first = lookup(&bed, KEY, "row-1", &format!("&$select=id&$expand={expand}")).await;
    let events = first.body["value"].as_array().unwrap();
    assert_eq!((events.len(), &events[0]["singleValueExtendedProperties"][0]["value"]), (10, &json!("row-1")));
    let link = first.body["@odata.nextLink"].as_str().unwrap();
    let rest = bed.get(link.strip_prefix(&bed.sandbox.url()).unwrap()).await.unwrap();
    let events = rest.body["value"].as_array().unwrap();
    assert_eq!((events.len(), &events[1]["singleValueExtendedProperties"][0]["value"]), (2, &json!("row-1")));
    assert!(rest.body.get("@odata.nextLink").is_none(), "{}", rest.body);
}

#[tokio::test]
async fn an_answer_out_of_step_tells_of_another_event_or_of_another_request() {
    let bed = Bed::new().await;
    bed.sandbox.script(Fault::another_event());
    bed.sandbox.script(Fault::another_answer());
    bed.sandbox.script(Fault::another_event().on(FaultOn::Lookup));
    bed.sandbox.script(Fault::unnamed().on(FaultOn::Lookup));
    let mut event = stamped("Review", "row-1");
    event["transactionId"] = json!("t-1");
    let strange = bed.create(MAILBOX, &event).await.unwrap();
    assert!(
        strange.status == 201 && strange.body["transactionId"] != "t-1" && strange.id() != bed.sandbox.events()[0].id
    );
    let shifted = bed.create(MAILBOX, &event).await.unwrap();
    assert!(shifted.body["transactionId"] == "t-1" && shifted.headers["client-request-id"].len() == 36);
    assert_eq!(bed.sandbox.events().len(), 1, "the first one was carried out");
    let found = lookup(&bed, KEY, "row-1", "").await;
    assert_ne!(found.body["value"][0]["transactionId"], "t-1");
    let bare = lookup(&bed, KEY, "row-1", "").await;
    assert!(bare.body["value"][0].get("transactionId").is_none() && bare.body["value"][0]["id"].is_string());
}

#[tokio::test]
async fn a_repeated_transaction_id_with_the_same_content_returns_the_same_event() {
    let bed = Bed::new().await;
    let event = meeting("Review", Some("t-1"));
    let first = bed.create(MAILBOX, &event).await.unwrap();
    let again = bed.create("Calendar%40Contoso.com", &event).await.unwrap();
    assert_eq!((again.status, again.id()), (201, first.id()));
    assert_eq!(bed.sandbox.counters().events, 1);
    let elsewhere = bed.create("other@contoso.com", &event).await.unwrap();
    assert_ne!(elsewhere.id(), first.id());
}

#[tokio::test]
async fn a_repeated_transaction_id_with_other_content_is_refused() {
    let bed = Bed::new().await;
    let first = bed.create(MAILBOX, &meeting("Review", Some("t-1"))).await.unwrap();
    let clash = bed.create(MAILBOX, &meeting("Retro", Some("t-1"))).await.unwrap();
    assert_eq!((clash.status, clash.code()), (400, "ErrorDuplicateTransactionId"));
    let message = clash.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("has already been used to create a different event"));
    assert!(clash.body["error"].get("@event.existingEventId").is_none());
    bed.control("options", &json!({"existing_event_id": true})).await;
    let clash = bed.create(MAILBOX, &meeting("Retro", Some("t-1"))).await.unwrap();
    assert_eq!(clash.body["error"]["@event.existingEventId"], first.id());
}

#[tokio::test]
async fn without_deduplication_every_post_makes_an_event() {
    let bed = Bed::with(SandboxOptions { deduplicate: false, ..SandboxOptions::default() }).await;
    let event = meeting("Review", Some("t-1"));
    let first = bed.create(MAILBOX, &event).await.unwrap();
    let again = bed.create(MAILBOX, &event).await.unwrap();
    assert_ne!(first.id(), again.id());
    assert_eq!(bed.sandbox.counters().events, 2);
}

#[tokio::test]
async fn repeats_at_the_same_moment_make_one_event() {
    let bed = Bed::with(SandboxOptions { limits: false, ..SandboxOptions::default() }).await;
    let event = meeting("Review", Some("t-1"));
    let (a, b, c) = tokio::join!(bed.create(MAILBOX, &event), bed.create(MAILBOX, &event), bed.create(MAILBOX, &event));
    let ids = [a.unwrap(), b.unwrap(), c.unwrap()].map(|got| got.id().to_owned());
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(bed.sandbox.counters().events, 1);
}

#[tokio::test]
async fn a_marker_finds_its_event_in_any_case_of_the_value() {
    let bed = Bed::new().await;
    let made = bed.create(MAILBOX, &stamped("Review", "O'Neil-7")).await.unwrap();
    bed.create(MAILBOX, &stamped("Other", "row-8")).await.unwrap();
    let found = lookup(&bed, KEY, "o''neil-7", "&$select=id,subject").await;
    assert_eq!(found.status, 200);
    assert_eq!(found.body["value"].as_array().unwrap().len(), 1);
    let event = &found.body["value"][0];
    assert_eq!((event["id"].as_str().unwrap(), event["subject"].as_str().unwrap()), (made.id(), "Review"));
    assert!(event.get("start").is_none());
    let other_name = lookup(&bed, &KEY.replace("QueueKey", "queuekey"), "row-8", "").await;
    assert_eq!(other_name.body["value"], json!([]));
    assert_eq!(bed.sandbox.counters().lookup_requests, 2);
}

#[tokio::test]
async fn a_lookup_finds_nothing_when_that_is_turned_off() {
    let bed = Bed::with(SandboxOptions { lookup: false, ..SandboxOptions::default() }).await;
    bed.create(MAILBOX, &stamped("Review", "row-7")).await.unwrap();
    assert_eq!(lookup(&bed, KEY, "row-7", "").await.body["value"], json!([]));
}

#[tokio::test]
async fn any_other_filter_is_refused() {
    let bed = Bed::new().await;
    let got = bed.get(&format!("/v1.0/users/{MAILBOX}/events?$filter=transactionId+eq+'x'")).await.unwrap();
    assert_eq!((got.status, got.code()), (400, "ErrorInvalidProperty"));
}

#[tokio::test]
async fn an_event_is_read_by_its_case_sensitive_id() {
    let bed = Bed::new().await;
    let made = bed.create(MAILBOX, &stamped("Review", "row-7")).await.unwrap();
    let path = format!("/v1.0/users/{MAILBOX}/events");
    let expand = format!("$expand=singleValueExtendedProperties($filter=id eq '{KEY}')").replace(' ', "%20");
    let read = bed.get(&format!("{path}/{}?{expand}&$select=subject", made.id())).await.unwrap();
    assert_eq!((read.status, read.id()), (200, made.id()));
    assert_eq!(read.body["singleValueExtendedProperties"][0]["value"], "row-7");
    let wrong = bed.get(&format!("{path}/{}", made.id().to_lowercase())).await.unwrap();
    assert_eq!((wrong.status, wrong.code()), (404, "ErrorItemNotFound"));
}

#[tokio::test]
async fn preferences_choose_the_zone_and_the_form_of_the_id() {
    let bed = Bed::new().await;
    let path = format!("/v1.0/users/{MAILBOX}/events");
    let prefer = "outlook.timezone=\"Tokyo Standard Time\", IdType=\"ImmutableId\"";
    let got = read(bed.post(&path, &meeting("Review", None)).header("prefer", prefer)).await.unwrap();
    assert!(got.id().starts_with("AAkA"));
    assert_eq!(got.body["end"], json!({"dateTime": "2026-12-01T18:00:00.0000000", "timeZone": "Tokyo Standard Time"}));
    let odd = bed.post(&path, &meeting("Review", None)).header("prefer", "outlook.timezone=\"Mars\"");
    assert_eq!(read(odd).await.unwrap().code(), "TimeZoneNotSupportedException");
}

#[tokio::test]
async fn all_day_events_float() {
    let bed = Bed::new().await;
    let mut event = meeting("Holiday", None);
    event["isAllDay"] = json!(true);
    event["start"]["dateTime"] = json!("2026-12-01T00:00:00");
    event["end"]["dateTime"] = json!("2026-12-02T00:00:00");
    let got = bed.create(MAILBOX, &event).await.unwrap();
    assert_eq!(got.body["start"], json!({"dateTime": "2026-12-01T00:00:00.0000000", "timeZone": "UTC"}));
}

#[tokio::test]
async fn two_errors_leave_the_event_behind() {
    let bed = Bed::new().await;
    let suspended = bed.create("suspended@contoso.com", &meeting("Review", None)).await.unwrap();
    assert_eq!((suspended.status, suspended.code()), (403, "ErrorAccountSuspend"));
    let mut event = meeting("Review", None);
    event["attendees"][0]["emailAddress"]["address"] = json!("invalid-recipient@contoso.com");
    let invalid = bed.create(MAILBOX, &event).await.unwrap();
    assert_eq!((invalid.status, invalid.code()), (400, "ErrorInvalidRecipients"));
    assert_eq!(bed.sandbox.events().len(), 2);
}

#[tokio::test]
async fn closed_mailboxes_and_missing_calendars_leave_nothing_behind() {
    let bed = Bed::new().await;
    for (mailbox, status, code) in [
        ("nobody@contoso.com", 404, "ErrorInvalidUser"),
        ("calendar", 404, "ErrorInvalidUser"),
        ("denied@contoso.com", 403, "ErrorAccessDenied"),
        ("full@contoso.com", 403, "ErrorQuotaExceeded"),
        ("calendar@contoso.com/calendars/missing-1", 404, "ErrorItemNotFound"),
    ] {
        let got = bed.create(mailbox, &meeting("Review", None)).await.unwrap();
        assert_eq!((got.status, got.code()), (status, code), "{mailbox}");
    }
    assert_eq!(bed.get("/v1.0/users/full@contoso.com/calendar").await.unwrap().status, 200);
    assert_eq!(bed.get("/v1.0/users/locked@contoso.com/calendar").await.unwrap().status, 423);
    assert!(bed.sandbox.events().is_empty());
}

#[tokio::test]
async fn a_named_calendar_keeps_its_events() {
    let bed = Bed::new().await;
    let path = format!("/beta/users/{MAILBOX}/calendars/AAMk%2FB%3D/events");
    let made = read(bed.post(&path, &meeting("Review", None))).await.unwrap();
    assert_eq!((made.status, bed.sandbox.events()[0].calendar_id.as_deref()), (201, Some("AAMk/B=")));
    assert_eq!(bed.get(&path).await.unwrap().body["value"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let bed = Bed::new().await;
    let path = format!("/v1.0/users/{MAILBOX}/events");
    for request in [
        bed.post(&path, &meeting("x", None)).body("{\"subject\":"),
        bed.post(&path, &json!([1])),
        bed.post(&path, &meeting("x", None)).header("content-type", "text/plain").body("x"),
    ] {
        let got = read(request).await.unwrap();
        assert_eq!((got.status, got.code()), (400, "BadRequest"));
    }
    let odd = bed.create(MAILBOX, &json!({"Subject": "x"})).await.unwrap();
    assert_eq!(odd.code(), "RequestBodyRead");
}
