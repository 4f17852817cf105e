//! The jobs of one event: their order, what a delete calls off, what a key may name, and what a change knows of its event.

use event_sender::job::{ErrorKind, Job, JobId, JobState, OperationKind, Target};
use event_sender::queue::{InsertError, JobFilter, NewJob, Produce, Read, Settlement, Verdict};

use crate::backend::Backend;
use crate::bed::{ALL, ANN, BOB, Bed, end, event, far, is_about, job, later};

const KEY: &str = "order-7";

fn create(key: &str) -> NewJob {
    NewJob { event_key: Some(key.into()), ..job(ANN) }
}

fn change(operation: &str, key: &str) -> NewJob {
    NewJob { operation: Some(operation.into()), event_key: Some(key.into()), ..NewJob::default() }
}

fn update(key: &str) -> NewJob {
    NewJob { subject: Some("Moved".into()), ..change("update", key) }
}

fn delete(key: &str) -> NewJob {
    change("delete", key)
}

fn of_target(operation: &str) -> NewJob {
    let target_event_id = Some("AAMkTarget=".into());
    NewJob { operation: Some(operation.into()), target_event_id, mailbox: Some(ANN.into()), ..NewJob::default() }
}

impl<B: Backend> Bed<B> {
    async fn add(&self, jobs: &[NewJob]) -> Vec<i64> {
        self.queue().insert(jobs).await.unwrap()
    }

    async fn refused(&self, job: &NewJob) -> String {
        match self.queue().insert(std::slice::from_ref(job)).await {
            Err(InsertError::Refused { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    async fn claim_jobs(&self) -> Vec<Job> {
        self.claim(ALL).await.jobs.into_iter().map(|(_, job)| job).collect()
    }

    /// The one job that can be claimed.
    async fn claim_one(&self) -> Job {
        let mut jobs = self.claim_jobs().await;
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    async fn finish(&self, job: &Job, verdict: Verdict) {
        self.settle(&end(job, verdict)).await;
    }

    /// One job of its event that was sent.
    async fn add_sent(&self, job: NewJob) -> i64 {
        self.add(&[job]).await;
        let job = self.claim_one().await;
        self.finish(&job, event()).await;
        job.id.0
    }

    /// State, and kind of the end.
    async fn ended(&self, id: i64) -> (JobState, Option<ErrorKind>) {
        let summary = self.job(id).await.summary;
        (summary.state.known().unwrap(), summary.error_kind.known())
    }

    async fn behind(&self, id: i64) -> Option<i64> {
        self.job(id).await.summary.behind.integer()
    }
}

const SUPERSEDED: (JobState, Option<ErrorKind>) = (JobState::Cancelled, Some(ErrorKind::Superseded));
const PENDING: (JobState, Option<ErrorKind>) = (JobState::Pending, None);

// Order

async fn jobs_of_one_event_run_one_after_another<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[create(KEY), update(KEY), update(KEY)]).await;
    for id in ids {
        let job = bed.claim_one().await;
        assert_eq!(job.id.0, id);
        bed.finish(&job, event()).await;
    }
    assert!(bed.claim_jobs().await.is_empty());
}

async fn jobs_of_one_target_run_one_after_another<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[of_target("update"), of_target("update"), of_target("update")]).await;
    let first = bed.claim_one().await;
    assert_eq!((first.id.0, first.operation, &first.target), (ids[0], OperationKind::Update, &Target::NotAsked));
    assert_eq!(bed.behind(ids[1]).await, Some(ids[0]));
}

async fn jobs_of_different_events_never_wait_for_each_other<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[create("a"), create("b"), job(ANN), update("a"), of_target("update")]).await;
    let mut taken: Vec<i64> = bed.claim_jobs().await.iter().map(|job| job.id.0).collect();
    taken.sort_unstable();
    assert_eq!(taken, [ids[0], ids[1], ids[2], ids[4]]);
}

async fn a_job_given_back_keeps_those_behind_it_waiting<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[create(KEY), update(KEY)]).await;
    let first = bed.claim_one().await;
    bed.finish(&first, Verdict::Pending(far())).await;
    assert!(bed.claim_jobs().await.is_empty());
    assert_eq!((bed.behind(ids[0]).await, bed.behind(ids[1]).await), (None, Some(ids[0])));
}

