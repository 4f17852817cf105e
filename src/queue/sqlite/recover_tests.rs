//! What the next start and a clock that was set do to the queue's times.

use std::time::Duration;

use super::super::batch::REPAIR_BATCH;
use super::settle_tests::{end, sent, settle};
use super::*;

#[tokio::test]
async fn claims_of_a_dead_agent_are_put_back_in_doubt() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for _ in 0..3 {
        add(db, &[]).await;
    }
    let jobs = bed.claim().await;
    settle(&bed, &end(&jobs[2], sent())).await;
    let (before, done) = (bed.row(1).await, bed.row(3).await);
    bed.wait_until(500);
    assert_eq!(bed.queue.join().await.unwrap().jobs, 2);
    assert_eq!(
        changes(&before, &bed.row(1).await),
        json!({"state": "pending", "in_doubt": 1, "next_attempt_at": "2100-01-01T00:00:02.500Z",
               "first_sent_at": "2100-01-01T00:00:00.000Z", "defaulted": null, "settled": "claim 1"})
    );
    assert_eq!(bed.row(3).await, done);
    assert_eq!(bed.queue.join().await.unwrap(), Recovered::default());
}

#[tokio::test]
async fn the_repeat_waits_two_seconds_from_the_start_whenever_the_job_was_claimed() {
    for claimed_at in ["2100-01-01T00:00:00.000Z", "2099-12-31T23:00:00.000Z", "2100-01-01T05:00:00.000Z", "yesterday"]
    {
        let bed = Bed::new().await;
        let claimed = [("state", "'claimed'"), ("claims", "1"), ("claimed_at", &format!("'{claimed_at}'"))];
        let id = add(&mut bed.stranger().await, &claimed).await;
        bed.wait_until(500);
        assert_eq!(bed.queue.join().await.unwrap().jobs, 1);
        assert_eq!(bed.row(id).await["next_attempt_at"], format_utc(in_ms(2500)), "{claimed_at}");
    }
}

#[tokio::test]
async fn the_first_claim_gives_one_slot_to_the_mailboxes_of_what_was_claimed_and_takes_nothing() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for mailbox in ["'Ann@contoso.com'", "'bob@contoso.com'", "'ann@contoso.com '"] {
        add(db, &[("mailbox", mailbox)]).await;
    }
    bed.claim().await;
    add(db, &[]).await;
    bed.queue.join().await.unwrap();
    let first = bed.queue.claim(&request()).await.unwrap();
    assert!(first.jobs.is_empty() && first.more);
    let limits: HashSet<_> = first.news.limits.into_iter().collect();
    assert_eq!(limits, ["ann@contoso.com", "bob@contoso.com"].map(|lane| (LaneKey::of(lane), 1)).into());
    let second = bed.queue.claim(&request()).await.unwrap();
    assert_eq!((second.jobs.len(), second.news.limits.len()), (1, 0));
}

#[tokio::test]
async fn recovery_keeps_the_first_time_sent_and_survives_broken_rows() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let at = "2099-06-01T00:00:00.000Z";
    for claimed_at in ["x'ff'", "CAST(x'ff' AS TEXT)", "'2099-12-01T00:00:00.000Z'"] {
        let sent = format!("'{at}'");
        add(db, &[("state", "'claimed'"), ("claimed_at", claimed_at), ("first_sent_at", &sent), ("subject", "x'ff'")])
            .await;
    }
    assert_eq!(bed.queue.join().await.unwrap().jobs, 3);
    for id in 1..=3 {
        assert_eq!(bed.row(id).await["first_sent_at"], at);
    }
    let later = bed.claim_at(2000).await;
    assert_eq!(later.jobs.len(), 3);
    assert!(later.jobs.iter().all(|(_, job)| job.in_doubt));
}

/// `next_attempt_at` of a row with these columns after `change`.
async fn due_after(columns: &[(&str, &str)], change: impl AsyncFnOnce(&Bed)) -> String {
    let bed = Bed::new().await;
    let id = add(&mut bed.stranger().await, columns).await;
    change(&bed).await;
    bed.due(id).await
}

const HOURS_5: TimeDelta = TimeDelta::hours(5);

