//! Mailboxes on hold: what a claim takes of them (nothing), and what a hold leaves of a pause (all of it).
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::job::{ErrorKind, parse_utc};
use crate::queue::HoldColumns;

/// A job of `mailbox` due `due` milliseconds from now.
async fn waiting(db: &mut SqliteConnection, mailbox: &str, due: i64) -> i64 {
    let mailbox = if mailbox.is_empty() { "NULL".to_owned() } else { format!("'{mailbox}'") };
    add(db, &[("mailbox", &mailbox), ("next_attempt_at", &format!("'{}'", format_utc(in_ms(due))))]).await
}

/// Another program, such as an operator's command.
async fn operator(bed: &Bed) -> SqliteQueue {
    SqliteQueue::open_existing(bed.queue.path()).await.unwrap()
}

async fn hold(operator: &SqliteQueue, mailbox: &str) {
    operator.hold_mailbox(&LaneKey::of(mailbox), None, now()).await.unwrap();
}

async fn release(operator: &SqliteQueue, mailbox: &str) -> bool {
    operator.release_mailbox(&LaneKey::of(mailbox)).await.unwrap()
}

fn ids(claimed: &Claimed) -> Vec<i64> {
    claimed.jobs.iter().map(|(_, job)| job.id.0).collect()
}

async fn mailboxes(bed: &Bed) -> Vec<Record> {
    let rows = sqlx::query("SELECT * FROM mailboxes ORDER BY mailbox").fetch_all(&bed.queue.pool).await.unwrap();
    rows.iter().map(record).collect()
}

#[tokio::test]
async fn nothing_is_taken_of_a_mailbox_on_hold_nor_is_it_named_as_due_until_it_is_released() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for (mailbox, due) in [("Ann@contoso.com", -9), ("bob@contoso.com", -5), (" ann@contoso.com", 1000), ("cy", 5000)] {
        waiting(db, mailbox, due).await;
    }
    let operator = operator(&bed).await;
    hold(&operator, "ann@contoso.com").await;
    let claimed = bed.queue.claim(&request()).await.unwrap();
    assert_eq!((ids(&claimed), claimed.next_due), (vec![2], Some(in_ms(5000))));
    assert_eq!(*claimed.news.held, HashSet::from([LaneKey::of("ann@contoso.com")]));
    assert!(release(&operator, "ANN@contoso.com").await);
    let claimed = bed.queue.claim(&request()).await.unwrap();
    assert_eq!((ids(&claimed), claimed.next_due), (vec![1], Some(in_ms(1000))));
    assert!(claimed.news.held.is_empty());
}

#[tokio::test]
async fn a_hold_counts_from_the_next_claim_on_also_where_the_heads_are_known() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for mailbox in ["ann", "bob", "ann", "bob"] {
        waiting(db, mailbox, -5).await;
    }
    let one_each = ClaimRequest { per_lane: 1, ..request() };
    assert_eq!(ids(&bed.queue.claim(&one_each).await.unwrap()), [1, 2]);
    hold(&operator(&bed).await, "ann").await;
    let claimed = bed.queue.claim(&one_each).await.unwrap();
    assert_eq!((ids(&claimed), claimed.news.held.len()), (vec![4], 1));
}

#[tokio::test]
async fn rows_without_a_mailbox_are_held_with_the_mailbox_they_go_to() {
    let bed = Bed::new().await;
    waiting(&mut bed.stranger().await, "", -5).await;
    waiting(&mut bed.stranger().await, "team@contoso.com", -5).await;
    let operator = operator(&bed).await;
    hold(&operator, "team@contoso.com").await;
    assert!(bed.queue.claim(&request()).await.unwrap().jobs.is_empty());
    let elsewhere = ClaimRequest { unnamed: Some("other@contoso.com".into()), ..request() };
    let other = by_clock(operator, &bed.clock);
    assert_eq!(ids(&other.claim(&elsewhere).await.unwrap()), [1]);
}

#[tokio::test]
async fn a_mailbox_whose_name_no_json_can_hold_stands_in_no_ones_way() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    run(
        db,
        "INSERT INTO mailboxes (mailbox, paused_until, reason, held_at) VALUES (CAST(x'ff61' AS TEXT), '', '', 'now')",
    )
    .await;
    add(db, &[("mailbox", "CAST(x'ff61' AS TEXT)")]).await;
    waiting(db, "ann", -5).await;
    assert_eq!(ids(&bed.queue.claim(&request()).await.unwrap()), [2]);
}