async fn what_is_behind_a_job_has_its_turn_however_that_ends<B: Backend>() {
    for verdict in [event(), Verdict::Failed] {
        let bed = Bed::<B>::new().await;
        let ids = bed.add(&[create(KEY), update(KEY)]).await;
        let first = bed.claim_one().await;
        let kind = (verdict == Verdict::Failed).then_some(ErrorKind::Rejected);
        bed.settle(&Settlement { kind, ..end(&first, verdict) }).await;
        assert_eq!(bed.claim_one().await.id.0, ids[1]);
    }
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[later(ANN), create(KEY), update(KEY)]).await;
    assert_eq!(bed.cancel(&ids[1..2], false).await, [ids[1]]);
    assert_eq!(bed.claim_one().await.id.0, ids[2]);
}

async fn a_waiting_update_may_be_cancelled_and_frees_what_is_behind_it<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[create(KEY), update(KEY), update(KEY)]).await;
    assert_eq!(bed.cancel(&ids[1..2], false).await, [ids[1]]);
    assert_eq!((bed.behind(ids[1]).await, bed.behind(ids[2]).await), (None, Some(ids[0])));
    let create = bed.claim_one().await;
    bed.finish(&create, event()).await;
    assert_eq!(bed.claim_one().await.id.0, ids[2]);
}

async fn a_job_put_back_is_in_its_old_place_again<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[create(KEY), update(KEY), update(KEY)]).await;
    let first = bed.claim_one().await;
    bed.settle(&Settlement { kind: Some(ErrorKind::Rejected), ..end(&first, Verdict::Failed) }).await;
    assert_eq!(bed.retry(&ids[..1]).await, ids[..1]);
    assert_eq!(bed.behind(ids[1]).await, Some(ids[0]));
    assert_eq!(bed.claim_one().await.id.0, ids[0]);
}

async fn a_job_put_back_while_a_later_one_is_under_way_waits_for_that_and_goes_before_its_repeat<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.add_sent(create(KEY)).await;
    let ids = bed.add(&[update(KEY), update(KEY), update(KEY)]).await;
    let first = bed.claim_one().await;
    bed.settle(&Settlement { kind: Some(ErrorKind::Rejected), ..end(&first, Verdict::Failed) }).await;
    let second = bed.claim_one().await;
    assert_eq!(second.id.0, ids[1]);
    assert_eq!(bed.retry(&ids[..1]).await, ids[..1]);
    assert_eq!(bed.behind(ids[0]).await, Some(ids[1]));
    assert!(bed.claim_jobs().await.is_empty(), "two of one event are never under way");
    bed.finish(&second, Verdict::Pending(chrono::Utc::now())).await;
    assert_eq!((bed.behind(ids[0]).await, bed.behind(ids[1]).await), (None, Some(ids[0])));
    for id in ids {
        let next = bed.claim_one().await;
        assert_eq!(next.id.0, id);
        bed.finish(&next, event()).await;
    }
}

async fn a_row_deleted_by_its_producer_frees_what_is_behind_it<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[create(KEY), update(KEY), update(KEY)]).await;
    bed.backend.sql(&format!("DELETE FROM jobs WHERE id = {}", ids[1])).await.unwrap();
    assert_eq!(bed.behind(ids[2]).await, Some(ids[0]));
    bed.backend.sql(&format!("DELETE FROM jobs WHERE id = {}", ids[0])).await.unwrap();
    assert_eq!(bed.claim_one().await.id.0, ids[2]);
}

async fn a_pending_job_given_to_another_event_waits_for_that_one<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[create("a"), create("b"), update("a"), update("a")]).await;
    bed.backend.sql(&format!("UPDATE jobs SET event_key = 'b' WHERE id = {}", ids[2])).await.unwrap();
    assert_eq!((bed.behind(ids[2]).await, bed.behind(ids[3]).await), (Some(ids[1]), Some(ids[0])));
}

async fn nobody_writes_a_jobs_place_in_line_but_its_event<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[create(KEY), update(KEY), job(BOB)]).await;
    for (id, value, right) in [(ids[1], "NULL", Some(ids[0])), (ids[1], "99", Some(ids[0])), (ids[2], "1", None)] {
        bed.backend.sql(&format!("UPDATE jobs SET behind = {value} WHERE id = {id}")).await.unwrap();
        assert_eq!(bed.behind(id).await, right, "{value}");
    }
    bed.backend
        .sql("INSERT INTO jobs (start_time, end_time, behind) VALUES ('2026-12-01T09:00', '2026-12-01T10:00', 1)")
        .await
        .unwrap();
    assert_eq!(bed.claim_jobs().await.len(), 3);
}

