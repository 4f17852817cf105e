//! The database's server is stopped or killed, and comes back: agents go on by themselves, and what they learnt meanwhile is
//! written then.

use std::collections::BTreeSet;

use chrono::Utc;
use event_sender::sandbox::{RequestKind, RequestRecord};

use crate::bed::{Row, row_for};
use crate::ground::Server;
use crate::ledger::End;

use super::fleet::Fleet;
use super::servers::{OwnServer, Servers, Stop};

fn rows(count: usize) -> Vec<Row> {
    let row = |n: usize| row_for(&format!("user{}@contoso.com", n % 10)).with("subject", &format!("plain {n}"));
    (0..count).map(row).collect()
}

/// The transaction ids of what was under way at Microsoft's side then, and is no more.
async fn were_under_way(fleet: &Fleet, then: i64) -> BTreeSet<String> {
    let over = |request: &RequestRecord| request.at_us + 1000 * request.duration_ms.unwrap_or_default() as i64;
    let requests = fleet.sandbox.requests(0).await.into_iter().filter(|request| request.kind == RequestKind::Create);
    let open = requests.filter(|request| request.at_us < then && over(request) > then);
    open.filter_map(|request| request.transaction_id).collect()
}

async fn comes_back_after(end: impl AsyncFnOnce(&OwnServer, &Fleet)) {
    let Some(servers) = Servers::new() else { return };
    let server = servers.primary();
    let mut fleet = Fleet::on(&server.url(), server.connect().await, Server::OnlyFinds, 800).await;
    let agents = [fleet.begun("a").await, fleet.begun("b").await];
    fleet.insert(&rows(80)).await;
    let under_way = async |fleet: &Fleet| fleet.sandbox.open_requests(RequestKind::Create, None).await;
    fleet.until("many are under way", async |fleet| under_way(fleet).await > 10).await;
    end(&server, &fleet).await;
    let ended = Utc::now().timestamp_micros();
    // Their answers come while there is nowhere to write them.
    fleet.bed.wait("their answers", async || (under_way(&fleet).await == 0).then_some(())).await;
    let open = were_under_way(&fleet, ended).await;
    assert!(!open.is_empty(), "this would show nothing");
    server.start();
    fleet.connected_anew(server.connect().await).await;
    fleet.insert(&rows(20)).await;
    fleet.until_all_have_ended().await;
    fleet.ledger(|_| End::Sent).await.assert_balanced();
    assert!(fleet.most_at_once().await <= 4);
    let open: Vec<String> = open.iter().map(|id| format!("'{id}'")).collect();
    let anew = format!("SELECT count(*) FROM jobs WHERE claims > 1 AND transaction_id IN ({})", open.join(", "));
    assert_eq!(fleet.number(&anew).await, 0, "what was under way is recorded by whoever sent it");
    assert_eq!(fleet.number("SELECT count(*) FROM agents WHERE how IS NOT NULL").await, 0, "nobody was buried for it");
    for agent in agents {
        agent.stop().await.expect(0);
    }
}

/// Who is connected goes on; the administrator loses patience.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_waits_for_its_agents_to_leave_is_served_until_it_is_told_not_to_wait() {
    comes_back_after(async |server, fleet| {
        server.stop(Stop::Smart);
        let sent = fleet.count("sent").await;
        fleet.until("it goes on", async |fleet| fleet.count("sent").await > sent).await;
        server.stop(Stop::Fast);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_was_restarted_is_used_again_and_nothing_is_lost() {
    comes_back_after(async |server, _| server.stop(Stop::Fast)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_was_stopped_without_a_checkpoint_is_used_again_and_nothing_is_lost() {
    comes_back_after(async |server, _| server.stop(Stop::Immediate)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_was_killed_is_used_again_and_nothing_is_lost() {
    comes_back_after(async |server, _| server.kill()).await;
}
