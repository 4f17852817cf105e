//! The operator's verbs on jobs: put back, called off, deleted, marked after a backup was put back.

use chrono::{TimeDelta, Utc};
use event_sender::job::{Answer, Cause, ErrorKind, JobId, JobState, REPEAT_WAIT};
use event_sender::queue::{Changed, Operate, Produce, Purgeable, Read, Selection, Settlement, Verdict};

use crate::backend::Backend;
use crate::bed::{ALL, ANN, BOB, Bed, TEAM, defaults, end, far, ids, is_about, job, lane, later};

async fn selected<B: Backend>(bed: &Bed<B>, selection: Selection) -> Vec<i64> {
    bed.queue().select(&selection).await.unwrap().iter().map(|job| job.id.0).collect()
}

fn of_failed() -> Selection {
    Selection { states: vec![JobState::Failed], ..Selection::default() }
}

async fn a_failed_job_is_put_back_with_all_its_attempts<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let id = bed.failed(ANN, ErrorKind::Denied).await;
    let before = bed.job(id).await;
    assert_eq!(bed.retry(&[id]).await, [id]);
    let after = bed.job(id).await;
    assert_eq!((after.summary.state.known(), after.summary.attempts.integer()), (Some(JobState::Pending), Some(0)));
    assert_eq!(after.transaction_id, before.transaction_id, "it becomes no second event");
    assert_eq!(bed.claim(ALL).await.ids(), [id]);
}

async fn a_cancelled_job_is_put_back_too<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let id = bed.insert(&[ANN]).await[0];
    bed.cancel(&[id], false).await;
    assert_eq!(bed.retry(&[id]).await, [id]);
    assert_eq!(bed.claim(ALL).await.ids(), [id]);
}

async fn a_job_put_back_still_waits_for_its_not_before<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let id = bed.queue().insert(&[later(ANN)]).await.unwrap()[0];
    bed.cancel(&[id], false).await;
    bed.retry(&[id]).await;
    assert_eq!(bed.job(id).await.summary.next_attempt_at.time(), Some(far()));
}

async fn a_waiting_job_comes_forward_and_one_that_is_due_is_left_alone<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let claimed = bed.claimed(ANN).await;
    bed.settle(&end(&claimed, Verdict::Pending(far()))).await;
    let due = bed.insert(&[BOB]).await[0];
    assert_eq!(bed.retry(&[claimed.id.0, due]).await, [claimed.id.0]);
    assert_eq!(bed.claim(ALL).await.jobs.len(), 2);
}

async fn a_job_in_doubt_stays_so_and_waits_until_its_request_has_had_its_time<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let id = bed.doubtful(ANN).await;
    let now = Utc::now();
    assert_eq!(bed.retry(&[id]).await, [id]);
    assert!(bed.in_doubt(id).await);
    let due = bed.job(id).await.summary.next_attempt_at.time().unwrap();
    assert!(due >= now + REPEAT_WAIT - TimeDelta::milliseconds(2) && due < far(), "{due}");
}

async fn neither_a_claimed_nor_a_sent_job_is_put_back_or_called_off<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let (sent, claimed) = (bed.sent(ANN).await, bed.claimed(ANN).await.id.0);
    assert_eq!(bed.retry(&[sent, claimed]).await, [0; 0]);
    assert_eq!(bed.cancel(&[sent, claimed], true).await, [0; 0]);
    assert_eq!((bed.state(sent).await, bed.state(claimed).await), (JobState::Sent, JobState::Claimed));
}

async fn a_job_called_off_is_never_claimed<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.insert(&[ANN, ANN]).await;
    assert_eq!(bed.cancel(&ids[..1], false).await, ids[..1]);
    assert_eq!(bed.claim(ALL).await.ids(), ids[1..]);
    assert!(bed.job(ids[0]).await.summary.finished_at.time().is_some());
}

async fn a_job_in_doubt_is_called_off_only_by_who_says_so<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let id = bed.doubtful(ANN).await;
    assert_eq!(bed.cancel(&[id], false).await, [0; 0]);
    assert_eq!(bed.cancel(&[id], true).await, [id]);
    assert_eq!((bed.state(id).await, bed.in_doubt(id).await), (JobState::Cancelled, true));
}

async fn jobs_are_selected_by_what_they_have_in_common<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let denied = bed.failed(ANN, ErrorKind::Denied).await;
    let rejected = bed.failed("Ann@Contoso.com ", ErrorKind::Rejected).await;
    let other = bed.failed(BOB, ErrorKind::Denied).await;
    let waiting = bed.insert(&[ANN]).await[0];
    let kinds = |kinds: &[ErrorKind]| Selection { error_kinds: kinds.to_vec(), ..of_failed() };
    for (selection, expected) in [
        (of_failed(), vec![denied, rejected, other]),
        (Selection::default(), vec![]),
        (kinds(&[ErrorKind::Denied]), vec![denied, other]),
        (Selection { lanes: vec![lane(ANN)], ..of_failed() }, vec![denied, rejected]),
        (Selection { limit: Some(2), ..of_failed() }, vec![denied, rejected]),
        (Selection { since: Some(far()), ..of_failed() }, vec![]),
        (
            Selection {
                states: vec![JobState::Pending, JobState::Failed],
                lanes: vec![lane(ANN)],
                ..Selection::default()
            },
            vec![waiting, denied, rejected],
        ),
    ] {
        assert_eq!(selected(&bed, selection.clone()).await, expected, "{selection:?}");
    }
}

