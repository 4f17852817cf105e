//! The ends of claims: what each writes, the fence, pauses, and what a crash leaves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::super::{AttemptRecord, Verdict};
use super::*;
use crate::job::{Answer, Cause, Ending, ErrorKind, EventId};

const AT: &str = "2100-01-01T00:00:01.000Z";

/// The plainest end of a claim, one second after it.
pub(super) fn end(job: &Job, verdict: Verdict) -> Settlement {
    Settlement {
        id: job.id,
        claim: job.claim,
        verdict,
        spent: false,
        at: at_ms(1000),
        in_doubt: false,
        give_up_at: None,
        kind: None,
        answer: Answer::default(),
        never_left: false,
        sent_at: None,
        attempt: None,
        pause: None,
        mailed: 0,
        ends_at: None,
        paced: None,
    }
}

/// The same with everything said.
fn full(job: &Job, verdict: Verdict) -> Settlement {
    Settlement {
        spent: true,
        in_doubt: true,
        give_up_at: Some(in_ms(90_000)),
        kind: Some(ErrorKind::Unavailable),
        answer: Answer {
            cause: Some(Cause::MailboxAway),
            status: Some(503),
            code: Some("serverBusy".into()),
            message: Some("come back later".into()),
            request_id: Some("req-1".into()),
            client_request_id: Some("client-1".into()),
        },
        sent_at: Some(in_ms(10)),
        attempt: Some(AttemptRecord { started_at: in_ms(5), duration_ms: 77, ending: Ending::Retry }),
        ..end(job, verdict)
    }
}

pub(super) fn sent() -> Verdict {
    Verdict::Sent(EventId("AAMk=".into()).into())
}

fn pause(mailbox: &str, until: i64, reason: &str) -> Pause {
    Pause {
        lane: LaneKey::of(mailbox),
        until: in_ms(until),
        reason: reason.into(),
        kind: Some(ErrorKind::Throttled),
        pauses_in_a_row: 1,
        asked_until: None,
    }
}

pub(super) async fn settle(bed: &Bed, settlement: &Settlement) -> Settled {
    bed.queue.settle(&[settlement]).await.unwrap().remove(0)
}

/// A queue with one claimed job.
async fn claimed() -> (Bed, Job) {
    let bed = Bed::new().await;
    add(&mut bed.stranger().await, &[]).await;
    let job = bed.claim().await.remove(0);
    (bed, job)
}

#[tokio::test]
async fn a_sent_job_has_its_event_and_no_error() {
    let (bed, first) = claimed().await;
    settle(&bed, &full(&first, Verdict::Pending(now()))).await;
    let job = bed.claim().await.remove(0);
    let before = bed.row(1).await;
    let mut settlement = full(&job, sent());
    settlement.answer = Answer { status: Some(201), request_id: Some("req-2".into()), ..Answer::default() };
    settlement.attempt = Some(AttemptRecord { started_at: in_ms(20), duration_ms: 5, ending: Ending::Sent });
    assert_eq!(settle(&bed, &settlement).await, Settled::Recorded);
    assert_eq!(
        changes(&before, &bed.row(1).await),
        json!({"state": "sent", "event_id": "AAMk=", "finished_at": AT, "in_doubt": 0, "attempts": 2, "error_kind": null,
               "cause": null, "http_status": 201, "error_code": null, "error_message": null, "request_id": "req-2", "settled": "claim 2"})
    );
    assert_eq!(bed.attempts(1).await.len(), 2);
}

#[tokio::test]
async fn first_ends_written_together_clear_what_another_program_has_left_beside_them() {
    let bed = Bed::new().await;
    let mut stranger = bed.stranger().await;
    for columns in
        [&[][..], &[("error_kind", "'rejected'"), ("cause", "'x'"), ("error_code", "'x'")], &[("in_doubt", "1")]]
    {
        add(&mut stranger, columns).await;
    }
    let jobs = bed.claim().await;
    let ends: Vec<Settlement> = jobs
        .iter()
        .map(|job| Settlement {
            attempt: Some(AttemptRecord { started_at: in_ms(5), duration_ms: 77, ending: Ending::Sent }),
            ..end(job, Verdict::Sent(EventId(format!("AAMk{}", job.id.0)).into()))
        })
        .collect();
    assert_eq!(bed.settle(&ends).await, vec![Settled::Recorded; 3]);
    for job in &jobs {
        let row = bed.row(job.id.0).await;
        assert_eq!((&row["state"], &row["in_doubt"]), (&"sent".into(), &0.into()));
        assert_eq!(row["event_id"], format!("AAMk{}", job.id.0));
        for column in ["error_kind", "cause", "error_code", "claimed_by"] {
            assert!(row[column].is_null(), "{column} of {}", job.id.0);
        }
        assert_eq!(bed.attempts(job.id.0).await.len(), 1);
    }
}