#[tokio::test]
async fn a_clock_set_back_makes_no_job_wait_longer_than_it_was_to() {
    // The clock showed 05:00 and shows 00:00 now.
    let set_back = async |bed: &Bed| bed.clock_set(now(), -HOURS_5).await;
    for (next_attempt_at, claims, not_before, due) in [
        ("2100-01-01T05:10:00.000Z", "1", "NULL", "2100-01-01T00:10:00.000Z"),
        ("2100-01-01T04:00:00.000Z", "1", "NULL", "2100-01-01T00:00:00.000Z"),
        ("2100-01-01T05:00:00.000Z", "0", "NULL", "2100-01-01T00:00:00.000Z"),
        ("2099-12-31T23:00:00.000Z", "1", "NULL", "2099-12-31T23:00:00.000Z"),
        ("2100-01-01T06:00:00.000Z", "0", "'2100-01-01T06:00:00Z'", "2100-01-01T06:00:00.000Z"),
        ("2100-01-01T06:00:00.000Z", "0", "' 2100-01-01t07:00:00+0100'", "2100-01-01T06:00:00.000Z"),
        ("2100-01-01T04:30:00.000Z", "0", "'2099-12-31T20:00:00Z'", "2100-01-01T00:00:00.000Z"),
        ("2100-01-01T05:10:00.000Z", "2", "'2100-01-01T03:00:00Z'", "2100-01-01T03:00:00.000Z"),
    ] {
        let quoted = format!("'{next_attempt_at}'");
        let row = [("next_attempt_at", quoted.as_str()), ("claims", claims), ("not_before", not_before)];
        assert_eq!(due_after(&row, set_back).await, due, "{row:?}");
    }
}

#[tokio::test]
async fn a_clock_set_forward_moves_the_horizons_and_nothing_else() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let horizon = [("give_up_at", "'2100-01-03T00:00:00.000Z'"), ("next_attempt_at", "'2100-01-01T00:10:00.000Z'")];
    let id = add(db, &horizon).await;
    let before = bed.row(id).await;
    bed.clock_set(in_ms(5 * 3_600_000), HOURS_5).await;
    assert_eq!(changes(&before, &bed.row(id).await), json!({"give_up_at": "2100-01-03T05:00:00.000Z"}));
}

#[tokio::test]
async fn a_pause_keeps_its_length_when_the_clock_is_set_unless_an_operator_has_ended_it() {
    let bed = Bed::new().await;
    let insert = "INSERT INTO mailboxes (mailbox, paused_until, reason, updated_at)
        VALUES ('ann@contoso.com', '2100-01-01T05:00:30.000Z', 'x', '2100-01-01T05:00:00.000Z')";
    run(&mut bed.stranger().await, insert).await;
    bed.clock_set(now(), -HOURS_5).await;
    assert_eq!(bed.pauses(now()).await[0].until, in_ms(30_000));
    let hours_5 = in_ms(5 * 3_600_000);
    bed.clock_set(hours_5, HOURS_5).await;
    assert_eq!(bed.pauses(hours_5).await[0].until, hours_5 + TimeDelta::seconds(30));
    // By the clock of then.
    let ended =
        "UPDATE mailboxes SET paused_until = '2100-01-01T00:00:10.000Z', resumed_at = '2100-01-01T00:00:10.000Z'";
    run(&mut bed.stranger().await, ended).await;
    bed.clock_set(now(), -HOURS_5).await;
    assert_eq!(bed.pauses(now()).await[0].until, in_ms(10_000));
}

#[tokio::test]
async fn the_first_claim_after_a_start_tells_all_pauses_and_takes_nothing_and_the_next_one_tells_none() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    add(db, &[]).await;
    let pauses = "INSERT INTO mailboxes (mailbox, paused_until, reason) VALUES
        ('ann@contoso.com', '2100-01-01T00:00:30.000Z', 'x'), ('bob@contoso.com', '2099-12-31T23:59:30.000Z', 'over')";
    run(db, pauses).await;
    bed.queue.join().await.unwrap();
    let first = bed.queue.claim(&request()).await.unwrap();
    let told: Vec<_> = first.news.pauses.iter().map(|pause| (pause.lane.as_str(), pause.until)).collect();
    assert_eq!((told, first.jobs.len(), first.more), (vec![("ann@contoso.com", in_ms(30_000))], 0, true));
    let second = bed.queue.claim(&request()).await.unwrap();
    assert_eq!((second.news.pauses.len(), second.jobs.len()), (0, 1));
}

