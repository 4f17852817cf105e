//! Events that somebody else may have touched: not ours to change, one of a series, gone or cancelled by hand, joined online.

use event_sender::sandbox::{EventState, Fault, FaultOn, FoundEvent, OptionsChange, RequestKind, StoredEvent};
use serde_json::{Value, json};

use crate::bed::{Bed, Row, row_for};

const ANN: &str = "ann@contoso.com";

fn found(event: Value) -> FoundEvent {
    let Value::Object(mut event) = event else { panic!("an event is an object") };
    for (name, hour) in [("start", "09"), ("end", "10")] {
        event.insert(name.into(), json!({ "dateTime": format!("2031-02-03T{hour}:00:00"), "timeZone": "UTC" }));
    }
    FoundEvent {
        mailbox: ANN.into(),
        calendar_id: None,
        event,
        organizer: None,
        occurrence: false,
        state: EventState::default(),
    }
}

fn of(event: &StoredEvent, operation: &str) -> Row {
    Row(Vec::new()).with("operation", operation).with("mailbox", ANN).with("target_event_id", &event.id)
}

fn update(event: &StoredEvent) -> Row {
    of(event, "update").with("subject", "Ours now")
}

async fn run_until_empty(bed: &Bed) {
    bed.run_with(&["--until-empty"]).end().await.expect(0);
}

fn changed(bed: &Bed) -> usize {
    let changes = [RequestKind::Patch, RequestKind::Delete, RequestKind::Cancel];
    bed.sandbox().requests().iter().filter(|request| changes.contains(&request.kind)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_somebody_else_organizes_and_one_date_of_a_series_are_left_alone() {
    let bed = Bed::new().await;
    let invited = FoundEvent { organizer: Some("boss@contoso.com".into()), ..found(json!({ "subject": "Board" })) };
    let date = FoundEvent { occurrence: true, ..found(json!({ "subject": "Weekly" })) };
    let events = [invited, date].map(|event| bed.sandbox().put(event).unwrap());
    let mut jobs = Vec::new();
    for event in &events {
        jobs.push(bed.insert(update(event)).await);
    }
    run_until_empty(&bed).await;
    for event in &events {
        jobs.push(bed.insert(of(event, "delete")).await);
    }
    run_until_empty(&bed).await;
    for id in jobs {
        let job = bed.job(id).await;
        assert_eq!((job.end(), job.in_doubt), (("failed", Some("target")), 0), "{job:?}");
    }
    assert_eq!((changed(&bed), bed.sandbox().mails().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_named_by_its_id_is_changed_and_ended_whoever_made_it() {
    let bed = Bed::new().await;
    let event = bed.sandbox().put(found(json!({ "subject": "By hand" }))).unwrap();
    let update = bed.insert(update(&event)).await;
    let agent = bed.run();
    bed.wait("it is changed", async || (bed.job(update).await.state == "sent").then_some(())).await;
    assert_eq!(bed.sandbox().events()[0].changed.as_ref().unwrap()["subject"], "Ours now");
    let end = bed.insert(of(&event, "delete")).await;
    bed.wait("it is gone", async || (bed.job(end).await.state == "sent").then_some(())).await;
    agent.stop().await.expect(0);
    assert_eq!(bed.job(end).await.event_id.as_deref(), Some(event.id.as_str()));
    assert_eq!(bed.sandbox().events()[0].state, EventState::Deleted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_gone_or_cancelled_by_hand_cannot_be_changed_and_counts_as_deleted() {
    let bed = Bed::new().await;
    let (mut updates, mut ends) = (Vec::new(), Vec::new());
    for state in [EventState::Deleted, EventState::Cancelled] {
        let guest = json!({ "subject": "Off", "attendees": [{ "emailAddress": { "address": "bob@contoso.com" } }] });
        let event = bed.sandbox().put(FoundEvent { state, ..found(guest) }).unwrap();
        updates.push(bed.insert(update(&event)).await);
        ends.push(bed.insert(of(&event, "delete").with("not_before", "2099-01-01T00:00:00Z")).await);
    }
    let agent = bed.run();
    bed.wait("both updates have failed", async || (bed.count("failed").await == 2).then_some(())).await;
    bed.sql("UPDATE jobs SET not_before = NULL WHERE operation = 'delete'").await;
    bed.wait("both ends are recorded", async || (bed.count("sent").await == 2).then_some(())).await;
    agent.stop().await.expect(0);
    for id in updates {
        assert_eq!(bed.job(id).await.end(), ("failed", Some("target")));
    }
    assert_eq!((changed(&bed), bed.sandbox().mails().len()), (0, 0), "nobody hears of it again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_online_meeting_keeps_its_link_through_a_new_body_and_a_link_that_comes_late_is_asked_for_once_more() {
    let bed = Bed::new().await;
    bed.sandbox().configure(OptionsChange { late_join_url: Some(true), ..OptionsChange::default() });
    let online = r#"{"isOnlineMeeting":true}"#;
    let create = bed.insert(row_for(ANN).with("event_key", "call").with("extra", online).with("body", "First")).await;
    let agent = bed.run();
    bed.wait("the event is there", async || (bed.job(create).await.state == "sent").then_some(())).await;
    let has_link = format!("SELECT join_url LIKE 'https://%' FROM jobs WHERE id = {create}");
    bed.wait("the link came", async || bed.is_so(&has_link).await.then_some(())).await;
    let update =
        bed.insert(Row(Vec::new()).with("operation", "update").with("event_key", "call").with("body", "Second")).await;
    bed.wait("the body is new", async || (bed.job(update).await.state == "sent").then_some(())).await;
    agent.stop().await.expect(0);
    let body = bed.sandbox().events()[0].changed.clone().unwrap()["body"].clone();
    let content = body["content"].as_str().unwrap();
    assert!(content.contains("Second") && content.contains("____") && !content.contains("First"), "{content}");
    assert!(bed.is_so(&format!("SELECT join_url LIKE 'https://%' FROM jobs WHERE id = {update}")).await);
}

/// A question for a link ends no job; what it meets binds the mailbox, and whoever sends to it next, all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wait_that_the_question_for_a_link_is_told_is_kept_in_the_queue() {
    let bed = Bed::new().await;
    bed.sandbox().configure(OptionsChange { late_join_url: Some(true), ..OptionsChange::default() });
    bed.sandbox().script(Fault::answer(503, "serviceNotAvailable").retry_after("600").on(FaultOn::Get));
    bed.insert(row_for(ANN).with("extra", r#"{"isOnlineMeeting":true}"#)).await;
    let agent = bed.run();
    let paused =
        "SELECT count(*) FROM mailboxes WHERE asked_until > '2' AND error_kind = 'unavailable' AND reason <> ''";
    bed.wait("the pause is kept", async || bed.is_so(paused).await.then_some(())).await;
    let later = bed.insert(row_for(ANN)).await;
    agent.stop().await.expect(0);
    let agent = bed.run();
    let other = bed.insert(row_for("bob@contoso.com")).await;
    bed.wait("another mailbox's is sent", async || (bed.job(other).await.state == "sent").then_some(())).await;
    assert_eq!(bed.job(later).await.state, "pending", "the next start knows it");
    agent.stop().await.expect(0);
}