// What a change knows of its event

async fn a_change_gets_the_creates_mailbox_when_its_turn_comes<B: Backend>() {
    for mailbox in [BOB, ""] {
        let bed = Bed::<B>::new().await;
        let create = NewJob { mailbox: Some(mailbox.to_owned()).filter(|name| !name.is_empty()), ..create(KEY) };
        let ids = bed.add(&[create, update(KEY)]).await;
        let first = bed.claim_one().await;
        bed.finish(&first, event()).await;
        let taken = bed.claim(ALL).await;
        assert_eq!(taken.ids(), [ids[1]]);
        assert_eq!(taken.jobs[0].1.input.mailbox, first.input.mailbox);
        let own = bed.job(ids[1]).await;
        assert!(!own.defaulted.text().is_some_and(|names| names.contains("mailbox")), "{own:?}");
    }
}

async fn a_change_names_the_last_create_of_its_key_before_it<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let first = bed.add_sent(create(KEY)).await;
    bed.add(&[update(KEY)]).await;
    let update = bed.claim_one().await;
    let Target::Created(created) = &update.target else { panic!("{update:?}") };
    assert_eq!((created.job.0, created.state, created.in_doubt), (first, JobState::Sent, false));
    let row = bed.job(first).await;
    assert_eq!(created.event_id.as_ref().map(|id| id.0.as_str()), row.summary.event_id.text());
    assert_eq!(Some(created.transaction_id.as_str()), row.transaction_id.text());
    assert_eq!((created.mailbox.as_deref(), &created.calendar_id), (Some(ANN), &None));
}

async fn a_change_of_a_key_that_nobody_creates_is_told_so<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.add(&[update(KEY), create("other")]).await;
    let jobs = bed.claim_jobs().await;
    let target = |operation| jobs.iter().find(|job| job.operation == operation).map(|job| &job.target);
    assert_eq!(target(OperationKind::Update), Some(&Target::Unknown));
    assert_eq!(target(OperationKind::Create), Some(&Target::NotAsked));
}

// Keys

async fn a_key_names_one_event_at_a_time<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[create(KEY)]).await;
    assert!(bed.refused(&create(KEY)).await.starts_with("event_key: this key names an event"));
    let job = bed.claim_one().await;
    bed.finish(&job, event()).await;
    assert!(bed.refused(&create(KEY)).await.starts_with("event_key:"));
    // Behind a delete, the same key is another event.
    let second = bed.add(&[delete(KEY), create(KEY)]).await;
    assert!(bed.refused(&create(KEY)).await.starts_with("event_key:"));
    assert_eq!(bed.behind(second[1]).await, Some(second[0]));
    let history: Vec<i64> = bed.queue().jobs_of_key(KEY).await.unwrap().iter().map(|job| job.id.0).collect();
    assert_eq!(history, [ids[0], second[0], second[1]]);
    let filter = JobFilter { event_key: Some(KEY.into()), state: Some(JobState::Sent), limit: 9, ..Default::default() };
    let sent: Vec<i64> = bed.queue().jobs(&filter).await.unwrap().iter().map(|job| job.id.0).collect();
    assert_eq!(sent, ids);
}

async fn the_key_of_a_create_that_failed_is_free_unless_its_event_may_exist<B: Backend>() {
    for in_doubt in [false, true] {
        let bed = Bed::<B>::new().await;
        let ids = bed.add(&[create(KEY)]).await;
        let job = bed.claim_one().await;
        let failed = Settlement { kind: Some(ErrorKind::Rejected), in_doubt, ..end(&job, Verdict::Failed) };
        bed.settle(&failed).await;
        if in_doubt {
            assert!(bed.refused(&create(KEY)).await.starts_with("event_key:"));
            continue;
        }
        bed.add(&[create(KEY)]).await;
        assert_eq!(bed.retry(&ids).await, [0; 0], "its key names another event now");
        assert_eq!(bed.state(ids[0]).await, JobState::Failed);
    }
}

