//! What the commands tell of an event: all its jobs by its key, what waits behind what, and what the operator's writes do to
//! updates and deletes.

use serde_json::{Value, json};

use crate::bed::{Bed, Row, row, row_for};

const ATTENDEES: &str = r#"[{"address":"ann@contoso.com"},{"address":"bob@contoso.com"}]"#;

fn change(operation: &str, key: &str) -> Row {
    Row(Vec::new()).with("operation", operation).with("event_key", key)
}

/// A job that has ended as sent, for this event.
fn sent(row: Row) -> Row {
    row.with("state", "sent").with("event_id", "AAMkVisit").with("finished_at", "2026-11-30T08:00:00.000Z")
}

fn create(key: &str) -> Row {
    row().with("event_key", key).with("subject", "Visit").with("attendees", ATTENDEES)
}

async fn json_of(bed: &Bed, arguments: &[&str]) -> Value {
    bed.command(arguments).await.expect(0).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn show_with_a_key_tells_the_story_of_its_event() {
    let bed = Bed::new().await;
    let rows = [
        sent(create("visit 7").with("web_link", "https://outlook.example/visit")),
        sent(change("update", "visit 7").with("location", "Room 2")),
        change("delete", "visit 7").with("body", "The guest is ill.").with("not_before", "2999-01-01T00:00:00Z"),
        row().with("event_key", "another"),
    ];
    bed.insert_all(rows).await;
    let shown = bed.command(&["show", "visit 7"]).await.expect(0);
    for part in [
        "event visit 7: the event exists",
        "AAMkVisit",
        "https://outlook.example/visit",
        "an invitation to 2 attendees",
        "an update to 2 attendees",
        "nothing yet",
        "location",
    ] {
        assert!(shown.stdout.contains(part), "'{part}' in {shown:?}");
    }
    let json = json_of(&bed, &["show", "--key", "visit 7", "--json"]).await;
    assert_eq!((&json["verdict"], &json["event_id"]), (&json!("exists"), &json!("AAMkVisit")));
    let jobs = json["jobs"].as_array().unwrap();
    let ids: Vec<_> =
        jobs.iter().map(|job| (job["id"].as_i64().unwrap(), job["operation"].as_str().unwrap())).collect();
    assert_eq!(ids, [(1, "create"), (2, "update"), (3, "delete")]);
    assert_eq!((&jobs[1]["changes"], &jobs[2]["changes"]), (&json!(["location"]), &json!(["body"])));
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["event_key", "verdict", "event_id", "web_link", "ical_uid", "join_url", "jobs"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_that_looks_like_an_id_is_told_by_its_flag() {
    let bed = Bed::new().await;
    bed.insert(create("4711")).await;
    let lost = bed.command(&["show", "4711"]).await.expect(1);
    assert!(lost.stderr.contains("no job 4711; an event has this key: event-sender show --key 4711"), "{lost:?}");
    assert_eq!(json_of(&bed, &["show", "--key", "4711", "--json"]).await["verdict"], "not_yet");
    let unknown = bed.command(&["show", "nothing"]).await.expect(1);
    assert!(unknown.stdout.is_empty() && unknown.stderr.contains("the key 'nothing'"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_waits_behind_what_is_shown_by_every_command() {
    let bed = Bed::new().await;
    let first = bed.insert(create("visit")).await;
    let behind = bed.insert(change("update", "visit").with("subject", "x").with("priority", "1")).await.to_string();
    let shown = bed.command(&["show", &behind]).await.expect(0);
    for part in [
        format!("job {first}, which comes before it for the same event"),
        format!("It has its turn when job {first} has ended"),
        "update".into(),
        "visit".into(),
    ] {
        assert!(shown.stdout.contains(&part), "'{part}' in {shown:?}");
    }
    let json = json_of(&bed, &["show", &behind, "--json"]).await;
    assert_eq!((&json["behind"], &json["priority"]), (&json!(first), &json!(1)));
    assert_eq!(json_of(&bed, &["list", "--json"]).await[1]["behind"], first);
    let listed = bed.command(&["list"]).await.expect(0);
    assert!(listed.stdout.contains(&format!("after job {first}")), "{listed:?}");
    let status = bed.command(&["status"]).await.expect(0);
    assert!(status.stdout.contains("1 job waits for an earlier job of the same event"), "{status:?}");
    assert_eq!(json_of(&bed, &["status", "--json"]).await["behind"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn list_finds_the_jobs_of_one_event() {
    let bed = Bed::new().await;
    bed.insert_all([create("a"), create("b"), change("delete", "a").with("not_before", "2999-01-01T00:00:00Z")]).await;
    let listed = json_of(&bed, &["list", "--event-key", "a", "--json"]).await;
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [1, 3]);
    assert_eq!((&listed[1]["operation"], &listed[1]["event_key"]), (&json!("delete"), &json!("a")));
    assert_eq!(json_of(&bed, &["list", "--event-key", "c", "--json"]).await, json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn cancelling_a_change_says_that_its_event_stays() {
    let bed = Bed::new().await;
    let rows = [
        sent(create("visit")),
        change("update", "visit").with("subject", "x"),
        change("update", "visit").with("subject", "y"),
        change("delete", "visit").with("not_before", "2999-01-01T00:00:00Z"),
    ];
    bed.insert_all(rows).await;
    let done = bed.command(&["cancel", "2", "3", "4"]).await.expect(0);
    assert_eq!(done.stdout, "cancelled 3 jobs: 2, 3, 4\n");
    for part in [
        "jobs 2, 3 were to update their events, which stay as they are",
        "job 4 was to delete its event, which stays as it is",
    ] {
        assert!(done.stderr.contains(part), "'{part}' in {done:?}");
    }
    let sent = bed.command(&["cancel", "1"]).await.expect(1);
    assert!(sent.stderr.contains("or insert a job that does"), "{sent:?}");
    let shown = bed.command(&["show", "visit"]).await.expect(0);
    assert!(shown.stdout.contains("the event exists"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_mailbox_that_mailed_as_many_as_it_may_says_until_when_its_jobs_with_attendees_wait() {
    let bed = Bed::new().await;
    let mails = bed.insert(row_for("busy@contoso.com").with("attendees", ATTENDEES)).await.to_string();
    let quiet = bed.insert(row_for("busy@contoso.com")).await.to_string();
    bed.sql(
        "INSERT INTO mailboxes (mailbox, paused_until, reason, paced_until, paced_reason)
        VALUES ('busy@contoso.com', '2000-01-01T00:00:00.000Z', '', '2999-01-01T00:00:00.000Z', '10,000 recipients in 24 hours')",
    )
    .await;
    let status = bed.command(&["status"]).await.expect(0);
    for part in ["1 mailbox has mailed as many attendees as it may", "PACED MAILBOX", "10,000 recipients in 24 hours"] {
        assert!(status.stdout.contains(part), "'{part}' in {status:?}");
    }
    let json = json_of(&bed, &["status", "--json"]).await;
    assert_eq!(json["paced_mailboxes"][0]["paced_until"], "2999-01-01T00:00:00.000Z");
    let shown = bed.command(&["show", &mails]).await.expect(0);
    assert!(shown.stdout.contains("the pace at which its mailbox mails attendees, until 2999-01-01"), "{shown:?}");
    let other = bed.command(&["show", &quiet]).await.expect(0);
    assert!(!other.stdout.contains("the pace"), "{other:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_request_of_each_operation_is_shown_as_far_as_the_row_says_it() {
    let bed = Bed::new().await;
    bed.insert_all([
        create("visit"),
        change("update", "visit").with("attendees", r#"[{"address":"cy@contoso.com"}]"#),
        change("update", "visit").with("location", "Room 2"),
        change("delete", "visit").with("body", "The guest is ill.").with("not_before", "2999-01-01T00:00:00Z"),
    ])
    .await;
    let request = async |id: &str| bed.command(&["show", id, "--request"]).await.expect(0);
    let create = request("1").await;
    assert_eq!(create.json()["subject"], "Visit");
    assert!(create.stderr.is_empty(), "{create:?}");
    let attendees = request("2").await;
    let only = json!({"attendees": [{"emailAddress": {"address": "cy@contoso.com"}, "type": "required"}]});
    assert_eq!(attendees.json(), only, "attendees alone, so that only those added or removed hear of it");
    let location = request("3").await;
    assert_eq!(location.json()["location"]["displayName"], "Room 2");
    assert!(location.json().get("attendees").is_none() && location.stderr.contains("PATCH"), "{location:?}");
    let delete = request("4").await;
    assert_eq!(delete.json(), json!({"comment": "The guest is ill."}));
    assert!(delete.stderr.contains("/cancel") && delete.stderr.contains("DELETE"), "{delete:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_change_in_doubt_says_how_its_event_is_looked_at() {
    let bed = Bed::new().await;
    let doubtful = |row: Row| {
        row.with("state", "failed")
            .with("finished_at", "2026-11-30T08:00:00.000Z")
            .with("first_sent_at", "2026-11-30T07:59:00.000Z")
            .with("error_kind", "exhausted")
            .with("in_doubt", "1")
            .with("mailbox", "ann@contoso.com")
    };
    let by_id = Row(Vec::new()).with("operation", "delete").with("target_event_id", "AAMkOther");
    bed.insert_all([sent(create("visit")), doubtful(change("update", "visit").with("subject", "x")), doubtful(by_id)])
        .await;
    for (id, event, said) in [("2", "AAMkVisit", "may have been changed"), ("3", "AAMkOther", "may have been deleted")]
    {
        let shown = bed.command(&["show", id]).await.expect(0);
        assert!(shown.stdout.contains(&format!("/users/ann@contoso.com/events/{event}")), "{shown:?}");
        assert!(shown.stdout.contains(said) && shown.stdout.contains("failed, in doubt"), "{shown:?}");
    }
    let story = bed.command(&["show", "visit"]).await.expect(0);
    assert!(story.stdout.contains("perhaps an update to 2 attendees"), "{story:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn retry_judges_a_change_by_its_own_rules() {
    let bed = Bed::new().await;
    bed.insert(create("visit")).await;
    let failed = |row: Row| {
        row.with("state", "failed").with("finished_at", "2026-11-24T12:00:00.000Z").with("error_kind", "invalid_job")
    };
    let right = bed.insert(failed(change("update", "visit").with("subject", "x"))).await;
    let wrong = bed
        .insert(failed(
            change("update", "visit").with("start_time", "2026-12-01 09:00").with("end_time", "2026-02-30 09:00"),
        ))
        .await;
    let ran = bed.command(&["retry", &right.to_string(), &wrong.to_string()]).await.expect(0);
    assert_eq!(ran.stdout, format!("retried 2 jobs: {right}, {wrong}\n"));
    assert!(ran.stderr.contains(&format!("job {wrong} will fail again: end_time")), "{ran:?}");
    assert!(!ran.stderr.contains(&format!("job {right} will")), "{ran:?}");
}
