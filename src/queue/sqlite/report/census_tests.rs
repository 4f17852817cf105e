//! Counting for the monitor: what is counted, that no row is read for it, and that nobody is held up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use super::*;
use crate::queue::Census;
use crate::queue::sqlite::report::census::{PENDING, TROUBLED};
use crate::queue::sqlite::report::counted::{CANCELLED, COUNTED, FAILED};

const DONE: &str = "'2026-12-01T00:00:00.000Z'";

#[tokio::test]
async fn an_empty_queue_counts_as_nothing() {
    let bed = Bed::new().await;
    let census = bed.queue.census(now(), None).await.unwrap();
    let (room, took) = (census.room.clone(), census.took);
    assert_eq!(census, Census { room, took, ..Census::default() });
}

#[tokio::test]
async fn every_job_is_counted_in_its_state_and_with_its_trouble() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let finished = ("finished_at", DONE);
    add(db, &[]).await;
    add(db, &[("not_before", "'2200-01-01T00:00Z'")]).await;
    add(db, &[("error_kind", "'throttled'")]).await;
    add(db, &[("error_kind", "'unavailable'"), ("in_doubt", "1")]).await;
    add(db, &[("state", "'claimed'"), ("claimed_at", DONE), ("claims", "1")]).await;
    for _ in 0..3 {
        add(db, &[("state", "'sent'"), ("event_id", "'AAMk'"), finished]).await;
    }
    add(db, &[("state", "'failed'"), ("error_kind", "'denied'"), finished]).await;
    add(db, &[("state", "'failed'"), ("error_kind", "'exhausted'"), ("in_doubt", "1"), finished]).await;
    add(db, &[("state", "'failed'"), finished]).await;
    add(db, &[("state", "'cancelled'"), finished]).await;
    let census = bed.queue.census(now(), None).await.unwrap();
    assert_eq!((census.pending, census.due, census.claimed), (4, 3, 1));
    assert_eq!((census.sent, census.failed, census.cancelled, census.in_doubt), (3, 3, 1, 2));
    let kinds =
        |kinds: &[(&str, u64)]| kinds.iter().map(|(kind, jobs)| ((*kind).to_owned(), *jobs)).collect::<Vec<_>>();
    assert_eq!(census.failed_by_kind, kinds(&[("", 1), ("denied", 1), ("exhausted", 1)]));
    assert_eq!(census.waiting_by_kind, kinds(&[("throttled", 1), ("unavailable", 1)]));
    assert!(census.room.database.unwrap() > 0 && census.room.log.unwrap() > 0, "{:?}", census.room);
    assert!(census.room.free.unwrap() <= census.room.size.unwrap(), "{:?}", census.room);
}

#[tokio::test]
async fn the_first_job_that_is_due_is_told_apart_by_whether_its_mailbox_may_be_sent_to() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let due = |census: Census| [census.due_since, census.due_since_paused, census.due_since_held];
    for (mailbox, due) in [
        ("'Ann@contoso.com'", "'2026-12-01T00:00:03.000Z'"),
        ("'ann@contoso.com'", "'2026-12-01T00:00:02.000Z'"),
        ("'bob@contoso.com'", "'2026-12-01T00:00:01.000Z'"),
        ("'eve@contoso.com'", "'2300-01-01T00:00:00.000Z'"),
        ("NULL", "'2026-12-01T00:00:00.500Z'"),
    ] {
        add(db, &[("mailbox", mailbox), ("next_attempt_at", due)]).await;
    }
    let at = |ms: i64| Some("2026-12-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::milliseconds(ms));
    let census = async || bed.queue.census(now(), Some(" Team@Contoso.com")).await.unwrap();
    assert_eq!(due(census().await), [at(500), None, None]);
    // A pause that is over is none.
    run(
        db,
        "INSERT INTO mailboxes (mailbox, paused_until, reason, held_at) VALUES
         ('ann@contoso.com', '2026-12-01T00:00:00.000Z', 'over', NULL),
         ('bob@contoso.com', '2100-01-01T00:00:01.000Z', 'throttled', NULL),
         ('team@contoso.com', '2026-12-01T00:00:00.000Z', '', '2026-12-01T00:00:00.000Z')",
    )
    .await;
    let counted = census().await;
    assert_eq!(counted.held_mailboxes, 1);
    assert_eq!((counted.pending, counted.due), (5, 4));
    assert_eq!(due(counted), [at(2000), at(1000), at(500)]);
    run(db, "UPDATE jobs SET next_attempt_at = '2300-01-01T00:00:00.000Z'").await;
    assert_eq!(due(census().await), [None, None, None], "nothing is due");
}