/// Two events of one key would be alive at once.
async fn a_create_knows_that_its_key_names_an_event_still_whose_delete_did_not_come_off<B: Backend>() {
    for how in ["cancelled", "failed", "of another event", "sent"] {
        let bed = Bed::<B>::new().await;
        let first = bed.add_sent(create(KEY)).await;
        let [deleted, anew] = bed.add(&[delete(KEY), create(KEY)]).await.try_into().unwrap();
        match how {
            "cancelled" => assert_eq!(bed.cancel(&[deleted], false).await, [deleted]),
            "failed" => bed.finish(&bed.claim_one().await, Verdict::Failed).await,
            "sent" => bed.finish(&bed.claim_one().await, event()).await,
            _ => {
                let other = format!("UPDATE jobs SET event_key = 'other' WHERE id = {deleted}");
                assert_eq!(bed.backend.sql(&other).await, Ok(1));
            }
        }
        let create = bed.claim_jobs().await.into_iter().find(|job| job.id.0 == anew).unwrap();
        let expected = if how == "sent" { Target::NotAsked } else { Target::Taken(JobId(first)) };
        assert_eq!(create.target, expected, "{how}");
    }
}

/// Its own event may be the one that its key names.
async fn a_create_in_doubt_is_not_asked_whose_its_key_is<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.add_sent(create(KEY)).await;
    let ids = bed.add(&[delete(KEY), create(KEY)]).await;
    bed.cancel(&ids[..1], false).await;
    let job = bed.claim_one().await;
    bed.settle(&Settlement { in_doubt: true, ..end(&job, Verdict::Pending(chrono::Utc::now())) }).await;
    let again = bed.claim_one().await;
    assert_eq!((again.id.0, &again.target), (ids[1], &Target::NotAsked));
}

async fn what_makes_no_sense_is_refused_with_the_column_and_the_cure<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let target = || Some("AAMk=".to_owned());
    for (job, part) in [
        (NewJob { event_key: None, ..update(KEY) }, "event_key: an update or a delete names its event"),
        (NewJob { target_event_id: target(), ..update(KEY) }, "leave one of the two out"),
        (NewJob { target_event_id: target(), ..job(ANN) }, "target_event_id: a create makes an event of its own"),
        (NewJob { event_key: None, target_event_id: Some(" ".into()), ..update(KEY) }, "this is no EventID"),
        (NewJob { subject: Some("x".into()), ..delete(KEY) }, "a delete takes body as its comment"),
        (NewJob { location: Some("x".into()), ..delete(KEY) }, "a delete takes body as its comment"),
        (NewJob { extra: Some("{}".into()), ..delete(KEY) }, "a delete takes body as its comment"),
        (NewJob { attendees: Some(r#"[{"address":"a@b.c"}]"#.into()), ..delete(KEY) }, "a delete takes body"),
        (NewJob { body_type: Some("text".into()), ..delete(KEY) }, "a delete takes body as its comment"),
        (NewJob { time_zone: Some("UTC".into()), ..delete(KEY) }, "a delete takes body as its comment"),
    ] {
        let reason = bed.refused(&job).await;
        assert!(reason.contains(part), "{job:?}: {reason}");
    }
    let body = Some("Sorry, called off".into());
    bed.add(&[NewJob { body, calendar_id: Some("c".into()), priority: Some(1), ..delete(KEY) }]).await;
}

// Superseded

async fn a_delete_calls_off_what_never_left_and_itself_with_it<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[create(KEY), update(KEY), delete(KEY)]).await;
    assert!(bed.claim_jobs().await.is_empty());
    for id in &ids {
        assert_eq!(bed.ended(*id).await, SUPERSEDED);
    }
    let message = bed.job(ids[0]).await.summary.error_message.to_string();
    assert!(message.contains(&format!("job {}", ids[2])), "{message}");
    bed.add(&[create(KEY)]).await;
}

async fn a_delete_calls_off_updates_and_deletes_the_event_that_is_there<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let first = bed.add_sent(create(KEY)).await;
    let ids = bed.add(&[update(KEY), update(KEY), delete(KEY)]).await;
    let delete = bed.claim_one().await;
    assert_eq!(delete.id.0, ids[2]);
    assert!(matches!(&delete.target, Target::Created(created) if created.job.0 == first), "{delete:?}");
    assert_eq!((bed.ended(ids[0]).await, bed.ended(ids[1]).await), (SUPERSEDED, SUPERSEDED));
}

