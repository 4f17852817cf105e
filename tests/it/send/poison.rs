//! Rows no event can be made of, beside rows that are fine.

use serde_json::json;

use crate::bed::{Bed, row};

fn attendees(count: usize) -> String {
    json!((0..count).map(|n| json!({"address": format!("a{n}@contoso.com"), "required": true})).collect::<Vec<_>>())
        .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn poison_rows_fail_naming_their_column_and_stop_no_other_row() {
    let bed = Bed::new().await;
    let (good, start, end) = ("'2026-12-01 09:00', '2026-12-01 10:00'", "'2026-12-01 09:00'", "'2026-12-01 10:00'");
    let crowd = attendees(501);
    let cases = [
        ("subject", format!("(start_time, end_time, subject) VALUES ({good}, x'00ff00')")),
        ("body", format!("(start_time, end_time, body) VALUES ({good}, CAST(x'48ff49' AS TEXT))")),
        ("location", format!("(start_time, end_time, location) VALUES ({good}, x'80')")),
        ("body", format!("(start_time, end_time, body) VALUES ({good}, hex(zeroblob(5242880)))")),
        ("subject", format!("(start_time, end_time, subject) VALUES ({good}, hex(zeroblob(5242880)))")),
        ("start_time", format!("(start_time, end_time) VALUES ('2026-02-30 09:00', {end})")),
        ("start_time", format!("(start_time, end_time) VALUES (42, {end})")),
        ("start_time", format!("(start_time, end_time) VALUES ('tomorrow', {end})")),
        ("end_time", format!("(start_time, end_time) VALUES ({start}, '2026-12-01 24:30')")),
        ("end_time", format!("(start_time, end_time) VALUES ({start}, '2026-12-01 08:59')")),
        (
            "start_time",
            "(start_time, end_time, time_zone) VALUES ('2026-03-29 02:30', '2026-03-29 04:00', 'Europe/Berlin')".into(),
        ),
        ("attendees", format!("(start_time, end_time, attendees) VALUES ({good}, '{crowd}')")),
        (
            "attendees",
            format!("(start_time, end_time, attendees) VALUES ({good}, '[{{\"name\":\"Ann\",\"required\":true}}]')"),
        ),
        ("attendees", format!("(start_time, end_time, attendees) VALUES ({good}, '[\"ann@contoso.com\"]')")),
        (
            "attendees",
            format!(
                "(start_time, end_time, attendees) VALUES ({good}, '[{{\"address\":\"a@b.c\",\"requird\":true}}]')"
            ),
        ),
        ("extra", format!("(start_time, end_time, extra) VALUES ({good}, '{{\"subject\":\"two\"}}')")),
        ("extra", format!("(start_time, end_time, extra) VALUES ({good}, '{{\"transactionId\":\"mine\"}}')")),
        ("start_time", format!("(start_time, end_time, extra) VALUES ({good}, '{{\"isAllDay\":true}}')")),
        ("mailbox", format!("(start_time, end_time, mailbox) VALUES ({good}, '..')")),
        ("mailbox", format!("(start_time, end_time, mailbox) VALUES ({good}, x'616e6e')")),
        ("calendar_id", format!("(start_time, end_time, calendar_id) VALUES ({good}, '  ')")),
        ("not_before", format!("(start_time, end_time, not_before) VALUES ({good}, 'later')")),
        ("time_zone", format!("(start_time, end_time, time_zone) VALUES ({good}, x'55')")),
    ];
    let mut poison = Vec::new();
    bed.sql("BEGIN IMMEDIATE").await;
    for (column, statement) in &cases {
        let id = bed.try_sql(&format!("INSERT INTO jobs {statement}")).await.unwrap();
        poison.push((id, *column));
        bed.insert(row().with("subject", "healthy")).await;
    }
    bed.sql("COMMIT").await;
    let agent = bed.run();
    bed.until_count(cases.len(), "sent").await;
    bed.until_count(cases.len(), "failed").await;
    for (id, column) in poison {
        let (state, kind, message, attempts) = bed.end_of(id).await.unwrap();
        let message = message.unwrap_or_default();
        assert_eq!(
            (state.as_str(), kind.as_deref(), attempts),
            ("failed", Some("invalid_job"), 0),
            "{column}: {message}"
        );
        assert!(message.starts_with(column) && message.len() > column.len() + 10, "{column}: {message}");
    }
    assert_eq!(bed.creates(None).len(), cases.len(), "no request was made for a poison row");
    assert!(bed.events().iter().all(|event| event.received["subject"] == "healthy"));
    let ran = agent.stop().await.expect(0);
    assert_eq!(ran.stdout.lines().filter(|line| line.contains("\"job failed\"")).count(), cases.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_number_where_text_belongs_is_text_as_sqlite_stores_it() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    bed.sql("INSERT INTO jobs (subject, body, location, start_time, end_time) VALUES (42, 1.5, 7, '2026-12-01 09:00', '2026-12-01 10:00')").await;
    bed.until(1, "sent").await;
    let received = bed.event_of(1).await.received;
    assert_eq!((&received["subject"], &received["body"]["content"]), (&json!("42"), &json!("1.5")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn five_hundred_attendees_and_a_body_just_under_the_limit_are_sent() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let body = "x".repeat(4 * 1024 * 1024 - 64 * 1024);
    let id = bed.insert(row().with("attendees", &attendees(500)).with("subject", "many")).await;
    let large = bed.insert(row().with("body", &body)).await;
    bed.until(id, "sent").await;
    bed.until(large, "sent").await;
    assert_eq!(bed.event_of(large).await.received["body"]["content"].as_str().unwrap().len(), body.len());
    assert_eq!(bed.event_of(id).await.received["attendees"].as_array().unwrap().len(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_invalid_row_that_was_corrected_by_sql_is_sent() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let id = bed.insert(row().with("end_time", "2026-02-30T10:00:00")).await;
    let job = bed.until(id, "failed").await;
    assert_eq!((job.end(), job.in_doubt), (("failed", Some("invalid_job")), 0));
    assert!(job.finished_at.is_some() && job.message().starts_with("end_time"), "{job:?}");
    bed.sql(&format!(
        "UPDATE jobs SET end_time = '2026-12-01T10:00:00', state = 'pending', finished_at = NULL WHERE id = {id}"
    ))
    .await;
    let job = bed.until(id, "sent").await;
    assert_eq!((job.attempts, job.error_kind, job.error_message), (1, None, None));
    let outcomes: Vec<String> = bed.attempts(id).await.into_iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, ["failed", "sent"]);
    bed.assert_one_event_each().await;
}
