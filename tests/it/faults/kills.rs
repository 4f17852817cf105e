//! kill -9 at random times, again and again, while random faults strike and another program inserts: whatever the
//! agent was doing, each job ends as one event or as one explained failure. Scripts that "unstick" claimed rows are among the
//! faults. Three kinds of server: one that honours
//! `transactionId` and finds events by their marker, one that only finds, one that only honours.
//!
//! Where only the marker holds, a request that the server carries out after the next agent has looked for its event
//! cannot be told from one that never arrived, by nobody. So that server carries out what it accepts when it arrives.

use std::collections::BTreeMap;
use std::time::Duration;

use event_sender::sandbox::{Action, AnswerBody, Fault, FaultOn, RequestKind};
use fastrand::Rng;

use super::kill_points::killed_at_every_point;
use crate::bed::{Row, producer, row_for, side_by_side};
use crate::environment::setting;
use crate::ground::{FOR_EVER, Ground, Server};
use crate::ledger::{End, Ledger};
use crate::producer::Producer;

/// Mailboxes in good health.
const MAILBOXES: u64 = 7;

const INVALID_RECIPIENT: &str = r#"[{"address":"invalid-recipient@contoso.com","required":true}]"#;

#[derive(Clone, Copy, Debug)]
struct Storm {
    server: Server,
    kills: usize,
    seed: u64,
}

/// What was done and what came of it.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    kills_with_claims: usize,
    /// Faults that struck, by request and word.
    faults: BTreeMap<String, usize>,
    ledger: Ledger,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.kills_with_claims += other.kills_with_claims;
        for (fault, times) in other.faults {
            *self.faults.entry(fault).or_default() += times;
        }
        self.ledger.add(other.ledger);
    }

    fn all_faults(&self) -> usize {
        self.faults.values().sum()
    }
}