#[tokio::test]
async fn two_claims_of_one_job_that_end_together_are_told_apart() {
    let (bed, first) = claimed().await;
    run(&mut bed.stranger().await, "UPDATE jobs SET state = 'pending'").await;
    let second = bed.claim().await.remove(0);
    let settled = bed.settle(&[full(&first, sent()), full(&second, sent())]).await;
    assert_eq!(settled, [Settled::Stale, Settled::Recorded]);
    assert_eq!(bed.attempts(1).await.len(), 1, "a stale writer leaves no trace");
}

#[tokio::test]
async fn a_job_to_be_tried_again_is_pending_and_says_why() {
    let (bed, job) = claimed().await;
    let before = bed.row(1).await;
    assert_eq!(settle(&bed, &full(&job, Verdict::Pending(in_ms(5000)))).await, Settled::Recorded);
    assert_eq!(
        changes(&before, &bed.row(1).await),
        json!({"state": "pending", "in_doubt": 1, "attempts": 1, "next_attempt_at": "2100-01-01T00:00:05.000Z",
               "error_kind": "unavailable", "cause": "mailbox_away", "http_status": 503, "error_code": "serverBusy",
               "error_message": "come back later", "request_id": "req-1",
               "first_sent_at": "2100-01-01T00:00:00.010Z", "give_up_at": "2100-01-01T00:01:30.000Z", "settled": "claim 1",
               "defaulted": null})
    );
    assert!(bed.claim().await.is_empty());
    let later = bed.claim_at(5000).await;
    assert_eq!((later.jobs[0].1.claim, later.jobs[0].1.attempts, later.jobs[0].1.in_doubt), (2, 1, true));
}

#[tokio::test]
async fn a_failed_job_is_finished_and_says_why() {
    let (bed, job) = claimed().await;
    let before = bed.row(1).await;
    assert_eq!(settle(&bed, &full(&job, Verdict::Failed)).await, Settled::Recorded);
    assert_eq!(
        changes(&before, &bed.row(1).await),
        json!({"state": "failed", "in_doubt": 1, "attempts": 1, "finished_at": AT, "error_kind": "unavailable", "cause": "mailbox_away",
               "http_status": 503, "error_code": "serverBusy", "error_message": "come back later",
               "request_id": "req-1", "first_sent_at": "2100-01-01T00:00:00.010Z",
               "give_up_at": "2100-01-01T00:01:30.000Z", "settled": "claim 1", "defaulted": null})
    );
    assert_eq!(bed.queue.outstanding().await.unwrap(), 0);
}

#[tokio::test]
async fn a_job_that_failed_before_anything_left_can_be_corrected_and_sent() {
    let (bed, job) = claimed().await;
    let failed = Settlement { kind: Some(ErrorKind::InvalidJob), ..end(&job, Verdict::Failed) };
    settle(&bed, &failed).await;
    let db = &mut bed.stranger().await;
    run(db, "UPDATE jobs SET subject = 'right', state = 'pending', finished_at = NULL").await;
    let job = bed.claim().await.remove(0);
    assert_eq!((job.input.subject.clone(), job.claim), (Cell::from("right"), 2));
    assert_eq!(settle(&bed, &end(&job, sent())).await, Settled::Recorded);
}

