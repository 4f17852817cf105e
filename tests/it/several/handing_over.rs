//! The mailboxes of an agent that stops, dies or falls silent go to the others.

use std::time::{Duration, Instant};

use crate::bed::{Row, row_for};
use crate::ground::Server;
use crate::ledger::End;

use super::fleet::Fleet;

fn rows(count: usize, mailboxes: usize) -> Vec<Row> {
    let row = |n: usize| row_for(&format!("user{}@contoso.com", n % mailboxes)).with("subject", &format!("plain {n}"));
    (0..count).map(row).collect()
}

/// Both have mailboxes, and a has requests under way.
async fn until_both_send(fleet: &Fleet) {
    let under_way =
        "SELECT count(*) FROM jobs JOIN agents ON agents.id = claimed_by WHERE state = 'claimed' AND name = 'a'";
    fleet
        .until("both send", async |fleet| {
            if fleet.count("pending").await < 40 {
                fleet.insert(&rows(80, 20)).await;
            }
            fleet.shares().await.values().all(|lanes| *lanes > 0) && fleet.number(under_way).await > 0
        })
        .await;
}

async fn balanced(fleet: &Fleet) {
    fleet.until_all_have_ended().await;
    fleet.ledger(|_| End::Sent).await.assert_balanced();
    assert!(fleet.most_at_once().await <= 4, "more at once than one agent would send");
    assert!(fleet.early().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_stops_hands_over_at_once() {
    fleet_or_return!(fleet, Server::Whole, 100);
    let (first, second) = (fleet.begun("a").await, fleet.begun("b").await);
    until_both_send(&fleet).await;
    let stopped = Instant::now();
    first.stop().await.expect(0);
    fleet.insert(&rows(60, 20)).await;
    balanced(&fleet).await;
    assert!(stopped.elapsed() < Duration::from_secs(9), "no lease was waited for");
    second.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_and_started_again_on_the_same_host_it_goes_on_at_once() {
    fleet_or_return!(fleet, Server::OnlyFinds, 100);
    let first = fleet.begun("a").await;
    fleet.insert(&rows(60, 6)).await;
    fleet.until("it has claimed", async |fleet| fleet.count("claimed").await > 0).await;
    first.kill().await;
    let again = Instant::now();
    let second = fleet.begun("a").await;
    assert!(again.elapsed() < Duration::from_secs(8), "no lease was waited for");
    assert_eq!(fleet.number("SELECT count(*) FROM agents WHERE how = 'replaced'").await, 1);
    balanced(&fleet).await;
    second.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_is_killed_and_does_not_come_back_is_replaced_after_its_lease() {
    fleet_or_return!(fleet, Server::OnlyFinds, 100);
    let (first, second) = (fleet.begun("a").await, fleet.begun("b").await);
    until_both_send(&fleet).await;
    first.kill().await;
    balanced(&fleet).await;
    assert_eq!(fleet.number("SELECT count(*) FROM agents WHERE name = 'a' AND how = 'expired'").await, 1);
    second.stop().await.expect(0);
}

/// Its requests are under way when it is stopped, and carried out. Others look for their events, and send nothing twice; it itself
/// finds its claims over, and begins anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_was_frozen_for_longer_than_its_lease_sends_nothing_it_no_longer_may() {
    fleet_or_return!(fleet, Server::OnlyFinds, 300);
    let (first, second) = (fleet.begun("a").await, fleet.begun("b").await);
    until_both_send(&fleet).await;
    first.signal("STOP");
    fleet
        .until("it is buried", async |fleet| {
            fleet.number("SELECT count(*) FROM agents WHERE name = 'a' AND how = 'expired'").await == 1
        })
        .await;
    first.signal("CONT");
    fleet
        .until("it has begun anew", async |fleet| {
            fleet.number("SELECT count(*) FROM agents WHERE name = 'a' AND gone_at IS NULL").await == 1
        })
        .await;
    balanced(&fleet).await;
    first.stop().await.expect(0);
    second.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_comes_later_gets_its_share_of_the_mailboxes() {
    fleet_or_return!(fleet, Server::Whole, 200);
    let first = fleet.begun("a").await;
    fleet.insert(&rows(60, 30)).await;
    fleet.until("a has them all", async |fleet| fleet.shares().await.get("a") == Some(&30)).await;
    let second = fleet.begun("b").await;
    fleet
        .until("b has some", async |fleet| {
            if fleet.count("pending").await < 60 {
                fleet.insert(&rows(60, 30)).await;
            }
            fleet.shares().await.get("b").is_some_and(|lanes| *lanes >= 8)
        })
        .await;
    balanced(&fleet).await;
    first.stop().await.expect(0);
    second.stop().await.expect(0);
}