/// The clock is set between the decision and its writing; the clock of the decision showed five hours more.
#[tokio::test]
async fn an_end_that_was_decided_before_the_clock_was_set_waits_as_long_as_it_was_to() {
    let bed = Bed::new().await;
    let id = add(&mut bed.stranger().await, &[]).await;
    let job = bed.claim().await.remove(0);
    let mut late = end(&job, Verdict::Pending(in_ms(10_000) + HOURS_5));
    late.at.wall = in_ms(1000) + HOURS_5;
    late.pause = Some(Pause {
        lane: LaneKey::of("ann@contoso.com"),
        until: in_ms(20_000) + HOURS_5,
        reason: "x".into(),
        kind: None,
        pauses_in_a_row: 1,
        asked_until: None,
    });
    settle(&bed, &late).await;
    assert_eq!((bed.due(id).await, bed.pauses(now()).await[0].until), (format_utc(in_ms(10_000)), in_ms(20_000)));
}

#[tokio::test]
async fn a_start_after_the_clock_was_set_back_finds_waits_and_pauses_at_their_length() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    // Written at 05:00 by the clock of then: a wait of ten minutes, a row that was due, a pause of a minute.
    let at = ("created_at", "'2100-01-01T05:00:00.000Z'");
    let waiting = add(db, &[at, ("claims", "1"), ("next_attempt_at", "'2100-01-01T05:10:00.000Z'")]).await;
    let fresh = add(db, &[at, ("next_attempt_at", "'2100-01-01T05:00:00.000Z'")]).await;
    let pause = "INSERT INTO mailboxes (mailbox, paused_until, reason, updated_at)
        VALUES ('ann@contoso.com', '2100-01-01T05:01:00.000Z', 'x', '2100-01-01T05:00:00.000Z')";
    run(db, pause).await;
    bed.queue.join().await.unwrap();
    assert_eq!(bed.row(waiting).await["next_attempt_at"], "2100-01-01T00:10:00.000Z");
    assert_eq!(bed.row(fresh).await["next_attempt_at"], "2100-01-01T00:00:00.000Z");
    assert_eq!(bed.pauses(now()).await[0].until, in_ms(60_000));
}

#[tokio::test]
async fn a_start_by_a_steady_clock_changes_no_time() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let at = ("created_at", "'2100-01-01T00:00:03.000Z'");
    let id = add(db, &[at, ("claims", "1"), ("next_attempt_at", "'2100-01-01T00:10:00.000Z'")]).await;
    let before = bed.row(id).await;
    bed.queue.join().await.unwrap();
    assert_eq!(bed.row(id).await, before);
}

/// A row as a program inserts it whose clock shows this.
async fn add_stamped(db: &mut SqliteConnection, at: &str, columns: &[(&str, &str)]) -> i64 {
    let quoted = format!("'{at}'");
    let stamps = [("created_at", quoted.as_str()), ("next_attempt_at", quoted.as_str())];
    let others = stamps.into_iter().filter(|(name, _)| columns.iter().all(|(column, _)| column != name));
    add(db, &columns.iter().copied().chain(others).collect::<Vec<_>>()).await
}

const OLD_CLOCK: &str = "2100-01-01T05:00:00.000Z";
const NOW: &str = "2100-01-01T00:00:00.000Z";

