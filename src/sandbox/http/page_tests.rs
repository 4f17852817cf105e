//! The page as a browser gets it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::minute;
use crate::sandbox::testbed::{Bed, MAILBOX, meeting};

#[tokio::test]
async fn an_empty_sandbox_says_how_an_event_gets_there() {
    let page = Bed::new().await.get("/").await.unwrap().text;
    assert!(page.contains("event-sender enqueue") && page.contains("No mail has been sent"), "{page}");
    assert!(page.contains("everything is answered as Microsoft 365 would"), "{page}");
}

#[tokio::test]
async fn each_calendar_has_its_events_with_who_is_invited_and_what_was_mailed() {
    let bed = Bed::new().await;
    let mut invited = meeting("Review <b>&", None);
    invited["attendees"] = json!([
        {"emailAddress": {"address": "ann@contoso.com"}, "type": "required"},
        {"emailAddress": {"address": "room@contoso.com"}, "type": "resource"}
    ]);
    invited["location"] = json!({"displayName": "Room 1"});
    assert_eq!(bed.create(MAILBOX, &invited).await.unwrap().status, 201);
    bed.create("bob@contoso.com", &meeting("Visit", None)).await.unwrap();
    bed.control("faults", &json!({"action": "lost_reply", "subject": "<script>"})).await;
    let page = bed.get("/").await.unwrap().text;
    for shown in [
        "<h3>bob@contoso.com</h3>",
        "<h3>calendar@contoso.com</h3>",
        "<td class=\"subject\">Review &lt;b&gt;&amp;</td><td class=\"\">Room 1</td>",
        "ann@contoso.com, room@contoso.com (resource)",
        "<td class=\"\">invitation</td><td class=\"\">ann@contoso.com</td><td class=\"\">calendar@contoso.com</td>",
        "&quot;lost_reply&quot;",
        "2 in the calendars, 0 cancelled or deleted, 3 mails sent.",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("<script"), "{page}");
}

#[test]
fn a_whole_minute_has_no_seconds_and_what_is_no_time_stands_as_it_is() {
    for (time, shown) in [
        ("2030-12-01T09:00:00.0000000", "2030-12-01 09:00"),
        ("2030-12-01T09:00", "2030-12-01 09:00"),
        ("2030-12-01T09:00:05", "2030-12-01 09:00:05"),
        ("äöüäöüäöüäöüä", "äöüäöüäöüäöüä"),
        ("", ""),
    ] {
        assert_eq!(minute(time), shown);
    }
}
