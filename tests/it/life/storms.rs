//! kill -9 at random times while random faults strike and another program inserts whole lives: creates, changes, ends, in
//! order of their keys. In the end every event is what its rows say, in their order, and every attendee has had one
//! invitation, one mail per change and one cancellation.

use std::time::Duration;

use event_sender::sandbox::{AnswerBody, Fault, FaultOn, RequestKind};
use fastrand::Rng;
use serde_json::json;

use super::reckoning::Account;
use crate::bed::{Row, row_for};
use crate::environment::setting;
use crate::ground::{FOR_EVER, Ground, Server};
use crate::producer::Producer;

const MAILBOXES: u64 = 5;

#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    kills_with_claims: usize,
    faults: usize,
    account: Account,
}

/// A key whose event the producer believes to be there, or gone.
pub struct Key {
    name: String,
    mailbox: String,
    alive: bool,
}

/// The rows of a producer that changes its mind.
pub struct Mind {
    pub rng: Rng,
    keys: Vec<Key>,
    number: usize,
}

impl Mind {
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), keys: Vec::new(), number: 0 }
    }

    fn attendees(&mut self) -> String {
        let someone = |n: usize| json!({ "address": format!("guest{n}@contoso.com"), "required": true });
        let (first, count) = (self.rng.usize(0..4), self.rng.usize(1..4));
        json!((first..first + count).map(someone).collect::<Vec<_>>()).to_string()
    }

    pub fn row(&mut self) -> Row {
        self.number += 1;
        let subject = format!("visit {}", self.number);
        if self.keys.is_empty() || self.rng.u32(0..4) == 0 {
            let mailbox = format!("user{}@contoso.com", self.rng.u64(0..MAILBOXES));
            self.keys.push(Key { name: format!("key {}", self.number), mailbox, alive: false });
        }
        // Mostly of late: a life is changed while it is young.
        let young = self.keys.len().saturating_sub(8);
        let place = self.rng.usize(young..self.keys.len());
        let (name, mailbox, alive) = {
            let key = &self.keys[place];
            (key.name.clone(), key.mailbox.clone(), key.alive)
        };
        if !alive {
            self.keys[place].alive = true;
            let attendees = self.attendees();
            return row_for(&mailbox).with("event_key", &name).with("subject", &subject).with("attendees", &attendees);
        }
        let change = Row(Vec::new()).with("event_key", &name);
        match self.rng.u32(0..10) {
            0..4 => change.with("operation", "update").with("subject", &subject),
            4..6 => change.with("operation", "update").with("attendees", &self.attendees()),
            6 => change.with("operation", "update").with("subject", &subject).with("attendees", &self.attendees()),
            7 => change.with("operation", "update").with("subject", &subject).with("body", "Bring your papers."),
            _ => {
                self.keys[place].alive = false;
                let end = change.with("operation", "delete");
                if self.rng.bool() { end.with("body", "Called off, sorry.") } else { end }
            }
        }
    }

    pub fn fault(&mut self) -> Fault {
        let rng = &mut self.rng;
        let on = [FaultOn::Create, FaultOn::Patch, FaultOn::Patch, FaultOn::Cancel, FaultOn::Get][rng.usize(0..5)];
        let fault = match rng.u32(0..12) {
            0 => Fault::lost_reply(),
            1 => Fault::reset().applied(),
            2 => Fault::hang(FOR_EVER).applied(),
            3 => Fault::answer(504, "UnknownError").body(AnswerBody::None).applied(),
            4 => Fault::answer(500, "ErrorInternalServerError").applied(),
            5 => Fault::answer(412, "ErrorIrresolvableConflict"),
            6 => Fault::answer(409, "ErrorIrresolvableConflict"),
            7 => Fault::answer(503, "ErrorServerBusy").retry_after("1").applied(),
            8 => Fault::answer(429, "ApplicationThrottled").retry_after("1"),
            9 => Fault::reset(),
            10 => Fault::html(),
            _ => Fault::slow(Duration::from_millis(rng.u64(10..600))),
        };
        fault.on(on)
    }
}

async fn weather(kills: usize, seed: u64) -> Tally {
    let mut mind = Mind::new(seed);
    let mut ground = Ground::new(Server::Whole, 50).await;
    ground.bed.set("graph.request_timeout", "2s");
    let mut producer = Producer::start(&ground.bed.queue_path());
    for _ in 0..kills {
        let rows: Vec<Row> = (0..mind.rng.usize(1..9)).map(|_| mind.row()).collect();
        let together = mind.rng.u32(0..5) == 0;
        producer.order(&rows, mind.rng.f64() * 0.04, together);
        for _ in 0..mind.rng.usize(0..5) {
            let fault = mind.fault();
            ground.script(fault).await;
        }
        let agent = ground.bed.run();
        ground.let_live(&agent, &mut mind.rng, 80).await;
        ground.kill(agent).await;
    }
    let (_, refused) = producer.end().await;
    ground.come_to_rest().await;
    let (events, mails) = (ground.sandbox.events().await, ground.sandbox.mails().await);
    let account = Account::of(&ground.bed.queue_path(), events, mails).await;
    assert_eq!(refused, 0, "the producer keeps to the rules of keys");
    let requests = ground.sandbox.requests(0).await;
    let faults =
        requests.iter().filter(|request| request.fault.is_some() && request.kind != RequestKind::Token).count();
    Tally { kills: ground.kills, kills_with_claims: ground.kills_with_claims, faults, account }
}

fn tell(tally: &Tally, seed: u64) {
    let Account { rows, sent, superseded, failed, events, mails: [invitations, updates, cancellations], complaints } =
        &tally.account;
    for complaint in complaints {
        println!("{complaint}");
    }
    println!(
        "kills {}, of them {} with rows claimed, faults {}, rows {rows}, sent {sent:?}, superseded {superseded}, \
         failed {failed}, events {events}, invitations {invitations}, updates {updates}, cancellations {cancellations}, \
         wrong {}, seed {seed}",
        tally.kills,
        tally.kills_with_claims,
        tally.faults,
        complaints.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_again_and_again_every_event_is_what_its_rows_say_and_nobody_is_mailed_twice() {
    let seed = setting("EVENT_SENDER_SEED", 42);
    let tally = weather(20, seed).await;
    tell(&tally, seed);
    assert!(tally.account.complaints.is_empty(), "seed {seed}: {:#?}", tally.account);
    let done = |operation| tally.account.sent.get(operation).copied().unwrap_or_default();
    assert!(done("create") > 5 && done("update") > 5 && tally.faults > 5, "nothing much happened: {tally:#?}");
}

/// The long run: EVENT_SENDER_KILLS kills in all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn a_thousand_kills_change_every_event_once() {
    let seed = setting("EVENT_SENDER_SEED", 42);
    let wanted = usize::try_from(setting("EVENT_SENDER_KILLS", 1000)).unwrap();
    let storms = [weather(wanted.div_ceil(2), seed), weather(wanted.div_ceil(2), seed + 1)];
    let mut all = Tally::default();
    for tally in crate::bed::side_by_side(storms).await {
        all.kills += tally.kills;
        all.kills_with_claims += tally.kills_with_claims;
        all.faults += tally.faults;
        all.account.add(tally.account);
    }
    tell(&all, seed);
    assert!(all.account.complaints.is_empty());
}
