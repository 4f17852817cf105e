//! What a dead agent left.

use event_sender::job::{Ending, ErrorKind, JobState};
use event_sender::queue::{Agent, AttemptRecord, Settled, Settlement, Verdict};

use crate::backend::Backend;
use crate::bed::{ALL, ANN, BOB, Bed, end, event, far};

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
    assert_eq!(bed.settle(&end(&job, Verdict::Failed)).await, Settled::Stale);
    assert_eq!((bed.state(job.id.0).await, bed.in_doubt(job.id.0).await), (JobState::Pending, true));
}

async fn an_event_of_a_claim_that_is_over_is_recorded_as_the_jobs_own_or_looked_for<B: Backend>() {
    let bed = Bed::<B>::new().await;
    let job = bed.claimed(ANN).await;
    bed.join().await;
    let settled = bed.settle(&end(&job, event())).await;
    let row = bed.job(job.id.0).await.summary;
    let found = (row.state.known().unwrap(), row.event_id.text(), row.in_doubt.known());
    match settled {
        Settled::Recorded => assert_eq!(found, (JobState::Sent, Some("AAMkAGI="), Some(false))),
        _ => assert_eq!((settled, found), (Settled::Stale, (JobState::Pending, None, Some(true)))),
    }
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

async fn a_claim_names_its_agent_and_every_start_has_a_number_of_its_own<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.join().await;
    let first = bed.agents().await[0];
    let job = bed.claimed(ANN).await.id.0;
    assert_eq!(bed.claimed_by(job).await, Some(first));
    bed.join().await;
    let second = bed.agents().await[0];
    assert_ne!(first, second);
    let other = bed.claimed(BOB).await.id.0;
    assert_eq!(bed.claimed_by(other).await, Some(second));
}

async fn a_job_whose_claim_is_over_names_no_agent<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.join().await;
    for verdict in [event(), Verdict::Pending(far()), Verdict::Unfilled(far()), Verdict::Failed] {
        let job = bed.claimed(ANN).await;
        assert!(bed.claimed_by(job.id.0).await.is_some());
        let end = Settlement { kind: Some(ErrorKind::Unavailable), ..end(&job, verdict) };
        assert_eq!(bed.settle(&end).await, Settled::Recorded);
        assert_eq!(bed.claimed_by(job.id.0).await, None, "{:?}", end.verdict);
    }
    let (one, other) = (bed.claimed(ANN).await, bed.claimed(BOB).await);
    bed.put_back(&[(one.id, one.claim)]).await;
    assert_eq!(bed.claimed_by(one.id.0).await, None, "put back");
    bed.join().await;
    assert_eq!(bed.claimed_by(other.id.0).await, None, "recovered");
}

async fn sent_jobs_recorded_together_name_no_agent<B: Backend>() {
    let bed = Bed::<B>::new().await;
    bed.join().await;
    bed.insert(&[ANN, BOB, ANN]).await;
    let ends: Vec<Settlement> = bed
        .claim(ALL)
        .await
        .jobs
        .iter()
        .map(|(_, job)| {
            let plain = end(job, event());
            let attempt = plain.attempt.clone().map(|attempt| AttemptRecord { ending: Ending::Sent, ..attempt });
            Settlement { attempt, ..plain }
        })
        .collect();
    assert_eq!(bed.settle_all(&ends).await, [Settled::Recorded, Settled::Recorded, Settled::Recorded]);
    for end in &ends {
        assert_eq!(bed.claimed_by(end.id.0).await, None);
    }
}

on_every_queue! {
    an_event_of_a_claim_that_is_over_is_recorded_as_the_jobs_own_or_looked_for
    a_claim_names_its_agent_and_every_start_has_a_number_of_its_own
    a_job_whose_claim_is_over_names_no_agent
    sent_jobs_recorded_together_name_no_agent
    what_a_dead_agent_had_claimed_goes_back_in_doubt
    a_dead_agents_settlement_comes_too_late
    claims_that_are_not_over_are_named_with_their_numbers
    only_the_claims_named_are_put_back_and_only_by_their_numbers
    pending_and_claimed_jobs_are_outstanding_and_no_others
}