#[tokio::test]
async fn a_job_given_back_keeps_its_attempts_and_its_last_failure() {
    let (bed, job) = claimed().await;
    settle(&bed, &full(&job, Verdict::Pending(now()))).await;
    let job = bed.claim().await.remove(0);
    settle(&bed, &end(&job, Verdict::Pending(now()))).await;
    let row = bed.row(1).await;
    assert_eq!((&row["attempts"], &row["error_kind"]), (&json!(1), &json!("unavailable")));
    assert_eq!(row["first_sent_at"], "2100-01-01T00:00:00.010Z", "the first time stays");
    assert_eq!(bed.attempts(1).await.len(), 1, "nothing was tried");
}

#[tokio::test]
async fn the_first_time_a_request_left_is_kept() {
    let (bed, job) = claimed().await;
    settle(&bed, &full(&job, Verdict::Pending(now()))).await;
    for verdict in [Verdict::Pending(now()), Verdict::Failed] {
        let Some(job) = bed.claim().await.pop() else { panic!("nothing claimed") };
        settle(&bed, &Settlement { sent_at: Some(in_ms(9999)), ..end(&job, verdict) }).await;
        assert_eq!(bed.row(1).await["first_sent_at"], "2100-01-01T00:00:00.010Z");
    }
}

#[tokio::test]
async fn only_spent_attempts_count() {
    let (bed, mut job) = claimed().await;
    for (spent, attempts) in [(true, 1), (false, 1), (true, 2), (false, 2)] {
        settle(&bed, &Settlement { spent, ..end(&job, Verdict::Pending(now())) }).await;
        job = bed.claim().await.remove(0);
        assert_eq!(job.attempts, attempts);
    }
}

#[tokio::test]
async fn an_attempt_is_written_down_with_everything_known() {
    let (bed, job) = claimed().await;
    settle(&bed, &full(&job, Verdict::Pending(now()))).await;
    let attempts = bed.attempts(1).await;
    assert_eq!(
        json!(attempts),
        json!([{"job_id": 1, "claim": 1, "started_at": "2100-01-01T00:00:00.005Z", "duration_ms": 77,
                "outcome": "retry", "http_status": 503, "error_code": "serverBusy", "message": "come back later",
                "request_id": "req-1", "client_request_id": "client-1"}])
    );
}

#[tokio::test]
async fn a_late_writer_changes_nothing() {
    let (bed, old) = claimed().await;
    bed.queue.join().await.unwrap();
    let new = bed.claim_at(2000).await.jobs.remove(0).1;
    assert_eq!((old.claim, new.claim), (1, 2));
    let before = bed.row(1).await;
    for verdict in [sent(), Verdict::Pending(now()), Verdict::Failed] {
        assert_eq!(settle(&bed, &full(&old, verdict)).await, Settled::Stale);
    }
    assert_eq!(bed.row(1).await, before);
    assert!(bed.attempts(1).await.is_empty());
    assert_eq!(settle(&bed, &full(&new, sent())).await, Settled::Recorded);
    // And not twice, not by the rightful writer, and not for a job that never was.
    let before = bed.row(1).await;
    assert_eq!(settle(&bed, &full(&new, Verdict::Failed)).await, Settled::Stale);
    assert_eq!(settle(&bed, &Settlement { id: JobId(99), ..full(&new, sent()) }).await, Settled::Stale);
    assert_eq!(bed.row(1).await, before);
    assert_eq!(bed.attempts(1).await.len(), 1);
}

#[tokio::test]
async fn a_claim_that_was_given_back_is_over_although_its_number_is_the_last() {
    let (bed, job) = claimed().await;
    settle(&bed, &end(&job, Verdict::Pending(now()))).await;
    assert_eq!(settle(&bed, &full(&job, sent())).await, Settled::Stale);
    assert_eq!(bed.row(1).await["state"], "pending");
}

#[tokio::test]
async fn one_late_writer_does_not_stop_the_others_of_its_batch() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for _ in 0..3 {
        add(db, &[]).await;
    }
    let jobs = bed.claim().await;
    let mut batch =
        vec![full(&jobs[0], sent()), full(&jobs[1], Verdict::Failed), full(&jobs[2], Verdict::Pending(now()))];
    batch[1].claim = 0;
    batch[1].pause = Some(pause("ann@contoso.com", 1000, "busy"));
    let settled = bed.settle(&batch).await;
    assert_eq!(settled, [Settled::Recorded, Settled::Stale, Settled::Recorded]);
    let states: Vec<String> = sqlx::query_scalar("SELECT state FROM jobs ORDER BY id").fetch_all(db).await.unwrap();
    assert_eq!(states, ["sent", "claimed", "pending"]);
    assert_eq!(bed.pauses(now()).await.len(), 1, "what is true of the mailbox is true whoever says it");
    assert!(bed.settle(&[]).await.is_empty());
}

