//! What the next start and a clock that was set do to the queue's times.

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
    assert_eq!(bed.queue.recover(in_ms(500)).await.unwrap().jobs, 2);
    assert_eq!(
        changes(&before, &bed.row(1).await),
        json!({"state": "pending", "in_doubt": 1, "next_attempt_at": "2100-01-01T00:00:02.500Z",
               "first_sent_at": "2100-01-01T00:00:00.000Z"})
    );
    assert_eq!(bed.row(3).await, done);
    assert_eq!(bed.queue.recover(in_ms(500)).await.unwrap(), Recovered::default());
}

#[tokio::test]
async fn the_repeat_waits_two_seconds_from_the_start_whenever_the_job_was_claimed() {
    for claimed_at in ["2100-01-01T00:00:00.000Z", "2099-12-31T23:00:00.000Z", "2100-01-01T05:00:00.000Z", "yesterday"]
    {
        let bed = Bed::new().await;
        let claimed = [("state", "'claimed'"), ("claims", "1"), ("claimed_at", &format!("'{claimed_at}'"))];
        let id = add(&mut bed.stranger().await, &claimed).await;
        assert_eq!(bed.queue.recover(in_ms(500)).await.unwrap().jobs, 1);
        assert_eq!(bed.row(id).await["next_attempt_at"], format_utc(in_ms(2500)), "{claimed_at}");
    }
}

#[tokio::test]
async fn recovery_names_the_mailboxes_of_what_was_claimed() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for mailbox in ["'Ann@contoso.com'", "'bob@contoso.com'", "'ann@contoso.com '"] {
        add(db, &[("mailbox", mailbox)]).await;
    }
    bed.claim().await;
    let recovered = bed.queue.recover(now()).await.unwrap();
    assert_eq!(recovered.lanes, ["ann@contoso.com", "bob@contoso.com"].map(LaneKey::of).into());
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
    assert_eq!(bed.queue.recover(now()).await.unwrap().jobs, 3);
    for id in 1..=3 {
        assert_eq!(bed.row(id).await["first_sent_at"], at);
    }
    let later = bed.queue.claim(&ClaimRequest { now: in_ms(2000), ..request() }).await.unwrap();
    assert_eq!(later.jobs.len(), 3);
    assert!(later.jobs.iter().all(|(_, job)| job.in_doubt));
}

/// `next_attempt_at` of a row with these columns after `change`.
async fn due_after(columns: &[(&str, &str)], change: impl AsyncFnOnce(&Bed)) -> String {
    let bed = Bed::new().await;
    let id = add(&mut bed.stranger().await, columns).await;
    change(&bed).await;
    bed.row(id).await["next_attempt_at"].as_str().unwrap().to_owned()
}

const HOURS_5: TimeDelta = TimeDelta::hours(5);

#[tokio::test]
async fn a_clock_set_back_makes_no_job_wait_longer_than_it_was_to() {
    // The clock showed 05:00 and shows 00:00 now.
    let set_back = async |bed: &Bed| bed.queue.clock_set(now(), -HOURS_5, &[]).await.unwrap();
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
    bed.queue.clock_set(in_ms(5 * 3_600_000), HOURS_5, &[]).await.unwrap();
    assert_eq!(changes(&before, &bed.row(id).await), json!({"give_up_at": "2100-01-03T05:00:00.000Z"}));
}

#[tokio::test]
async fn the_rests_known_replace_what_the_old_clock_wrote() {
    let bed = Bed::new().await;
    let insert = "INSERT INTO mailboxes (mailbox, paused_until, reason, updated_at)
        VALUES ('ann@contoso.com', '2100-01-01T05:00:30.000Z', 'x', '2100-01-01T05:00:00.000Z')";
    run(&mut bed.stranger().await, insert).await;
    let rests = [(LaneKey::of("ann@contoso.com"), in_ms(30_000))];
    bed.queue.clock_set(now(), -HOURS_5, &rests).await.unwrap();
    assert_eq!(bed.queue.pauses(now()).await.unwrap()[0].until, in_ms(30_000));
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
    bed.queue.recover(now()).await.unwrap();
    assert_eq!(bed.row(waiting).await["next_attempt_at"], "2100-01-01T00:10:00.000Z");
    assert_eq!(bed.row(fresh).await["next_attempt_at"], "2100-01-01T00:00:00.000Z");
    assert_eq!(bed.queue.pauses(now()).await.unwrap()[0].until, in_ms(60_000));
}

#[tokio::test]
async fn a_start_by_a_steady_clock_changes_no_time() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let at = ("created_at", "'2100-01-01T00:00:03.000Z'");
    let id = add(db, &[at, ("claims", "1"), ("next_attempt_at", "'2100-01-01T00:10:00.000Z'")]).await;
    let before = bed.row(id).await;
    bed.queue.recover(now()).await.unwrap();
    assert_eq!(bed.row(id).await, before);
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
async fn a_queue_whose_file_is_gone_is_neither_read_nor_written() {
    let bed = Bed::new().await;
    add(&mut bed.stranger().await, &[]).await;
    let job = bed.claim().await.remove(0);
    std::fs::rename(bed.queue.path(), bed.queue.path().with_extension("moved")).unwrap();
    for error in [
        bed.queue.present().err(),
        bed.queue.claim(&request()).await.err(),
        bed.queue.settle(&[end(&job, sent())]).await.err(),
    ] {
        assert!(matches!(error, Some(QueueError::Gone { fate: "deleted", .. })), "{error:?}");
    }
}