#[tokio::test]
async fn what_mails_somebody_rests_in_a_mailbox_that_has_mailed_its_limit_and_what_mails_nobody_does_not() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let guest = r#"'[{"address":"bob@contoso.com"}]'"#;
    add(db, &[("mailbox", "'ann@contoso.com'"), ("attendees", guest)]).await;
    run(db, "INSERT INTO mailboxes (mailbox, paused_until, reason, paced_until) VALUES ('ann@contoso.com', '', '', '2200-01-01T00:00:00.000Z')")
        .await;
    let census = async || bed.queue.census(now(), None).await.unwrap();
    let due = async || {
        let census = census().await;
        (census.due_since.is_some(), census.due_since_paused.is_some())
    };
    assert_eq!(due().await, (false, true));
    add(db, &[("mailbox", "'ann@contoso.com'")]).await;
    assert_eq!(due().await, (true, true));
}

/// SQLite's own steps: it may open the table beside an index and never look into it.
#[tokio::test]
async fn the_census_reads_no_row_and_sorts_nothing() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let table: i64 = one(db, "SELECT rootpage FROM sqlite_master WHERE name = 'jobs'").await;
    for query in [PENDING, COUNTED, FAILED, CANCELLED, TROUBLED] {
        let steps = sqlx::query(AssertSqlSafe(format!("EXPLAIN {query}"))).fetch_all(&mut *db).await.unwrap();
        let steps: Vec<(String, i64, i64)> = steps.iter().map(|row| (row.get(1), row.get(2), row.get(3))).collect();
        let opened = |step: &(String, i64, i64)| step.0 == "OpenRead" && step.2 == table;
        let cursors: Vec<i64> = steps.iter().filter(|step| opened(step)).map(|step| step.1).collect();
        let reads = |step: &(String, i64, i64)| {
            ["Column", "Rowid", "FinishSeek", "Rewind"].contains(&step.0.as_str()) && cursors.contains(&step.1)
        };
        assert!(!steps.iter().any(reads), "{query}: {cursors:?} in {steps:?}");
        assert!(!steps.iter().any(|step| step.0.starts_with("Sorter")), "{query}: {steps:?}");
        assert!(steps.iter().any(|step| step.0 == "Column" || step.0 == "Next"), "{query}: {steps:?}");
    }
}

#[tokio::test]
async fn counting_beside_a_writer_waits_for_nobody_and_leaves_nothing_open() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[]).await;
    run(db, "BEGIN IMMEDIATE").await;
    add(db, &[]).await;
    let counted = tokio::time::timeout(Duration::from_secs(30), bed.queue.census(now(), None)).await.unwrap().unwrap();
    assert_eq!(counted.pending, 1, "as it was before the writer began");
    run(db, "COMMIT").await;
    assert_eq!(bed.queue.census(now(), None).await.unwrap().pending, 2);
    let log = bed.queue.path().with_extension("db-wal");
    sqlx::Connection::close(std::mem::replace(db, connect(bed.queue.path()).await)).await.unwrap();
    sqlx::Connection::close(std::mem::replace(db, connect(":memory:".as_ref()).await)).await.unwrap();
    bed.queue.close().await;
    assert!(!log.exists(), "whoever closes the queue last takes the log along");
}

#[tokio::test]
async fn a_queue_that_was_taken_away_is_not_counted() {
    let bed = Bed::new().await;
    std::fs::rename(bed.queue.path(), bed.queue.path().with_extension("moved")).unwrap();
    let error = bed.queue.census(now(), None).await.unwrap_err();
    assert!(matches!(error, QueueError::Gone { .. }), "{error}");
}
