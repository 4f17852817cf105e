//! What agents that are gone have left under way, and what a failover may have lost.

use std::time::Instant;

use event_sender::job::Cell;
use event_sender::queue::Agent;
use sqlx::Row;

use crate::backend::Backend;
use crate::bed::{ALL, ANN, Bed, TEAM, Want, end, event, lane};
use crate::cluster::Cluster;
use crate::postgres::{Postgres, is_there};

/// Agents with these numbers, both gone; the first one had claimed the first job.
const FIRST: i64 = 11;
const SECOND: i64 = 12;

async fn ghosts(bed: &Bed<Postgres>) -> (Option<i64>, i32, bool) {
    let mut other = Cluster::get().unwrap().connect(bed.backend.schema()).await;
    let row = "SELECT owner, ghosts, coalesce(ghosts_until > now() + interval '20 seconds', false) FROM lanes WHERE lane = $1";
    let row = sqlx::query(row).bind(lane(ANN).as_str()).fetch_one(&mut other).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

/// It has the mailbox, and a job of it if one is named, and is gone.
async fn dies(bed: &Bed<Postgres>, agent: i64, job: Option<i64>, how: &str) {
    let (job, ann) = (job.unwrap_or_default(), lane(ANN));
    let statements = format!(
        "INSERT INTO agents (id, name, version, lease_until) VALUES ({agent}, 'agent {agent}', '1', now());
        UPDATE jobs SET state = 'claimed', claims = claims + 1, claimed_at = now(), claimed_by = {agent} WHERE id = {job};
        INSERT INTO lanes (lane, owner) VALUES ('{ann}', {agent}) ON CONFLICT (lane) DO UPDATE SET owner = {agent};
        UPDATE agents SET gone_at = now(), how = '{how}' WHERE id = {agent}",
        ann = ann.as_str(),
    );
    bed.backend.sql(&statements).await.unwrap();
    bed.join().await;
}

#[tokio::test]
async fn a_second_death_does_not_end_the_ghosts_of_the_first() {
    if !is_there() {
        return;
    }
    let bed = Bed::<Postgres>::new().await;
    let ids = bed.insert(&[ANN; 4]).await;
    dies(&bed, FIRST, Some(ids[0]), "expired").await;
    assert_eq!(ghosts(&bed).await, (None, 1, true));
    dies(&bed, SECOND, None, "stopped").await;
    assert_eq!(ghosts(&bed).await, (None, 1, true));
}

#[tokio::test]
async fn beside_ghosts_only_the_slots_are_used_that_they_leave() {
    if !is_there() {
        return;
    }
    let bed = Bed::<Postgres>::new().await;
    let ids = bed.insert(&[ANN; 4]).await;
    dies(&bed, FIRST, Some(ids[0]), "expired").await;
    let claimed = async |slots: usize| bed.claim(Want { per_lane: slots, ..ALL }).await;
    let first = claimed(2).await;
    assert!(first.jobs.is_empty(), "none at first: what the dead one was told is not known");
    let mut next = first;
    while next.jobs.is_empty() {
        let due = next.next_due.expect("it is to be asked for again");
        tokio::time::sleep((due - chrono::Utc::now()).to_std().unwrap_or_default()).await;
        assert!(claimed(1).await.jobs.is_empty(), "its ghost is in the only slot");
        next = claimed(2).await;
    }
    assert_eq!(next.jobs.len(), 1);
    assert_eq!(claimed(3).await.jobs.len(), 1);
}

#[tokio::test]
async fn a_claim_from_before_a_new_start_leaves_no_request() {
    if !is_there() {
        return;
    }
    let bed = Bed::<Postgres>::new().await;
    let may_send = |claimed: Instant| bed.queue().pass(&lane(ANN), claimed).is_some();
    let job = bed.claimed(ANN).await;
    let old = Instant::now();
    assert!(may_send(old));
    bed.settle(&end(&job, event())).await;
    bed.join().await;
    assert!(!may_send(old));
    bed.claimed(ANN).await;
    assert!(may_send(Instant::now()) && !may_send(old), "the mailbox is its own again, that claim is not");
}

#[tokio::test]
async fn after_a_failover_nothing_is_claimed_unnoticed_and_everything_is_looked_up_with_its_defaults() {
    if !is_there() {
        return;
    }
    let bed = Bed::<Postgres>::new().await;
    bed.join().await;
    let unnamed =
        "INSERT INTO jobs (subject, start_time, end_time) VALUES ('x', '2099-01-01T10:00', '2099-01-01T11:00')";
    bed.backend.sql(unnamed).await.unwrap();
    bed.backend.sql("UPDATE queue_state SET timeline = 'another'").await.unwrap();
    assert_eq!(bed.claim(ALL).await.jobs.len(), 0, "nobody has noticed");
    bed.join().await;
    assert_eq!(bed.claim(ALL).await.jobs.len(), 0, "the requests of those before may be under way");
    let over = "UPDATE queue_state SET quarantine_until = now(), doubt_before = now()
        WHERE quarantine_until > now() AND doubt_before > now()";
    bed.backend.sql(over).await.unwrap();
    let job = bed.claim(ALL).await.jobs.remove(0).1;
    assert!(job.in_doubt && job.claim >= 1000, "{job:?}");
    assert_eq!(job.input.mailbox, Cell::Text(TEAM.into()));
}
