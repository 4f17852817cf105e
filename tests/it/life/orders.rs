//! The jobs of one event: one after the other, whatever becomes of each of them; and what a later delete cancels.

use std::time::Duration;

use event_sender::sandbox::{Fault, FaultOn, RequestKind};

use crate::bed::{Bed, Row, row_for};

fn create(key: &str) -> Row {
    row_for("ann@contoso.com").with("event_key", key).with("subject", "Visit")
}

fn change(key: &str, operation: &str) -> Row {
    Row(Vec::new()).with("event_key", key).with("operation", operation)
}

async fn run_until_empty(bed: &Bed) {
    bed.run_with(&["--until-empty"]).end().await.expect(0);
}

fn kinds(bed: &Bed) -> Vec<RequestKind> {
    let requests = bed.sandbox().requests();
    requests.iter().map(|request| request.kind).filter(|kind| *kind != RequestKind::Token).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn changes_wait_for_the_create_and_follow_it_in_order_while_other_events_do_not_wait() {
    let bed = Bed::new().await;
    bed.sandbox().script(Fault::slow(Duration::from_millis(500)).on(FaultOn::Create).subject("Visit"));
    let visit = bed.insert(create("visit")).await;
    let updates = [
        bed.insert(change("visit", "update").with("subject", "One")).await,
        bed.insert(change("visit", "update").with("subject", "Two")).await,
    ];
    bed.insert(create("other").with("subject", "Other")).await;
    run_until_empty(&bed).await;
    let event_id = bed.job(visit).await.event_id;
    for id in updates {
        assert_eq!((bed.job(id).await.end(), bed.job(id).await.event_id), (("sent", None), event_id.clone()));
    }
    let events = bed.sandbox().events();
    let visit = events.iter().find(|event| Some(&event.id) == event_id.as_ref()).unwrap();
    assert_eq!(visit.changed.as_ref().unwrap()["subject"], "Two");
    let order = kinds(&bed);
    let first = |kind| order.iter().position(|one| *one == kind).unwrap();
    let creates = order.iter().filter(|kind| **kind == RequestKind::Create).count();
    assert_eq!(creates, 2);
    assert!(first(RequestKind::Create) < first(RequestKind::Patch));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_delete_calls_off_what_never_left_and_nobody_is_invited() {
    let bed = Bed::new().await;
    let rows = [
        bed.insert(create("off").with("attendees", r#"[{"address":"bob@contoso.com"}]"#)).await,
        bed.insert(change("off", "update").with("subject", "Later")).await,
        bed.insert(change("off", "delete")).await,
    ];
    run_until_empty(&bed).await;
    for id in rows {
        assert_eq!(bed.job(id).await.end(), ("cancelled", Some("superseded")), "{id}");
    }
    assert_eq!(kinds(&bed), []);
    // The key is free again.
    let anew = bed.insert(create("off")).await;
    run_until_empty(&bed).await;
    assert_eq!(bed.job(anew).await.end(), ("sent", None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_comes_after_a_create_that_failed_fails_as_target() {
    let bed = Bed::new().await;
    let create = bed.insert(create("bad").with("time_zone", "Moon Standard Time")).await;
    let update = bed.insert(change("bad", "update").with("subject", "Later")).await;
    let nobody = bed.insert(change("never made", "delete")).await;
    run_until_empty(&bed).await;
    assert_eq!(bed.job(create).await.end(), ("failed", Some("rejected")));
    for id in [update, nobody] {
        let job = bed.job(id).await;
        assert_eq!((job.end(), job.in_doubt), (("failed", Some("target")), 0), "{job:?}");
        assert!(job.message().len() > 20, "{job:?}");
    }
    assert!(kinds(&bed).iter().all(|kind| *kind == RequestKind::Create));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_that_is_alive_is_refused_and_every_rule_of_the_operations_says_what_is_wrong() {
    let bed = Bed::new().await;
    bed.insert(create("alive")).await;
    for (columns, word) in [
        (
            "event_key, start_time, end_time) VALUES ('alive', '2031-01-01T09:00', '2031-01-01T10:00'",
            "this key names an event",
        ),
        ("operation, subject) VALUES ('update', 'x'", "event_key"),
        ("operation, event_key, target_event_id) VALUES ('delete', 'alive', 'AAMk'", "target_event_id"),
        ("operation, event_key, subject) VALUES ('delete', 'alive', 'x'", "subject"),
        ("operation, event_key, start_time) VALUES ('update', 'alive', '2031-01-01T09:00'", "start_time"),
    ] {
        let refused = bed.try_sql(&format!("INSERT INTO jobs ({columns})")).await.unwrap_err().to_string();
        assert!(refused.contains(word), "{columns}: {refused}");
    }
    assert_eq!(bed.jobs().await.len(), 1);
}
