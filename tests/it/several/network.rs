//! The way from an agent to the database is cut or falls silent, and heals: who cannot renew its lease begins nothing, others take
//! over, and what it has learnt meanwhile is not lost.

use std::time::{Duration, Instant};

use event_sender::sandbox::{Fault, FaultOn, RequestKind};

use crate::bed::{Row, row_for};
use crate::cluster::Cluster;
use crate::ground::Server;
use crate::ledger::End;
use crate::process::Process;

use super::fleet::Fleet;
use super::wire::Wire;

/// And what it had claimed is free.
const BURIED: &str = "SELECT count(*) FROM agents WHERE name = 'a' AND how = 'expired' AND cleaned_at IS NOT NULL";

/// A fleet, and the wire to its database.
async fn wired(server: Server) -> Option<(Fleet, Wire, String)> {
    let cluster = Cluster::get()?;
    let schema = cluster.schema().await;
    let fleet = Fleet::on(&cluster.url(&schema), cluster.connect(&schema).await, server, 20).await;
    let wire = Wire::to(cluster.home()).await;
    let url = wire.url(&schema);
    Some((fleet, wire, url))
}

fn rows(mailbox: &str, count: usize) -> Vec<Row> {
    (0..count).map(|n| row_for(mailbox).with("subject", &format!("plain {mailbox} {n}"))).collect()
}

/// A mailbox that a serves.
async fn one_of_a(fleet: &Fleet) -> String {
    let rows: Vec<Row> = (0..20).flat_map(|n| rows(&format!("user{n}@contoso.com"), 1)).collect();
    fleet.insert(&rows).await;
    fleet.until_all_have_ended().await;
    let mailbox = "SELECT min(lane) FROM lanes JOIN agents AS a ON a.id = owner WHERE a.name = 'a'";
    fleet.text(mailbox).await.expect("a serves some")
}

async fn balanced(fleet: &Fleet) {
    fleet.until_all_have_ended().await;
    fleet.ledger(|_| End::Sent).await.assert_balanced();
    assert!(fleet.most_at_once().await <= 4, "more at once than one agent would send");
    assert!(fleet.early().await.is_empty());
}

async fn end(agents: [Process; 2]) {
    for agent in agents {
        agent.stop().await.expect(0);
    }
}

/// Four requests are under way when it happens, for longer than a lease lets others begin; more jobs of the mailbox are claimed.
/// None of those may begin, and what becomes of the four is told late, and recorded.
async fn cannot_be_reached(happens: impl FnOnce(&Wire)) {
    let Some((mut fleet, wire, url)) = wired(Server::OnlyFinds).await else { return };
    fleet.bed.set("graph.request_timeout", "9s");
    let agents = [fleet.begun_by(&url, "a").await, fleet.begun("b").await];
    let mailbox = one_of_a(&fleet).await;
    let before = fleet.sandbox.requests(0).await.last().map_or(0, |request| request.sequence);
    let slow = Fault::slow(Duration::from_secs(8)).on(FaultOn::Create).mailbox(&mailbox).times(4);
    fleet.sandbox.script(&[slow]).await;
    fleet.insert(&rows(&mailbox, 12)).await;
    fleet
        .until("four are under way, and more are claimed", async |fleet| {
            let under_way = fleet.sandbox.open_requests(RequestKind::Create, Some(&mailbox)).await;
            under_way == 4 && fleet.count("claimed").await > 4
        })
        .await;
    happens(&wire);
    fleet.until("it is buried", async |fleet| fleet.number(BURIED).await == 1).await;
    let begun = fleet.sandbox.requests(before).await;
    let begun = begun.iter().filter(|request| request.mailbox.as_deref() == Some(&*mailbox)).count();
    assert_eq!(begun, 4, "its slots were free again before its lease was over, and it may not have used them");
    wire.heal();
    fleet
        .until("its results are recorded", async |fleet| {
            fleet.number("SELECT count(*) FROM attempts WHERE outcome = 'late'").await == 4
        })
        .await;
    balanced(&fleet).await;
    fleet.insert(&rows(&mailbox, 4)).await;
    balanced(&fleet).await;
    assert!(!agents[1].said("an agent has fallen silent, its mailboxes go to the others").is_empty());
    end(agents).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_is_cut_off_from_the_database_begins_nothing_and_tells_late_what_it_learnt() {
    cannot_be_reached(Wire::cut).await;
}

/// No end of a connection is told: the deadlines of the statements find it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whose_way_to_the_database_fell_silent_begins_nothing_and_tells_late_what_it_learnt() {
    cannot_be_reached(Wire::stall).await;
}

