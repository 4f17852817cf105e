//! The order of an event's jobs under other hands: rows with ids of their own, rows put back, triggers that were away.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::super::AttemptRecord;
use super::settle_tests::{end, sent};
use super::*;
use crate::job::{Ending, ErrorKind};

const KEYED: (&str, &str) = ("event_key", "'order-7'");

fn update() -> [(&'static str, &'static str); 5] {
    [("operation", "'update'"), KEYED, ("subject", "'Moved'"), ("start_time", "NULL"), ("end_time", "NULL")]
}

async fn behind(db: &mut SqliteConnection) -> Vec<(i64, Option<i64>)> {
    sqlx::query_as("SELECT id, behind FROM jobs ORDER BY id").fetch_all(db).await.unwrap()
}

#[tokio::test]
async fn a_row_inserted_before_others_of_its_event_goes_before_them() {
    for recursive in ["OFF", "ON"] {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        run(db, &format!("PRAGMA recursive_triggers = {recursive}")).await;
        add(db, &[&[("id", "10")], &update()[..]].concat()).await;
        add(db, &[&[("id", "30")], &update()[..]].concat()).await;
        assert_eq!(behind(db).await, [(10, None), (30, Some(10))]);
        add(db, &[&[("id", "20")], &update()[..]].concat()).await;
        add(db, &[&[("id", "5")], &update()[..]].concat()).await;
        assert_eq!(behind(db).await, [(5, None), (10, Some(5)), (20, Some(10)), (30, Some(20))]);
        run(db, "UPDATE jobs SET behind = NULL").await;
        assert_eq!(behind(db).await, [(5, None), (10, Some(5)), (20, Some(10)), (30, Some(20))]);
    }
}

#[tokio::test]
async fn rows_that_have_ended_are_put_back_whatever_their_key_names_by_now() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[KEYED]).await;
    let ended = [("state", "'sent'"), ("event_id", "'AAMk'"), ("finished_at", "'2026-12-01T00:00:00.000Z'"), KEYED];
    let id = add(db, &ended).await;
    assert_eq!(behind(db).await, [(1, None), (id, None)]);
    let refused = refusal(db, &insert(&[KEYED])).await;
    assert!(refused.starts_with("event_key: this key names an event"), "{refused}");
    let refused = refusal(db, "UPDATE jobs SET event_key = 'other' WHERE id = 2").await;
    assert!(refused.contains("can no longer be changed"), "{refused}");
}

#[tokio::test]
async fn a_pending_create_is_not_given_a_key_that_names_an_event() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[KEYED]).await;
    add(db, &[]).await;
    let refused = refusal(db, "UPDATE jobs SET event_key = 'order-7' WHERE id = 2").await;
    assert!(refused.starts_with("event_key: this key names an event"), "{refused}");
    // Written out as it is, as mappers do.
    add(db, &update()).await;
    run(db, "UPDATE jobs SET event_key = event_key, operation = operation, subject = 'New' WHERE id = 1").await;
}

