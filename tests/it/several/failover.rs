//! The database's server dies, and its standby takes over. Agents find it by themselves. Where it had not heard everything, what
//! was under way or already sent may stand there as waiting: all of it is looked up before it is sent.

use std::time::Duration;

use chrono::{DateTime, Utc};
use event_sender::sandbox::{RequestKind, RequestRecord};

use crate::bed::{Row, row_for};
use crate::ground::Server;
use crate::ledger::End;
use crate::process::Process;

use super::fleet::Fleet;
use super::servers::{OwnServer, Servers, url};

const TAKEN_OVER: &str =
    "another database server has taken over, nothing is sent until the requests under way are over";
/// For how long after its last renewal an agent begins requests.
const TRUSTED: Duration = Duration::from_secs(6);

/// A server, one that follows it, and agents that know both.
struct Pair {
    primary: OwnServer,
    standby: OwnServer,
    fleet: Fleet,
    _servers: Servers,
}

impl Pair {
    async fn new() -> Option<Self> {
        let servers = Servers::new()?;
        let primary = servers.primary();
        let standby = servers.standby(&primary);
        // The standby first: whoever is connected to it cannot write.
        let url = url(&[&standby, &primary]);
        let fleet = Fleet::on(&url, primary.connect().await, Server::OnlyFinds, 300).await;
        Some(Self { primary, standby, fleet, _servers: servers })
    }

    /// The standby has heard everything.
    async fn is_even(&self) {
        let even = "SELECT CASE WHEN replay_lsn >= pg_current_wal_flush_lsn() THEN 'yes' END FROM pg_stat_replication";
        self.primary.until("the standby has heard everything", even).await;
    }

    async fn takes_over(&self) -> DateTime<Utc> {
        self.primary.kill();
        let killed = Utc::now();
        self.standby.promote();
        self.fleet.connected_anew(self.standby.connect().await).await;
        killed
    }
}

fn rows(kind: &str, count: usize) -> Vec<Row> {
    let row = |n: usize| row_for(&format!("user{}@contoso.com", n % 20)).with("subject", &format!("{kind} {n}"));
    (0..count).map(row).collect()
}

/// Jobs that wait, for all this server knows, and whose events exist.
async fn forgotten(fleet: &Fleet) -> usize {
    let waiting = "SELECT string_agg(transaction_id, ' ') FROM jobs WHERE state = 'pending'";
    let waiting = fleet.text(waiting).await.unwrap_or_default();
    let events = fleet.sandbox.events().await;
    events.iter().filter(|event| event.transaction_id.as_ref().is_some_and(|id| waiting.contains(id.as_str()))).count()
}

fn arrived(request: &RequestRecord) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(request.at_us).unwrap()
}

/// From the time on at which no agent trusts its lease of the server before, until all that were under way are over, nothing is
/// asked of Microsoft's side. Then there are looks.
async fn all_sending_rested(fleet: &Fleet, killed: DateTime<Utc>) {
    let until = "SELECT (extract(epoch FROM quarantine_until) * 1000000)::bigint FROM queue_state";
    let until = DateTime::from_timestamp_micros(fleet.number(until).await).unwrap();
    let requests = fleet.sandbox.requests(0).await;
    let requests: Vec<_> = requests.iter().filter(|request| request.kind != RequestKind::Token).collect();
    let meanwhile = |request: &&&RequestRecord| (killed + TRUSTED..until).contains(&arrived(request));
    let meanwhile: Vec<_> = requests.iter().filter(meanwhile).collect();
    assert!(meanwhile.is_empty(), "killed {killed}, until {until}: {meanwhile:#?}");
    let looked = requests.iter().filter(|request| request.kind == RequestKind::Lookup && arrived(request) >= until);
    assert!(looked.count() > 0);
}

async fn end(agents: impl IntoIterator<Item = Process>) {
    for agent in agents {
        agent.stop().await.expect(0);
    }
}

/// Jobs are claimed and sent that the standby knows as waiting, more are inserted and sent of which it knows nothing, and it
/// gives their numbers to others.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_standby_that_lagged_behind_doubles_nothing_and_loses_none_of_its_jobs() {
    let Some(mut pair) = Pair::new().await else { return };
    let agents = [pair.fleet.begun("a").await, pair.fleet.begun("b").await];
    let fleet = &pair.fleet;
    fleet.insert(&rows("kept", 500)).await;
    pair.is_even().await;
    pair.primary.stop_sending().await;
    let lost = fleet.insert(&rows("lost", 100)).await;
    let ids = lost.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let lost = format!("SELECT string_agg(transaction_id, ' ') FROM jobs WHERE id IN ({ids})");
    let lost: Vec<String> = fleet.text(&lost).await.unwrap().split(' ').map(str::to_owned).collect();
    let sent = fleet.count("sent").await;
    fleet.until("many are sent since", async |fleet| fleet.count("sent").await > sent + 150).await;
    let killed = pair.takes_over().await;
    assert_eq!(fleet.number("SELECT count(*) FROM jobs").await, 500);
    assert!(forgotten(fleet).await > 20, "this would show nothing");
    fleet.insert(&rows("new", 100)).await;
    fleet.until_all_have_ended().await;
    fleet.ledger_without(&lost, |_| End::Sent).await.assert_balanced();
    assert_eq!(fleet.number("SELECT count(*) FROM jobs").await, 600);
    assert!(fleet.most_at_once().await <= 4, "more at once than one agent would send");
    assert!(agents.iter().any(|agent| !agent.said(TAKEN_OVER).is_empty()));
    all_sending_rested(fleet, killed).await;
    end(agents).await;
}