async fn what_has_left_or_may_have_is_not_called_off<B: Backend>() {
    for in_doubt in [false, true] {
        let bed = Bed::<B>::new().await;
        let ids = bed.add(&[create(KEY)]).await;
        let create = bed.claim_one().await;
        let rest = bed.add(&[update(KEY), delete(KEY)]).await;
        assert!(bed.claim_jobs().await.is_empty(), "the create is under way");
        assert_eq!((bed.ended(rest[0]).await, bed.ended(rest[1]).await), (SUPERSEDED, PENDING));
        bed.settle(&Settlement { in_doubt, ..end(&create, Verdict::Pending(far())) }).await;
        assert!(bed.claim_jobs().await.is_empty(), "it has left");
        assert_eq!((bed.ended(ids[0]).await, bed.ended(rest[1]).await), (PENDING, PENDING));
    }
}

async fn a_create_given_back_before_anything_left_is_called_off<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let create = {
        bed.add(&[create(KEY)]).await;
        bed.claim_one().await
    };
    let delete = bed.add(&[delete(KEY)]).await[0];
    bed.settle(&Settlement { sent_at: None, attempt: None, ..end(&create, Verdict::Pending(far())) }).await;
    assert!(bed.claim_jobs().await.is_empty());
    assert_eq!((bed.ended(create.id.0).await, bed.ended(delete).await), (SUPERSEDED, SUPERSEDED));
}

async fn a_delete_for_later_calls_nothing_off_before_its_time<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let for_later = NewJob { not_before: Some("2999-01-01T00:00:00Z".into()), ..delete(KEY) };
    let ids = bed.add(&[create(KEY), for_later]).await;
    assert_eq!(bed.claim_one().await.id.0, ids[0]);
}

async fn a_delete_whose_create_failed_is_not_called_off<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.add(&[create(KEY)]).await;
    let first = bed.claim_one().await;
    bed.settle(&Settlement { kind: Some(ErrorKind::Rejected), ..end(&first, Verdict::Failed) }).await;
    let ids = bed.add(&[update(KEY), delete(KEY)]).await;
    let delete = bed.claim_one().await;
    assert_eq!((delete.id.0, bed.ended(ids[0]).await), (ids[1], SUPERSEDED));
    assert!(matches!(&delete.target, Target::Created(created) if created.state == JobState::Failed), "{delete:?}");
}

async fn of_a_chain_of_creates_and_deletes_only_what_is_there_is_deleted<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[create(KEY), delete(KEY), create(KEY), delete(KEY)]).await;
    assert!(bed.claim_jobs().await.is_empty());
    for id in &ids {
        assert_eq!(bed.ended(*id).await, SUPERSEDED);
    }
    let bed = Bed::<B>::new().await;
    let first = bed.add_sent(create(KEY)).await;
    let ids = bed.add(&[delete(KEY), create(KEY), delete(KEY)]).await;
    let delete = bed.claim_one().await;
    assert_eq!((bed.ended(ids[0]).await, bed.ended(ids[1]).await), (SUPERSEDED, SUPERSEDED));
    assert_eq!(delete.id.0, ids[2]);
    assert!(matches!(&delete.target, Target::Created(created) if created.job.0 == first), "{delete:?}");
}

async fn a_delete_is_called_off_when_the_event_before_is_deleted_already<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.add_sent(create(KEY)).await;
    bed.add_sent(delete(KEY)).await;
    let ids = bed.add(&[create(KEY), delete(KEY)]).await;
    assert!(bed.claim_jobs().await.is_empty());
    assert_eq!((bed.ended(ids[0]).await, bed.ended(ids[1]).await), (SUPERSEDED, SUPERSEDED));
}

async fn a_delete_of_a_target_calls_updates_off_and_stays<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[of_target("update"), of_target("delete")]).await;
    assert_eq!(bed.claim_one().await.id.0, ids[1]);
    assert_eq!(bed.ended(ids[0]).await, SUPERSEDED);
}

async fn what_is_called_off_is_so_on_a_mailbox_on_hold_too<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.hold(ANN).await;
    let ids = bed.add(&[create(KEY), delete(KEY)]).await;
    assert!(bed.claim_jobs().await.is_empty());
    assert_eq!(bed.ended(ids[0]).await, SUPERSEDED);
}

// Deadlines

async fn what_is_too_late_fails_without_an_attempt<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.hold(ANN).await;
    let late = |mailbox| NewJob { not_after: Some("2020-01-01T00:00:00Z".into()), ..job(mailbox) };
    let waits = NewJob { not_before: Some("2999-01-01T00:00:00Z".into()), ..late(BOB) };
    let ids = bed.add(&[late(BOB), late(ANN), waits, job(BOB)]).await;
    assert_eq!(bed.claim_one().await.id.0, ids[3]);
    for id in &ids[..3] {
        assert_eq!(bed.ended(*id).await, (JobState::Failed, Some(ErrorKind::Expired)));
        assert!(bed.job(*id).await.summary.error_message.to_string().starts_with("not_after:"));
    }
}

