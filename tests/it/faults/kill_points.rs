//! kill -9 at named points of a job's way, reached from outside: the sandbox holds an answer back, another program
//! holds the queue's write lock. Each test makes sure that the point was really reached before it kills.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

use event_sender::sandbox::{Fault, FaultOn, RequestKind, RequestRecord};

use crate::bed::{row_for, side_by_side};
use crate::ground::{FOR_EVER, Ground, Server};
use crate::ledger::{End, Ledger};
use crate::process::{PATIENCE, Process};

const INVALID_RECIPIENT: &str = r#"[{"address":"invalid-recipient@contoso.com","required":true}]"#;

/// What the tests of this file and the long run count.
#[derive(Debug, Default)]
pub struct Tally {
    pub kills: usize,
    pub ledger: Ledger,
}

/// Kills once in each round where `at` says, then lets the queue become empty and reckons.
async fn killed(at: impl AsyncFn(&mut Ground, &str), server: Server, rounds: usize) -> Tally {
    let mut ground = Ground::new(server, 0).await;
    for round in 0..rounds {
        at(&mut ground, &format!("user{round}@contoso.com")).await;
    }
    let ledger = ground.finish(|_| End::Sent).await;
    ledger.assert_balanced();
    assert_eq!((ledger.sent, ledger.in_doubt), (ledger.jobs, 0), "{ledger:?}");
    assert!(ground.kills >= rounds);
    Tally { kills: ground.kills, ledger }
}

impl Ground {
    async fn insert_for(&self, mailbox: &str) -> i64 {
        self.bed.insert(row_for(mailbox).with("subject", mailbox)).await
    }

    async fn events_of(&self, mailbox: &str) -> usize {
        self.sandbox.events().await.iter().filter(|event| event.mailbox == mailbox).count()
    }

    async fn until_open(&self, kind: RequestKind, mailbox: Option<&str>) {
        let open = async || (self.sandbox.open_requests(kind, mailbox).await > 0).then_some(());
        self.bed.wait("a request is being answered", open).await;
    }

    async fn until_event(&self, mailbox: &str) {
        self.bed.wait("the event is there", async || (self.events_of(mailbox).await == 1).then_some(())).await;
    }

    /// An agent whose request is carried out and never answered.
    async fn hanging(&mut self, mailbox: &str) -> (Process, i64) {
        self.script(Fault::hang(FOR_EVER).applied().mailbox(mailbox)).await;
        let agent = self.bed.run();
        let id = self.insert_for(mailbox).await;
        self.until_event(mailbox).await;
        assert_eq!(self.bed.job(id).await.state, "claimed");
        (agent, id)
    }

    /// An agent that has read its answer and waits for the queue's write lock to record it. The lock is the test's. On
    /// a busy machine the lock may come too late for the first job; then the next one is waited for.
    async fn about_to_commit(&mut self, mailbox: &str) -> (Process, i64) {
        let agent = self.bed.run();
        for number in 0.. {
            let mailbox = format!("{number}.{mailbox}");
            self.script(Fault::slow(Duration::from_millis(400)).mailbox(&mailbox)).await;
            let id = self.insert_for(&mailbox).await;
            self.until_request(&mailbox, |_| true).await;
            self.bed.sql("BEGIN IMMEDIATE").await;
            if self.bed.job(id).await.state == "claimed" {
                // From here on nothing can be recorded.
                self.until_request(&mailbox, |request| request.status == Some(201)).await;
                self.until_waiting(&agent).await;
                assert_eq!(self.bed.job(id).await.state, "claimed");
                return (agent, id);
            }
            self.bed.sql("COMMIT").await;
        }
        unreachable!("some job is caught")
    }

    /// Waits for a create request to this mailbox.
    async fn until_request(&self, mailbox: &str, wanted: impl Fn(&RequestRecord) -> bool) {
        let wanted = |request: &RequestRecord| {
            request.kind == RequestKind::Create && request.mailbox.as_deref() == Some(mailbox) && wanted(request)
        };
        let there = async || self.sandbox.requests(0).await.iter().any(wanted).then_some(());
        self.bed.wait("the request is there", there).await;
    }

    /// Waits until the agent waits for the write lock.
    async fn until_waiting(&self, agent: &Process) {
        let waiting = async || waits_for_the_lock(agent.pid()).then_some(());
        self.bed.wait("the agent waits for the write lock", waiting).await;
    }
}

