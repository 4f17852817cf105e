//! The bytes of a change, and what an event shows of it.
#![allow(clippy::unwrap_used)]

use serde_json::{Map, json};

use super::*;
use crate::graph::operations::look;
use crate::graph::wire::{EXTENDED, MARKER, REVISION};
use crate::job::{Answer, BodyType, EventRef, JobInput, Outcome, Seen};

pub(in crate::graph::operations) const MARK: &str = "7d9f6d5e-0000-4000-8000-00000000000c";
const OWN: &str = "7d9f6d5e-0000-4000-8000-000000000009";
const ANN: &str = r#"[{"name":"Ann","address":"Ann@contoso.com"}]"#;

pub(in crate::graph::operations) fn target(marker: Option<&str>) -> EventTarget {
    EventTarget {
        mailbox: Some("ann@contoso.com".into()),
        calendar_id: Some("cal/1".into()),
        event_id: EventId("AA/b=".into()),
        marker: marker.map(str::to_owned),
    }
}

/// An event as Graph tells of it, with these properties instead.
pub(in crate::graph::operations) fn event(with: Value) -> Value {
    let mut event = json!({
        "@odata.etag": "W/\"v1\"",
        "id": "AA/b=",
        "subject": "Review",
        "type": "singleInstance",
        "isAllDay": false,
        "isCancelled": false,
        "isOrganizer": true,
        "isOnlineMeeting": false,
        "onlineMeeting": null,
        "iCalUId": "040000",
        "webLink": "https://outlook.office365.com/owa/?itemid=AA",
        "createdDateTime": "2026-11-01T08:00:00Z",
        "start": { "dateTime": "2026-12-01T08:00:00.0000000", "timeZone": "UTC" },
        "end": { "dateTime": "2026-12-01T09:00:00.0000000", "timeZone": "UTC" },
        "location": { "displayName": "Room 1" },
        "attendees": [{ "type": "required", "emailAddress": { "name": "Ann", "address": "ann@Contoso.com" } }],
        EXTENDED: [{ "id": MARKER, "value": MARK }],
    });
    for (name, value) in with.as_object().cloned().unwrap_or_default() {
        match value {
            Value::String(gone) if gone == "MISSING" => event.as_object_mut().unwrap().remove(&name),
            value => event.as_object_mut().unwrap().insert(name, value),
        };
    }
    event
}

pub(in crate::graph::operations) fn damaged() -> CallResult {
    CallResult::new(Outcome::ReplyDamaged, Answer::default())
}

fn change(with: impl FnOnce(&mut JobInput)) -> EventChange {
    let mut input = JobInput { transaction_id: OWN.into(), time_zone: "Europe/Berlin".into(), ..JobInput::default() };
    with(&mut input);
    EventChange::from_input(&input).unwrap()
}

fn titled() -> EventChange {
    change(|input| input.subject = "Moved".into())
}

fn snapshot(with: Value) -> Snapshot {
    look::seen(&event(with)).unwrap().0
}

fn base() -> GraphBase {
    GraphBase::new("https://graph.microsoft.com", "v1.0")
}

fn bytes(change: &EventChange, seen: &Snapshot) -> String {
    let request = request(&base(), &target(Some(MARK)), change, seen).unwrap();
    String::from_utf8(request.body.unwrap().to_vec()).unwrap()
}

