//! What a dead agent left.

use event_sender::job::JobState;
use event_sender::queue::{Agent, Settled};

use crate::backend::Backend;
use crate::bed::{ALL, ANN, BOB, Bed, end, event};

async fn what_a_dead_agent_had_claimed_goes_back_in_doubt<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let (taken, sent) = (bed.claimed(ANN).await, bed.sent(BOB).await);
    assert_eq!(bed.join().await, 1);
    assert_eq!((bed.state(taken.id.0).await, bed.in_doubt(taken.id.0).await), (JobState::Pending, true));
    assert_eq!((bed.state(sent).await, bed.in_doubt(sent).await), (JobState::Sent, false));
    assert_eq!(bed.join().await, 0, "nothing is left");
}

async fn a_dead_agents_settlement_comes_too_late<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let job = bed.claimed(ANN).await;
    bed.join().await;
    assert_eq!(bed.settle(&end(&job, event())).await, Settled::Stale);
    assert_eq!(bed.state(job.id.0).await, JobState::Pending);
}

async fn claims_that_are_not_over_are_named_with_their_numbers<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let (one, other) = (bed.claimed(ANN).await, bed.claimed(BOB).await);
    let mut claims = bed.queue().claims().await.unwrap();
    claims.sort_unstable();
    assert_eq!(claims, [(one.id, one.claim), (other.id, other.claim)]);
    bed.settle(&end(&one, event())).await;
    assert_eq!(bed.queue().claims().await.unwrap(), [(other.id, other.claim)]);
}

async fn only_the_claims_named_are_put_back_and_only_by_their_numbers<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let (one, other) = (bed.claimed(ANN).await, bed.claimed(BOB).await);
    assert_eq!(bed.put_back(&[(one.id, one.claim), (other.id, other.claim + 1)]).await, 1);
    assert_eq!((bed.state(one.id.0).await, bed.in_doubt(one.id.0).await), (JobState::Pending, true));
    assert_eq!(bed.state(other.id.0).await, JobState::Claimed);
}

async fn pending_and_claimed_jobs_are_outstanding_and_no_others<B: Backend>() {
    let bed = Bed::<B>::new().await;
    assert_eq!(bed.queue().outstanding().await.unwrap(), 0);
    bed.sent(ANN).await;
    bed.claimed(ANN).await;
    bed.insert(&[ANN, BOB]).await;
    assert_eq!(bed.queue().outstanding().await.unwrap(), 3);
    assert_eq!(bed.claim(ALL).await.jobs.len(), 2);
    assert_eq!(bed.queue().outstanding().await.unwrap(), 3);
}

on_every_queue! {
    what_a_dead_agent_had_claimed_goes_back_in_doubt
    a_dead_agents_settlement_comes_too_late
    claims_that_are_not_over_are_named_with_their_numbers
    only_the_claims_named_are_put_back_and_only_by_their_numbers
    pending_and_claimed_jobs_are_outstanding_and_no_others
}
