//! Whose turn it is within a mailbox, which of its jobs wait because it has mailed as many as it may, and what stays when jobs that
//! ended are deleted.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use event_sender::clock::Now;
use event_sender::job::{ErrorKind, EventId, EventRef, Job, JobState, format_utc};
use event_sender::queue::{Agent, ClaimRequest, NewJob, Operate, Paced, Produce, Read, Settlement, Suspects, Verdict};

use crate::backend::Backend;
use crate::bed::{ALL, ANN, BOB, Bed, Want, defaults, end, event, far, is_about, job, lane, pause};

fn of_priority(priority: i64) -> NewJob {
    NewJob { priority: Some(priority), ..job(ANN) }
}

fn with_guest(mailbox: &str) -> NewJob {
    NewJob { attendees: Some(r#"[{"address":"guest@contoso.com"}]"#.into()), ..job(mailbox) }
}

fn keyed(operation: &str) -> NewJob {
    let new = NewJob { operation: Some(operation.into()), event_key: Some("order-7".into()), ..NewJob::default() };
    if operation == "create" { NewJob { operation: new.operation, event_key: new.event_key, ..job(ANN) } } else { new }
}

impl<B: Backend> Bed<B> {
    async fn add_all(&self, jobs: &[NewJob]) -> Vec<i64> {
        self.queue().insert(jobs).await.unwrap()
    }

    /// It has been due for so long.
    async fn due_for(&self, id: i64, minutes: i64) {
        let due = format_utc(Utc::now() - TimeDelta::minutes(minutes));
        self.backend.sql(&format!("UPDATE jobs SET next_attempt_at = '{due}' WHERE id = {id}")).await.unwrap();
    }

    async fn take_one(&self) -> Job {
        self.claim(Want { limit: 1, ..ALL }).await.jobs.remove(0).1
    }

    async fn send(&self, new: NewJob, ends_at: Option<DateTime<Utc>>) -> i64 {
        self.add_all(&[new]).await;
        let job = self.take_one().await;
        self.settle(&Settlement { ends_at, ..end(&job, event()) }).await;
        job.id.0
    }

    /// What is left when all that has ended is deleted, whether the agent does it or an operator.
    async fn left(&self, by_the_agent: bool) -> Vec<i64> {
        // What ended within this very millisecond is not older than now.
        tokio::time::sleep(Duration::from_millis(2)).await;
        loop {
            let gone = match by_the_agent {
                true => self.queue().purge(Duration::ZERO, 100).await.unwrap(),
                false => self.purge(&JobState::ALL).await,
            };
            if gone == 0 {
                let filter = event_sender::queue::JobFilter { limit: 100, ..Default::default() };
                return self.queue().jobs(&filter).await.unwrap().iter().map(|job| job.id.0).collect();
            }
        }
    }
}

const PACED_ANN: Want = Want { limit: 1000, per_lane: 1000, free: Vec::new(), paced: &[ANN] };

// Priority

async fn of_what_is_due_the_higher_priority_comes_first<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add_all(&[of_priority(-1), of_priority(0), of_priority(1), of_priority(0)]).await;
    assert_eq!(bed.claim(ALL).await.ids(), [ids[2], ids[1], ids[3], ids[0]]);
}

async fn priority_reaches_across_jobs_that_mail_and_that_do_not<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed
        .add_all(&[of_priority(0), NewJob { priority: Some(1), ..with_guest(ANN) }, with_guest(ANN), of_priority(1)])
        .await;
    for expected in [ids[1], ids[3], ids[0], ids[2]] {
        assert_eq!(bed.take_one().await.id.0, expected);
    }
}

async fn a_slot_goes_to_the_highest_of_all_lanes_of_a_mailbox<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add_all(&[of_priority(0), of_priority(0), of_priority(1), of_priority(1)]).await;
    let taken = bed.claim(Want { per_lane: 3, ..ALL }).await.ids();
    assert_eq!(taken, [ids[2], ids[3], ids[0]]);
}

