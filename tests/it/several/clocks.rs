//! The agents' clocks show different times: what is due, leased and paused goes by the database's.

use event_sender::sandbox::{Fault, FaultOn};

use crate::bed::{Row, row_for};
use crate::ground::Server;
use crate::ledger::End;
use crate::shim::ClockDial;

use super::fleet::Fleet;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn agents_whose_clocks_differ_by_hours_share_the_work_and_take_over_as_any_others() {
    fleet_or_return!(fleet, Server::OnlyFinds, 50);
    let mut agents = Vec::new();
    for (name, hours) in [("a", 3), ("b", -5)] {
        let agent = fleet.agent_in(name, |bed| ClockDial::named(bed, name).is_off_by_hours(hours));
        fleet.until_begun(name, &agent).await;
        agents.push(agent);
    }
    // Not for an hour, which the clock of one of them says is over.
    fleet.insert(&[row_for("later@contoso.com").with("not_before", &in_an_hour())]).await;
    let busy = Fault::answer(429, "ApplicationThrottled").retry_after("2").on(FaultOn::Create).times(6);
    fleet.sandbox.script(&[busy]).await;
    fleet
        .until("both serve some mailboxes", async |fleet| {
            if fleet.count("pending").await < 20 {
                fleet.insert(&rows()).await;
            }
            fleet.shares().await.values().all(|lanes| *lanes > 0)
        })
        .await;
    until_one_is_left(&fleet).await;
    agents.remove(0).kill().await;
    fleet.insert(&rows()).await;
    until_one_is_left(&fleet).await;
    assert_eq!(fleet.number("SELECT count(*) FROM agents WHERE how = 'expired'").await, 1);
    assert_eq!(fleet.text("SELECT mailbox FROM jobs WHERE state = 'pending'").await.unwrap(), "later@contoso.com");
    assert!(fleet.most_at_once().await <= 4);
    // But for those that were on their way when it was said.
    let early: Vec<_> = fleet.early().await.into_iter().filter(|early| early.early_by_ms < Some(1700)).collect();
    assert!(early.is_empty(), "{early:#?}");
    let status = fleet.status().await;
    assert_eq!(status["agent_running"], true, "{status:#}");
    fleet.sql("DELETE FROM jobs WHERE state = 'pending'").await;
    fleet.ledger(|_| End::Sent).await.assert_balanced();
    agents.remove(0).stop().await.expect(0);
}

fn rows() -> Vec<Row> {
    let row = |n: usize| row_for(&format!("user{}@contoso.com", n % 20)).with("subject", &format!("plain {n}"));
    (0..40).map(row).collect()
}

async fn until_one_is_left(fleet: &Fleet) {
    let left = "SELECT count(*) FROM jobs WHERE state IN ('pending', 'claimed')";
    fleet.until("all but the one for later have ended", async |fleet| fleet.number(left).await == 1).await;
}

fn in_an_hour() -> String {
    (chrono::Utc::now() + chrono::TimeDelta::hours(1)).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
