//! The lookup of an event that was to end, against a server of a few lines.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::graph::wire::{EXTENDED, MARKER};
use crate::http::NetworkSettings;
use crate::job::Cause;

const MARK: &str = "7d9f6d5e-0000-4000-8000-00000000000c";

type Answered = (u16, Value);

/// Answers each request with the next of these, and keeps the lines they were asked with.
async fn server(answers: Vec<Answered>) -> (GraphClient, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let lines = asked.clone();
    tokio::spawn(async move {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            lines.lock().unwrap().push(head.lines().next().unwrap().to_owned());
            let (mark, body) = (if body["proxy"] == true { "via: p" } else { "request-id: r" }, body.to_string());
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status} X\r\n{mark}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let network = NetworkSettings {
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(5),
        extra_ca: None,
    };
    (GraphClient::new(&url, "v1.0", network, Instant::now()).unwrap(), asked)
}

fn target(marker: Option<&str>) -> EventTarget {
    EventTarget {
        mailbox: Some("ann@contoso.com".into()),
        calendar_id: None,
        event_id: EventId("AAMk".into()),
        marker: marker.map(str::to_owned),
    }
}

fn event(created: &str) -> Answered {
    let event = json!({
        "@odata.etag": "W/\"1\"",
        "id": "AAMk",
        "type": "singleInstance",
        "isAllDay": false,
        "isCancelled": false,
        "isOrganizer": true,
        "attendees": [],
        "iCalUId": "0400'00",
        "createdDateTime": created,
        EXTENDED: [{ "id": MARKER, "value": MARK }],
    });
    (200, event)
}

fn old() -> Answered {
    event("2026-01-01T00:00:00Z")
}

fn listed(id: &str, mark: &str) -> Value {
    json!({ "id": id, EXTENDED: [{ "id": MARKER, "value": mark }] })
}

fn page(events: &[Value]) -> Answered {
    (200, json!({ "value": events }))
}

fn first_page(events: &[Value]) -> Answered {
    (200, json!({ "value": events, "@odata.nextLink": "/v1.0/more" }))
}

/// What is found, and how many questions that took.
async fn found(marker: Option<&str>, in_doubt: bool, answers: Vec<Answered>) -> (Verified, Vec<String>) {
    let (graph, asked) = server(answers).await;
    let evidence = Evidence::Ended(target(marker));
    let mut search = Search::new(&evidence, None, in_doubt, Instant::now());
    let now = Now { wall: "2026-01-01T01:00:00Z".parse().unwrap(), ..Now::read() };
    loop {
        if let Some(verified) = graph.verify(&mut search, &Secret::new("t".into()), now).await {
            let asked = asked.lock().unwrap().clone();
            return (verified, asked);
        }
    }
}

fn is_done(verified: &Verified) -> bool {
    *verified == Verified::Done(EventId("AAMk".into()).into())
}

fn outcome(verified: &Verified) -> Option<&Outcome> {
    match verified {
        Verified::Unknown(result) => Some(&result.outcome),
        _ => None,
    }
}

#[tokio::test]
async fn an_event_that_is_there_by_its_id_and_in_no_calendar_has_ended_once_it_would_be_listed() {
    let (verified, asked) = found(Some(MARK), true, vec![old(), page(&[])]).await;
    assert!(is_done(&verified) && asked.len() == 2, "{verified:?}");
    assert!(asked[0].starts_with("GET /v1.0/users/ann@contoso.com/events/AAMk?$select=id,"), "{}", asked[0]);
    assert!(asked[1].contains(MARK), "{}", asked[1]);
    let young = event("2026-01-01T00:50:00Z");
    let (verified, _) = found(Some(MARK), true, vec![young.clone(), page(&[])]).await;
    assert!(
        matches!(&verified, Verified::Unknown(result) if result.answer.code.as_deref() == Some("not_listed_yet")),
        "{verified:?}"
    );
    let (verified, _) = found(Some(MARK), true, vec![young, page(&[listed("AAMk", MARK)])]).await;
    assert!(matches!(verified, Verified::Open(_)), "{verified:?}");
}

#[tokio::test]
async fn an_event_that_is_listed_is_to_end_still_and_one_that_is_not_in_doubt_is_not_looked_up() {
    let (verified, _) = found(Some(MARK), true, vec![old(), page(&[listed("AAMk", MARK)])]).await;
    assert!(matches!(verified, Verified::Open(_)), "{verified:?}");
    let (verified, asked) = found(Some(MARK), false, vec![old()]).await;
    assert!(matches!(verified, Verified::Open(_)) && asked.len() == 1, "{verified:?}");
}

#[tokio::test]
async fn a_listing_of_another_event_or_without_its_end_proves_nothing() {
    let another = "7d9f6d5e-0000-4000-8000-00000000000d";
    for listing in [
        page(&[listed("BB", another)]),
        page(&[json!({ "id": "AAMk" })]),
        page(&[json!({ EXTENDED: [{ "id": MARKER, "value": MARK }] })]),
        (200, json!({})),
        (200, json!({ "value": {} })),
        (200, json!({ "value": [], "@odata.nextLink": "https://elsewhere.example/" })),
        (202, json!({ "value": [] })),
    ] {
        let (verified, _) = found(Some(MARK), true, vec![old(), listing.clone()]).await;
        assert_eq!(outcome(&verified), Some(&Outcome::ReplyDamaged), "{listing:?}");
    }
}

#[tokio::test]
async fn a_listing_is_read_to_its_end() {
    let (verified, asked) = found(Some(MARK), true, vec![old(), first_page(&[]), page(&[listed("AAMk", MARK)])]).await;
    assert!(matches!(verified, Verified::Open(_)) && asked[2].starts_with("GET /v1.0/more "), "{verified:?}");
    let (verified, asked) = found(Some(MARK), true, vec![old(), first_page(&[]), page(&[])]).await;
    assert!(is_done(&verified) && asked.len() == 3, "{verified:?}");
    // A page with the event on it says enough.
    let (verified, asked) = found(Some(MARK), true, vec![old(), first_page(&[listed("AAMk", MARK)])]).await;
    assert!(matches!(verified, Verified::Open(_)) && asked.len() == 2, "{verified:?}");
}

#[tokio::test]
async fn an_event_named_by_its_id_is_listed_by_its_id_in_everybodys_calendar() {
    let uid = |uid: &str| json!({ "id": "AA-another-form", "iCalUId": uid });
    let (verified, asked) = found(None, true, vec![old(), page(&[uid("0400'00")])]).await;
    assert!(matches!(verified, Verified::Open(_)), "{verified:?}");
    assert!(asked[1].contains("iCalUId%20eq%20%270400%27%2700%27"), "{}", asked[1]);
    let (verified, _) = found(None, true, vec![old(), page(&[])]).await;
    assert!(is_done(&verified), "{verified:?}");
    let (verified, _) = found(None, true, vec![old(), page(&[uid("0500")])]).await;
    assert_eq!(outcome(&verified), Some(&Outcome::ReplyDamaged));
}

#[tokio::test]
async fn a_missing_event_has_ended_and_a_missing_mailbox_calendar_or_server_says_nothing() {
    let error = |code: &str| json!({ "error": { "code": code, "message": "m" } });
    let (verified, _) = found(Some(MARK), false, vec![(404, error("ErrorItemNotFound"))]).await;
    assert!(is_done(&verified), "{verified:?}");
    for (answer, expected) in [
        (error("ErrorInvalidUser"), Outcome::NoMailbox),
        (error("ErrorFolderNotFound"), Outcome::Refused(Cause::WrongCalendar)),
        (error("SomethingNew"), Outcome::Refused(Cause::EventRefused)),
        (json!({ "proxy": true }), Outcome::NotGraph),
        (json!({ "proxy": true, "error": { "code": "itemNotFound" } }), Outcome::NotGraph),
    ] {
        for in_doubt in [false, true] {
            let (verified, _) = found(Some(MARK), in_doubt, vec![(404, answer.clone())]).await;
            assert_eq!(outcome(&verified), Some(&expected), "{answer}");
        }
    }
}