/// One row of a random kind. Its subject tells the kind, so that the reckoning knows what must become of it.
fn random_row(rng: &mut Rng, number: usize) -> Row {
    let user = format!("user{}@contoso.com", rng.u64(0..MAILBOXES));
    let (kind, row) = match rng.u32(0..100) {
        0..70 => ("plain", row_for(&user)),
        70..78 => ("keyed", row_for(&user).with("dedup_key", &format!("key {number}"))),
        78..83 => ("recipient", row_for(&user).with("attendees", INVALID_RECIPIENT)),
        83..87 => ("suspended", row_for(&format!("suspended{}@contoso.com", rng.u32(0..4)))),
        87..89 => ("malformed", row_for(&user).with("end_time", "2020-01-01T00:00:00")),
        89..91 => ("malformed", row_for(&user).with("start_time", "2026-02-30T09:00:00")),
        91..93 => ("malformed", row_for(&user).with("attendees", r#"[{"address":"b.example"}]"#)),
        93..96 => ("refused", row_for(&user).with("time_zone", "Moon Standard Time")),
        96..98 => ("missing", row_for(&user).with("calendar_id", "missing-calendar")),
        _ => ("nobody", row_for(&format!("nobody{number}@contoso.com"))),
    };
    row.with("subject", &format!("{kind} {number}"))
}

impl Server {
    fn end(self, subject: &str) -> End {
        let kind = subject.split(' ').next().unwrap_or_default();
        match (kind, self) {
            ("recipient", Self::OnlyHonours) => End::OpenDoubt("rejected"),
            ("malformed", _) => End::Failed("invalid_job"),
            ("refused", _) => End::Failed("rejected"),
            ("missing" | "nobody", _) => End::Failed("not_found"),
            _ => End::Sent,
        }
    }

    /// A mailbox that is suspended and whose events cannot be found is paused for half an hour each time.
    fn takes(self, row: &Row) -> bool {
        self != Self::OnlyHonours
            || !row.0.iter().any(|(_, value)| value.as_deref().is_some_and(|v| v.contains("suspended")))
    }

    fn random_fault(self, rng: &mut Rng) -> Fault {
        match rng.u32(0..100) {
            0..45 => on_create_carried_out(rng),
            45..70 => self.on_create_not_carried_out(rng),
            70..88 => self.on_lookup(rng),
            _ => on_token(rng),
        }
        // Only those in good health: the suspended ones are hard enough.
        .mailbox_if_any(rng)
    }

    fn on_create_not_carried_out(self, rng: &mut Rng) -> Fault {
        match rng.u32(0..9) {
            0 => Fault::answer(500, "ErrorInternalServerError"),
            1 => Fault::answer(502, "").body(AnswerBody::Html),
            2 => Fault::answer(503, "serviceNotAvailable").retry_after("1"),
            3 => Fault::answer(429, "ApplicationThrottled")
                .message("Application is over its RequestRate limit.")
                .retry_after("1"),
            4 => Fault::reset(),
            5 => Fault::hang(FOR_EVER),
            6 => Fault::expire_tokens(),
            7 => Fault::claims_challenge(),
            _ if self == Self::OnlyFinds => Fault::slow(Duration::from_millis(rng.u64(10..400))),
            _ => Fault::late(Duration::from_millis(rng.u64(50..3000))),
        }
    }

    /// A lookup that keeps failing is not waited for: after some attempts the request is repeated unseen, because the
    /// transactionId holds too. Where it does not, lookups are late or put off and do not fail.
    fn on_lookup(self, rng: &mut Rng) -> Fault {
        let kind = if self == Self::OnlyFinds { [1, 2, 7][rng.usize(0..3)] } else { rng.u32(0..10) };
        let fault = match kind {
            0 => Fault::answer(500, "ErrorInternalServerError"),
            1 => Fault::answer(503, "ErrorServerBusy").retry_after("1"),
            2 => Fault::answer(429, "ApplicationThrottled").retry_after("1"),
            3 => Fault::reset(),
            4 => Fault::hang(FOR_EVER),
            5 => Fault::truncated(),
            6 => Fault::html(),
            7 => Fault::slow(Duration::from_millis(rng.u64(10..600))),
            8 => Fault::answer(403, "ErrorAccessDenied"),
            _ => Fault::answer(504, "").body(AnswerBody::None),
        };
        fault.on(FaultOn::Lookup)
    }
}

/// The event is there, and the answer does not say so or comes late.
fn on_create_carried_out(rng: &mut Rng) -> Fault {
    match rng.u32(0..11) {
        0 => Fault::lost_reply(),
        1 => Fault::reset().applied(),
        2 => Fault::hang(FOR_EVER).applied(),
        3 => Fault::truncated(),
        4 => Fault::html(),
        5 => Fault::no_id(),
        6 => Fault::answer(504, "UnknownError").body(AnswerBody::None).applied(),
        7 => Fault::answer(500, "ErrorInternalServerError").applied(),
        8 => Fault::answer(503, "ErrorServerBusy").retry_after("1").applied(),
        9 => Fault::answer(409, "ConcurrentItemSave").applied(),
        _ => Fault::slow(Duration::from_millis(rng.u64(10..600))),
    }
}

fn on_token(rng: &mut Rng) -> Fault {
    let fault = match rng.u32(0..5) {
        0 => Fault::answer(503, "temporarily_unavailable"),
        1 => Fault::reset(),
        2 => Fault::hang(FOR_EVER),
        3 => Fault::token_refused(7_000_215, "invalid_client"),
        _ => Fault::slow(Duration::from_millis(rng.u64(10..400))),
    };
    fault.on(FaultOn::Token)
}

trait OfOneMailbox {
    fn mailbox_if_any(self, rng: &mut Rng) -> Self;
}

impl OfOneMailbox for Fault {
    fn mailbox_if_any(self, rng: &mut Rng) -> Self {
        if self.on == FaultOn::Token || matches!(self.action, Action::TokenRefused { .. }) {
            return self;
        }
        self.mailbox(&format!("user{}@contoso.com", rng.u64(0..MAILBOXES)))
    }
}

async fn weather(storm: Storm) -> Tally {
    let Storm { server, kills, seed } = storm;
    let mut rng = Rng::with_seed(seed);
    let mut ground = Ground::new(server, 50).await;
    ground.bed.set("graph.request_timeout", "2s");
    let mut producer = Producer::start(&ground.bed.queue_path());
    let (mut number, mut doubled, mut hands) = (0, 0, 0);
    for _ in 0..kills {
        let mut rows = Vec::new();
        for _ in 0..rng.usize(1..7) {
            let row = random_row(&mut rng, number);
            number += 1;
            if server.takes(&row) {
                let keyed = row.0.iter().any(|(name, _)| *name == "dedup_key");
                doubled += usize::from(keyed);
                rows.extend(std::iter::repeat_n(row, 1 + usize::from(keyed)));
            }
        }
        producer.order(&rows, rng.f64() * 0.04, rng.u32(0..5) == 0);
        for _ in 0..rng.usize(0..5) {
            ground.script(server.random_fault(&mut rng)).await;
        }
        let slots = ["1", "2", "4"][rng.usize(0..3)];
        ground.bed.set("delivery.max_in_flight_per_mailbox", slots);
        let agent = ground.bed.run();
        ground.let_live(&agent, &mut rng, 40).await;
        if rng.u32(0..3) == 0 {
            hands += meddle(&ground, &mut rng).await;
        }
        ground.kill(agent).await;
    }
    let (inserted, refused) = producer.end().await;
    let ledger = ground.finish(|subject| server.end(subject)).await;
    assert_eq!((ledger.jobs, refused), (inserted, doubled), "a dedup_key lets one row in");
    let mut faults = struck(&ground).await;
    faults.insert("row taken by another hand".into(), hands);
    Tally { kills: ground.kills, kills_with_claims: ground.kills_with_claims, faults, ledger }
}

/// Another program takes what is claimed, as scripts do. Of rows that can be sent: others may fail in doubt then. Tells of how many.
async fn meddle(ground: &Ground, rng: &mut Rng) -> usize {
    let now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
    let change = match rng.u32(0..3) {
        0 => "state = 'pending'".to_owned(),
        1 => format!("state = 'pending', next_attempt_at = {now}, in_doubt = 0"),
        _ => format!(
            "state = 'pending', next_attempt_at = {now}, in_doubt = 0, attempts = 0, claimed_at = NULL, settled = NULL"
        ),
    };
    let mut db = producer(&ground.bed.queue_path()).await;
    let update =
        format!("UPDATE jobs SET {change} WHERE state = 'claimed' AND substr(subject, 1, 5) IN ('plain', 'keyed')");
    // Somebody else may have the lock.
    let done = sqlx::query(sqlx::AssertSqlSafe(update)).execute(&mut db).await;
    done.map_or(0, |done| usize::try_from(done.rows_affected()).unwrap())
}

/// Faults that struck, by request and word.
async fn struck(ground: &Ground) -> BTreeMap<String, usize> {
    let mut faults = BTreeMap::new();
    for request in ground.sandbox.requests(0).await {
        let Some(fault) = request.fault else { continue };
        let on = match request.kind {
            RequestKind::Token => "token",
            RequestKind::Lookup => "lookup",
            _ => "create",
        };
        *faults
            .entry(format!("{on} {fault}{}", request.status.map_or(String::new(), |s| format!(" {s}"))))
            .or_default() += 1;
    }
    faults
}

async fn survives(server: Server, kills: usize) {
    let seed = setting("EVENT_SENDER_SEED", 42);
    let tally = weather(Storm { server, kills, seed }).await;
    assert!(tally.ledger.complaints.is_empty(), "seed {seed}: {tally:#?}");
    tally.ledger.assert_balanced();
    assert_eq!(tally.kills, kills);
    assert!(tally.kills_with_claims > kills / 6 && tally.all_faults() > kills / 4, "nothing much happened: {tally:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_again_and_again_in_bad_weather_every_job_has_one_end() {
    survives(Server::Whole, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_deduplication_the_marker_alone_holds() {
    survives(Server::OnlyFinds, 12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_lookups_the_transaction_id_alone_holds() {
    survives(Server::OnlyHonours, 12).await;
}

/// The long run: EVENT_SENDER_KILLS kills in all, a sixth of them at the named points.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn thousands_of_kills_lose_and_double_nothing() {
    let seed = setting("EVENT_SENDER_SEED", 42);
    let wanted = usize::try_from(setting("EVENT_SENDER_KILLS", 2000)).unwrap();
    println!("seed {seed}");
    let mut all = Tally::default();
    while all.kills < wanted / 6 {
        let points = killed_at_every_point(Server::Whole, 3).await;
        all.kills += points.kills;
        all.ledger.add(points.ledger);
    }
    println!("{} of the kills were at named points", all.kills);
    let left = (wanted - all.kills).div_ceil(5);
    let storm = |server, parts: usize, number: u64| weather(Storm { server, kills: left * parts, seed: seed + number });
    let storms = [
        storm(Server::Whole, 2, 0),
        storm(Server::Whole, 1, 1),
        storm(Server::OnlyFinds, 1, 2),
        storm(Server::OnlyHonours, 1, 3),
    ];
    for tally in side_by_side(storms).await {
        all.add(tally);
    }
    for (fault, times) in &all.faults {
        println!("{times:6} {fault}");
    }
    for complaint in &all.ledger.complaints {
        println!("{complaint}");
    }
    println!(
        "kills {}, of them {} with rows claimed, jobs {}, sent {}, failed {}, of them {} in doubt, faults {}, lost {}, doubled {}, seed {seed}",
        all.kills,
        all.kills_with_claims,
        all.ledger.jobs,
        all.ledger.sent,
        all.ledger.failed,
        all.ledger.in_doubt,
        all.all_faults(),
        all.ledger.lost,
        all.ledger.doubled
    );
    all.ledger.assert_balanced();
}
