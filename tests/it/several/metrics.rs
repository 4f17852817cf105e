//! Each agent of a queue has metrics of its own: whose they are, what it serves, and how close its lease came to its end.

use std::collections::{BTreeMap, BTreeSet};

use crate::bed::{Row, row_for};
use crate::ground::Server;
use crate::scrape::{Monitor, Scrape};

fn rows() -> Vec<Row> {
    (0..40).map(|n| row_for(&format!("user{}@contoso.com", n % 20))).collect()
}

/// `name` and `queue` of the agent whose page it is.
fn said(scrape: &Scrape) -> (String, String) {
    let infos: Vec<_> = scrape.samples.iter().filter(|(name, ..)| name == "event_sender_agent_info").collect();
    let [(_, labels, value)] = infos[..] else { panic!("one line says whose page it is, not {infos:?}") };
    assert!(
        *value == 1.0 && !labels["host"].is_empty() && labels["version"] == env!("CARGO_PKG_VERSION"),
        "{labels:?}"
    );
    (labels["name"].clone(), labels["queue"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_agent_says_whose_its_numbers_are_and_tells_of_those_that_fell_silent() {
    fleet_or_return!(fleet, Server::OnlyFinds, 100);
    fleet.bed.set("monitor.listen", "127.0.0.1:0");
    let (first, second) = (fleet.begun("a").await, fleet.begun("b").await);
    let (a, b) = (Monitor::of(&fleet.bed, &first).await, Monitor::of(&fleet.bed, &second).await);
    let both_serve = async |fleet: &super::fleet::Fleet| {
        if fleet.count("pending").await < 40 {
            fleet.insert(&rows()).await;
        }
        let part =
            async |page: &Monitor| page.scrape().await.find("event_sender_owned_mailboxes", &[]).unwrap_or_default();
        let told = BTreeMap::from([("a".to_owned(), part(&a).await as i64), ("b".to_owned(), part(&b).await as i64)]);
        told == fleet.shares().await && told.values().all(|part| *part > 0)
    };
    fleet.until("both tell which part they serve", both_serve).await;
    fleet.until_all_have_ended().await;
    let (of_a, of_b) = (said(&a.scrape().await), said(&b.scrape().await));
    let schema = fleet.text("SELECT current_schema()::text").await.unwrap();
    assert_eq!((of_a.0.as_str(), of_b.0.as_str(), &of_a.1), ("a", "b", &of_b.1));
    assert!(of_a.1.starts_with("postgres://") && of_a.1.ends_with(&format!("/{schema}")), "{of_a:?}");
    let sees_two = async |_: &super::fleet::Fleet| b.scrape().await.find("event_sender_agents", &[]) == Some(2.0);
    fleet.until("b knows of a", sees_two).await;
    let margin = async |_: &super::fleet::Fleet| b.scrape().await.find("event_sender_lease_margin_seconds", &[]);
    fleet.until("its lease is renewed", async |fleet| margin(fleet).await.is_some_and(|left| left <= 6.0)).await;
    first.kill().await;
    let alone = async |_: &super::fleet::Fleet| {
        let scrape = b.scrape().await;
        let value = |name: &str| scrape.find(name, &[]);
        value("event_sender_agents_buried_total") == Some(1.0) && value("event_sender_agents") == Some(1.0)
    };
    fleet.until("b has buried a", alone).await;
    second.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_agent_that_lost_its_lease_counts_that() {
    fleet_or_return!(fleet, Server::Whole, 10);
    fleet.bed.set("monitor.listen", "127.0.0.1:0");
    let agent = fleet.begun("a").await;
    let monitor = Monitor::of(&fleet.bed, &agent).await;
    fleet.sql("UPDATE agents SET gone_at = clock_timestamp(), how = 'expired'").await;
    let counted = async |_: &super::fleet::Fleet| {
        monitor.scrape().await.find("event_sender_lease_lapses_total", &[]) == Some(1.0)
    };
    fleet.until("it has begun anew", counted).await;
    let names: BTreeSet<String> = monitor.scrape().await.types.into_keys().collect();
    assert!(names.contains("event_sender_late_answers_total"));
    agent.stop().await.expect(0);
}
