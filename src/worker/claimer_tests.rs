#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use tempfile::TempDir;

use super::*;
use crate::clock::Now;
use crate::job::{BodyType, Defaults, JobId};
use crate::queue::{SqliteQueue, Suspects};

async fn claimer() -> (TempDir, Claimer, Now) {
    let home = TempDir::new().unwrap();
    let queue = SqliteQueue::open(&home.path().join("queue.db")).await.unwrap();
    let now = Now::read();
    (home, Claimer::new(Arc::new(queue), now.steady), now)
}

fn request(limit: usize) -> ClaimRequest {
    let defaults = Defaults { mailbox: None, body_type: BodyType::Text, time_zone: None, own_mailbox: false };
    let (free, suspects) = (HashMap::new(), Suspects::default());
    ClaimRequest {
        limit,
        per_lane: 4,
        slots: 4,
        free,
        suspects,
        unnamed: None,
        unnamed_paused: false,
        paced: Default::default(),
        defaults,
    }
}

fn later(now: Now, milliseconds: u64) -> Instant {
    now.steady + Duration::from_millis(milliseconds)
}

#[tokio::test]
async fn all_reasons_that_came_before_a_claim_are_answered_by_it() {
    let (_home, mut claimer, now) = claimer().await;
    assert!(claimer.is_due(now.steady), "the first one needs no reason");
    claimer.want();
    claimer.take_turn();
    assert!(!claimer.is_due(now.steady));
    claimer.want();
    assert!(claimer.is_due(now.steady));
}

#[tokio::test]
async fn one_claim_is_under_way_at_a_time_and_its_end_tells_what_it_asked_for() {
    let (_home, mut claimer, now) = claimer().await;
    claimer.take_turn();
    claimer.begin(request(7), now.steady);
    claimer.want();
    assert!(claimer.is_claiming() && !claimer.is_due(now.steady));
    assert_eq!(claimer.claiming_since(), Some(now.steady));
    let (limit, claimed) = claimer.ended().await;
    assert_eq!((limit, claimed.unwrap().jobs.len()), (7, 0));
    assert!(!claimer.is_claiming() && claimer.is_due(now.steady), "the reason that came meanwhile stands");
}

#[tokio::test]
async fn a_claim_put_off_until_results_are_written_goes_on_then_and_only_once() {
    let (_home, mut claimer, now) = claimer().await;
    claimer.take_turn();
    claimer.block(true);
    assert!(!claimer.is_due(now.steady));
    claimer.unblock();
    assert!(claimer.is_due(now.steady));
    claimer.take_turn();
    claimer.unblock();
    assert!(!claimer.is_due(now.steady), "nothing waited for these results");
}

#[tokio::test]
async fn news_are_asked_for_now_and_then_where_no_other_claim_brings_them() {
    let (_home, mut claimer, now) = claimer().await;
    assert!(claimer.wants_news(now.steady));
    claimer.begin(request(0), now.steady);
    assert!(!claimer.wants_news(later(now, 99)) && claimer.wants_news(later(now, 100)));
}

#[tokio::test]
async fn a_queue_that_could_not_be_asked_is_left_alone_until_its_time() {
    let (_home, mut claimer, now) = claimer().await;
    claimer.take_turn();
    claimer.again_at(later(now, 50));
    assert_eq!((claimer.is_due(later(now, 49)), claimer.is_due(later(now, 50))), (false, true));
    assert_eq!(claimer.not_before(), Some(later(now, 50)));
}

#[tokio::test]
async fn an_empty_claim_is_remembered_with_the_next_due_time_until_something_happens() {
    let (_home, mut claimer, now) = claimer().await;
    claimer.take_turn();
    let due = now.wall + Duration::from_secs(5);
    claimer.learn(9, &Claimed { next_due: Some(due), ..Claimed::nothing(now) }, now.steady);
    assert_eq!((claimer.found_nothing(), claimer.next_due()), (true, Some(later(now, 5000))));
    claimer.want();
    assert!(!claimer.found_nothing());
}

#[tokio::test]
async fn a_claim_for_news_only_says_nothing_of_what_is_due() {
    let (_home, mut claimer, now) = claimer().await;
    claimer.take_turn();
    claimer.learn(0, &Claimed { next_due: Some(now.wall), ..Claimed::nothing(now) }, now.steady);
    assert_eq!((claimer.found_nothing(), claimer.next_due()), (false, None));
    claimer.learn(0, &Claimed { more: true, ..Claimed::nothing(now) }, now.steady);
    assert!(claimer.is_due(now.steady), "but there is more to ask for");
}

#[tokio::test]
async fn a_lane_that_lost_a_broken_row_is_asked_for_the_next_one_at_once() {
    let (_home, mut claimer, now) = claimer().await;
    claimer.take_turn();
    claimer.learn(9, &Claimed { broken: vec![JobId(3)], ..Claimed::nothing(now) }, now.steady);
    assert!(claimer.is_due(now.steady) && !claimer.found_nothing());
}

#[tokio::test]
async fn claims_that_meet_only_refusals_come_further_and_further_apart() {
    let (_home, mut claimer, now) = claimer().await;
    let mut refused = Claimed::nothing(now);
    refused.withheld.met = true;
    let mut waits = Vec::new();
    for _ in 0..8 {
        claimer.take_turn();
        claimer.learn(9, &refused, now.steady);
        waits.push(claimer.not_before().unwrap() - now.steady);
    }
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]) && waits[0] < waits[7], "{waits:?}");
    claimer.take_turn();
    claimer.learn(9, &Claimed::nothing(now), now.steady);
    claimer.learn(9, &refused, now.steady);
    assert_eq!(claimer.not_before().unwrap() - now.steady, waits[0], "a claim without a refusal ends the row");
}