#[tokio::test]
async fn a_row_stamped_by_the_old_clock_that_comes_after_the_clock_was_set_back_waits_for_its_producers_wish_only() {
    for (columns, due) in [
        (&[][..], NOW),
        (&[("created_at", "'2100-01-01 05:00:00'")], NOW),
        (&[("created_at", "'2100-01-01T07:00:00.123456+02:00'")], NOW),
        (&[("not_before", "'2099-12-31T20:00:00Z'")], NOW),
        (&[("not_before", "'whenever'")], NOW),
        (&[("not_before", "'2100-01-01T03:00:00.0004Z'")], "2100-01-01T03:00:00.001Z"),
        (&[("not_before", "' 2100-01-01t04:00:00+0100'")], "2100-01-01T03:00:00.000Z"),
        (&[("not_before", "'2100-01-01T09:00:00Z'")], "2100-01-01T09:00:00.000Z"),
        // Waits of the agent's, and times that say nothing of the clock.
        (&[("claims", "1")], OLD_CLOCK),
        (&[("in_doubt", "1")], OLD_CLOCK),
        (&[("created_at", "'2100-01-01T00:00:05.000Z'")], OLD_CLOCK),
        (&[("created_at", "'yesterday'")], OLD_CLOCK),
        (&[("created_at", "'2500000'")], OLD_CLOCK),
        (&[("created_at", "'2100-01-01T99:00:00Z'")], OLD_CLOCK),
        (&[("created_at", "x'ff'")], OLD_CLOCK),
        (&[("created_at", "CAST(x'32313030ff' AS TEXT)")], OLD_CLOCK),
    ] {
        let bed = Bed::new().await;
        bed.clock_set(now(), -HOURS_5).await;
        let id = add_stamped(&mut bed.stranger().await, OLD_CLOCK, columns).await;
        let claimed = bed.claim().await.len();
        assert_eq!((bed.due(id).await.as_str(), claimed), (due, usize::from(due == NOW)), "{columns:?}");
    }
}

#[tokio::test]
async fn strays_are_looked_for_now_and_then_until_the_old_clocks_stamps_lie_ahead_no_more() {
    for (set_back_by, until) in [(30_000, 30_000), (5 * 3_600_000, 3_600_000)] {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        let next_look = async |at: i64| {
            let claimed = bed.claim_at(at).await;
            claimed.next_due.map(|due| (due - now()).num_milliseconds())
        };
        assert_eq!(next_look(0).await, None, "the clock was never set back");
        bed.clock_set(now(), TimeDelta::milliseconds(-set_back_by)).await;
        // A second, or longer where a look takes long.
        let next = next_look(0).await.unwrap();
        assert!(next >= 1000, "{next}");
        let id = add_stamped(db, OLD_CLOCK, &[]).await;
        assert_eq!((next_look(next - 1).await, bed.due(id).await.as_str()), (Some(next), OLD_CLOCK));
        assert!(next_look(next).await.unwrap() >= next + 1000);
        assert_eq!(bed.due(id).await, format_utc(in_ms(next)));
        assert_eq!(next_look(until - 500).await, Some(until));
        let last = add_stamped(db, OLD_CLOCK, &[]).await;
        next_look(until).await;
        assert_eq!(bed.due(last).await, format_utc(in_ms(until)));
        assert_eq!(next_look(until + 1).await, None);
    }
}

#[tokio::test]
async fn a_clock_set_again_looks_for_the_strays_of_before_too() {
    for by in [TimeDelta::hours(1), TimeDelta::seconds(-10), TimeDelta::seconds(-2)] {
        let bed = Bed::new().await;
        bed.clock_set(now(), -HOURS_5).await;
        let db = &mut bed.stranger().await;
        let then = now() + by;
        let before = add_stamped(db, "2100-01-01T09:00:00.000Z", &[]).await;
        bed.clock_set(then, by).await;
        let after = add_stamped(db, "2100-01-01T09:00:00.000Z", &[]).await;
        bed.queue.claim(&request()).await.unwrap();
        assert_eq!([bed.due(before).await, bed.due(after).await], [format_utc(then), format_utc(then)], "{by}");
    }
}

#[tokio::test]
async fn strays_beyond_number_come_forward_some_at_a_claim() {
    let bed = Bed::new().await;
    bed.clock_set(now(), -HOURS_5).await;
    let db = &mut bed.stranger().await;
    run(db, "BEGIN").await;
    for _ in 0..=2 * REPAIR_BATCH {
        add_stamped(db, OLD_CLOCK, &[]).await;
    }
    run(db, "COMMIT").await;
    for (jobs, more) in [(REPAIR_BATCH, true), (REPAIR_BATCH, true), (1, false)] {
        let claimed = bed.queue.claim(&request()).await.unwrap();
        assert_eq!((claimed.jobs.len(), claimed.next_due.unwrap() == now()), (jobs, more));
    }
}