#[tokio::test]
async fn an_outcome_waits_for_a_strangers_long_write() {
    let (bed, job) = claimed().await;
    let mut stranger = bed.stranger().await;
    run(&mut stranger, "BEGIN IMMEDIATE").await;
    let begin = Instant::now();
    let holder = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        run(&mut stranger, "COMMIT").await;
    });
    assert_eq!(settle(&bed, &full(&job, sent())).await, Settled::Recorded);
    assert!(begin.elapsed() >= Duration::from_millis(290), "{:?}", begin.elapsed());
    holder.await.unwrap();
}

#[tokio::test]
async fn long_messages_are_shortened_by_characters_not_bytes() {
    let (bed, job) = claimed().await;
    let long = "ä€😀".repeat(1000);
    let kept: String = long.chars().take(2000).collect();
    let mut settlement = full(&job, Verdict::Failed);
    settlement.answer.message = Some(long.clone());
    settlement.pause = Some(pause("ann@contoso.com", 1000, &long));
    settle(&bed, &settlement).await;
    assert_eq!(bed.row(1).await["error_message"], json!(kept));
    assert_eq!(bed.attempts(1).await[0]["message"], json!(kept));
    assert_eq!(bed.pauses(now()).await[0].reason, kept);
}

// Pauses

async fn paused(bed: &Bed, pause: Pause) {
    let id = bed.queue.insert(&[job("x")]).await.unwrap()[0];
    let job = bed.claim().await.remove(0);
    assert_eq!(job.id.0, id);
    settle(bed, &Settlement { pause: Some(pause), ..end(&job, Verdict::Failed) }).await;
}

#[tokio::test]
async fn a_pause_survives_the_program_and_a_shorter_one_does_not_end_it_earlier() {
    let bed = Bed::new().await;
    paused(&bed, pause("Ann@Contoso.com", 60_000, "first")).await;
    paused(&bed, Pause { pauses_in_a_row: 2, ..pause("ann@contoso.com", 30_000, "second") }).await;
    bed.queue.close().await;
    let bed = Bed { queue: SqliteQueue::open(bed.queue.path()).await.unwrap(), ..bed };
    let pauses = bed.pauses(now()).await;
    assert_eq!(pauses.len(), 1);
    let found = &pauses[0];
    assert_eq!((found.lane.as_str(), found.until, found.pauses_in_a_row), ("ann@contoso.com", in_ms(60_000), 2));
    assert_eq!(found.reason, "second");
    let db = &mut bed.stranger().await;
    assert_eq!(one::<String>(db, "SELECT error_kind || updated_at FROM mailboxes").await, format!("throttled{AT}"));
}

#[tokio::test]
async fn a_longer_pause_makes_it_longer() {
    let bed = Bed::new().await;
    paused(&bed, pause("ann@contoso.com", 30_000, "first")).await;
    paused(&bed, pause("ann@contoso.com", 60_000, "second")).await;
    assert_eq!(bed.pauses(now()).await[0].until, in_ms(60_000));
}

#[tokio::test]
async fn pauses_that_are_over_or_mistyped_pause_nothing() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    for (mailbox, until, reason, strikes) in [
        ("'over@contoso.com'", "'2099-12-31T23:59:59.999Z'", "'x'", "1"),
        ("'just@contoso.com'", "'2100-01-01T00:00:00.000Z'", "'x'", "1"),
        ("'word@contoso.com'", "'tomorrow'", "'x'", "1"),
        ("'blob@contoso.com'", "x'ff'", "'x'", "1"),
        ("CAST(x'ff' AS TEXT)", "'2100-01-02T00:00:00.000Z'", "'x'", "1"),
        ("'zone@contoso.com'", "'2100-01-01T01:00:00+02:00'", "'x'", "1"),
        ("'kept@contoso.com'", "'2100-01-01T01:00:00Z'", "x'ff'", "-5"),
    ] {
        run(
            db,
            &format!("INSERT INTO mailboxes (mailbox, paused_until, reason, strikes) VALUES ({mailbox}, {until}, {reason}, {strikes})"),
        )
        .await;
    }
    let pauses = bed.pauses(now()).await;
    assert_eq!(pauses.len(), 1, "{pauses:?}");
    assert_eq!(
        (pauses[0].lane.as_str(), pauses[0].until, pauses[0].pauses_in_a_row),
        ("kept@contoso.com", in_ms(3_600_000), 1)
    );
}

