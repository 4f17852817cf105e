//! The control API, as a test in another process uses it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use crate::sandbox::testbed::{Bed, MAILBOX, event_path, meeting, read};

async fn wrong(bed: &Bed, path: &str, body: Value) -> String {
    let got = bed.control(path, &body).await;
    assert_eq!(got.status, 400, "{body}");
    got.body["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_arrived_can_be_asked_for() {
    let bed = Bed::new().await;
    bed.create(MAILBOX, &meeting("One", None)).await.unwrap();
    bed.create("other@contoso.com", &meeting("Two", None)).await.unwrap();
    let events = bed.get("/sandbox/events").await.unwrap();
    assert_eq!(events.body[1]["received"]["subject"], "Two");
    let some = bed.get("/sandbox/requests?mailbox=Other@contoso.com&kind=create").await.unwrap();
    assert_eq!(some.body.as_array().unwrap().len(), 1);
    let sequence = some.body[0]["sequence"].as_u64().unwrap();
    let (at, at_us) = (some.body[0]["at"].as_str().unwrap(), some.body[0]["at_us"].as_i64().unwrap());
    assert_eq!(chrono::DateTime::parse_from_rfc3339(at).unwrap().timestamp_millis(), at_us / 1000);
    assert_eq!(bed.get(&format!("/sandbox/requests?after={sequence}")).await.unwrap().body, json!([]));
    let counters = bed.get("/sandbox/counters").await.unwrap();
    assert_eq!((&counters.body["create_requests"], &counters.body["token_requests"]), (&json!(2), &json!(1)));
    assert_eq!(counters.body["max_in_flight"][MAILBOX], 1);
    assert_eq!(bed.get("/sandbox/health").await.unwrap().body["status"], "ok");
}

#[tokio::test]
async fn faults_come_one_or_many_and_can_be_taken_back() {
    let bed = Bed::new().await;
    let many = json!([{"action": "no_id"}, {"action": {"answer": {"status": 503}}, "times": 0}]);
    assert_eq!(bed.control("faults", &many).await.body, json!({"added": 2}));
    assert_eq!(bed.create(MAILBOX, &meeting("One", None)).await.unwrap().id(), "");
    assert_eq!(bed.create(MAILBOX, &meeting("Two", None)).await.unwrap().status, 503);
    let url = format!("{}/sandbox/faults", bed.sandbox.url());
    bed.client.delete(url).send().await.unwrap();
    assert_eq!(bed.create(MAILBOX, &meeting("Two", None)).await.unwrap().status, 201);
}

#[tokio::test]
async fn armed_faults_are_shown_counted_down_and_can_be_armed_again_as_shown() {
    let bed = Bed::new().await;
    assert_eq!(bed.get("/sandbox/faults").await.unwrap().body, json!([]));
    bed.control("faults", &json!([{"action": "no_id", "times": 2}, {"on": "patch", "action": {"slow": {"ms": 5}}}]))
        .await;
    bed.create(MAILBOX, &meeting("One", None)).await.unwrap();
    let armed = bed.get("/sandbox/faults").await.unwrap().body;
    assert_eq!((&armed[0]["action"], &armed[0]["times"]), (&json!("no_id"), &json!(1)));
    assert_eq!((&armed[1]["on"], &armed[1]["action"]), (&json!("patch"), &json!({"slow": {"ms": 5}})));
    bed.control("reset", &json!({})).await;
    assert_eq!(bed.get("/sandbox/faults").await.unwrap().body, json!([]));
    bed.control("faults", &armed).await;
    assert_eq!(bed.get("/sandbox/faults").await.unwrap().body, armed);
}

#[tokio::test]
async fn a_wrong_field_is_named() {
    let bed = Bed::new().await;
    assert!(wrong(&bed, "options", json!({"limits": true, "latency_ms": "fast"})).await.starts_with("latency_ms: "));
    assert!(wrong(&bed, "options", json!({"speed": 1})).await.contains("`speed`"));
    assert!(wrong(&bed, "faults", json!({"action": "no_id", "times": -1})).await.starts_with("times: "));
    let deep = wrong(&bed, "faults", json!({"times": 1, "action": {"answer": {"status": "x", "code": "y"}}})).await;
    assert!(deep.starts_with("action.answer.status: "), "{deep}");
    assert!(wrong(&bed, "faults", json!({"action": {"answer": {"status": 100}}})).await.starts_with("status: "));
    assert!(wrong(&bed, "faults", json!({"mailbox": "x"})).await.contains("`action`"));
    assert_eq!(bed.get("/sandbox/requests?kind=other&since=1").await.unwrap().status, 400);
    assert_eq!(bed.get("/sandbox/nothing").await.unwrap().status, 404);
}

#[tokio::test]
async fn a_reset_forgets_everything_but_tokens() {
    let bed = Bed::new().await;
    bed.control("options", &json!({"deduplicate": false})).await;
    bed.control("faults", &json!({"action": "no_id"})).await;
    bed.control("reset", &json!({})).await;
    let first = bed.create(MAILBOX, &meeting("One", Some("t"))).await.unwrap();
    let again = bed.create(MAILBOX, &meeting("One", Some("t"))).await.unwrap();
    assert_eq!((first.status, first.id()), (201, again.id()));
    assert_eq!(bed.sandbox.counters().create_requests, 2);
}

#[tokio::test]
async fn tokens_can_be_made_to_expire() {
    let bed = Bed::new().await;
    bed.control("expire-tokens", &json!({})).await;
    let got = bed.create(MAILBOX, &meeting("One", None)).await.unwrap();
    assert_eq!((got.status, got.code()), (401, "InvalidAuthenticationToken"));
    assert!(got.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer "));
}

#[tokio::test]
async fn mails_can_be_asked_for_by_event_attendee_and_kind() {
    let bed = Bed::new().await;
    let made = bed.create(MAILBOX, &meeting("One", Some("t-1"))).await.unwrap();
    bed.create("other@contoso.com", &meeting("Two", None)).await.unwrap();
    bed.cancel(made.id(), "Ill").await;
    let all = bed.get("/sandbox/mails").await.unwrap();
    assert_eq!(all.body.as_array().unwrap().len(), 3);
    let told = &all.body[2];
    assert_eq!((&told["event_id"], &told["transaction_id"]), (&json!(made.id()), &json!("t-1")));
    assert_eq!((&told["mailbox"], &told["attendee"]), (&json!(MAILBOX), &json!("ann@contoso.com")));
    assert_eq!(
        (&told["kind"], &told["comment"], told["at"].is_string()),
        (&json!("cancellation"), &json!("Ill"), true)
    );
    for (query, found) in [
        (format!("event_id={}", made.id().replace('=', "%3D")), 2),
        ("attendee=Ann@contoso.com&kind=invitation".to_owned(), 2),
        ("mailbox=other@contoso.com".to_owned(), 1),
        ("attendee=bob@contoso.com".to_owned(), 0),
    ] {
        let some = bed.get(&format!("/sandbox/mails?{query}")).await.unwrap();
        assert_eq!(some.body.as_array().unwrap().len(), found, "{query}");
    }
    assert_eq!(bed.get("/sandbox/mails?kind=letter").await.unwrap().status, 400);
    let counters = bed.get("/sandbox/counters").await.unwrap().body;
    assert_eq!((&counters["invitations"], &counters["cancellations"]), (&json!(2), &json!(1)));
    bed.control("reset", &json!({})).await;
    assert_eq!(bed.sandbox.counters().invitations, 0);
}

#[tokio::test]
async fn an_event_of_somebody_else_can_be_put_there() {
    let bed = Bed::new().await;
    let found =
        json!({"mailbox": "Calendar@contoso.com", "organizer": "boss@contoso.com", "event": meeting("Board", None)});
    let put = bed.control("events", &found).await;
    let got = bed.event(put.id()).await;
    assert_eq!((&got.body["subject"], &got.body["isOrganizer"]), (&json!("Board"), &json!(false)));
    assert_eq!(got.body["organizer"]["emailAddress"]["address"], "boss@contoso.com");
    assert!(bed.sandbox.mails().is_empty());
    let date = json!({"mailbox": MAILBOX, "occurrence": true, "event": meeting("Daily", None)});
    let put = bed.control("events", &date).await;
    let got = bed.event(put.id()).await;
    assert!(got.body["type"] == "occurrence" && got.body["seriesMasterId"].is_string());
    let error = wrong(&bed, "events", json!({"mailbox": MAILBOX, "event": {"subject": 1}})).await;
    assert!(error.starts_with("event: RequestBodyRead: ") && error.contains("'subject'"), "{error}");
    let nowhere = wrong(&bed, "events", json!({"mailbox": "bob", "event": meeting("Board", None)})).await;
    assert!(nowhere.starts_with("mailbox: \"bob\""), "{nowhere}");
    assert!(wrong(&bed, "events", json!({"mailbox": MAILBOX, "evnt": {}})).await.contains("`evnt`"));
}

#[tokio::test]
async fn the_page_shows_events_and_mails_with_markup_made_harmless() {
    let bed = Bed::new().await;
    let made = bed.create(MAILBOX, &meeting("<b>Review</b>", None)).await.unwrap();
    bed.cancel(made.id(), "Ill & away").await;
    let page = bed.get("/").await.unwrap();
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    for part in ["1 cancelled or deleted", "2 mails", ">&lt;b&gt;Review&lt;/b&gt;<", ">cancelled<", ">Ill &amp; away<"]
    {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
}

#[tokio::test]
async fn the_journal_names_the_event_of_a_request() {
    let bed = Bed::new().await;
    let made = bed.create(MAILBOX, &meeting("One", None)).await.unwrap();
    bed.patch(made.id(), &json!({"subject": "Two"})).await;
    let path = event_path(made.id());
    read(bed.request("DELETE", &path, &Value::Null)).await.unwrap();
    let records = bed.get("/sandbox/requests?kind=patch").await.unwrap().body;
    assert_eq!((&records[0]["event_id"], &records[0]["status"]), (&json!(made.id()), &json!(200)));
    let counters = bed.sandbox.counters();
    assert_eq!((counters.patch_requests, counters.delete_requests, counters.get_requests), (1, 1, 0));
}