fn stamped(properties: &str) -> String {
    format!(r#"{{{properties},"{EXTENDED}":[{{"id":"{REVISION}","value":"{OWN}"}}]}}"#)
}

#[test]
fn a_change_is_patched_in_the_version_that_was_seen_wherever_the_event_is() {
    let request = request(&base(), &target(Some(MARK)), &titled(), &snapshot(json!({}))).unwrap();
    assert_eq!(request.url, "https://graph.microsoft.com/v1.0/users/ann@contoso.com/events/AA%2Fb%3D");
    assert_eq!((request.method, request.purpose), (Method::Patch, Purpose::Change));
    assert_eq!(request.if_match.as_deref(), Some("W/\"v1\""));
}

#[test]
fn the_request_has_what_the_row_says_the_revision_and_nothing_else() {
    let seen = snapshot(json!({}));
    let times = |start: &'static str, end: &'static str| {
        move |input: &mut JobInput| (input.start_time, input.end_time) = (start.into(), end.into())
    };
    for (change, properties) in [
        (titled(), r#""subject":"Moved""#),
        (change(|input| input.subject = "".into()), r#""subject":"""#),
        (change(|input| input.body = "Hi".into()), r#""body":{"contentType":"text","content":"Hi"}"#),
        (change(|input| input.body = "".into()), r#""body":{"contentType":"text","content":""}"#),
        (change(|input| input.location = "".into()), r#""location":{"displayName":""}"#),
        (change(|input| input.extra = r#"{"showAs":"oof","b":null}"#.into()), r#""showAs":"oof","b":null"#),
        (
            change(times("2026-12-02T09:00Z", "2026-12-02T10:00Z")),
            r#""start":{"dateTime":"2026-12-02T09:00:00","timeZone":"UTC"},"end":{"dateTime":"2026-12-02T10:00:00","timeZone":"UTC"}"#,
        ),
        (
            change(|input| (input.subject, input.attendees) = ("x".into(), ANN.into())),
            r#""subject":"x","attendees":[{"emailAddress":{"address":"Ann@contoso.com","name":"Ann"},"type":"required"}]"#,
        ),
        (
            change(|input| input.extra = r#"{"attendees":[],"showAs":"free"}"#.into()),
            r#""attendees":[],"showAs":"free""#,
        ),
    ] {
        assert_eq!(bytes(&change, &seen), stamped(properties));
    }
    let own =
        change(|input| input.extra = format!(r#"{{"{EXTENDED}":[{{"id":"String {{0}} Name X"}}]}}"#).as_str().into());
    let expected =
        format!(r#"{{"{EXTENDED}":[{{"id":"String {{0}} Name X"}},{{"id":"{REVISION}","value":"{OWN}"}}]}}"#);
    assert_eq!(bytes(&own, &seen), expected);
}

#[test]
fn times_are_sent_as_the_event_wants_them() {
    let moved =
        change(|input| (input.start_time, input.end_time) = ("2026-12-02T00:00".into(), "2026-12-03T00:00".into()));
    let span = |start: &str, end: &str, zone: &str| {
        format!(
            r#""start":{{"dateTime":"{start}","timeZone":"{zone}"}},"end":{{"dateTime":"{end}","timeZone":"{zone}"}}"#
        )
    };
    let days = stamped(&span("2026-12-02T00:00:00", "2026-12-03T00:00:00", "Europe/Berlin"));
    for seen in [json!({}), json!({ "isAllDay": true }), json!({ "type": "seriesMaster" })] {
        assert_eq!(bytes(&moved, &snapshot(seen)), days);
    }
    let instants =
        change(|input| (input.start_time, input.end_time) = ("2026-12-02T09:00Z".into(), "2026-12-02T10:00Z".into()));
    let series = stamped(&span("2026-12-02T10:00:00", "2026-12-02T11:00:00", "Europe/Berlin"));
    assert_eq!(bytes(&instants, &snapshot(json!({ "type": "seriesMaster" }))), series);
    let refused = request(&base(), &target(None), &instants, &snapshot(json!({ "isAllDay": true })));
    assert!(matches!(refused, Err(Undraftable::Invalid(invalid)) if invalid.column == "start_time"));
}

#[test]
fn attendees_alone_go_alone() {
    let seen = snapshot(json!({}));
    let alone = change(|input| input.attendees = r#"[{"address":"bob@contoso.com","required":false}]"#.into());
    let expected = r#"{"attendees":[{"emailAddress":{"address":"bob@contoso.com"},"type":"optional"}]}"#;
    assert_eq!(bytes(&alone, &seen), expected);
    let away = change(|input| input.extra = r#"{"attendees":[]}"#.into());
    assert_eq!(bytes(&away, &seen), r#"{"attendees":[]}"#);
}

#[test]
fn nobody_sets_the_agents_own_properties_and_nothing_larger_than_graph_allows_is_sent() {
    let seen = snapshot(json!({}));
    let column = |change: &EventChange| match request(&base(), &target(None), change, &seen) {
        Err(Undraftable::Invalid(invalid)) => invalid.column,
        other => panic!("{other:?}"),
    };
    let own = change(|input| {
        input.extra = json!({ EXTENDED: [{ "id": REVISION, "value": "x" }] }).to_string().as_str().into()
    });
    assert_eq!(column(&own), "extra");
    let large = change(|input| input.subject = "\"".repeat(3 * 1024 * 1024).as_str().into());
    assert_eq!(column(&large), "subject");
}

#[test]
fn the_body_of_an_online_meeting_keeps_its_join_block_or_is_refused() {
    let line = "_".repeat(40);
    let block = format!("<div>{line}</div><a href=\"https://t.example/j\">Join</a><div>{line}</div>");
    let online = |body: &str| {
        snapshot(json!({
            "isOnlineMeeting": true,
            "onlineMeeting": { "joinUrl": "https://t.example/j" },
            "body": { "contentType": "html", "content": body },
        }))
    };
    let new = change(|input| (input.body, input.body_type) = ("<p>New</p>".into(), "html".into()));
    let content = json!(format!("<p>New</p>{block}"));
    let expected = stamped(&format!(r#""body":{{"contentType":"html","content":{content}}}"#));
    assert_eq!(bytes(&new, &online(&format!("<html><body>Old{block}</body></html>"))), expected);
    match request(&base(), &target(None), &new, &online("<p>Old</p>")) {
        Err(Undraftable::Refused(Cause::JoinBlock, words)) => assert!(words.starts_with("body: "), "{words}"),
        other => panic!("{other:?}"),
    }
    // Without a word about its body nothing is at stake.
    assert_eq!(bytes(&titled(), &online("<p>Old</p>")), stamped(r#""subject":"Moved""#));
    // A link is one, whatever else the answer says.
    let unsaid = json!({ "isOnlineMeeting": "MISSING", "onlineMeeting": { "joinUrl": "https://t.example/j" } });
    assert!(request(&base(), &target(None), &new, &snapshot(unsaid)).is_err());
}

fn shown(event: &Value, change: &EventChange, marker: Option<&str>) -> Verified {
    verdict(event, &target(marker), change, damaged())
}

fn no_target(verified: &Verified) -> Option<Cause> {
    match verified {
        Verified::Unknown(result) => match result.outcome {
            Outcome::NoTarget(cause) => Some(cause),
            _ => None,
        },
        _ => None,
    }
}

fn is_damaged(verified: &Verified) -> bool {
    matches!(verified, Verified::Unknown(result) if result.outcome == Outcome::ReplyDamaged)
}

fn with_revision(revision: &str) -> Value {
    json!([{ "id": MARKER, "value": MARK }, { "id": REVISION.to_uppercase(), "value": revision }])
}

#[test]
fn every_row_of_the_table_of_uncertain_changes_has_its_verdict() {
    let change = titled();
    let own = shown(&event(json!({ EXTENDED: with_revision(OWN) })), &change, Some(MARK));
    let expected = EventRef {
        id: EventId("AA/b=".into()),
        web_link: Some("https://outlook.office365.com/owa/?itemid=AA".into()),
        ical_uid: Some("040000".into()),
        join_url: None,
        seen: Some(Seen { guests: 1, ends_at: "2026-12-01T09:00:00Z".parse().ok() }),
    };
    assert_eq!(own, Verified::Done(expected));
    // Also of one that was cancelled since.
    let off = event(json!({ EXTENDED: with_revision(OWN), "isCancelled": true }));
    assert!(matches!(shown(&off, &change, Some(MARK)), Verified::Done(_)));
    let older = with_revision("7d9f6d5e-0000-4000-8000-000000000008");
    for extended in [json!([{ "id": MARKER, "value": MARK }]), older.clone()] {
        let is_so = event(json!({ EXTENDED: extended, "subject": "Moved" }));
        assert!(matches!(shown(&is_so, &change, Some(MARK)), Verified::Done(_)));
        let differs = event(json!({ EXTENDED: extended }));
        assert!(matches!(shown(&differs, &change, Some(MARK)), Verified::Open(_)));
    }
    for (with, cause) in [
        (json!({ "isCancelled": true }), Cause::EventCalledOff),
        (json!({ "isOrganizer": false }), Cause::NotOrganizer),
        (json!({ "type": "occurrence" }), Cause::OneOfSeries),
        (json!({ "type": "exception" }), Cause::OneOfSeries),
        (json!({ EXTENDED: [{ "id": MARKER, "value": OWN }] }), Cause::OtherEvent),
        (json!({ EXTENDED: "MISSING" }), Cause::OtherEvent),
        (json!({ EXTENDED: "MISSING", "transactionId": OWN }), Cause::OtherEvent),
    ] {
        assert_eq!(no_target(&shown(&event(with.clone()), &change, Some(MARK))), Some(cause), "{with}");
    }
    // Its transaction id is as good, and one named by its id has neither.
    let same = event(json!({ EXTENDED: "MISSING", "transactionId": MARK }));
    assert!(matches!(shown(&same, &change, Some(MARK)), Verified::Open(_)));
    assert!(matches!(shown(&event(json!({ EXTENDED: "MISSING" })), &change, None), Verified::Open(_)));
}

#[test]
fn what_the_answer_does_not_say_is_not_supposed() {
    for name in ["id", "type", "isAllDay", "isCancelled", "isOrganizer", "attendees", "@odata.etag"] {
        for value in [json!("MISSING"), Value::Null, json!(7), json!({})] {
            let event = event(json!({ name: value }));
            assert!(is_damaged(&shown(&event, &titled(), Some(MARK))), "{name} {value}");
        }
    }
    assert!(is_damaged(&shown(&event(json!({ "type": "draft" })), &titled(), Some(MARK))));
    for etag in ["a b", "W/\"1\"\r\nx: y", ""] {
        assert!(is_damaged(&shown(&event(json!({ "@odata.etag": etag })), &titled(), Some(MARK))), "{etag}");
    }
    for odd in [json!([]), json!("x"), Value::Null] {
        assert!(is_damaged(&shown(&odd, &titled(), None)), "{odd}");
    }
}

#[test]
fn a_marker_that_differs_in_capital_letters_only_is_anothers_unless_it_is_a_uuid() {
    let bears = |value: &str, marker: &str| {
        let event = event(json!({ EXTENDED: [{ "id": MARKER, "value": value }] }));
        matches!(shown(&event, &titled(), Some(marker)), Verified::Open(_))
    };
    assert!(bears(&MARK.to_uppercase(), MARK));
    assert!(bears("t-1", "t-1") && !bears("T-1", "t-1"));
}

#[test]
fn an_event_that_is_as_the_row_wants_it_is_not_changed_again() {
    let is_so = |with: Value, change: &EventChange| matches!(shown(&event(with), change, None), Verified::Done(_));
    let times = |start: &'static str, end: &'static str| {
        change(move |input| (input.start_time, input.end_time) = (start.into(), end.into()))
    };
    assert!(is_so(json!({}), &times("2026-12-01T09:00", "2026-12-01T10:00")));
    assert!(is_so(json!({}), &times("2026-12-01T09:00+01:00", "2026-12-01T09:00Z")));
    assert!(!is_so(json!({}), &times("2026-12-01T09:00", "2026-12-01T10:01")));
    assert!(!is_so(json!({ "start": null }), &times("2026-12-01T09:00", "2026-12-01T10:00")));
    // Dates are the same ones in every zone.
    let days = json!({
        "isAllDay": true,
        "start": { "dateTime": "2026-12-01T00:00:00.0000000", "timeZone": "UTC" },
        "end": { "dateTime": "2026-12-02T00:00:00.0000000", "timeZone": "UTC" },
    });
    assert!(is_so(days.clone(), &times("2026-12-01", "2026-12-02")));
    assert!(!is_so(days, &times("2026-12-01", "2026-12-03")));
    assert!(is_so(json!({}), &change(|input| input.location = "Room 1".into())));
    assert!(is_so(json!({ "location": null }), &change(|input| input.location = "".into())));
    assert!(!is_so(json!({}), &change(|input| input.location = "".into())));
    assert!(is_so(json!({}), &change(|input| input.attendees = ANN.into())));
    assert!(!is_so(
        json!({}),
        &change(|input| input.attendees = ANN.replace('}', ",\"required\":false}").as_str().into())
    ));
    assert!(!is_so(json!({}), &change(|input| input.extra = r#"{"attendees":[]}"#.into())));
    assert!(is_so(json!({ "attendees": [] }), &change(|input| input.extra = r#"{"attendees":[]}"#.into())));
    // Somebody without an address is somebody.
    let nameless = json!({ "attendees": [{ "type": "required" }] });
    assert!(!is_so(nameless, &change(|input| input.extra = r#"{"attendees":[]}"#.into())));
    let extra = |extra: &str| change(|input| input.extra = extra.into());
    let told = json!({ "showAs": "oof", "categories": ["Blue"], "recurrence": null });
    assert!(is_so(told.clone(), &extra(r#"{"showAs":"oof","categories":["Blue"],"isAllDay":false}"#)));
    assert!(!is_so(told.clone(), &extra(r#"{"showAs":"free"}"#)));
    assert!(!is_so(told.clone(), &extra(r#"{"isAllDay":true}"#)));
    assert!(!is_so(json!({}), &extra(r#"{"showAs":"oof"}"#)), "the answer does not say");
    assert!(!is_so(told, &extra(r#"{"recurrence":null}"#)), "Exchange keeps it in its own way");
    // Of a body nobody can tell.
    assert!(!is_so(
        json!({ "body": { "contentType": "text", "content": "Hi" } }),
        &change(|input| input.body = "Hi".into())
    ));
}

#[test]
fn those_are_counted_whom_exchange_mails() {
    let seen = snapshot(json!({ "attendees": [
        { "type": "required", "emailAddress": { "address": "ann@contoso.com" } },
        { "type": "optional", "emailAddress": { "address": "bob@contoso.com" } },
    ] }));
    let invites = |list: &'static str| move |input: &mut JobInput| input.attendees = list.into();
    let (ann, cy) = (r#"[{"address":"ann@contoso.com"}]"#, r#"[{"address":"cy@contoso.com"}]"#);
    assert_eq!(recipients(&titled(), &seen), 2);
    assert_eq!(recipients(&change(invites(ann)), &seen), 1, "bob goes");
    assert_eq!(recipients(&change(invites(cy)), &seen), 3);
    assert_eq!(recipients(&change(|input| input.extra = r#"{"attendees":[]}"#.into()), &seen), 2);
    let both = change(|input| {
        invites(cy)(input);
        input.subject = "x".into();
    });
    assert_eq!(recipients(&both, &seen), 3, "who goes is told, too");
    let other_kind = change(invites(
        r#"[{"address":"ann@contoso.com","required":false},{"address":"bob@contoso.com","required":false}]"#,
    ));
    assert_eq!(recipients(&other_kind, &seen), 1);
}

#[test]
fn a_success_is_believed_where_it_tells_of_the_event_that_was_named() {
    let answer = |id: &str, told: Option<&str>| Reply {
        status: 200,
        event_id: Some(EventId(id.into())),
        told: told.map(str::to_owned),
        ..Reply::default()
    };
    let told = EventId("AA-other-form".into());
    let believed = |marker, reply: &Reply| doubts(&target(marker), &told, reply).is_none();
    for marker in [None, Some(MARK)] {
        assert!(believed(marker, &answer("AA/b=", None)));
        assert!(believed(marker, &answer("AA-other-form", None)));
        assert!(!believed(marker, &answer("BB", None)));
    }
    assert!(believed(Some(MARK), &answer("AA-third-form", Some(&MARK.to_uppercase()))));
    assert!(!believed(Some(MARK), &answer("AA/b=", Some(OWN))));
    assert!(!believed(None, &answer("BB", Some(MARK))));
}

#[test]
fn a_look_asks_for_what_the_change_is_compared_with_and_for_the_body_only_where_it_is_changed() {
    assert!(asks_for(&titled()).is_empty());
    let change = change(|input| (input.body, input.extra) = ("x".into(), r#"{"showAs":"oof","foo":1}"#.into()));
    assert_eq!(asks_for(&change), ["body", "showAs"]);
    let url = base().looked_at(None, "AA", &asks_for(&change));
    assert!(url.contains(",transactionId,body,showAs&$expand="), "{url}");
}

/// Any answer, mostly of what an event has.
fn any_event() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let names = prop::sample::select(vec![
        "id",
        "type",
        "isAllDay",
        "isCancelled",
        "isOrganizer",
        "attendees",
        "@odata.etag",
        "subject",
        "start",
        "end",
        "location",
        "transactionId",
        EXTENDED,
        "onlineMeeting",
        "body",
        "createdDateTime",
    ]);
    let values = prop_oneof![
        Just(Value::Null),
        Just(json!("MISSING")),
        Just(json!(true)),
        Just(json!([])),
        Just(json!([{ "id": REVISION, "value": OWN }])),
        Just(json!([{ "id": MARKER, "value": OWN }, { "id": REVISION, "value": OWN }])),
        Just(json!([{ "emailAddress": {} }, 7])),
        Just(json!({ "dateTime": "9999-12-31T23:59:59", "timeZone": "UTC" })),
        "\\PC{0,12}".prop_map(Value::String),
    ];
    prop::collection::vec((names, values), 0..8).prop_map(|pairs| {
        event(Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>()))
    })
}

proptest::proptest! {
    /// Only the event that is meant is ever changed or done.
    #[test]
    fn no_answer_makes_a_panic_and_no_verdict_is_of_anothers_event(event in any_event()) {
        let (marked, titled) = (target(Some(MARK)), titled());
        let is_own = look::is_meant(&event, &marked);
        for verified in [
            verdict(&event, &marked, &titled, damaged()),
            crate::graph::operations::delete::verdict(&event, &marked, damaged()),
        ] {
            let touches = matches!(verified, Verified::Done(_) | Verified::Open(_));
            assert!(!touches || is_own, "{event}");
            if let Verified::Open(seen) = &verified {
                assert!(event["isOrganizer"] == true && event["isCancelled"] == false);
                let _ = request(&base(), &marked, &titled, seen);
            }
        }
    }
}

#[test]
fn a_text_body_beside_an_online_meeting_becomes_html_only_there() {
    let new = change(|input| (input.body, input.body_type) = ("a < b".into(), "text".into()));
    assert_eq!(body(&new, &snapshot(json!({}))).unwrap().unwrap().kind, BodyType::Text);
}