#[tokio::test]
async fn a_mistyped_pause_does_not_swallow_the_next_real_one() {
    for typed in ["'until further notice'", "x'ff'", "''", "'2100-01-01T01:30:00+02:00'"] {
        let bed = Bed::new().await;
        let insert =
            format!("INSERT INTO mailboxes (mailbox, paused_until, reason) VALUES ('ann@contoso.com', {typed}, 'x')");
        run(&mut bed.stranger().await, &insert).await;
        paused(&bed, pause("ann@contoso.com", 30_000, "real")).await;
        let pauses = bed.pauses(now()).await;
        assert_eq!(pauses.first().map(|pause| pause.until), Some(in_ms(30_000)), "{typed}");
    }
}

#[tokio::test]
async fn a_row_at_the_end_of_its_counters_holds_up_no_other() {
    let bed = Bed::new().await;
    let mut db = bed.stranger().await;
    add(&mut db, &[("mailbox", "'a'"), ("claims", "1000000000000")]).await;
    add(&mut db, &[("mailbox", "'b'"), ("attempts", "1000000000")]).await;
    add(&mut db, &[("mailbox", "'c'")]).await;
    let jobs = bed.claim().await;
    assert_eq!(jobs.iter().map(|job| job.id.0).collect::<Vec<_>>(), [2, 3]);
    let ends: Vec<_> = jobs.iter().map(|job| full(job, sent())).collect();
    let ends =
        [ends[0].clone(), Settlement { verdict: Verdict::Sent(EventId("AAMk2".into()).into()), ..ends[1].clone() }];
    let settled = bed.settle(&ends).await;
    assert!(matches!(settled[..], [Settled::Recorded, Settled::Recorded]), "{settled:?}");
    assert_eq!((&bed.row(2).await["state"], &bed.row(3).await["state"]), (&"sent".into(), &"sent".into()));
    assert_eq!(bed.row(2).await["attempts"], 1_000_000_000);
    let attempts: Vec<i64> = sqlx::query_scalar("SELECT job_id FROM attempts").fetch_all(&mut db).await.unwrap();
    assert_eq!(attempts, [2, 3], "one for each job that was recorded");
}

#[tokio::test]
async fn nonsense_in_the_agents_columns_is_refused_where_it_would_stop_the_queue() {
    let bed = Bed::new().await;
    let mut db = bed.stranger().await;
    for (column, value) in [
        ("claims", "9223372036854775807"),
        ("attempts", "9223372036854775807"),
        ("next_attempt_at", "CAST(x'323032362d31312d32335431323a30303a30302e3030305a00ff' AS TEXT)"),
    ] {
        let said = refusal(&mut db, &insert(&[(column, value)])).await;
        assert!(said.contains("CHECK"), "{column}: {said}");
    }
    add(&mut db, &[("transaction_id", "'abc'")]).await;
    assert!(refusal(&mut db, &insert(&[("transaction_id", "'ABC'")])).await.contains("UNIQUE"));
}

#[tokio::test]
async fn retention_deletes_old_ends_with_their_history_and_nothing_else() {
    let bed = Bed::new().await;
    let mut db = bed.stranger().await;
    let ended = |at: &'static str| [("state", "'failed'"), ("finished_at", at), ("error_kind", "'rejected'")];
    add(&mut db, &ended("'2099-01-01T00:00:00.000Z'")).await;
    add(&mut db, &ended("'2099-01-02T00:00:00.000Z'")).await;
    add(&mut db, &[ended("'2099-01-01T00:00:00.000Z'").as_slice(), &[("in_doubt", "1")]].concat()).await;
    add(&mut db, &ended("'2100-01-01T00:00:00.000Z'")).await;
    add(&mut db, &[]).await;
    run(
        &mut db,
        "INSERT INTO attempts (job_id, claim, started_at, duration_ms, outcome) VALUES (1, 1, 'x', 1, 'failed')",
    )
    .await;
    let age = Duration::from_secs(86_400);
    assert_eq!(bed.queue.purge(age, 1).await.unwrap(), 1);
    assert_eq!(one::<i64>(&mut db, "SELECT count(*) FROM attempts").await, 0);
    assert_eq!(bed.queue.purge(age, 10).await.unwrap(), 1);
    assert_eq!(one::<String>(&mut db, "SELECT group_concat(id) FROM (SELECT id FROM jobs ORDER BY id)").await, "3,4,5");
}

