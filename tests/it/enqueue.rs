//! `enqueue`: from flags, from files, from stdin; everything or nothing.

use serde_json::json;

use crate::bed::{Bed, row};

const TIMES: [&str; 4] = ["--start", "2026-12-01 09:00", "--end", "2026-12-01 10:00"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["enqueue"], &TIMES[..], more].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_job_by_flags_is_inserted_and_sent_as_described() {
    let bed = Bed::new().await;
    let ran = bed
        .command(&with(&[
            "--subject",
            "Review",
            "--body",
            "<p>Hi</p>",
            "--body-type",
            "html",
            "--location",
            "Room 1",
            "--attendee",
            "Ann Example <ann@contoso.com>",
            "--attendee",
            "bob@contoso.com",
            "--optional",
            "cy@contoso.com",
            "--resource",
            "room1@contoso.com",
            "--mailbox",
            "team@contoso.com",
            "--calendar-id",
            "AAMkCal",
            "--time-zone",
            "Europe/Berlin",
            "--extra",
            r#"{"showAs":"oof"}"#,
            "--dedup-key",
            "order-1",
        ]))
        .await
        .expect(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("1\n", ""));
    bed.command(&["run", "--until-empty"]).await.expect(0);
    let event = bed.event_of(1).await;
    assert_eq!((event.mailbox.as_str(), event.calendar_id.as_deref()), ("team@contoso.com", Some("AAMkCal")));
    assert_eq!(
        event.received["attendees"],
        json!([
            {"emailAddress": {"address": "ann@contoso.com", "name": "Ann Example"}, "type": "required"},
            {"emailAddress": {"address": "bob@contoso.com"}, "type": "required"},
            {"emailAddress": {"address": "cy@contoso.com"}, "type": "optional"},
            {"emailAddress": {"address": "room1@contoso.com"}, "type": "resource"},
        ])
    );
    assert_eq!(event.received["body"], json!({"contentType": "html", "content": "<p>Hi</p>"}));
    assert_eq!(event.received["start"], json!({"dateTime": "2026-12-01T09:00:00", "timeZone": "Europe/Berlin"}));
    assert_eq!((&event.received["subject"], &event.received["showAs"]), (&json!("Review"), &json!("oof")));
    assert_eq!(event.received["location"]["displayName"], "Room 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_that_cannot_become_an_event_is_refused_before_it_is_inserted() {
    let bed = Bed::new().await;
    for (arguments, part) in [
        (vec!["enqueue", "--start", "2026-02-30 09:00", "--end", "2026-03-01 09:00"], "start_time"),
        (vec!["enqueue", "--start", "2026-12-01 09:00", "--end", "2026-12-01 08:00"], "end_time"),
        (with(&["--attendee", "Ann"]), "attendees"),
        (with(&["--extra", "[]"]), "extra"),
        (with(&["--extra", r#"{"subject":"x"}"#]), "extra"),
        (with(&["--body-type", "markdown"]), "body_type"),
        (with(&["--not-before", "soon"]), "not_before"),
    ] {
        let ran = bed.command(&arguments).await.expect(1);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(part), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("nothing was inserted"), "{ran:?}");
    }
    assert!(bed.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_dedup_key_that_is_taken_is_refused() {
    let bed = Bed::new().await;
    bed.command(&with(&["--dedup-key", "order-1"])).await.expect(0);
    let ran = bed.command(&with(&["--dedup-key", "order-1"])).await.expect(1);
    assert!(ran.stderr.contains("dedup_key") && ran.stderr.contains("order-1"), "{ran:?}");
    assert_eq!(bed.jobs().await.len(), 1);
}

const NDJSON: &str = r#"{"subject":"One","start_time":"2026-12-01T09:00:00","end_time":"2026-12-01T10:00:00","attendees":[{"name":"Ann","address":"ann@contoso.com","required":true}]}

{"subject":null,"start_time":"2026-12-01T09:00:00","end_time":"2026-12-01T10:00:00","extra":{"showAs":"oof"}}
{"subject":"Three","start_time":"2026-12-01T09:00:00","end_time":"2026-12-01T10:00:00","attendees":"[]"}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ndjson_from_a_file_and_from_stdin_becomes_jobs() {
    let bed = Bed::new().await;
    std::fs::write(bed.home().join("jobs.ndjson"), NDJSON).unwrap();
    assert_eq!(bed.command(&["enqueue", "jobs.ndjson"]).await.expect(0).stdout, "1\n2\n3\n");
    assert_eq!(bed.command_reading(NDJSON, &["enqueue", "-"]).await.expect(0).stdout, "4\n5\n6\n");
    bed.command(&["run", "--until-empty"]).await.expect(0);
    assert_eq!(bed.event_of(4).await.received["attendees"][0]["emailAddress"]["name"], "Ann");
    let second = bed.event_of(2).await.received;
    assert!(second.get("subject").is_none() && second["showAs"] == "oof", "{second}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn csv_from_a_file_and_from_stdin_becomes_jobs_and_empty_fields_are_null() {
    let bed = Bed::new().await;
    let csv = "\u{feff}subject,start_time,end_time,body,attendees\r\n\
        \"Kick-off, part 1\",2026-12-01 09:00,2026-12-01 10:00,\"two\nlines\",\"[{\"\"address\"\":\"\"ann@contoso.com\"\",\"\"required\"\":false}]\"\r\n\
        ,2026-12-01 09:00,2026-12-01 10:00,,\r\n";
    std::fs::write(bed.home().join("jobs.csv"), csv).unwrap();
    assert_eq!(bed.command(&["enqueue", "jobs.csv"]).await.expect(0).stdout, "1\n2\n");
    assert_eq!(bed.command_reading(csv, &["enqueue", "--format", "csv", "-"]).await.expect(0).stdout, "3\n4\n");
    bed.command(&["run", "--until-empty"]).await.expect(0);
    let first = bed.event_of(1).await.received;
    assert_eq!((&first["subject"], &first["body"]["content"]), (&json!("Kick-off, part 1"), &json!("two\nlines")));
    assert_eq!(first["attendees"][0]["type"], "optional");
    let second = bed.event_of(2).await.received;
    assert!(second.get("subject").is_none() && second.get("body").is_none() && second.get("attendees").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_goes_in_whole_or_not_at_all_and_every_bad_line_is_named() {
    let bed = Bed::new().await;
    let good = r#"{"start_time":"2026-12-01 09:00","end_time":"2026-12-01 10:00"}"#;
    let lines = [
        good,
        r#"{"start_time":"2026-12-01 09:00"}"#,
        good,
        r#"{"start_time":"2026-02-30 09:00","end_time":"2026-12-01 10:00"}"#,
        "not json",
        r#"{"start_time":"2026-12-01 09:00","end_time":"2026-12-01 10:00","stat":"sent"}"#,
        r#"{"start_time":"2026-12-01 09:00","end_time":"2026-12-01 10:00","subject":5}"#,
        "[]",
    ];
    let ran = bed.command_reading(&lines.join("\n"), &["enqueue", "-"]).await.expect(1);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("nothing was inserted"), "{ran:?}");
    for (number, part) in
        [(2, "end_time"), (4, "start_time"), (5, "JSON"), (6, "'stat'"), (7, "subject"), (8, "object")]
    {
        let place = format!("line {number}:");
        let line =
            ran.stderr.lines().find(|line| line.contains(&place)).unwrap_or_else(|| panic!("{place} in {ran:?}"));
        assert!(line.contains(part), "{line}");
    }
    assert!(!ran.stderr.contains("line 1:") && !ran.stderr.contains("line 3:"), "{ran:?}");

    // What only the database can see takes the others along too.
    bed.insert(row().with("dedup_key", "taken")).await;
    let twice = format!("{good}\n{}\n", good.replace('}', r#","dedup_key":"taken"}"#));
    let ran = bed.command_reading(&twice, &["enqueue", "-"]).await.expect(1);
    assert!(ran.stderr.contains("line 2") && ran.stderr.contains("taken"), "{ran:?}");
    assert_eq!(bed.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bad_csv_is_refused_with_its_line() {
    let bed = Bed::new().await;
    let unknown = "subject,begin,end_time\nx,2026-12-01 09:00,2026-12-01 10:00\n";
    let ran = bed.command_reading(unknown, &["enqueue", "--format", "csv", "-"]).await.expect(1);
    assert!(ran.stderr.contains("'begin'") && ran.stderr.contains("start_time"), "{ran:?}");
    let fault =
        "subject,start_time,end_time\na,2026-12-01 09:00,2026-12-01 10:00\nb,2026-13-01 09:00,2026-12-01 10:00\n";
    let ran = bed.command_reading(fault, &["enqueue", "--format", "csv", "-"]).await.expect(1);
    assert!(ran.stderr.contains("line 3") && ran.stderr.contains("start_time"), "{ran:?}");
    let ragged = "subject,start_time,end_time\na,2026-12-01 09:00\n";
    bed.command_reading(ragged, &["enqueue", "--format", "csv", "-"]).await.expect(1);
    let ran = bed.command_reading("", &["enqueue", "-"]).await.expect(1);
    assert!(!ran.stderr.is_empty());
    bed.command(&["enqueue", "no-such.csv"]).await.expect(1);
    assert!(bed.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn enqueue_works_beside_a_running_agent_and_makes_a_missing_queue() {
    let mut bed = Bed::new().await;
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    bed.command(&with(&["--subject", "beside"])).await.expect(0);
    bed.until(1, "sent").await;

    let queue = bed.home().join("new/queue.db");
    bed.set("queue.path", queue.to_str().unwrap());
    assert_eq!(bed.command(&with(&[])).await.expect(0).stdout, "1\n");
    assert!(queue.exists());
}
