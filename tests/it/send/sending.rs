//! Rows that become events: what is sent, what is recorded, what is logged.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event_sender::sandbox::{Fault, OptionsChange};
use serde_json::{Value, json};

use crate::bed::{Bed, MAILBOX, MARKER, row, row_for};

/// The statement of the contract, to the letter.
const COMPLETE_PRODUCER: &str = "INSERT INTO jobs (subject, body, start_time, end_time, location, attendees)
     VALUES ('Review', 'Agenda attached', '2026-12-01T09:00:00', '2026-12-01T10:00:00', 'Room 1',
             '[{\"name\":\"Ann\",\"address\":\"ann@contoso.com\",\"required\":true}]');";

fn is_utc_text(time: Option<&str>) -> bool {
    let form = "dddd-dd-ddTdd:dd:dd.dddZ";
    time.is_some_and(|time| {
        time.len() == form.len()
            && time.chars().zip(form.chars()).all(|(c, f)| if f == 'd' { c.is_ascii_digit() } else { c == f })
    })
}

/// Sends one row and gives what Graph received.
async fn sent(bed: &Bed, row: crate::bed::Row) -> Value {
    let id = bed.insert(row).await;
    bed.until(id, "sent").await;
    bed.event_of(id).await.received
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_contracts_own_insert_becomes_exactly_the_event_it_describes() {
    let bed = Bed::new().await;
    let agent = bed.run();
    bed.sql(COMPLETE_PRODUCER).await;
    let job = bed.until(1, "sent").await;
    let event = bed.event_of(1).await;

    assert_eq!(
        event.received,
        json!({
            "subject": "Review",
            "body": {"contentType": "text", "content": "Agenda attached"},
            "start": {"dateTime": "2026-12-01T09:00:00", "timeZone": "UTC"},
            "end": {"dateTime": "2026-12-01T10:00:00", "timeZone": "UTC"},
            "location": {"displayName": "Room 1"},
            "attendees": [{"emailAddress": {"address": "ann@contoso.com", "name": "Ann"}, "type": "required"}],
            "transactionId": job.transaction_id,
            "singleValueExtendedProperties": [{"id": MARKER, "value": job.transaction_id}],
        })
    );
    assert_eq!(event.mailbox, MAILBOX);
    assert_eq!(job.event_id.as_deref(), Some(event.id.as_str()));
    bed.assert_one_event_each().await;
    assert_eq!(bed.creates(None).len(), 1);
    assert_eq!(bed.creates(None)[0].path, "/v1.0/users/calendar@contoso.com/events");
    assert_eq!(agent.stop().await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_sending_the_row_and_its_history_tell_what_happened() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    bed.sql(COMPLETE_PRODUCER).await;
    let job = bed.until(1, "sent").await;

    assert_eq!((job.in_doubt, job.attempts, job.claims), (0, 1, 1));
    assert_eq!((job.error_kind, job.error_code, job.error_message), (None, None, None));
    assert_eq!(job.http_status, Some(201));
    let defaults = (job.mailbox.as_deref(), job.body_type.as_deref(), job.time_zone.as_deref());
    assert_eq!(defaults, (Some(MAILBOX), Some("text"), Some("UTC")), "the defaults used are written into the row");
    for time in [Some(&job.created_at), job.claimed_at.as_ref(), job.finished_at.as_ref()] {
        assert!(is_utc_text(time.map(String::as_str)), "{time:?}");
    }
    assert!(job.created_at <= job.claimed_at.clone().unwrap() && job.claimed_at <= job.finished_at);

    let attempts = bed.attempts(1).await;
    assert_eq!(attempts.len(), 1);
    let (attempt, request) = (&attempts[0], &bed.creates(None)[0]);
    assert_eq!((attempt.job_id, attempt.claim, attempt.outcome.as_str()), (1, 1, "sent"));
    assert_eq!((attempt.http_status, &attempt.error_code, &attempt.message), (Some(201), &None, &None));
    assert_eq!(attempt.client_request_id, request.client_request_id);
    assert!(attempt.client_request_id.is_some() && attempt.request_id.is_some() && attempt.duration_ms >= 0);
    assert_eq!(attempt.request_id, job.request_id);
    assert!(is_utc_text(Some(&attempt.started_at)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_log_has_one_flat_line_per_attempt_with_the_ids_of_both_sides() {
    let bed = Bed::new().await;
    let agent = bed.run();
    bed.sql(COMPLETE_PRODUCER).await;
    let job = bed.until(1, "sent").await;
    let line = bed.until_said(&agent, "event sent").await;

    let text = |value: &Option<String>| json!(value.as_deref().unwrap());
    let attempt = &bed.attempts(1).await[0];
    assert_eq!(line["level"], "INFO");
    assert_eq!((&line["job_id"], &line["attempt"], &line["outcome"]), (&json!(1), &json!(1), &json!("sent")));
    assert_eq!((&line["status"], &line["event_id"]), (&json!(201), &text(&job.event_id)));
    assert_eq!(line["request_id"], text(&attempt.request_id));
    assert_eq!(line["client_request_id"], text(&attempt.client_request_id));
    assert!(line["duration_ms"].is_u64() && line["timestamp"].is_string(), "{line}");
    assert!(line.get("mailbox").is_none(), "mailboxes are on mailbox-level lines only: {line}");

    let ran = agent.stop().await;
    assert_eq!(ran.code, Some(0));
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let flat = line.as_object().unwrap().values().all(|value| !value.is_object() && !value.is_array());
        assert!(flat && line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
    let messages: Vec<&str> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    for message in ["agent started", "token acquired", "event sent", "agent stopped"] {
        assert_eq!(messages.iter().filter(|said| **said == message).count(), 1, "{message} in {messages:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_null_is_left_out_of_the_request() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let bare = row().null("subject").null("body").null("location").null("body_type").null("extra");
    let received = sent(&bed, bare).await;
    let keys: BTreeSet<&str> = received.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["start", "end", "transactionId", "singleValueExtendedProperties"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn empty_text_is_text_and_is_sent() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let received = sent(&bed, row().with("subject", "").with("body", "").with("location", "")).await;
    assert_eq!(received["subject"], "");
    assert_eq!(received["body"]["content"], "");
    assert_eq!(received["location"]["displayName"], "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn attendees_are_required_optional_or_resources_with_or_without_a_name() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let attendees = json!([
        {"name": "Ann", "address": "ann@contoso.com", "required": true},
        {"name": null, "address": "bob@contoso.com", "required": false},
        {"address": "room1@contoso.com", "type": "resource"},
        {"Name": "Cy", "Address": "cy@contoso.com", "Required": true},
        {"Name": null, "Address": "dora@contoso.com", "Required": false},
    ]);
    let received = sent(&bed, row().with("attendees", &attendees.to_string())).await;
    assert_eq!(
        received["attendees"],
        json!([
            {"emailAddress": {"address": "ann@contoso.com", "name": "Ann"}, "type": "required"},
            {"emailAddress": {"address": "bob@contoso.com"}, "type": "optional"},
            {"emailAddress": {"address": "room1@contoso.com"}, "type": "resource"},
            {"emailAddress": {"address": "cy@contoso.com", "name": "Cy"}, "type": "required"},
            {"emailAddress": {"address": "dora@contoso.com"}, "type": "optional"},
        ])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn text_of_any_script_arrives_as_it_was_written() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let text = "Größe 大 🗓️ \"quoted\" \\ back\tslash\r\nnew line \u{200d} <b>&amp;</b> '; DROP TABLE jobs; --";
    let received = sent(&bed, row().with("subject", text).with("body", text).with("location", text)).await;
    assert_eq!(received["subject"], text);
    assert_eq!(received["body"]["content"], text);
    assert_eq!(received["location"]["displayName"], text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_is_text_or_html_as_the_row_or_the_default_says() {
    let mut bed = Bed::new().await;
    bed.set("defaults.body_type", "html");
    let _agent = bed.run();
    let html = sent(&bed, row().with("body", "<p>Hi</p>")).await;
    assert_eq!(html["body"], json!({"contentType": "html", "content": "<p>Hi</p>"}));
    let text = sent(&bed, row().with("body", "a < b").with("body_type", "text")).await;
    assert_eq!(text["body"], json!({"contentType": "text", "content": "a < b"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn extra_properties_are_merged_as_given() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let extra = json!({
        "isAllDay": true,
        "showAs": "oof",
        "categories": ["Blue category"],
        "isReminderOn": false,
        "reminderMinutesBeforeStart": 0,
        "recurrence": {
            "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"]},
            "range": {"type": "noEnd", "startDate": "2026-12-07"},
        },
    });
    let all_day = row().with("start_time", "2026-12-07 00:00").with("end_time", "2026-12-08 00:00");
    let received = sent(&bed, all_day.with("extra", &extra.to_string())).await;
    for (property, value) in extra.as_object().unwrap() {
        assert_eq!(&received[property], value, "{property}");
    }
    assert_eq!(received["singleValueExtendedProperties"][0]["id"], MARKER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn times_are_sent_without_offset_in_the_zone_they_are_meant_in() {
    let mut bed = Bed::new().await;
    bed.set("defaults.time_zone", "Europe/Berlin");
    let _agent = bed.run();
    let time = |zone: Option<&str>, start: &str, end: &str| {
        let row = row().with("start_time", start).with("end_time", end);
        zone.map_or(row.clone(), |zone| row.with("time_zone", zone))
    };
    let wall = sent(&bed, time(None, "2026-07-01 09:00", "2026-07-01T10:30")).await;
    assert_eq!(wall["start"], json!({"dateTime": "2026-07-01T09:00:00", "timeZone": "Europe/Berlin"}));
    assert_eq!(wall["end"], json!({"dateTime": "2026-07-01T10:30:00", "timeZone": "Europe/Berlin"}));
    let own = sent(&bed, time(Some("America/New_York"), "2026-07-01T09:00:00.5", "2026-07-01T10:00:00")).await;
    assert_eq!(own["start"], json!({"dateTime": "2026-07-01T09:00:00.5", "timeZone": "America/New_York"}));
    let instants = sent(&bed, time(None, "2026-07-01T09:00:00+02:00", "2026-07-01T08:00:00Z")).await;
    assert_eq!(instants["start"], json!({"dateTime": "2026-07-01T07:00:00", "timeZone": "UTC"}));
    assert_eq!(instants["end"], json!({"dateTime": "2026-07-01T08:00:00", "timeZone": "UTC"}));
    let named = sent(&bed, time(Some("Europe/Berlin"), "2026-07-01T07:00:00Z", "2026-07-01T08:00:00Z")).await;
    assert_eq!(named["start"], json!({"dateTime": "2026-07-01T07:00:00", "timeZone": "UTC"}));
    let windows = sent(&bed, time(Some("W. Europe Standard Time"), "2026-07-01 09:00", "2026-07-01 10:00")).await;
    assert_eq!(windows["start"]["timeZone"], "W. Europe Standard Time");
    assert!(bed.sandbox().requests().iter().all(|request| request.note.is_none()), "no offset was ever sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unknown_zone_is_passed_on_and_exchange_has_the_last_word() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let id = bed.insert(row().with("time_zone", "Moon Standard Time")).await;
    let job = bed.until(id, "failed").await;
    assert_eq!((job.end(), job.http_status), (("failed", Some("rejected")), Some(400)));
    assert_eq!(job.error_code.as_deref(), Some("TimeZoneNotSupportedException"));
    assert!(job.message().contains("Moon Standard Time"), "{}", job.message());
    assert_eq!(bed.creates(None).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_calendar_id_and_an_odd_mailbox_are_one_path_segment_each() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let calendar = bed.insert(row_for("ann@contoso.com").with("calendar_id", "AAMk/+ab=c? #1")).await;
    let odd = bed.insert(row_for("o'neil+a&b#c?d%2f=ü@contoso.com")).await;
    bed.until(calendar, "sent").await;
    bed.until(odd, "sent").await;
    assert_eq!(bed.event_of(calendar).await.calendar_id.as_deref(), Some("AAMk/+ab=c? #1"));
    assert_eq!(bed.event_of(odd).await.mailbox, "o'neil+a&b#c?d%2f=ü@contoso.com");
    let paths: BTreeSet<String> = bed.creates(None).into_iter().map(|request| request.path).collect();
    let in_calendar = "/v1.0/users/ann@contoso.com/calendars/AAMk%2F%2Bab%3Dc%3F%20%231/events";
    assert!(paths.contains(in_calendar), "{paths:?}");
    assert!(bed.creates(None).iter().all(|request| request.query.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_api_version_and_the_default_mailbox_come_from_the_settings() {
    let mut bed = Bed::new().await;
    bed.set("graph.api_version", "beta");
    bed.set("defaults.mailbox", "Team@Contoso.com");
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    assert_eq!(bed.creates(None)[0].path, "/beta/users/Team@Contoso.com/events");
    assert_eq!(bed.job(id).await.mailbox.as_deref(), Some("Team@Contoso.com"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_changed_default_does_not_change_a_request_that_may_have_left() {
    let mut bed = Bed::new().await;
    bed.set("delivery.first_retry", "2s");
    bed.set("delivery.longest_retry", "2s");
    bed.sandbox().script(Fault::lost_reply());
    let agent = bed.run();
    let id = bed.insert(row().with("body", "Hi")).await;
    bed.until_back(id, "unavailable").await;
    agent.stop().await;
    bed.set("defaults.mailbox", "other@contoso.com");
    bed.set("defaults.body_type", "html");
    bed.set("defaults.time_zone", "Europe/Berlin");
    let _agent = bed.run();
    bed.until(id, "sent").await;
    let event = bed.event_of(id).await;
    assert_eq!(event.mailbox, MAILBOX);
    assert_eq!(
        (&event.received["body"]["contentType"], &event.received["start"]["timeZone"]),
        (&json!("text"), &json!("UTC"))
    );
    bed.assert_one_event_each().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_foreign_insert_is_noticed_without_polling() {
    let mut bed = Bed::new().await;
    bed.set("queue.poll_interval", "1h");
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    for _ in 0..3 {
        let id = bed.insert(row()).await;
        bed.until(id, "sent").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_is_not_sent_before_its_not_before() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let due = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(2);
    // The forms SQLite and most libraries write; both mean UTC.
    bed.sql(&format!(
        "INSERT INTO jobs (start_time, end_time, mailbox, not_before) VALUES
            ('2026-12-01 09:00', '2026-12-01 10:00', 'ann@contoso.com', datetime({0}, 'unixepoch')),
            ('2026-12-01 09:00', '2026-12-01 10:00', 'bob@contoso.com', strftime('%Y-%m-%dT%H:%M:%SZ', {0}, 'unixepoch')),
            ('2026-12-01 09:00', '2026-12-01 10:00', 'cy@contoso.com', NULL)",
        due.as_secs()
    ))
    .await;
    bed.until_count(3, "sent").await;
    let jobs = bed.jobs().await;
    for request in bed.creates(None).iter().filter(|request| request.mailbox.as_deref() != Some("cy@contoso.com")) {
        assert!(request.at >= jobs[0].next_attempt_at, "{request:?}");
    }
    assert!(jobs[2].finished_at < jobs[0].finished_at);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_hundred_rows_of_a_foreign_program_become_two_hundred_events_with_one_token() {
    let bed = Bed::new().await;
    let agent = bed.run();
    bed.until_said(&agent, "agent started").await;
    let script = "
import sqlite3, sys
queue = sqlite3.connect(sys.argv[1], timeout=30)
for n in range(200):
    queue.execute(
        'INSERT INTO jobs (subject, start_time, end_time, mailbox, dedup_key) VALUES (?, ?, ?, ?, ?)',
        (f'Event {n}', '2026-12-01T09:00:00', '2026-12-01T10:00:00', f'user{n % 20}@contoso.com', f'key-{n}'))
    if n % 10 == 9:
        queue.commit()
";
    let producer = std::process::Command::new("python3").args(["-c", script]).arg(bed.queue_path()).output();
    let producer = producer.expect("this test needs python3 with its sqlite3 module: install python3");
    assert!(producer.status.success(), "{}", String::from_utf8_lossy(&producer.stderr));
    bed.until_count(200, "sent").await;
    bed.assert_one_event_each().await;
    let counters = bed.sandbox().counters();
    assert_eq!((counters.events, counters.create_requests, counters.token_requests), (200, 200, 1));
    assert!(bed.jobs().await.iter().all(|job| job.attempts == 1));
    let mut subjects: Vec<Value> = bed.events().into_iter().map(|event| event.received["subject"].clone()).collect();
    subjects.sort_by_key(Value::to_string);
    subjects.dedup();
    assert_eq!(subjects.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn jobs_of_one_mailbox_go_out_in_the_order_they_were_inserted() {
    let mut bed = Bed::new().await;
    bed.set("delivery.max_in_flight_per_mailbox", "1");
    bed.sandbox().configure(OptionsChange { latency_ms: Some(5), ..OptionsChange::default() });
    let ids = bed.insert_all((0..30).map(|n| row().with("subject", &n.to_string()))).await;
    let _agent = bed.run();
    bed.until_count(ids.len(), "sent").await;
    let order: Vec<String> =
        bed.events().iter().map(|event| event.received["subject"].as_str().unwrap().to_owned()).collect();
    assert_eq!(order, (0..30).map(|n| n.to_string()).collect::<Vec<_>>());
}
