//! The table itself: what the database refuses, whoever asks.

use event_sender::sandbox::Fault;

use crate::bed::{Bed, row};

async fn refused(bed: &Bed, statement: &str) -> String {
    match bed.try_sql(statement).await {
        Ok(_) => panic!("the database took: {statement}"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_sql_can_check_is_refused_at_insert() {
    let bed = Bed::new().await;
    for (columns, values, part) in [
        ("attendees", "'{\"address\":\"ann@contoso.com\",\"required\":true}'", "attendees"),
        ("attendees", "'not json'", ""),
        ("attendees", "NULL", "attendees"),
        ("extra", "'[]'", "extra"),
        ("extra", "'{'", ""),
        ("body_type", "'markdown'", "body_type"),
        ("state", "'waiting'", "state"),
        ("event_id", "'AAMk'", "sent_means_event_id"),
        ("finished_at", "'2026-01-01T00:00:00.000Z'", "final_means_finished_at"),
    ] {
        let statement = format!(
            "INSERT INTO jobs (start_time, end_time, {columns}) VALUES ('2026-12-01 09:00', '2026-12-01 10:00', {values})"
        );
        let error = refused(&bed, &statement).await;
        assert!(error.contains(part), "{columns} {values}: {error}");
    }
    for statement in [
        "INSERT INTO jobs (start_time, end_time) VALUES ('', '2026-12-01 10:00')",
        "INSERT INTO jobs (start_time, end_time) VALUES ('2026-12-01 09:00', '  ')",
        "INSERT INTO jobs (end_time) VALUES ('2026-12-01 10:00')",
    ] {
        refused(&bed, statement).await;
    }
    assert!(bed.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_row_with_the_same_dedup_key_is_refused_by_the_database() {
    let bed = Bed::new().await;
    bed.insert(row().with("dedup_key", "order-4711")).await;
    let twice = "INSERT INTO jobs (start_time, end_time, dedup_key) VALUES ('2026-12-01 09:00', '2026-12-01 10:00', 'order-4711')";
    assert!(refused(&bed, twice).await.contains("dedup_key"));
    bed.insert(row()).await;
    bed.insert(row()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_of_which_a_request_may_have_left_can_be_neither_changed_nor_deleted() {
    let mut bed = Bed::new().await;
    bed.set("delivery.first_retry", "30s");
    bed.set("delivery.longest_retry", "30s");
    bed.sandbox().script(Fault::lost_reply());
    let _agent = bed.run();
    let id = bed.insert(row().with("subject", "Review")).await;
    let job = bed.until_back(id, "unavailable").await;
    assert_eq!((job.in_doubt, job.attempts), (1, 1));
    for column in ["subject", "body", "start_time", "end_time", "location", "mailbox", "time_zone", "transaction_id"] {
        let error = refused(&bed, &format!("UPDATE jobs SET {column} = '2026-12-01 09:30' WHERE id = {id}")).await;
        assert!(error.contains("insert a new job"), "{column}: {error}");
    }
    assert!(refused(&bed, &format!("DELETE FROM jobs WHERE id = {id}")).await.contains("cannot be deleted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sent_job_stays_sent_and_can_be_cleaned_away_with_its_history() {
    let bed = Bed::new().await;
    let _agent = bed.run();
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    for change in
        ["state = 'pending', event_id = NULL, finished_at = NULL", "event_id = NULL", "claims = 0", "subject = 'x'"]
    {
        refused(&bed, &format!("UPDATE jobs SET {change} WHERE id = {id}")).await;
    }
    bed.sql(&format!("DELETE FROM jobs WHERE id = {id}")).await;
    assert!(bed.attempts(id).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_row_gets_its_own_transaction_id_in_the_form_of_a_random_uuid() {
    let bed = Bed::new().await;
    bed.insert_all((0..200).map(|_| row())).await;
    let mut ids: Vec<String> = bed.jobs().await.into_iter().map(|job| job.transaction_id).collect();
    for id in &ids {
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert!(id.chars().all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c)), "{id}");
        assert!(id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 200);
}