/// A mapper's rebuild of the table drops its triggers without a word.
#[tokio::test]
async fn a_start_puts_into_order_what_was_written_while_the_triggers_were_missing() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[KEYED]).await;
    add(db, &update()).await;
    for trigger in [
        "jobs_of_an_event_are_inserted",
        "jobs_wait_for_their_turn",
        "jobs_leave_the_good_way",
        "jobs_deadline_is_kept",
    ] {
        run(db, &format!("DROP TRIGGER {trigger}")).await;
    }
    add(db, &update()).await;
    add(db, &[("not_after", "'2999-01-01T00:00Z'")]).await;
    run(db, "UPDATE jobs SET state = 'cancelled', finished_at = 'x' WHERE id = 1").await;
    assert_eq!(behind(db).await, [(1, None), (2, Some(1)), (3, None), (4, None)]);
    bed.queue.mend().await.unwrap();
    assert_eq!(behind(db).await, [(1, None), (2, None), (3, Some(2)), (4, None)]);
    assert_eq!(one::<String>(db, "SELECT expires_at FROM jobs WHERE id = 4").await, "2999-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn a_priority_that_is_none_ends_the_job_with_the_reason() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    run(db, "PRAGMA ignore_check_constraints = ON").await;
    let bad = add(db, &[("priority", "'high'")]).await;
    let good = add(db, &[("priority", "7")]).await;
    let claimed = bed.queue.claim(&request()).await.unwrap();
    assert_eq!(claimed.broken, [JobId(bad)]);
    assert_eq!(claimed.jobs.iter().map(|(_, job)| job.id.0).collect::<Vec<_>>(), [good]);
    let message = bed.row(bad).await["error_message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("priority: is not -1, 0 or 1"), "{message}");
}

/// What a trigger of somebody else's refuses is told, and stands in nobody's way.
#[tokio::test]
async fn a_refused_end_of_what_is_overtaken_is_told_and_holds_up_nobody() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[("not_after", "'2020-01-01T00:00Z'")]).await;
    add(db, &[("not_after", "'2020-01-01T00:00Z'")]).await;
    run(
        db,
        "CREATE TRIGGER theirs BEFORE UPDATE OF state ON jobs WHEN OLD.id = 1 AND NEW.state = 'failed'
        BEGIN SELECT RAISE(ABORT, 'hands off'); END",
    )
    .await;
    let claimed = bed.queue.claim(&request()).await.unwrap();
    assert_eq!(claimed.ended, [(JobId(2), ErrorKind::Expired)]);
    assert!(claimed.withheld.new.iter().any(|refusal| refusal.id == JobId(1) && refusal.why == "hands off"));
}

/// Both views read a time in the same way.
#[tokio::test]
async fn a_deadline_is_read_by_the_rules_of_a_wish() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for written in [
        "2101-02-03T04:05:06Z",
        "2101-02-03 04:05",
        "2101-02-03T04:05:06.7+0200",
        "  2101-02-03t04:05:06z ",
        "soon",
        "2101-02-30T00:00Z",
        "2101-02-03T24:00Z",
        "2101-02-03",
        "",
    ] {
        let value = format!("'{written}'");
        let id = add(db, &[("not_before", &value), ("not_after", &value)]).await;
        let of = |view: &str, column: &str| format!("SELECT {column} FROM {view} WHERE id = {id}");
        let wish: Option<String> = one(db, &of("job_wishes", "due")).await;
        let deadline: Option<String> = one(db, &of("jobs", "expires_at")).await;
        assert_eq!(wish, deadline, "{written}");
    }
}

#[tokio::test]
async fn a_wish_of_a_job_without_times_of_its_own_is_heeded() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let id = add(db, &[&update()[..], &[("not_before", "'2101-02-03T04:05Z'")]].concat()).await;
    let due: String = one(db, &format!("SELECT next_attempt_at FROM jobs WHERE id = {id}")).await;
    assert_eq!(due, "2101-02-03T04:05:00.000Z");
}

/// What another program wrote into one claimed row sends all of them the longer way.
#[tokio::test]
async fn what_was_mailed_counts_once_whatever_stands_in_a_row() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for _ in 0..3 {
        add(db, &[("mailbox", "'ann@contoso.com'")]).await;
    }
    let claimed = bed.queue.claim(&request()).await.unwrap();
    run(db, "UPDATE jobs SET error_code = 'theirs' WHERE id = 2").await;
    let attempt = AttemptRecord { started_at: in_ms(5), duration_ms: 77, ending: Ending::Sent };
    let ends: Vec<Settlement> = claimed
        .jobs
        .iter()
        .map(|(_, job)| Settlement { mailed: 10, attempt: Some(attempt.clone()), ..end(job, sent()) })
        .collect();
    let settled = bed.queue.settle(&ends.iter().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(settled, [Settled::Recorded, Settled::Recorded, Settled::Recorded]);
    assert_eq!(one::<i64>(db, "SELECT sum(jobs) FROM mailings").await, 3);
    assert_eq!(one::<i64>(db, "SELECT sum(recipients) FROM mailings").await, 30);
    assert_eq!(one::<i64>(db, "SELECT count(*) FROM attempts").await, 3);
}