/// Whether the thread that speaks to SQLite sleeps between two tries to get the lock: nothing else makes it sleep by
/// the clock. The kernel tells.
fn waits_for_the_lock(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    let says = |thread: &Path, file: &str| std::fs::read_to_string(thread.join(file)).unwrap_or_default();
    threads
        .flatten()
        .map(|thread| thread.path())
        .any(|thread| says(&thread, "comm").starts_with("sqlx-sqlite") && says(&thread, "wchan").contains("nanosleep"))
}

/// Kills as soon as the agent writes to the queue's log, or up to a moment later: somewhere in its commit.
async fn kill_in_its_commit(mut agent: Process, log: PathBuf) -> Process {
    let written = |log: &Path| std::fs::metadata(log).and_then(|log| log.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let before = written(&log);
    let spin = move || {
        let start = Instant::now();
        while written(&log) == before {
            assert!(start.elapsed() < PATIENCE, "the agent writes nothing");
        }
        let (seen, later) = (Instant::now(), Duration::from_micros(fastrand::u64(0..1500)));
        while seen.elapsed() < later {
            std::hint::spin_loop();
        }
        agent.kill_at_once();
        agent
    };
    // On a thread of its own, so that the tests beside this one go on.
    tokio::task::spawn_blocking(spin).await.unwrap()
}

async fn claimed_and_nothing_sent(ground: &mut Ground, mailbox: &str) {
    ground.script(Fault::hang(FOR_EVER).on(FaultOn::Token).times(0)).await;
    let agent = ground.bed.run();
    let id = ground.insert_for(mailbox).await;
    ground.bed.until(id, "claimed").await;
    ground.until_open(RequestKind::Token, None).await;
    assert_eq!(ground.sandbox.counters().await.create_requests, 0);
    ground.kill(agent).await;
}

async fn posted_and_not_carried_out(ground: &mut Ground, mailbox: &str) {
    ground.script(Fault::hang(FOR_EVER).mailbox(mailbox)).await;
    let agent = ground.bed.run();
    let id = ground.insert_for(mailbox).await;
    ground.until_open(RequestKind::Create, Some(mailbox)).await;
    assert_eq!((ground.events_of(mailbox).await, ground.bed.job(id).await.state.as_str()), (0, "claimed"));
    ground.kill(agent).await;
}

/// The request of the dead agent is carried out when the next one has long asked again.
async fn posted_and_carried_out_after_the_next_has_asked(ground: &mut Ground, mailbox: &str) {
    ground.script(Fault::late(Duration::from_secs(3)).mailbox(mailbox)).await;
    let agent = ground.bed.run();
    ground.insert_for(mailbox).await;
    ground.until_open(RequestKind::Create, Some(mailbox)).await;
    // Its body has arrived too: a moment is enough on this machine, and the end of the test would show if not.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(ground.events_of(mailbox).await, 0);
    ground.kill(agent).await;
}

async fn carried_out_and_not_answered(ground: &mut Ground, mailbox: &str) {
    let (agent, _) = ground.hanging(mailbox).await;
    assert_eq!(ground.sandbox.open_requests(RequestKind::Create, Some(mailbox)).await, 1);
    ground.kill(agent).await;
}

async fn answered_and_not_recorded(ground: &mut Ground, mailbox: &str) {
    let (agent, id) = ground.about_to_commit(mailbox).await;
    ground.kill(agent).await;
    ground.bed.sql("COMMIT").await;
    assert_eq!(ground.bed.job(id).await.state, "claimed");
}

async fn in_the_commit(ground: &mut Ground, mailbox: &str) {
    let (agent, id) = ground.about_to_commit(mailbox).await;
    let log = ground.bed.home().join("queue.db-wal");
    let kill = kill_in_its_commit(agent, log);
    let (agent, ()) = tokio::join!(kill, ground.bed.sql("COMMIT"));
    ground.kill(agent).await;
    let state = ground.bed.job(id).await.state;
    assert!(state == "claimed" || state == "sent", "{state}");
}

async fn just_recorded(ground: &mut Ground, mailbox: &str) {
    let agent = ground.bed.run();
    let id = ground.insert_for(mailbox).await;
    let start = Instant::now();
    while ground.bed.job(id).await.state != "sent" {
        assert!(start.elapsed() < PATIENCE);
    }
    ground.kill(agent).await;
}

async fn in_a_lookup(ground: &mut Ground, mailbox: &str) {
    ground.script(Fault::hang(FOR_EVER).on(FaultOn::Lookup).mailbox(mailbox)).await;
    let agent = ground.bed.run();
    ground.bed.insert(row_for(mailbox).with("attendees", INVALID_RECIPIENT)).await;
    ground.until_open(RequestKind::Lookup, Some(mailbox)).await;
    assert_eq!(ground.events_of(mailbox).await, 1);
    ground.kill(agent).await;
}

async fn before_it_recovers_what_another_left(ground: &mut Ground, mailbox: &str) {
    let (agent, id) = ground.hanging(mailbox).await;
    ground.kill(agent).await;
    ground.bed.sql("BEGIN IMMEDIATE").await;
    let agent = ground.bed.run();
    ground.until_waiting(&agent).await;
    assert!(agent.said("agent started").is_empty());
    ground.kill(agent).await;
    ground.bed.sql("COMMIT").await;
    assert_eq!(ground.bed.job(id).await.state, "claimed");
}

async fn while_it_recovers_what_another_left(ground: &mut Ground, mailbox: &str) {
    let (agent, id) = ground.hanging(mailbox).await;
    ground.kill(agent).await;
    let log = ground.bed.home().join("queue.db-wal");
    let agent = kill_in_its_commit(ground.bed.run(), log).await;
    ground.kill(agent).await;
    let job = ground.bed.job(id).await;
    // Recovered, or not yet; a half cannot be.
    assert!(job.state == "claimed" || (job.state == "pending" && job.in_doubt == 1), "{job:?}");
}

async fn stopping_with_a_request_under_way(ground: &mut Ground, mailbox: &str) {
    let (agent, id) = ground.hanging(mailbox).await;
    agent.signal("TERM");
    ground.bed.until_said(&agent, "stopping, finishing what is under way").await;
    ground.kill(agent).await;
    assert_eq!(ground.bed.job(id).await.state, "claimed");
}

async fn stopping_with_a_result_to_record(ground: &mut Ground, mailbox: &str) {
    let (agent, id) = ground.about_to_commit(mailbox).await;
    agent.signal("TERM");
    ground.bed.until_said(&agent, "stopping, finishing what is under way").await;
    ground.kill(agent).await;
    ground.bed.sql("COMMIT").await;
    assert_eq!(ground.bed.job(id).await.state, "claimed");
}

type Point = Pin<Box<dyn Future<Output = Tally>>>;

/// Every point of this file, each killed at in so many rounds. More than a few would let the jobs of the first rounds,
/// which wait two seconds after their kill, get in the way of the last.
pub async fn killed_at_every_point(server: Server, rounds: usize) -> Tally {
    fn point(at: impl AsyncFn(&mut Ground, &str) + 'static, server: Server, rounds: usize) -> Point {
        Box::pin(killed(at, server, rounds))
    }
    let mut points = vec![
        point(claimed_and_nothing_sent, server, rounds),
        point(posted_and_not_carried_out, server, rounds),
        point(carried_out_and_not_answered, server, rounds),
        point(answered_and_not_recorded, server, rounds),
        point(in_the_commit, server, rounds),
        point(just_recorded, server, rounds),
        point(before_it_recovers_what_another_left, server, rounds),
        point(while_it_recovers_what_another_left, server, rounds),
        point(stopping_with_a_request_under_way, server, rounds),
        point(stopping_with_a_result_to_record, server, rounds),
    ];
    // Only a lookup can tell what became of it.
    if server != Server::OnlyHonours {
        points.push(point(in_a_lookup, server, rounds));
    }
    // Only the transaction id can tell that it is the same.
    if server != Server::OnlyFinds {
        points.push(point(posted_and_carried_out_after_the_next_has_asked, server, rounds));
    }
    let mut all = Tally::default();
    for tally in side_by_side(points).await {
        all.kills += tally.kills;
        all.ledger.add(tally.ledger);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_killed_at_any_named_point_of_a_jobs_way_loses_and_doubles_nothing() {
    let tally = killed_at_every_point(Server::Whole, 3).await;
    assert!(tally.kills >= 40, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_named_point_the_marker_alone_or_the_transaction_id_alone_suffices() {
    for server in [Server::OnlyFinds, Server::OnlyHonours] {
        killed_at_every_point(server, 1).await;
    }
}