/// As a bulk cancel leaves them: old rows that are kept take no place from those behind them, which ended at the same moment.
#[tokio::test]
async fn rows_that_ended_at_one_moment_are_all_looked_at() {
    let bed = Bed::new().await;
    let db = &mut bed.stranger().await;
    let fill = |doubt: u8, rows: u32| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
            INSERT INTO jobs (start_time, end_time, state, finished_at, in_doubt)
            SELECT '2099-01-01', '2099-01-02', 'cancelled', '2099-01-01T00:00:00.000Z', {doubt} FROM n"
        )
    };
    for (doubt, rows) in [(1, 50), (0, 30), (1, 50), (0, 5)] {
        run(db, &fill(doubt, rows)).await;
    }
    // Ten rows are looked at for each that may be deleted.
    let mut deleted = Vec::new();
    for _ in 0..40 {
        deleted.push(bed.queue.purge(Duration::ZERO, 2).await.unwrap());
    }
    assert_eq!(deleted.iter().sum::<u64>(), 35, "{deleted:?}");
    assert!(deleted.iter().all(|deleted| *deleted <= 2), "{deleted:?}");
    assert_eq!(one::<i64>(db, "SELECT count(*) FROM jobs").await, 100);
    let plan = super::repair_tests::plan(db, settle::OLD).await;
    let found = |line: &str| plan.iter().any(|step| step.contains(line));
    assert!(
        found("jobs_finished (finished_at=? AND rowid>?)") && found("jobs_finished (finished_at>? AND finished_at<?)"),
        "{plan:#?}"
    );
    assert!(!found("TEMP B-TREE"), "{plan:#?}");
}

/// Deleted rows leave free pages, and new ones take them: the file has the size of its busiest time, not of all time.
#[tokio::test]
async fn with_retention_the_database_does_not_grow_for_ever() {
    let bed = Bed::new().await;
    let mut db = bed.stranger().await;
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
        INSERT INTO jobs (subject, body, start_time, end_time, mailbox, state, event_id, finished_at)
        SELECT 'x', hex(randomblob(1000)), '2100-01-01', '2100-01-02', 'm' || (i % 50), 'sent', hex(randomblob(70)),
            '2099-01-01T00:00:00.000Z' FROM n";
    let history = "INSERT INTO attempts (job_id, claim, started_at, duration_ms, outcome)
        SELECT id, 1, 'x', 1, 'sent' FROM jobs";
    let mut pages = Vec::new();
    for _ in 0..5 {
        run(&mut db, fill).await;
        run(&mut db, history).await;
        pages.push(one::<i64>(&mut db, "PRAGMA page_count").await);
        while bed.queue.purge(Duration::ZERO, 100).await.unwrap() > 0 {}
        assert_eq!(one::<i64>(&mut db, "SELECT count(*) FROM jobs").await, 0);
    }
    // The indexes split their pages a little differently each time.
    assert!(pages.iter().all(|count| *count <= pages[0] * 21 / 20), "{pages:?}");
}

/// What a full disk does: SQLite ends the transaction by itself, and sqlx goes on counting it.
#[tokio::test]
async fn a_transaction_that_sqlite_ended_by_itself_ends_no_recording_for_good() {
    let (bed, job) = claimed().await;
    let mut tx = bed.queue.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::raw_sql("ROLLBACK").execute(&mut *tx).await.unwrap();
    drop(tx);
    let sent = end(&job, sent());
    assert_eq!(settle(&bed, &sent).await, Settled::Recorded);
}
