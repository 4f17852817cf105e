//! The JSON of each operation, as a server receives it.

use serde_json::{Value, json};

use crate::bed::{Bed, Row, row_for};
use crate::recorder::Recorder;

const REVISION: &str = "String {6d0c5f0e-27a4-4a4b-9f0e-3c1d5b8e7a92} Name EventSenderRevision";
const ANN: &str = r#"[{"name":"Ann","address":"ann@contoso.com","required":true}]"#;

/// Method, path below the mailbox, `If-Match` and body of what changes an event.
type Sent = (String, String, bool, Value);

async fn bed() -> (Bed, Recorder) {
    let mut bed = Bed::new().await;
    let recorder = Recorder::before(bed.sandbox().address()).await;
    bed.set("graph.endpoint", &recorder.url);
    bed.set("auth.resource", &bed.sandbox().url());
    (bed, recorder)
}

fn change(operation: &str) -> Row {
    Row(Vec::new()).with("event_key", "visit-7").with("operation", operation)
}

fn create() -> Row {
    row_for("room@contoso.com").with("event_key", "visit-7").with("subject", "Visit").with("attendees", ANN)
}

/// The requests after the create, in order.
fn changes(recorder: &Recorder) -> Vec<Sent> {
    let sent = recorder.requests().into_iter().filter_map(|(head, body)| {
        let (line, _) = head.split_once("\r\n")?;
        let mut words = line.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let changes = matches!(method.as_str(), "PATCH" | "DELETE") || path.ends_with("/cancel");
        let matched = head.to_ascii_lowercase().contains("\r\nif-match:");
        changes.then(|| (method, path, matched, serde_json::from_slice(&body).unwrap_or_default()))
    });
    sent.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_null_is_left_out_what_is_empty_is_cleared_and_the_revision_goes_along() {
    let (bed, recorder) = bed().await;
    bed.insert(create()).await;
    let update =
        change("update").with("subject", "Visit moved").with("location", "").with("extra", r#"{"showAs":"busy"}"#);
    let update = bed.insert(update).await;
    let moved = change("update").with("start_time", "2031-02-03T09:00:00Z").with("end_time", "2031-02-03T10:00:00Z");
    bed.insert(moved).await;
    bed.run_with(&["--until-empty"]).end().await.expect(0);
    let revision = bed.job(update).await.transaction_id;
    let [first, second] = changes(&recorder).try_into().unwrap();
    assert_eq!((first.0.as_str(), first.2), ("PATCH", true));
    assert!(first.1.starts_with("/v1.0/users/room@contoso.com/events/"), "{}", first.1);
    assert_eq!(
        first.3,
        json!({
            "subject": "Visit moved",
            "location": { "displayName": "" },
            "showAs": "busy",
            "singleValueExtendedProperties": [{ "id": REVISION, "value": revision }],
        })
    );
    let mut times = second.3.clone();
    times.as_object_mut().unwrap().remove("singleValueExtendedProperties");
    assert_eq!(
        times,
        json!({
            "start": { "dateTime": "2031-02-03T09:00:00", "timeZone": "UTC" },
            "end": { "dateTime": "2031-02-03T10:00:00", "timeZone": "UTC" },
        })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_change_of_attendees_alone_is_sent_as_such_and_so_is_taking_all_of_them_away() {
    let (bed, recorder) = bed().await;
    bed.insert(create()).await;
    bed.insert(change("update").with("attendees", r#"[{"address":"bob@contoso.com","required":false}]"#)).await;
    bed.insert(change("update").with("extra", r#"{"attendees":[]}"#)).await;
    bed.run_with(&["--until-empty"]).end().await.expect(0);
    let bodies: Vec<Value> = changes(&recorder).into_iter().map(|(.., body)| body).collect();
    let bob = json!({ "emailAddress": { "address": "bob@contoso.com" }, "type": "optional" });
    assert_eq!(bodies, [json!({ "attendees": [bob] }), json!({ "attendees": [] })]);
    let mails: Vec<(String, String)> = bed
        .sandbox()
        .mails()
        .into_iter()
        .map(|mail| (mail.attendee, serde_json::to_value(mail.kind).unwrap().as_str().unwrap().to_owned()))
        .collect();
    let mail = |attendee: &str, kind: &str| (attendee.to_owned(), kind.to_owned());
    assert_eq!(mails.len(), 4, "{mails:?}");
    for expected in [
        mail("ann@contoso.com", "invitation"),
        mail("ann@contoso.com", "cancellation"),
        mail("bob@contoso.com", "invitation"),
        mail("bob@contoso.com", "cancellation"),
    ] {
        assert!(mails.contains(&expected), "{expected:?}: {mails:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_meeting_is_cancelled_with_the_comment_and_an_event_without_attendees_is_deleted() {
    let (bed, recorder) = bed().await;
    bed.insert(create()).await;
    bed.insert(row_for("room@contoso.com").with("event_key", "alone")).await;
    let agent = bed.run();
    bed.wait("both events exist", async || (bed.count("sent").await == 2).then_some(())).await;
    bed.insert(change("delete").with("body", "Called off, sorry.")).await;
    bed.insert(change("delete").with("event_key", "alone")).await;
    bed.wait("both events are gone", async || (bed.count("sent").await == 4).then_some(())).await;
    agent.stop().await.expect(0);
    let mut ends = changes(&recorder);
    ends.sort_by(|one, other| one.0.cmp(&other.0));
    let [deleted, cancelled] = ends.try_into().unwrap();
    assert_eq!((deleted.0.as_str(), deleted.3), ("DELETE", Value::Null));
    assert_eq!((cancelled.0.as_str(), &cancelled.3), ("POST", &json!({ "comment": "Called off, sorry." })));
    let comments: Vec<Option<String>> = bed.sandbox().mails().into_iter().map(|mail| mail.comment).collect();
    assert_eq!(comments, [None, Some("Called off, sorry.".to_owned())]);
}