/// Written with the schema's rules turned off, or into a column that has none.
#[tokio::test]
async fn a_time_that_no_json_can_hold_stands_in_no_ones_way() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    run(db, "INSERT INTO mailboxes (mailbox, paused_until, reason, resumed_at) VALUES ('ann', '', '', x'ff')").await;
    sqlx::query("PRAGMA ignore_check_constraints = ON").execute(&mut *db).await.unwrap();
    add(db, &[("mailbox", "'cy'"), ("next_attempt_at", "x'00ff'")]).await;
    waiting(db, "bob", -5).await;
    assert_eq!(ids(&bed.queue.claim(&request()).await.unwrap()), [2]);
    assert!(bed.news().await.resumed.is_empty());
}

#[tokio::test]
async fn the_holds_are_told_without_a_claim_and_the_same_set_again_as_long_as_nothing_changes() {
    let bed = Bed::new().await;
    waiting(&mut bed.stranger().await, "ann", -5).await;
    let operator = operator(&bed).await;
    hold(&operator, "ann").await;
    let held = bed.news().await.held;
    assert_eq!(*held, HashSet::from([LaneKey::of("ann")]));
    waiting(&mut bed.stranger().await, "bob", -5).await;
    assert!(Arc::ptr_eq(&held, &bed.queue.claim(&request()).await.unwrap().news.held));
    assert!(Arc::ptr_eq(&held, &bed.news().await.held));
    hold(&operator, "bob").await;
    assert_eq!(bed.news().await.held.len(), 2);
}

#[tokio::test]
async fn a_hold_and_a_pause_do_not_know_of_each_other() {
    let bed = Bed::new().await;
    let operator = operator(&bed).await;
    // Paused, held, released: the pause is as it was.
    run(&mut bed.stranger().await, "INSERT INTO mailboxes (mailbox, paused_until, reason, strikes) VALUES ('ann', '2100-01-01T00:10:00.000Z', 'busy', 3)").await;
    let before = mailboxes(&bed).await;
    hold(&operator, "ann").await;
    assert_eq!(bed.pauses(now()).await[0].pauses_in_a_row, 3);
    assert!(release(&operator, "ann").await);
    assert_eq!(mailboxes(&bed).await, before);
    // Held, paused while held, released: so it is, too.
    hold(&operator, "bob").await;
    assert!(bed.pauses(now()).await.iter().all(|pause| pause.lane != LaneKey::of("bob")));
    run(
        &mut bed.stranger().await,
        "UPDATE mailboxes SET paused_until = '2100-01-01T00:20:00.000Z' WHERE mailbox = 'bob'; DELETE FROM mailboxes WHERE mailbox = 'ann'",
    )
    .await;
    assert!(release(&operator, "bob").await);
    assert_eq!(mailboxes(&bed).await[0]["paused_until"], "2100-01-01T00:20:00.000Z");
    // Only held: nothing is left of it.
    run(&mut bed.stranger().await, "DELETE FROM mailboxes").await;
    hold(&operator, "cy").await;
    assert!(release(&operator, "cy").await);
    assert!(mailboxes(&bed).await.is_empty());
    assert!(!release(&operator, "cy").await);
}

#[tokio::test]
async fn a_mailbox_held_twice_is_held_since_the_first_time_and_for_the_last_reason() {
    let bed = Bed::new().await;
    let ann = LaneKey::of("ann");
    for (reason, at) in [(Some("moved"), 0), (None, 1000), (Some("still moved"), 2000)] {
        bed.queue.hold_mailbox(&ann, reason, in_ms(at)).await.unwrap();
    }
    let row = bed.queue.mailbox(&ann).await.unwrap().unwrap();
    let hold = HoldColumns { since: format_utc(now()).as_str().into(), reason: "still moved".into() };
    assert_eq!((row.mailbox.as_str(), row.hold), ("ann", Some(hold)));
    release(&bed.queue, "ann").await;
    bed.queue.hold_mailbox(&ann, None, now()).await.unwrap();
    let row = bed.queue.mailbox(&ann).await.unwrap().unwrap();
    assert!(row.hold.unwrap().reason.is_null());
}

