//! The ends of claims: what each leaves in the row, and that a late one changes nothing.

use chrono::Utc;
use event_sender::clock::Now;
use event_sender::job::{Answer, Cause, Ending, ErrorKind, JobState};
use event_sender::queue::{Agent, AttemptRecord, Paced, Settled, Settlement, Verdict};

use crate::backend::Backend;
use crate::bed::{ALL, ANN, BOB, Bed, TEAM, end, event, far, is_about, lane, pause};

async fn a_sent_job_has_its_event_id_and_is_final<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let id = bed.sent(ANN).await;
    let row = bed.job(id).await.summary;
    assert_eq!((row.state.known(), row.event_id.text()), (Some(JobState::Sent), Some("AAMkAGI=")));
    assert!(row.finished_at.time().is_some());
    let refused = bed.backend.sql(&format!("UPDATE jobs SET state = 'pending' WHERE id = {id}")).await;
    assert!(refused.is_err(), "{refused:?}");
}

async fn a_failed_job_keeps_what_was_said<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let job = bed.claimed(ANN).await;
    let answer = Answer {
        cause: Some(Cause::Permission),
        status: Some(403),
        code: Some("ErrorAccessDenied".into()),
        message: Some("no".into()),
        request_id: Some("req-1".into()),
        client_request_id: Some("client-1".into()),
    };
    bed.settle(&Settlement { kind: Some(ErrorKind::Denied), answer, ..end(&job, Verdict::Failed) }).await;
    let row = bed.job(job.id.0).await;
    let of = &row.summary;
    assert_eq!((of.state.known(), of.error_kind.known()), (Some(JobState::Failed), Some(ErrorKind::Denied)));
    assert_eq!((of.http_status.integer(), of.error_code.text()), (Some(403), Some("ErrorAccessDenied")));
    assert_eq!((of.error_message.text(), row.request_id.text()), (Some("no"), Some("req-1")));
    assert_eq!(of.cause(), Some(Cause::Permission));
}

async fn every_attempt_has_a_row_of_its_own_the_oldest_first<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let first = bed.claimed(ANN).await;
    bed.settle(&end(&first, Verdict::Pending(Utc::now()))).await;
    let second = bed.claim(ALL).await.jobs.remove(0).1;
    let attempt = AttemptRecord { started_at: Utc::now(), duration_ms: 9, ending: Ending::Sent };
    bed.settle(&Settlement { attempt: Some(attempt), ..end(&second, event()) }).await;
    let attempts = bed.attempts(first.id.0).await;
    let told: Vec<_> = attempts.iter().map(|row| (row.claim.integer(), row.duration_ms.integer())).collect();
    assert_eq!(told, [(Some(first.claim), Some(7)), (Some(second.claim), Some(9))]);
    assert_eq!(attempts[1].outcome.text(), Some("sent"));
}

async fn a_job_to_be_tried_again_waits_until_then<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let job = bed.claimed(ANN).await;
    bed.settle(&end(&job, Verdict::Pending(far()))).await;
    assert_eq!(bed.state(job.id.0).await, JobState::Pending);
    let next = bed.next_due(ALL).await;
    assert!(is_about(next, far()), "{next:?}");
}

async fn only_an_attempt_that_is_spent_is_counted<B: Backend>() {
    let bed = Bed::<B>::new().await;
    for (spent, expected) in [(true, 1), (false, 0)] {
        let job = bed.claimed(ANN).await;
        bed.settle(&Settlement { spent, ..end(&job, Verdict::Pending(far())) }).await;
        assert_eq!(bed.job(job.id.0).await.summary.attempts.integer(), Some(expected), "spent: {spent}");
    }
}

async fn a_settlement_that_comes_twice_is_recorded_once<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let job = bed.claimed(ANN).await;
    assert_eq!(bed.settle(&end(&job, Verdict::Failed)).await, Settled::Recorded);
    assert_eq!(bed.settle(&end(&job, event())).await, Settled::Stale);
    assert_eq!(bed.state(job.id.0).await, JobState::Failed);
    assert_eq!(bed.attempts(job.id.0).await.len(), 1);
}

async fn a_settlement_of_an_earlier_claim_changes_nothing<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let first = bed.claimed(ANN).await;
    bed.settle(&end(&first, Verdict::Pending(Utc::now()))).await;
    let second = bed.claim(ALL).await.jobs.remove(0).1;
    assert_eq!(bed.settle(&end(&first, event())).await, Settled::Stale);
    assert_eq!(bed.state(first.id.0).await, JobState::Claimed);
    assert_eq!(bed.settle(&end(&second, event())).await, Settled::Recorded);
}

async fn a_stale_settlement_does_not_touch_the_others_of_its_batch<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.insert(&[ANN, ANN, BOB]).await;
    let mut jobs: Vec<_> = bed.claim(ALL).await.jobs.into_iter().map(|(_, job)| job).collect();
    jobs[1].claim += 1;
    let ends: Vec<Settlement> = jobs.iter().map(|job| end(job, event())).collect();
    assert_eq!(bed.settle_all(&ends).await, [Settled::Recorded, Settled::Stale, Settled::Recorded]);
    let states = [bed.state(jobs[0].id.0).await, bed.state(jobs[1].id.0).await, bed.state(jobs[2].id.0).await];
    assert_eq!(states, [JobState::Sent, JobState::Claimed, JobState::Sent]);
}

