//! Claims: what is taken, in which order, how much of it, and what a claim does to a row.

use event_sender::job::{Cell, JobState};
use event_sender::queue::{NewJob, Produce, Verdict};

use crate::backend::Backend;
use crate::bed::{ALL, ANN, BOB, Bed, TEAM, Want, end, far, is_about, job, later};

async fn what_was_inserted_is_claimed_as_it_was_written<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let new = NewJob { body: Some("Agenda".into()), extra: Some(r#"{"showAs":"busy"}"#.into()), ..job(ANN) };
    let id = bed.queue().insert(std::slice::from_ref(&new)).await.unwrap()[0];
    let (lane, job) = bed.claim(ALL).await.jobs.remove(0);
    assert_eq!((lane.as_str(), job.id.0, job.attempts, job.in_doubt), (ANN, id, 0, false));
    assert_eq!((job.input.subject, job.input.body), (Cell::from("Review"), Cell::from("Agenda")));
    assert_eq!((job.input.start_time, job.input.extra), (new.input().start_time, new.input().extra));
}

async fn jobs_of_a_mailbox_are_claimed_in_the_order_they_fell_due<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.insert(&[ANN; 5]).await;
    assert_eq!(bed.claim(ALL).await.ids(), ids);
}

async fn a_claim_takes_no_more_than_its_limit<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.insert(&[ANN, BOB, ANN, BOB, TEAM]).await;
    assert_eq!(bed.claim(Want { limit: 3, ..ALL }).await.jobs.len(), 3);
    assert_eq!(bed.claim(ALL).await.jobs.len(), 2);
}

async fn a_claim_takes_no_more_of_a_mailbox_than_may_be_under_way<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.insert(&[ANN, ANN, ANN, BOB]).await;
    let mut taken = bed.claim(Want { per_lane: 2, ..ALL }).await.ids();
    taken.sort_unstable();
    assert_eq!(taken, [ids[0], ids[1], ids[3]]);
}

async fn a_mailbox_without_a_free_slot_waits_and_the_others_go_on<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.insert(&[ANN, BOB, ANN]).await;
    assert_eq!(bed.claim(Want { free: vec![(ANN, 0)], ..ALL }).await.ids(), [ids[1]]);
    assert_eq!(bed.claim(Want { free: vec![(ANN, 1)], ..ALL }).await.ids(), [ids[0]]);
}

async fn mailboxes_are_told_apart_without_case_and_white_space<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.insert(&["Ann@Contoso.com", " ann@contoso.com", ANN]).await;
    let taken = bed.claim(Want { per_lane: 1, ..ALL }).await;
    assert_eq!((taken.jobs.len(), taken.jobs[0].0.as_str()), (1, ANN));
}

async fn rows_that_name_no_mailbox_share_the_lane_of_the_default_one<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.insert(&["", TEAM, ""]).await;
    let taken = bed.claim(Want { per_lane: 2, ..ALL }).await;
    assert_eq!(taken.jobs.iter().map(|(lane, _)| lane.as_str()).collect::<Vec<_>>(), [TEAM, TEAM]);
    assert_eq!(bed.claim(Want { free: vec![(TEAM, 0)], ..ALL }).await.jobs.len(), 0);
}

async fn a_claimed_job_is_not_claimed_again<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let id = bed.claimed(ANN).await.id.0;
    assert_eq!(bed.state(id).await, JobState::Claimed);
    assert!(bed.claim(ALL).await.jobs.is_empty());
}

async fn the_number_of_a_claim_grows_with_every_claim_of_a_job<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let first = bed.claimed(ANN).await;
    bed.settle(&end(&first, Verdict::Pending(chrono::Utc::now()))).await;
    let second = bed.claim(ALL).await.jobs.remove(0).1;
    assert_eq!(second.id, first.id);
    assert!(second.claim > first.claim, "{} after {}", second.claim, first.claim);
}

async fn a_job_for_later_waits_and_the_claim_says_until_when<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.queue().insert(&[later(ANN)]).await.unwrap();
    let next = bed.next_due(ALL).await;
    assert!(is_about(next, far()), "{next:?}");
}

async fn defaults_are_written_into_the_row_with_its_first_claim<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let claimed = bed.claimed("").await;
    assert_eq!((claimed.input.mailbox, claimed.input.body_type), (Cell::from(TEAM), Cell::from("text")));
    let row = bed.job(claimed.id.0).await;
    assert_eq!((row.summary.mailbox.text(), row.time_zone.text()), (Some(TEAM), Some("Europe/Berlin")));
    assert_eq!(row.body_type.text(), Some("text"));
}

async fn what_a_row_says_itself_is_no_matter_of_defaults<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let own = NewJob { time_zone: Some("Asia/Tokyo".into()), body_type: Some("html".into()), ..job(ANN) };
    let id = bed.queue().insert(&[own]).await.unwrap()[0];
    bed.claim(ALL).await;
    let row = bed.job(id).await;
    assert_eq!((row.time_zone.text(), row.body_type.text()), (Some("Asia/Tokyo"), Some("html")));
}

async fn what_is_claimed_can_neither_be_changed_nor_deleted<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let id = bed.claimed(ANN).await.id.0;
    let refused = bed.backend.sql(&format!("UPDATE jobs SET subject = 'other' WHERE id = {id}")).await.unwrap_err();
    assert!(refused.contains("insert a new job instead"), "{refused}");
    let refused = bed.backend.sql(&format!("DELETE FROM jobs WHERE id = {id}")).await.unwrap_err();
    assert!(refused.contains("cannot be deleted"), "{refused}");
}

async fn what_waits_may_be_changed_and_deleted_by_its_producer<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let ids = bed.insert(&[ANN, BOB]).await;
    assert_eq!(bed.backend.sql(&format!("UPDATE jobs SET subject = 'other' WHERE id = {}", ids[0])).await, Ok(1));
    assert_eq!(bed.backend.sql(&format!("DELETE FROM jobs WHERE id = {}", ids[1])).await, Ok(1));
    let taken = bed.claim(ALL).await;
    assert_eq!(taken.ids(), [ids[0]]);
    assert_eq!(taken.jobs[0].1.input.subject, Cell::from("other"));
}

on_every_queue! {
    what_was_inserted_is_claimed_as_it_was_written
    jobs_of_a_mailbox_are_claimed_in_the_order_they_fell_due
    a_claim_takes_no_more_than_its_limit
    a_claim_takes_no_more_of_a_mailbox_than_may_be_under_way
    a_mailbox_without_a_free_slot_waits_and_the_others_go_on
    mailboxes_are_told_apart_without_case_and_white_space
    rows_that_name_no_mailbox_share_the_lane_of_the_default_one
    a_claimed_job_is_not_claimed_again
    the_number_of_a_claim_grows_with_every_claim_of_a_job
    a_job_for_later_waits_and_the_claim_says_until_when
    defaults_are_written_into_the_row_with_its_first_claim
    what_a_row_says_itself_is_no_matter_of_defaults
    what_is_claimed_can_neither_be_changed_nor_deleted
    what_waits_may_be_changed_and_deleted_by_its_producer
}
