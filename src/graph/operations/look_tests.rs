//! An event in an answer, as a change sees it.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::super::update::tests::event;
use super::*;
use crate::job::EventId;

#[test]
fn an_event_is_seen_with_all_that_a_change_depends_on() {
    let told = event(json!({
        "isOnlineMeeting": true,
        "onlineMeeting": { "joinUrl": "https://t.example/j" },
        "body": { "contentType": "HTML", "content": "<p>" },
        "attendees": [
            { "type": "required", "emailAddress": { "address": " Ann@Contoso.com" } },
            { "type": "Optional", "emailAddress": { "address": "bob@contoso.com" } },
            { "type": "resource", "emailAddress": { "address": "room@contoso.com" } },
            { "status": {} },
        ],
    }));
    let (seen, standing) = super::seen(&told).unwrap();
    let expected = Snapshot {
        event: EventRef {
            id: EventId("AA/b=".into()),
            web_link: Some("https://outlook.office365.com/owa/?itemid=AA".into()),
            ical_uid: Some("040000".into()),
            join_url: Some("https://t.example/j".into()),
            seen: None,
        },
        etag: Some("W/\"v1\"".into()),
        kind: EventType::Single,
        is_all_day: false,
        body: Some(Body { content: "<p>".into(), kind: BodyType::Html }),
        is_online: true,
        attendees: vec![
            ("ann@contoso.com".into(), AttendeeType::Required),
            ("bob@contoso.com".into(), AttendeeType::Optional),
            ("room@contoso.com".into(), AttendeeType::Resource),
            (String::new(), AttendeeType::Required),
        ],
        ends_at: Some("2026-12-01T09:00:00Z".parse().unwrap()),
        created_at: Some("2026-11-01T08:00:00Z".parse().unwrap()),
    };
    assert_eq!(seen, expected);
    assert!(standing.is_organizer && !standing.is_cancelled);
}

#[test]
fn an_event_is_over_when_its_day_is_over_everywhere_and_of_a_series_that_is_not_told() {
    let over = |with: Value| super::seen(&event(with)).unwrap().0.ends_at.map(crate::job::format_utc);
    let midnight = json!({ "dateTime": "2026-12-02T00:00:00.0000000", "timeZone": "UTC" });
    let whole = over(json!({ "isAllDay": true, "end": midnight }));
    assert_eq!(whole.as_deref(), Some("2026-12-02T12:00:00.000Z"));
    for with in [
        json!({ "type": "seriesMaster" }),
        json!({ "end": null }),
        json!({ "end": { "dateTime": "2026-12-02T00:00:00", "timeZone": "Tokyo Standard Time" } }),
        json!({ "end": { "dateTime": "soon", "timeZone": "UTC" } }),
    ] {
        assert_eq!(over(with.clone()), None, "{with}");
    }
}

#[test]
fn links_that_are_none_or_absurdly_long_are_left_out() {
    for bad in ["javascript:alert(1)", "https://a b", "https://x\ny", "", &format!("https://{}", "x".repeat(5000))] {
        let told = event(json!({ "webLink": bad, "iCalUId": 7, "onlineMeeting": { "joinUrl": bad } }));
        let seen = super::seen(&told).unwrap().0;
        assert_eq!((seen.event.web_link, seen.event.ical_uid, seen.event.join_url), (None, None, None), "{bad}");
        assert!(!seen.is_online);
    }
}

#[test]
fn every_refusal_has_words_of_its_own() {
    let causes = [Cause::OtherEvent, Cause::NotOrganizer, Cause::OneOfSeries, Cause::EventCalledOff, Cause::EventGone];
    let said: std::collections::BTreeSet<_> = causes.iter().map(|cause| refused(*cause).answer.message).collect();
    assert_eq!(said.len(), causes.len());
    for cause in causes {
        let answer = refused(cause).answer;
        assert_eq!((answer.cause, answer.code.as_deref()), (Some(cause), Some(cause.as_str())));
    }
}