async fn what_is_in_doubt_is_looked_for_however_late_it_is<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let id = bed.add(&[job(ANN)]).await[0];
    bed.backend.sql("UPDATE jobs SET not_after = '2020-01-01T00:00:00Z', in_doubt = true").await.unwrap();
    let claimed = bed.claim_one().await;
    assert_eq!((claimed.id.0, claimed.in_doubt), (id, true));
    assert!(is_about(claimed.expires_at, "2020-01-01T00:00:00Z".parse().unwrap()), "{claimed:?}");
}

async fn a_deadline_to_come_is_told_with_the_job_and_one_that_is_none_is_not<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let with = |not_after: &str| NewJob { not_after: Some(not_after.into()), ..job(ANN) };
    bed.add(&[with("2999-01-01 02:00+02:00"), with("soon")]).await;
    let deadlines: Vec<_> = bed.claim_jobs().await.iter().map(|job| job.expires_at).collect();
    assert!(is_about(deadlines[0], far()) && deadlines[1].is_none(), "{deadlines:?}");
}

async fn a_deadline_may_be_moved_while_the_job_waits<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add(&[later(ANN)]).await;
    for (not_after, state) in [("2999-01-01T00:00:00Z", JobState::Pending), ("2020-01-01T00:00:00Z", JobState::Failed)]
    {
        bed.backend.sql(&format!("UPDATE jobs SET not_after = '{not_after}'")).await.unwrap();
        bed.claim_jobs().await;
        assert_eq!(bed.state(ids[0]).await, state);
    }
}

async fn what_waits_behind_another_job_is_counted<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.add(&[create(KEY), update(KEY), update(KEY), job(BOB)]).await;
    let overview = bed.overview().await;
    assert_eq!((overview.behind, overview.waiting.total.jobs, overview.waiting.total.later), (2, 4, 2));
    let census = bed.queue().census(chrono::Utc::now(), None).await.unwrap();
    assert_eq!((census.behind, census.pending, census.due), (2, 4, 2));
}

on_every_queue! {
    jobs_of_one_event_run_one_after_another
    jobs_of_one_target_run_one_after_another
    jobs_of_different_events_never_wait_for_each_other
    a_job_given_back_keeps_those_behind_it_waiting
    what_is_behind_a_job_has_its_turn_however_that_ends
    a_waiting_update_may_be_cancelled_and_frees_what_is_behind_it
    a_job_put_back_is_in_its_old_place_again
    a_job_put_back_while_a_later_one_is_under_way_waits_for_that_and_goes_before_its_repeat
    a_row_deleted_by_its_producer_frees_what_is_behind_it
    a_pending_job_given_to_another_event_waits_for_that_one
    nobody_writes_a_jobs_place_in_line_but_its_event
    a_change_gets_the_creates_mailbox_when_its_turn_comes
    a_change_names_the_last_create_of_its_key_before_it
    a_change_of_a_key_that_nobody_creates_is_told_so
    a_key_names_one_event_at_a_time
    the_key_of_a_create_that_failed_is_free_unless_its_event_may_exist
    a_create_knows_that_its_key_names_an_event_still_whose_delete_did_not_come_off
    a_create_in_doubt_is_not_asked_whose_its_key_is
    what_makes_no_sense_is_refused_with_the_column_and_the_cure
    a_delete_calls_off_what_never_left_and_itself_with_it
    a_delete_calls_off_updates_and_deletes_the_event_that_is_there
    what_has_left_or_may_have_is_not_called_off
    a_create_given_back_before_anything_left_is_called_off
    a_delete_for_later_calls_nothing_off_before_its_time
    a_delete_whose_create_failed_is_not_called_off
    of_a_chain_of_creates_and_deletes_only_what_is_there_is_deleted
    a_delete_is_called_off_when_the_event_before_is_deleted_already
    a_delete_of_a_target_calls_updates_off_and_stays
    what_is_called_off_is_so_on_a_mailbox_on_hold_too
    what_is_too_late_fails_without_an_attempt
    what_is_in_doubt_is_looked_for_however_late_it_is
    a_deadline_to_come_is_told_with_the_job_and_one_that_is_none_is_not
    a_deadline_may_be_moved_while_the_job_waits
    what_waits_behind_another_job_is_counted
}
