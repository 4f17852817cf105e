//! The order of an event's jobs under other hands: rows with ids of their own, rows put back, triggers that were away.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::super::{AttemptRecord, Paced};
use super::settle_tests::{end, sent, settle};
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
    bed.queue.repair().await.unwrap();
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

/// Once it is in doubt nothing would fill its row any more, and it would wait in the lane of the default mailbox.
#[tokio::test]
async fn after_a_restore_a_change_is_in_its_creates_lane() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let of_key = |key: &'static str, columns: &[(&'static str, &'static str)]| {
        [&update()[..], columns, &[("event_key", key)]].concat().into_iter().rev().collect::<Vec<_>>()
    };
    add(db, &[("event_key", "'named'"), ("mailbox", "' Ann@contoso.com'")]).await;
    let named = add(db, &of_key("'named'", &[])).await;
    add(db, &[("event_key", "'unnamed'")]).await;
    let unnamed = add(db, &of_key("'unnamed'", &[])).await;
    let unknown = add(db, &of_key("'unknown'", &[])).await;
    let marked = bed.queue.mark_in_doubt(&request().defaults, now()).await.unwrap();
    assert_eq!(marked, 5);
    let place = async |id| {
        let row = bed.row(id).await;
        (row["mailbox"].as_str().map(str::to_owned), row["mailbox_key"].as_str().map(str::to_owned))
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(place(named).await, (text(" Ann@contoso.com"), text("ann@contoso.com")));
    assert_eq!(place(unnamed).await, (text("Team@contoso.com"), text("team@contoso.com")));
    assert_eq!(place(unknown).await, (None, text("")));
}

#[tokio::test]
async fn the_end_of_an_earlier_claim_does_not_hide_that_another_job_has_its_turn() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[KEYED]).await;
    add(db, &update()).await;
    let first = bed.claim().await.remove(0);
    settle(&bed, &end(&first, Verdict::Pending(now()))).await;
    let second = bed.claim().await.remove(0);
    assert_eq!((first.id, second.claim), (second.id, 2));
    assert_eq!(settle(&bed, &end(&first, sent())).await, Settled::Stale);
    assert!(bed.claim().await.is_empty());
    assert_eq!(settle(&bed, &end(&second, sent())).await, Settled::Recorded);
    // Nobody else has written since.
    assert_eq!(bed.claim().await.iter().map(|job| job.id.0).collect::<Vec<_>>(), [2]);
}

/// Inserted while the job before it is being sent, it is found though nobody writes after that job's end.
#[tokio::test]
async fn what_comes_behind_a_claimed_job_has_its_turn_at_its_end() {
    for looked in [true, false] {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        add(db, &[KEYED]).await;
        let first = bed.claim().await.remove(0);
        add(db, &update()).await;
        if looked {
            assert!(bed.claim().await.is_empty());
        }
        assert_eq!(settle(&bed, &end(&first, sent())).await, Settled::Recorded);
        assert_eq!(bed.claim().await.iter().map(|job| job.id.0).collect::<Vec<_>>(), [2], "{looked}");
    }
}

const GUEST: (&str, &str) = ("attendees", r#"'[{"address":"bob@contoso.com"}]'"#);
const ANN: (&str, &str) = ("mailbox", "'ann@contoso.com'");

/// A lookup mails nobody; only the repeat waits.
#[tokio::test]
async fn what_is_in_doubt_is_looked_up_while_its_mailbox_may_mail_nobody() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let sure = add(db, &[ANN, GUEST]).await;
    let doubtful = add(db, &[ANN, GUEST, ("in_doubt", "1")]).await;
    let paced = ClaimRequest { paced: [LaneKey::of("ann@contoso.com")].into(), ..request() };
    let claimed = bed.queue.claim(&paced).await.unwrap();
    assert_eq!(claimed.jobs.iter().map(|(_, job)| job.id.0).collect::<Vec<_>>(), [doubtful]);
    // Found done, it is as any other; put back in doubt, it is in that lane again; and so is one that a crash left.
    let job = &claimed.jobs[0].1;
    settle(&bed, &Settlement { in_doubt: true, ..end(job, Verdict::Pending(now())) }).await;
    assert_eq!(bed.queue.claim(&paced).await.unwrap().jobs.len(), 1);
    let sure_one = bed.claim().await.remove(0);
    assert_eq!(sure_one.id.0, sure);
    bed.queue.put_back(&[(sure_one.id, sure_one.claim)]).await.unwrap();
    assert_eq!(one::<i64>(db, &format!("SELECT mails FROM jobs WHERE id = {sure}")).await, 0);
}