async fn a_high_priority_that_is_not_due_holds_nobody_up<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let later = NewJob { not_before: Some("2999-01-01T00:00:00Z".into()), ..of_priority(1) };
    let ids = bed.add_all(&[later, of_priority(-1)]).await;
    let taken = bed.claim(ALL).await;
    assert_eq!(taken.ids(), [ids[1]]);
    let next = bed.next_due(ALL).await;
    assert!(is_about(next, far()), "{next:?}");
}

async fn a_job_counts_one_higher_for_every_hour_it_has_been_due<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add_all(&[of_priority(-1), of_priority(1), of_priority(0)]).await;
    for (id, minutes) in [(ids[0], 190), (ids[1], 50), (ids[2], 70)] {
        bed.due_for(id, minutes).await;
    }
    // Ranks 2, 1 and 1: of the same rank, the one that fell due first.
    assert_eq!(bed.claim(ALL).await.ids(), [ids[0], ids[2], ids[1]]);
}

async fn an_unnamed_and_a_named_mailbox_share_slots_by_priority<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let unnamed = NewJob { mailbox: None, ..of_priority(0) };
    let named = NewJob { mailbox: Some(crate::bed::TEAM.into()), ..of_priority(1) };
    let ids = bed.add_all(&[unnamed.clone(), unnamed, named]).await;
    assert_eq!(bed.claim(Want { per_lane: 2, ..ALL }).await.ids(), [ids[2], ids[0]]);
}

// Pacing

async fn a_paced_mailbox_sends_only_what_mails_nobody<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed
        .add_all(&[with_guest(ANN), job(ANN), with_guest(BOB), NewJob { attendees: Some("[ ]".into()), ..job(ANN) }])
        .await;
    let mut taken = bed.claim(PACED_ANN).await.ids();
    taken.sort_unstable();
    assert_eq!(taken, ids[1..]);
    assert!(bed.claim(PACED_ANN).await.jobs.is_empty());
    assert_eq!(bed.claim(ALL).await.ids(), [ids[0]]);
}

async fn a_job_that_waits_for_pacing_is_no_reason_to_ask_again<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let later = NewJob { not_before: Some("2999-01-01T00:00:00Z".into()), ..with_guest(ANN) };
    bed.add_all(&[later]).await;
    assert_eq!(bed.next_due(PACED_ANN).await, None);
    let next = bed.next_due(ALL).await;
    assert!(is_about(next, far()), "{next:?}");
}

async fn attendees_added_or_taken_away_while_a_job_waits_count<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.add_all(&[job(ANN), with_guest(ANN)]).await;
    let set = |id: i64, attendees: &str| format!("UPDATE jobs SET attendees = '{attendees}' WHERE id = {id}");
    bed.backend.sql(&set(ids[0], r#"[{"address":"guest@contoso.com"}]"#)).await.unwrap();
    bed.backend.sql(&set(ids[1], "[]")).await.unwrap();
    assert_eq!(bed.claim(PACED_ANN).await.ids(), [ids[1]]);
}

async fn what_was_mailed_is_told_to_the_next_agent_minute_by_minute<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.add_all(&[with_guest(ANN), with_guest(ANN), with_guest(BOB), job(ANN)]).await;
    let jobs: Vec<Job> = bed.claim(ALL).await.jobs.into_iter().map(|(_, job)| job).collect();
    let at = |time| Now { wall: time, steady: std::time::Instant::now() };
    let noon = Utc::now();
    let mailed = |job: &Job| if job.input.attendees == "[]".into() { 0 } else { 10 };
    let ends: Vec<Settlement> =
        jobs.iter().map(|job| Settlement { mailed: mailed(job), at: at(noon), ..end(job, event()) }).collect();
    bed.settle_all(&ends).await;
    // The claims are over: it is not counted twice.
    bed.settle_all(&ends).await;
    bed.join().await;
    // Of a mailbox it may be told when that has something to send again.
    bed.insert(&[ANN, BOB]).await;
    let request = ClaimRequest {
        limit: 2,
        per_lane: 1,
        slots: 1,
        free: Default::default(),
        suspects: Suspects::default(),
        unnamed: None,
        unnamed_paused: false,
        paced: Default::default(),
        defaults: defaults(),
    };
    let mut mailed = bed.claim_as(request.clone()).await.news.mailed;
    mailed.sort_by(|a, b| a.lane.cmp(&b.lane));
    let told: Vec<_> = mailed.iter().map(|mailed| (mailed.lane.clone(), mailed.jobs, mailed.recipients)).collect();
    assert_eq!(told, [(lane(ANN), 2, 20), (lane(BOB), 1, 10)]);
    assert!(mailed.iter().all(|mailed| noon - mailed.minute < TimeDelta::minutes(2)), "{mailed:?}");
    assert!(bed.claim_as(request).await.news.mailed.is_empty(), "told once");
}