async fn failures_of_the_settings_are_selected_by_their_cause<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let mut expected = Vec::new();
    for (kind, cause, status, of_settings) in [
        (ErrorKind::Denied, Cause::Permission, 403, true),
        (ErrorKind::Exhausted, Cause::Permission, 403, true),
        (ErrorKind::Exhausted, Cause::MailboxFull, 507, false),
        (ErrorKind::NotFound, Cause::NoMailbox, 404, true),
        (ErrorKind::Rejected, Cause::EventRefused, 400, false),
    ] {
        let job = bed.claimed(ANN).await;
        let answer = Answer { cause: Some(cause), status: Some(status), ..Answer::default() };
        bed.settle(&Settlement { kind: Some(kind), answer, ..end(&job, Verdict::Failed) }).await;
        expected.extend(of_settings.then_some(job.id.0));
    }
    let settings = Selection { settings_at_fault: true, ..of_failed() };
    assert_eq!(selected(&bed, settings.clone()).await, expected);
    assert_eq!(selected(&bed, Selection { limit: Some(1), ..settings }).await, expected[..1]);
}

async fn a_chosen_job_says_what_it_is_judged_by<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let id = bed.doubtful("Ann@Contoso.com").await;
    let chosen = bed.queue().chosen(&ids(&[id, 999])).await.unwrap();
    assert_eq!(chosen.len(), 1);
    assert_eq!((chosen[0].id.0, chosen[0].state, chosen[0].in_doubt), (id, JobState::Pending, true));
    assert!(chosen[0].lane == lane(ANN) && is_about(chosen[0].due.parse().ok(), far()), "{chosen:?}");
}

async fn many_jobs_are_changed_in_batches_and_each_is_told_once<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let all = bed.queue().insert(&vec![job(ANN); 450]).await.unwrap();
    let (mut told, mut batches) = (Vec::new(), 0);
    let mut on_batch = |batch: &[JobId], changed: Changed| {
        assert_eq!(batch, changed.done);
        batches += 1;
        told.extend(changed.done.iter().map(|id| id.0));
    };
    bed.queue().cancel(&ids(&all), false, Utc::now(), &mut on_batch).await.unwrap();
    assert_eq!(told, all);
    assert!(batches > 1, "others have their turn in between");
}

async fn a_purge_takes_what_ended_with_its_history_and_keeps_what_is_in_doubt<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let (failed, doubtful) = (bed.failed(ANN, ErrorKind::Denied).await, bed.doubtful(ANN).await);
    bed.cancel(&[doubtful], true).await;
    let (sent, waiting) = (bed.sent(ANN).await, bed.insert(&[ANN]).await[0]);
    let states = [JobState::Failed, JobState::Cancelled];
    assert_eq!(bed.queue().purgeable(far(), &states).await.unwrap(), Purgeable { jobs: 1, in_doubt: 1 });
    assert_eq!(bed.purge(&states).await, 1);
    assert_eq!(bed.queue().job(JobId(failed)).await.unwrap(), None);
    for kept in [doubtful, sent, waiting] {
        assert!(bed.queue().job(JobId(kept)).await.unwrap().is_some(), "{kept}");
    }
}

async fn a_purge_leaves_what_ended_later<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.sent(ANN).await;
    let before = Utc::now() - TimeDelta::hours(1);
    assert_eq!(bed.queue().purgeable(before, &[JobState::Sent]).await.unwrap(), Purgeable::default());
    bed.queue().purge_ended(before, &[JobState::Sent], &mut |gone| panic!("{gone} deleted")).await.unwrap();
}

async fn after_a_backup_was_put_back_what_waits_is_looked_up_first<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let failed = bed.failed(BOB, ErrorKind::Denied).await;
    let waiting = bed.insert(&[ANN, ""]).await;
    let operator = bed.backend.beside().await;
    assert_eq!(operator.not_in_doubt().await.unwrap(), 2);
    bed.backend.no_agent().await;
    assert_eq!(operator.mark_in_doubt(&defaults(), Utc::now()).await.unwrap(), 2);
    assert_eq!(operator.not_in_doubt().await.unwrap(), 0);
    for id in &waiting {
        assert!(bed.in_doubt(*id).await, "{id}");
    }
    assert_eq!(bed.job(waiting[1]).await.summary.mailbox.text(), Some(TEAM), "what would have left is fixed");
    assert!(!bed.in_doubt(failed).await);
}

on_every_queue! {
    a_failed_job_is_put_back_with_all_its_attempts
    a_cancelled_job_is_put_back_too
    a_job_put_back_still_waits_for_its_not_before
    a_waiting_job_comes_forward_and_one_that_is_due_is_left_alone
    a_job_in_doubt_stays_so_and_waits_until_its_request_has_had_its_time
    neither_a_claimed_nor_a_sent_job_is_put_back_or_called_off
    a_job_called_off_is_never_claimed
    a_job_in_doubt_is_called_off_only_by_who_says_so
    jobs_are_selected_by_what_they_have_in_common
    failures_of_the_settings_are_selected_by_their_cause
    a_chosen_job_says_what_it_is_judged_by
    many_jobs_are_changed_in_batches_and_each_is_told_once
    a_purge_takes_what_ended_with_its_history_and_keeps_what_is_in_doubt
    a_purge_leaves_what_ended_later
    after_a_backup_was_put_back_what_waits_is_looked_up_first
}