/// The standby stopped hearing before there was any agent: it knows none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_standby_that_has_never_heard_of_an_agent_doubles_nothing() {
    let Some(mut pair) = Pair::new().await else { return };
    pair.fleet.insert(&rows("kept", 400)).await;
    pair.is_even().await;
    pair.primary.stop_sending().await;
    let agents = [pair.fleet.begun("a").await, pair.fleet.begun("b").await];
    let fleet = &pair.fleet;
    fleet.until("many are sent", async |fleet| fleet.count("sent").await > 100).await;
    let killed = pair.takes_over().await;
    assert!(forgotten(fleet).await > 20, "this would show nothing");
    fleet.until_all_have_ended().await;
    fleet.ledger(|_| End::Sent).await.assert_balanced();
    assert!(fleet.most_at_once().await <= 4, "more at once than one agent would send");
    all_sending_rested(fleet, killed).await;
    end(agents).await;
}

/// What is acknowledged is on both: they go on at once, and nothing is looked up.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_standby_that_has_heard_everything_is_gone_on_with_at_once() {
    let Some(mut pair) = Pair::new().await else { return };
    pair.primary.asked("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    pair.primary.asked("SELECT pg_reload_conf()::text").await;
    let synchronous = "SELECT CASE WHEN sync_state = 'sync' THEN 'yes' END FROM pg_stat_replication";
    pair.primary.until("the standby is synchronous", synchronous).await;
    pair.fleet.bed.set("queue.failover", "lossless");
    let agents = [pair.fleet.begun("a").await, pair.fleet.begun("b").await];
    let fleet = &pair.fleet;
    fleet.insert(&rows("kept", 400)).await;
    fleet.until("many are sent", async |fleet| fleet.count("sent").await > 100).await;
    let sent = fleet.count("sent").await;
    pair.takes_over().await;
    assert!(fleet.count("sent").await >= sent, "nothing is lost");
    fleet.until_all_have_ended().await;
    fleet.ledger(|_| End::Sent).await.assert_balanced();
    assert!(fleet.most_at_once().await <= 4, "more at once than one agent would send");
    assert!(agents.iter().all(|agent| agent.said(TAKEN_OVER).is_empty()));
    assert_eq!(fleet.number("SELECT count(*) FROM queue_state WHERE quarantine_until IS NOT NULL").await, 0);
    assert_eq!(fleet.number("SELECT count(*) FROM agents WHERE how IS NOT NULL").await, 0, "nobody began anew");
    end(agents).await;
}

/// Prints what an operator sees, for docs/operate/postgres.md.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "prints a page of the documentation"]
async fn a_walk_through_a_failover_by_hand() {
    let Some(mut pair) = Pair::new().await else { return };
    let agents = [pair.fleet.begun("a").await, pair.fleet.begun("b").await];
    pair.fleet.insert(&rows("kept", 400)).await;
    pair.is_even().await;
    pair.primary.stop_sending().await;
    pair.fleet.until("many are sent", async |fleet| fleet.count("sent").await > 100).await;
    let mut walk = String::new();
    let mut tell = async |pair: &mut Pair, title: &str, commands: &[&[&str]]| {
        walk.push_str(&format!("# {title}\n"));
        for arguments in commands {
            let ran = pair.fleet.command(arguments).await;
            walk.push_str(&format!("$ event-sender {}\n{}{}\n", arguments.join(" "), ran.stdout, ran.stderr));
        }
    };
    tell(&mut pair, "before", &[&["status"], &["check"]]).await;
    pair.primary.kill();
    tell(&mut pair, "the server is gone", &[&["status"]]).await;
    pair.standby.promote();
    pair.fleet.connected_anew(pair.standby.connect().await).await;
    pair.fleet.until("it is noticed", async |_| agents.iter().any(|agent| !agent.said(TAKEN_OVER).is_empty())).await;
    tell(&mut pair, "promoted", &[&["status"]]).await;
    pair.fleet.until_all_have_ended().await;
    pair.fleet.ledger(|_| End::Sent).await.assert_balanced();
    tell(&mut pair, "afterwards", &[&["status"], &["list", "--limit", "3"]]).await;
    for (name, agent) in ["a", "b"].iter().zip(&agents) {
        walk.push_str(&format!("# log of {name}\n"));
        let lines = agent.log().into_iter().filter(|line| line["level"] != "INFO" && line["level"] != "DEBUG");
        lines.for_each(|line| walk.push_str(&format!("{line}\n")));
    }
    println!("{walk}");
    end(agents).await;
}