async fn why_and_until_when_a_mailbox_waits_is_noted_beside_its_pause<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.pause(pause(ANN, "It throttles."), ErrorKind::Throttled).await;
    let job = bed.claimed(BOB).await;
    for (mailbox, reason) in [(BOB, "first"), (BOB, "10000 recipients a day"), (ANN, "10000 recipients a day")] {
        let paced = Some(Paced { lane: lane(mailbox), until: far(), reason: reason.into() });
        bed.settle(&Settlement { paced, ..end(&job, Verdict::Pending(far())) }).await;
    }
    for mailbox in [ANN, BOB] {
        let row = bed.mailbox(mailbox).await;
        let (until, reason) = row.paced(Utc::now()).unzip();
        assert!(is_about(until, far()) && reason == Some("10000 recipients a day"), "{row:?}");
        assert_eq!(row.paused_until(Utc::now()).is_some(), mailbox == ANN);
    }
    bed.queue().forget_pauses(100).await.unwrap();
    assert!(bed.mailbox(BOB).await.paced.is_some(), "not before it is over");
}

/// The setting may be another one now: an agent that goes by other ones says so, and one that begins may.
async fn what_was_put_off_for_a_setting_is_due_when_an_agent_wakes_it_or_begins<B: Backend>() {
    for begins in [false, true] {
        let bed = Bed::<B>::new().await;
        let delete = |target: &str| NewJob {
            operation: Some("delete".into()),
            target_event_id: Some(target.into()),
            mailbox: Some(BOB.into()),
            ..NewJob::default()
        };
        let jobs = [job(ANN), delete("AAMk1="), delete("AAMk2=")];
        let [of_zone, paced, tried] = bed.add_all(&jobs).await[..] else { panic!() };
        for job in bed.claim(ALL).await.jobs.into_iter().map(|(_, job)| job) {
            let waits = Settlement { spent: false, sent_at: None, attempt: None, ..end(&job, Verdict::Pending(far())) };
            let paced = Some(Paced { lane: lane(BOB), until: far(), reason: "enough".into() });
            let end = match job.id.0 {
                id if id == of_zone => {
                    Settlement { kind: Some(ErrorKind::Rejected), ..end(&job, Verdict::Unfilled(far())) }
                }
                id if id == tried => Settlement { paced, attempt: end(&job, event()).attempt, ..waits },
                _ => Settlement { paced, ..waits },
            };
            bed.settle(&end).await;
        }
        assert!(is_about(bed.job(paced).await.summary.next_attempt_at.time(), far()));
        match begins {
            true => drop(bed.join().await),
            false => bed.queue().wake().await.unwrap(),
        }
        for id in [of_zone, paced] {
            let due = bed.job(id).await.summary.next_attempt_at.time();
            assert!(is_about(due, Utc::now()), "{begins}: {id} is due {due:?}");
        }
        assert!(is_about(bed.job(tried).await.summary.next_attempt_at.time(), far()), "it waits for its next try");
        let row = bed.queue().mailbox(&lane(BOB)).await.unwrap();
        assert!(row.is_none_or(|row| row.paced(Utc::now()).is_none()), "whether it must wait on is found out anew");
    }
}

// What Graph gives back