#[tokio::test]
async fn an_ended_pause_is_told_with_every_look_until_the_next_pause_comes_and_no_other_is_ended() {
    let bed = Bed::new().await;
    let ann = LaneKey::of("ann");
    run(
        &mut bed.stranger().await,
        "INSERT INTO mailboxes (mailbox, paused_until, reason, error_kind) VALUES ('ann', '2100-01-01', 'full', 'unavailable')",
    )
    .await;
    let operator = operator(&bed).await;
    // To the millisecond, as it is stored.
    let at = parse_utc(&format_utc(Utc::now())).unwrap();
    let rest = operator.mailboxes(at).await.unwrap().remove(0);
    assert_eq!((rest.kept_until(at), rest.beyond_measure()), (None, None));
    assert!(operator.resume_mailbox(&rest, &[], at).await.unwrap());
    assert!(!operator.resume_mailbox(&rest, &[], at).await.unwrap(), "that one is over");
    assert!(bed.pauses(at).await.is_empty());
    let told = bed.queue.claim(&request()).await.unwrap().news.resumed;
    let mark = told.iter().next().map(|(lane, at)| (lane.clone(), format_utc(*at)));
    assert_eq!((told.len(), mark), (1, Some((ann.clone(), format_utc(at)))));
    waiting(&mut bed.stranger().await, "bob", -5).await;
    assert!(Arc::ptr_eq(&told, &bed.queue.claim(&request()).await.unwrap().news.resumed));
    // The agent's next pause of it.
    let asked = Some(at + chrono::TimeDelta::seconds(60));
    let pause = Pause {
        lane: ann.clone(),
        until: at + chrono::TimeDelta::seconds(600),
        reason: "busy".into(),
        kind: Some(ErrorKind::Denied),
        pauses_in_a_row: 1,
        asked_until: asked,
    };
    add(&mut bed.stranger().await, &[]).await;
    let job = bed.claim().await.remove(0);
    let end = Settlement { pause: Some(pause), ..settle_tests::end(&job, Verdict::Pending(at)) };
    bed.settle(&[end]).await;
    assert!(bed.queue.claim(&request()).await.unwrap().news.resumed.is_empty());
    let rest = operator.mailboxes(at).await.unwrap().remove(0);
    assert_eq!(rest.kept_until(at).map(format_utc), asked.map(format_utc), "whatever error it stood beside");
    let later = at + chrono::TimeDelta::seconds(61);
    assert_eq!(
        operator.mailboxes(later).await.unwrap()[0].kept_until(later),
        None,
        "the rest is the agent's own patience"
    );
    assert_eq!(bed.pauses(at).await[0].asked_until.map(format_utc), asked.map(format_utc));
}

#[tokio::test]
async fn throttling_is_kept_for_as_long_as_any_wait_is_obeyed() {
    let bed = Bed::new().await;
    let at = Utc::now();
    for (until, since, reason, kept, beyond) in [
        (3600, 0, "busy", true, None),
        (3600, 0, "Microsoft asked to wait until 2099-10-21T07:28:00Z; capped at 24 h.", false, Some("2099-10-21")),
        (
            3600,
            0,
            "Busy. Microsoft asked to wait until 2099; capped. Graph said: m",
            false,
            Some("until 2099; capped."),
        ),
        (3600, 0, "Busy. Graph said: Microsoft asked to wait until 2099; capped.", true, None),
        (86_400, 0, "busy", true, None),
        (3600, -90_000, "busy", false, Some("Microsoft asked to wait until ")),
        (172_800, 0, "busy", false, Some("Microsoft asked to wait until ")),
    ] {
        let time = |seconds| format_utc(at + chrono::TimeDelta::seconds(seconds));
        let row = format!("'ann', '{}', '{reason}', 'throttled', '{}'", time(until), time(since));
        let columns = "mailbox, paused_until, reason, error_kind, updated_at";
        run(&mut bed.stranger().await, &format!("INSERT OR REPLACE INTO mailboxes ({columns}) VALUES ({row})")).await;
        let rest = bed.queue.mailboxes(at).await.unwrap().remove(0);
        assert_eq!(rest.kept_until(at).is_some(), kept, "{row}");
        let said = rest.beyond_measure();
        assert_eq!(said.is_some(), beyond.is_some(), "{row}");
        assert!(beyond.is_none_or(|part| said.is_some_and(|said| said.contains(part))), "{row}");
    }
}