#[tokio::test]
async fn what_waits_for_the_pace_of_its_mailbox_is_judged_anew_at_a_start_and_by_other_limits() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let [doubtful, change, tried] = [
        add(db, &[ANN, GUEST, ("in_doubt", "1")]).await,
        add(
            db,
            &[
                ANN,
                ("operation", "'delete'"),
                ("target_event_id", "'AAMk'"),
                ("start_time", "NULL"),
                ("end_time", "NULL"),
            ],
        )
        .await,
        add(db, &[ANN, GUEST, ("in_doubt", "1")]).await,
    ];
    let wished = add(db, &[ANN, GUEST, ("in_doubt", "1"), ("not_before", "'2100-01-01T12:00Z'")]).await;
    let (tomorrow, lane) = (in_ms(86_400_000), LaneKey::of("ann@contoso.com"));
    let paced = Paced { lane, until: tomorrow, reason: "enough".into() };
    let attempt = AttemptRecord { started_at: in_ms(5), duration_ms: 77, ending: Ending::Retry };
    for job in bed.claim().await {
        let waits =
            Settlement { in_doubt: job.in_doubt, paced: Some(paced.clone()), ..end(&job, Verdict::Pending(tomorrow)) };
        let attempt = (job.id.0 == tried).then(|| attempt.clone());
        assert_eq!(settle(&bed, &Settlement { attempt, ..waits }).await, Settled::Recorded);
    }
    run(db, &format!("UPDATE jobs SET next_attempt_at = '2100-01-02T00:00:00.000Z', claims = 1 WHERE id = {wished}"))
        .await;
    bed.queue.wake().await.unwrap();
    let woken = format_utc(now());
    assert_eq!([bed.due(doubtful).await, bed.due(change).await], [woken.clone(), woken]);
    assert_eq!(bed.due(wished).await, "2100-01-01T12:00:00.000Z");
    assert_eq!(bed.due(tried).await, format_utc(tomorrow), "it waits for its next try");
    let left: i64 =
        one(db, "SELECT count(*) FROM mailboxes WHERE paced_until IS NOT NULL OR paced_reason IS NOT NULL").await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_change_is_in_the_mailbox_of_the_create_that_was_not_cancelled() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let ended =
        [KEYED, ANN, ("state", "'sent'"), ("event_id", "'AAMk'"), ("finished_at", "'2026-12-01T00:00:00.000Z'")];
    add(db, &ended).await;
    add(db, &[KEYED, ("operation", "'delete'"), ("start_time", "NULL"), ("end_time", "NULL")]).await;
    let cancelled = [KEYED, ("mailbox", "'eve@contoso.com'")];
    add(db, &cancelled).await;
    run(db, "UPDATE jobs SET state = 'cancelled', error_kind = 'superseded', finished_at = 'x' WHERE id > 1").await;
    let change = add(db, &update()).await;
    assert_eq!(bed.row(change).await["mailbox"], "ann@contoso.com");
}

#[tokio::test]
async fn retention_keeps_a_create_as_long_as_another_job_of_its_key_waits() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let sent = [("state", "'sent'"), ("event_id", "'AAMk'"), ("finished_at", "'2026-12-01T00:00:00.000Z'")];
    let over = [KEYED, ("ends_at", "'2026-12-02T00:00:00.000Z'")];
    add(db, &[&sent[..], &over].concat()).await;
    let change = add(db, &update()).await;
    assert_eq!(bed.queue.purge(Duration::ZERO, 10).await.unwrap(), 0);
    run(
        db,
        &format!("UPDATE jobs SET state = 'cancelled', finished_at = '2026-12-01T00:00:00.000Z' WHERE id = {change}"),
    )
    .await;
    assert_eq!(bed.queue.purge(Duration::ZERO, 10).await.unwrap(), 2);
}
