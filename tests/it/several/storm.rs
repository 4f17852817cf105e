//! Agents are killed, stopped and frozen again and again, while answers are lost and another program inserts: each job ends as one
//! event or as one explained failure, no mailbox gets more at once than from one agent, and none is asked before its time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use event_sender::sandbox::{AnswerBody, Fault, FaultOn, RequestRecord};
use fastrand::Rng;

use crate::bed::{Row, row_for};
use crate::environment::setting;
use crate::ground::Server;
use crate::ledger::{End, Ledger};
use crate::process::Process;

use super::fleet::Fleet;

const MAILBOXES: usize = 9;
const NAMES: [&str; 3] = ["a", "b", "c"];

/// What was done and what came of it.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    stops: usize,
    freezes: usize,
    buried: i64,
    late: i64,
    most_at_once: u32,
    early: Vec<RequestRecord>,
    ledger: Ledger,
}

/// What may happen to an agent: at most so many of them are frozen for longer than their lease.
async fn storm(fleet: &mut Fleet, deaths: usize, long_freezes: usize, seed: u64) -> Tally {
    let mut rng = Rng::with_seed(seed);
    let mut tally = Tally::default();
    let mut number = 0;
    let mut agents: BTreeMap<&str, Process> = BTreeMap::new();
    for name in NAMES {
        agents.insert(name, fleet.agent(name));
    }
    let mut frozen_for_long = 0;
    while tally.kills + tally.stops < deaths {
        let rows: Vec<Row> = (0..rng.usize(1..8)).map(|_| random_row(&mut rng, &mut number)).collect();
        fleet.insert(&rows).await;
        for _ in 0..rng.usize(0..4) {
            fleet.sandbox.script(&[random_fault(&mut rng)]).await;
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(0..500))).await;
        let name = NAMES[rng.usize(0..NAMES.len())];
        let Some(agent) = agents.remove(name) else { continue };
        let back = match rng.u32(0..20) {
            0..14 => {
                let ran = agent.kill().await;
                assert_eq!(ran.code, None, "the agent ended by itself: {ran:?}");
                tally.kills += 1;
                fleet.agent(name)
            }
            14..17 => {
                stop(agent).await;
                tally.stops += 1;
                fleet.agent(name)
            }
            17 if frozen_for_long < long_freezes => {
                frozen_for_long += 1;
                freeze(&agent, Duration::from_millis(rng.u64(10_500..14_000))).await;
                agent
            }
            _ => {
                freeze(&agent, Duration::from_millis(rng.u64(0..3000))).await;
                tally.freezes += 1;
                agent
            }
        };
        agents.insert(name, back);
    }
    tally.freezes += frozen_for_long;
    fleet.sandbox.clear_faults().await;
    fleet.until_all_have_ended().await;
    tally.buried = fleet.number("SELECT count(*) FROM agents WHERE how = 'expired'").await;
    tally.late = fleet.number("SELECT count(*) FROM attempts WHERE outcome = 'late'").await;
    tally.most_at_once = fleet.most_at_once().await;
    tally.early = fleet.early().await;
    tally.ledger = fleet.ledger(end).await;
    for agent in agents.into_values() {
        stop(agent).await;
    }
    tally
}

/// Ends well, unless it is asked before it has come as far as to listen: then it ends like any program, and has done nothing.
async fn stop(agent: Process) {
    let ran = agent.stop().await;
    if ran.code.is_none() && ran.stdout.is_empty() {
        return;
    }
    ran.expect(0);
}

async fn freeze(agent: &Process, length: Duration) {
    agent.signal("STOP");
    let start = Instant::now();
    tokio::time::sleep(length.saturating_sub(start.elapsed())).await;
    agent.signal("CONT");
}

fn random_row(rng: &mut Rng, number: &mut usize) -> Row {
    let mailbox = format!("user{}@contoso.com", rng.usize(0..MAILBOXES));
    *number += 1;
    let row = row_for(&mailbox);
    let (kind, row) = match rng.u32(0..20) {
        0 => ("malformed", row.with("end_time", "2020-01-01T00:00:00")),
        1 => ("refused", row.with("time_zone", "Moon Standard Time")),
        _ => ("plain", row),
    };
    row.with("subject", &format!("{kind} {number}"))
}

fn end(subject: &str) -> End {
    match subject.split(' ').next().unwrap_or_default() {
        "malformed" => End::Failed("invalid_job"),
        "refused" => End::Failed("rejected"),
        _ => End::Sent,
    }
}

/// Mostly the event is there, and the answer does not say so.
fn random_fault(rng: &mut Rng) -> Fault {
    let fault = match rng.u32(0..9) {
        0 => Fault::lost_reply(),
        1 => Fault::reset().applied(),
        2 => Fault::answer(504, "UnknownError").body(AnswerBody::None).applied(),
        3 => Fault::answer(500, "ErrorInternalServerError").applied(),
        4 => Fault::answer(503, "serviceNotAvailable").retry_after("1"),
        5 => Fault::answer(429, "ApplicationThrottled").retry_after("1"),
        6 => Fault::reset(),
        7 => Fault::answer(503, "ErrorServerBusy").retry_after("1").on(FaultOn::Lookup),
        _ => Fault::slow(Duration::from_millis(rng.u64(10..600))),
    };
    fault.mailbox(&format!("user{}@contoso.com", rng.usize(0..MAILBOXES)))
}

fn judged(tally: &Tally, seed: u64) {
    assert!(
        tally.ledger.complaints.is_empty() && tally.most_at_once <= 4 && tally.early.is_empty(),
        "seed {seed}: {tally:#?}"
    );
    tally.ledger.assert_balanced();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whatever_becomes_of_the_agents_each_job_has_one_end() {
    fleet_or_return!(fleet, Server::OnlyFinds, 50);
    let seed = setting("EVENT_SENDER_SEED", 42);
    let tally = storm(&mut fleet, 12, 1, seed).await;
    judged(&tally, seed);
}

/// The long run: EVENT_SENDER_KILLS deaths and stops in all.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "long"]
async fn a_thousand_deaths_of_three_agents_lose_and_double_nothing() {
    let (seed, wanted) = (setting("EVENT_SENDER_SEED", 42), setting("EVENT_SENDER_KILLS", 1000));
    let wanted = usize::try_from(wanted).unwrap();
    for (number, server) in [Server::OnlyFinds, Server::Whole].into_iter().enumerate() {
        fleet_or_return!(fleet, server, 50);
        let seed = seed + number as u64;
        let tally = storm(&mut fleet, wanted / 2, wanted / 50, seed).await;
        println!(
            "{server:?}: kills {}, stops {}, freezes {}, buried {}, late answers {}, jobs {}, sent {}, failed {}, lost {}, doubled {}, \
             most at once {}, early {}, seed {seed}",
            tally.kills,
            tally.stops,
            tally.freezes,
            tally.buried,
            tally.late,
            tally.ledger.jobs,
            tally.ledger.sent,
            tally.ledger.failed,
            tally.ledger.lost,
            tally.ledger.doubled,
            tally.most_at_once,
            tally.early.len(),
        );
        judged(&tally, seed);
    }
}