#[tokio::test]
async fn looking_for_strays_takes_no_lock_and_goes_by_the_index() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for statement in crate::queue::sqlite::claim::misdated::STATEMENTS {
        let plan = super::repair_tests::plan(db, statement).await;
        let by_index = [
            "SEARCH jobs USING COVERING INDEX jobs_waiting (behind=? AND mailbox_key>?)",
            "SEARCH jobs USING COVERING INDEX jobs_waiting (behind=? AND mailbox_key=? AND mails=? AND priority>?)",
            "SEARCH jobs USING COVERING INDEX jobs_waiting (behind=? AND mailbox_key=? AND mails>?)",
            "SEARCH jobs USING COVERING INDEX jobs_waiting (behind=? AND mailbox_key>?)",
            "SEARCH jobs USING INDEX jobs_waiting (behind=? AND mailbox_key=? AND mails=? AND priority=? AND next_attempt_at>?)",
            "SEARCH jobs USING INDEX jobs_waiting (behind>?)",
        ];
        // Of each job its wish.
        let by_id = "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)";
        let of_jobs = plan.iter().filter(|line| line.contains("SEARCH jobs"));
        let (ids, others): (Vec<&String>, Vec<_>) = of_jobs.partition(|line| *line == by_id);
        assert!(!ids.is_empty() && (others.is_empty() || others == by_index), "{plan:#?}");
    }
    bed.clock_set(now(), -HOURS_5).await;
    add_stamped(db, OLD_CLOCK, &[("not_before", "'2100-01-01T09:00:00Z'")]).await;
    run(db, "BEGIN IMMEDIATE").await;
    tokio::time::timeout(Duration::from_secs(2), bed.queue.claim(&request())).await.expect("it waited").unwrap();
}

/// The row inserted last tells nothing of the clock, or does not even hold a time.
#[tokio::test]
async fn a_start_finds_strays_that_right_rows_have_followed() {
    for last in [format!("'{NOW}'"), "x'ff'".into(), "'yesterday'".into()] {
        let bed = Bed::new().await;
        let db = &mut bed.stranger().await;
        let misdated = add_stamped(db, OLD_CLOCK, &[]).await;
        let wished = add_stamped(db, OLD_CLOCK, &[("not_before", "'2100-01-01T03:00:00Z'")]).await;
        let backoff = add_stamped(db, OLD_CLOCK, &[("claims", "1")]).await;
        add_stamped(db, NOW, &[("created_at", &last)]).await;
        bed.queue.join().await.unwrap();
        let due = [bed.due(misdated).await, bed.due(wished).await, bed.due(backoff).await];
        assert_eq!(due, [NOW, "2100-01-01T03:00:00.000Z", OLD_CLOCK], "{last}");
        // And those that are still to come.
        let late = add_stamped(db, OLD_CLOCK, &[]).await;
        bed.claim().await;
        assert_eq!(bed.due(late).await, NOW, "{last}");
    }
}

#[tokio::test]
async fn a_connection_closed_after_an_error_takes_its_log_along_and_the_queue_is_not_called_gone() {
    let bed = Bed::new().await;
    add(&mut bed.stranger().await, &[]).await;
    let connection = bed.queue.connection().await.unwrap();
    assert!(bed.queue.handed_back::<()>(connection, Err(sqlx::Error::WorkerCrashed)).is_err());
    bed.queue.present().unwrap();
    assert_eq!(bed.claim().await.len(), 1);
    bed.queue.present().unwrap();
}

#[tokio::test]
async fn a_queue_whose_file_is_gone_is_neither_read_nor_written_nor_waited_for() {
    let bed = Bed::new().await;
    add(&mut bed.stranger().await, &[]).await;
    let job = bed.claim().await.remove(0);
    std::fs::rename(bed.queue.path(), bed.queue.path().with_extension("moved")).unwrap();
    for error in [
        bed.queue.present().err(),
        bed.queue.changes().await.err(),
        bed.queue.claim(&request()).await.err(),
        bed.queue.settle(&[&end(&job, sent())]).await.err(),
    ] {
        assert!(matches!(error, Some(QueueError::Gone { fate: "deleted", .. })), "{error:?}");
    }
}