/// Its renewals arrive, and it does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_hears_no_answers_begins_nothing_and_goes_on_when_it_does() {
    let Some((mut fleet, wire, url)) = wired(Server::OnlyFinds).await else { return };
    let agents = [fleet.begun_by(&url, "a").await, fleet.begun("b").await];
    let mailbox = one_of_a(&fleet).await;
    wire.stall_answers();
    let silent = Instant::now();
    fleet.insert(&rows(&mailbox, 12)).await;
    // The claim under way when it fell silent may have taken some.
    fleet.until("its lease may not be trusted", async |_| silent.elapsed() > Duration::from_secs(9)).await;
    assert!(fleet.sandbox.open_requests(RequestKind::Create, Some(&mailbox)).await == 0);
    wire.heal();
    balanced(&fleet).await;
    end(agents).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn short_cuts_bury_nobody_and_lose_nothing() {
    let Some((mut fleet, wire, url)) = wired(Server::OnlyFinds).await else { return };
    let agents = [fleet.begun_by(&url, "a").await, fleet.begun("b").await];
    let mailbox = one_of_a(&fleet).await;
    let who = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM agents";
    let before = fleet.text(who).await;
    for n in 0..4 {
        fleet.insert(&rows(&mailbox, 20)).await;
        fleet.until("some are under way", async |fleet| fleet.count("claimed").await > 0).await;
        if n % 2 == 0 {
            wire.cut()
        } else {
            wire.stall()
        }
        let cut = Instant::now();
        fleet.until("a moment has passed", async |_| cut.elapsed() > Duration::from_millis(700 * n)).await;
        wire.heal();
        balanced(&fleet).await;
    }
    assert_eq!(fleet.text(who).await, before, "nobody was buried, and nobody began anew");
    assert!(agents[1].said("an agent has fallen silent, its mailboxes go to the others").is_empty());
    end(agents).await;
}

/// Half open: the connection seems to be there, and tells nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_listener_that_hears_nothing_any_more_listens_anew_and_misses_no_row() {
    let Some((mut fleet, wire, url)) = wired(Server::Whole).await else { return };
    let agent = fleet.begun_by(&url, "a").await;
    fleet.until("it listens", async |_| wire.listeners() == 1).await;
    wire.deafen();
    fleet.insert(&rows("ann@contoso.com", 3)).await;
    balanced(&fleet).await;
    fleet.until("it listens anew", async |_| wire.listeners() > 1).await;
    fleet.insert(&rows("bob@contoso.com", 3)).await;
    balanced(&fleet).await;
    agent.stop().await.expect(0);
}

/// Nothing passes for so long that all statements and the listener have given up, and rows are inserted meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_inserted_while_nothing_passed_is_sent_as_soon_as_it_does() {
    let Some((mut fleet, wire, url)) = wired(Server::Whole).await else { return };
    let agent = fleet.begun_by(&url, "a").await;
    wire.stall();
    let silent = Instant::now();
    fleet.insert(&rows("ann@contoso.com", 3)).await;
    fleet.until("the lease is over", async |_| silent.elapsed() > Duration::from_secs(11)).await;
    assert_eq!(fleet.count("pending").await, 3);
    wire.heal();
    let healed = Instant::now();
    fleet.until_all_have_ended().await;
    assert!(healed.elapsed() < Duration::from_secs(8), "{:?}", healed.elapsed());
    balanced(&fleet).await;
    agent.stop().await.expect(0);
}
