//! The requests that end an event, and what shows that it has ended.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::super::update::tests::{MARK, damaged, event, target};
use super::*;
use crate::graph::wire::EXTENDED;
use crate::job::Answer;

fn asked(with: Value, comment: Option<&str>) -> Request {
    let seen = look::seen(&event(with)).unwrap().0;
    let base = GraphBase::new("https://graph.microsoft.com", "v1.0");
    request(&base, &target(None), &Cancellation { comment: comment.map(str::to_owned) }, &seen).unwrap()
}

#[test]
fn a_meeting_is_cancelled_with_the_comment_and_an_event_without_attendees_deleted() {
    for (comment, body) in [(Some("Sorry\n"), r#"{"comment":"Sorry\n"}"#), (None, r#"{"comment":""}"#)] {
        let request = asked(json!({}), comment);
        assert_eq!(request.url, "https://graph.microsoft.com/v1.0/users/ann@contoso.com/events/AA%2Fb%3D/cancel");
        assert_eq!((request.method, request.body.as_deref()), (Method::Post, Some(body.as_bytes())));
        assert_eq!((request.purpose, request.if_match), (Purpose::End, None));
    }
    let request = asked(json!({ "attendees": [] }), Some("Sorry"));
    assert_eq!(request.url, "https://graph.microsoft.com/v1.0/users/ann@contoso.com/events/AA%2Fb%3D");
    assert_eq!((request.method, request.body), (Method::Delete, None));
    // Somebody whose address is not told is to be told all the same.
    assert_eq!(asked(json!({ "attendees": [{}] }), None).method, Method::Post);
}

#[test]
fn a_comment_too_large_for_a_request_is_refused_by_name() {
    let seen = look::seen(&event(json!({}))).unwrap().0;
    let base = GraphBase::new("https://graph.microsoft.com", "v1.0");
    let end = Cancellation { comment: Some("\"".repeat(3 * 1024 * 1024)) };
    assert_eq!(request(&base, &target(None), &end, &seen).unwrap_err().column, "body");
}

#[test]
fn every_row_of_the_table_of_uncertain_ends_has_its_verdict() {
    let shown = |with: Value| verdict(&event(with), &target(Some(MARK)), damaged());
    assert!(matches!(shown(json!({ "isCancelled": true })), Verified::Done(done) if done.id.0 == "AA/b="));
    assert!(matches!(shown(json!({ "isCancelled": true, "isOrganizer": false })), Verified::Done(_)));
    assert!(matches!(shown(json!({})), Verified::Open(_)));
    assert!(matches!(shown(json!({ "@odata.etag": "MISSING" })), Verified::Open(_)));
    for (with, cause) in [
        (json!({ "isOrganizer": false }), Cause::NotOrganizer),
        (json!({ "type": "occurrence" }), Cause::OneOfSeries),
        (json!({ "type": "exception", "isCancelled": true }), Cause::OneOfSeries),
        (json!({ EXTENDED: "MISSING", "isCancelled": true }), Cause::OtherEvent),
    ] {
        assert_eq!(shown(with), look::refused(cause).into());
    }
    for name in ["id", "type", "isAllDay", "isCancelled", "isOrganizer", "attendees"] {
        assert_eq!(shown(json!({ name: "MISSING" })), damaged().into(), "{name}");
    }
    let met = |outcome: Outcome| unseen(&target(None), CallResult::new(outcome, Answer::default()));
    assert!(matches!(met(Outcome::NoTarget(Cause::EventGone)), Verified::Done(_)));
    for outcome in [
        Outcome::NoTarget(Cause::NotOrganizer),
        Outcome::Refused(Cause::WrongCalendar),
        Outcome::Refused(Cause::EventRefused),
        Outcome::NoMailbox,
        Outcome::NotGraph,
        Outcome::ServerFault,
    ] {
        assert!(matches!(met(outcome), Verified::Unknown(_)));
    }
}

#[test]
fn only_graphs_own_word_says_that_an_event_has_ended() {
    let id = EventId("AAMk".into());
    let reply = |status: u16| Reply { status, request_id: Some("r".into()), ..Reply::default() };
    let says = |reply: &Reply, outcome: &Outcome| ended(&id, reply, outcome).is_some();
    let odd = Outcome::ReplyDamaged;
    assert!(says(&reply(202), &odd) && says(&reply(204), &odd));
    for status in [200, 201, 203, 206, 207, 302, 400, 404, 500] {
        assert!(!says(&reply(status), &odd), "{status}");
    }
    for status in [202, 204] {
        assert!(!says(&Reply { request_id: None, ..reply(status) }, &odd));
        assert!(!says(&Reply { is_object: true, ..reply(status) }, &odd));
        assert!(!says(&Reply { is_kept: true, ..reply(status) }, &odd));
    }
    assert!(says(&reply(404), &Outcome::NoTarget(Cause::EventGone)));
    for outcome in [Outcome::NoTarget(Cause::NotOrganizer), Outcome::Refused(Cause::EventRefused), Outcome::NotGraph] {
        assert!(!says(&reply(404), &outcome));
    }
}