async fn what_graph_gave_back_stands_in_the_row<B: Backend>() {
    let text = |text: &str| Some(text.to_owned());
    for attempt in [true, false] {
        let bed = Bed::<B>::new().await;
        let job = bed.claimed(ANN).await;
        let event = EventRef {
            id: EventId("AAMk=".into()),
            web_link: text("w"),
            ical_uid: text("i"),
            join_url: None,
            seen: None,
        };
        let end = end(&job, Verdict::Sent(event));
        bed.settle(&if attempt { end } else { Settlement { attempt: None, ..end } }).await;
        let id = job.id;
        for (link, stored) in [("join", "join"), ("other", "join")] {
            bed.queue().add_join_url(id, link).await.unwrap();
            let row = bed.job(id.0).await.summary;
            let found = [row.event_id, row.web_link, row.ical_uid, row.join_url].map(|column| column.to_string());
            assert_eq!(found, ["AAMk=", "w", "i", stored]);
        }
    }
}

// Retention

async fn the_create_of_a_key_stays_until_its_event_is_over<B: Backend>() {
    let past = Utc::now() - TimeDelta::hours(1);
    for by_the_agent in [true, false] {
        for (ends_at, stays) in [(None, true), (Some(far()), true), (Some(past), false)] {
            let bed = Bed::<B>::new().await;
            let id = bed.send(keyed("create"), ends_at).await;
            bed.send(job(BOB), None).await;
            assert_eq!(bed.left(by_the_agent).await, if stays { vec![id] } else { vec![] }, "{ends_at:?}");
        }
    }
}

async fn an_update_that_moves_the_event_keeps_its_create_for_longer<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let id = bed.send(keyed("create"), Some(Utc::now() - TimeDelta::hours(1))).await;
    bed.send(keyed("update"), Some(far())).await;
    assert_eq!(bed.left(true).await, [id]);
}

async fn a_deleted_event_keeps_nothing_and_its_delete_goes_last<B: Backend>() {
    for by_the_agent in [true, false] {
        let bed = Bed::<B>::new().await;
        bed.send(keyed("create"), Some(far())).await;
        bed.send(keyed("delete"), None).await;
        assert_eq!(bed.left(by_the_agent).await, [0; 0]);
    }
    // Without the delete, the create's key would seem to be in use.
    let bed = Bed::<B>::new().await;
    bed.send(keyed("create"), Some(far())).await;
    let delete = bed.send(keyed("delete"), None).await;
    assert_eq!(bed.queue().purge(Duration::ZERO, 1).await.unwrap(), 1);
    assert_eq!(bed.state(delete).await, JobState::Sent);
}

async fn purgeable_counts_only_what_may_go<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.send(keyed("create"), Some(far())).await;
    bed.send(job(BOB), None).await;
    let found = bed.queue().purgeable(far(), &[JobState::Sent]).await.unwrap();
    assert_eq!((found.jobs, found.in_doubt), (1, 0));
}

on_every_queue! {
    of_what_is_due_the_higher_priority_comes_first
    priority_reaches_across_jobs_that_mail_and_that_do_not
    a_slot_goes_to_the_highest_of_all_lanes_of_a_mailbox
    a_high_priority_that_is_not_due_holds_nobody_up
    a_job_counts_one_higher_for_every_hour_it_has_been_due
    an_unnamed_and_a_named_mailbox_share_slots_by_priority
    a_paced_mailbox_sends_only_what_mails_nobody
    a_job_that_waits_for_pacing_is_no_reason_to_ask_again
    attendees_added_or_taken_away_while_a_job_waits_count
    what_was_mailed_is_told_to_the_next_agent_minute_by_minute
    why_and_until_when_a_mailbox_waits_is_noted_beside_its_pause
    what_was_put_off_for_a_setting_is_due_when_an_agent_wakes_it_or_begins
    what_graph_gave_back_stands_in_the_row
    the_create_of_a_key_stays_until_its_event_is_over
    an_update_that_moves_the_event_keeps_its_create_for_longer
    a_deleted_event_keeps_nothing_and_its_delete_goes_last
    purgeable_counts_only_what_may_go
}