async fn doubt_is_kept_until_an_answer_takes_it_away<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let first = bed.claimed(ANN).await;
    bed.settle(&Settlement { in_doubt: true, ..end(&first, Verdict::Pending(Utc::now())) }).await;
    assert!(bed.in_doubt(first.id.0).await);
    let second = bed.claim(ALL).await.jobs.remove(0).1;
    assert!(second.in_doubt);
    bed.settle(&end(&second, event())).await;
    assert!(!bed.in_doubt(first.id.0).await);
}

async fn a_job_in_doubt_can_neither_be_changed_nor_deleted<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let id = bed.doubtful(ANN).await;
    for statement in ["UPDATE jobs SET subject = 'other'", "DELETE FROM jobs"] {
        let refused = bed.backend.sql(&format!("{statement} WHERE id = {id}")).await;
        assert!(refused.is_err(), "{statement}: {refused:?}");
    }
}

async fn a_job_of_which_nothing_ever_left_may_be_corrected<B: Backend>() {
    let bed = Bed::<B>::new().await;
    for (never_left, allowed) in [(true, true), (false, false)] {
        let job = bed.claimed(ANN).await;
        let sent_at = (!never_left).then(Utc::now);
        bed.settle(&Settlement { never_left, sent_at, ..end(&job, Verdict::Failed) }).await;
        let corrected = bed.backend.sql(&format!("UPDATE jobs SET subject = 'other' WHERE id = {}", job.id.0)).await;
        assert_eq!(corrected.is_ok(), allowed, "never left: {never_left}, {corrected:?}");
    }
}

async fn a_job_given_back_unfilled_gets_the_defaults_of_its_next_claim<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let job = bed.claimed("").await;
    let unfilled = Settlement { sent_at: None, spent: false, ..end(&job, Verdict::Unfilled(far())) };
    assert_eq!(bed.settle(&unfilled).await, Settled::Recorded);
    let row = bed.job(job.id.0).await;
    assert!(row.summary.mailbox.is_null() && row.time_zone.is_null(), "{row:?}");
}

/// A server says what it likes, and PostgreSQL stores no NUL.
async fn no_word_of_a_server_keeps_an_end_from_being_recorded<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let job = bed.claimed(ANN).await;
    let answer = Answer { message: Some("all\0 is lost".into()), ..Answer::default() };
    let paced = Some(Paced { lane: lane(ANN), until: far(), reason: "enough\0".into() });
    let kind = Some(ErrorKind::Throttled);
    let told =
        Settlement { answer, kind, pause: Some(pause(ANN, "busy\0 now")), paced, ..end(&job, Verdict::Pending(far())) };
    assert_eq!(bed.settle(&told).await, Settled::Recorded);
    assert_eq!(bed.job(job.id.0).await.summary.error_message.text(), Some("all is lost"));
    let row = bed.mailbox(ANN).await;
    assert_eq!((row.pause.reason.as_str(), row.paced.unwrap().reason.as_str()), ("busy now", "enough"));
}

/// Whoever may write to the tables may give them rules.
async fn a_pause_that_a_rule_refuses_keeps_only_its_own_job_claimed<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.backend.sql("CREATE UNIQUE INDEX rule_of_another ON mailboxes (reason)").await.unwrap();
    bed.insert(&[ANN, BOB, TEAM]).await;
    let jobs: Vec<_> = bed.claim(ALL).await.jobs.into_iter().map(|(_, job)| job).collect();
    let with = |job, pause| Settlement { pause, kind: Some(ErrorKind::Throttled), ..end(job, Verdict::Pending(far())) };
    let ends = [
        with(&jobs[0], Some(pause(ANN, "the same"))),
        with(&jobs[1], Some(pause(BOB, "the same"))),
        with(&jobs[2], Some(pause(TEAM, "another"))),
    ];
    let settled = bed.settle_all(&ends).await;
    assert!(matches!(&settled[1], Settled::Refused(why) if why.to_lowercase().contains("unique")), "{settled:?}");
    assert_eq!((&settled[0], &settled[2]), (&Settled::Recorded, &Settled::Recorded));
    bed.backend.sql("DROP INDEX rule_of_another").await.unwrap();
    assert_eq!(bed.settle(&ends[1]).await, Settled::Recorded);
}

async fn a_pause_that_no_end_brings_is_kept_as_well<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let now = Now { wall: Utc::now(), steady: std::time::Instant::now() };
    bed.queue().note_pause(&pause(ANN, "busy"), now).await.unwrap();
    let row = bed.mailbox(ANN).await;
    assert!(is_about(row.paused_until(Utc::now()), far()) && row.pause.reason == "busy", "{row:?}");
}

on_every_queue! {
    a_sent_job_has_its_event_id_and_is_final
    a_failed_job_keeps_what_was_said
    every_attempt_has_a_row_of_its_own_the_oldest_first
    a_job_to_be_tried_again_waits_until_then
    only_an_attempt_that_is_spent_is_counted
    a_settlement_that_comes_twice_is_recorded_once
    a_settlement_of_an_earlier_claim_changes_nothing
    a_stale_settlement_does_not_touch_the_others_of_its_batch
    doubt_is_kept_until_an_answer_takes_it_away
    a_job_in_doubt_can_neither_be_changed_nor_deleted
    a_job_of_which_nothing_ever_left_may_be_corrected
    a_job_given_back_unfilled_gets_the_defaults_of_its_next_claim
    no_word_of_a_server_keeps_an_end_from_being_recorded
    a_pause_that_a_rule_refuses_keeps_only_its_own_job_claimed
    a_pause_that_no_end_brings_is_kept_as_well
}
