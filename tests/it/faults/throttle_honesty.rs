//! Throttle honesty: many mailboxes that answer 429 and 503 with every form of Retry-After, to creates and lookups,
//! while agents come and go by TERM and by kill -9. The sandbox's own journal says whether a request ever came before
//! its mailbox's Retry-After had passed, and how many were under way at once.
//!
//! Two kinds of early request are told apart, because no agent could have known better. One left a moment before the
//! answer that asked for patience came in (only where a mailbox has several slots). The other follows a kill -9
//! between that answer and its record: the knowledge died with the process. Both are counted; everything else fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use event_sender::sandbox::{AnswerBody, Fault, FaultOn, RequestRecord};
use fastrand::Rng;

use crate::bed::{row_for, side_by_side};
use crate::environment::setting;
use crate::ground::{Ground, Server};
use crate::ledger::End;
use crate::process::Process;

const MAILBOXES: usize = 24;
/// Longest time between the moment an answer leaves the server and the moment the agent has read it, on a busy machine.
const CROSSING: TimeDelta = TimeDelta::milliseconds(150);
/// Times in the journal and in the database are whole milliseconds.
const ROUNDING: TimeDelta = TimeDelta::milliseconds(3);

const INVALID_RECIPIENT: &str = r#"[{"address":"invalid-recipient@contoso.com","required":true}]"#;

/// A time until which a mailbox wants to be left alone.
#[derive(Clone, Debug)]
struct Window {
    /// The answer that asked for it.
    answer: String,
    mailbox: String,
    opened: DateTime<Utc>,
    end: DateTime<Utc>,
}

/// A window that was open when the agent was killed and that the database did not know.
#[derive(Clone, Debug)]
struct Forgotten {
    window: Window,
    killed: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    slots: u32,
    /// Answers that ask for patience before it ends.
    throttles: u64,
    seed: u64,
}

/// What was done and what came of it.
#[derive(Debug, Default)]
struct Tally {
    slots: u32,
    throttles: u64,
    lookups_throttled: usize,
    requests: usize,
    jobs: usize,
    kills: usize,
    stops: usize,
    /// Windows open at a kill, and those of them that died with the process.
    open_at_kills: usize,
    forgotten: usize,
    /// The longest time between an answer and the kill that wiped it out.
    oldest_forgotten: TimeDelta,
    early_after_a_kill: usize,
    /// The most early requests into one forgotten window.
    most_into_one: usize,
    crossed: usize,
    /// What was asked too early, and by how much and after which answer.
    violations: Vec<String>,
    too_many: Vec<(String, u32)>,
}

fn mailbox(rng: &mut Rng) -> String {
    format!("user{}@contoso.com", rng.usize(0..MAILBOXES))
}

fn random_throttle(rng: &mut Rng) -> Fault {
    let fault = match rng.u32(0..24) {
        0..6 => over("RequestRate"),
        6..9 => over("MailboxConcurrency"),
        9..10 => over("IncomingBytes"),
        10 => Fault::answer(429, "TooManyRequests"),
        11 => Fault::answer(429, "activityLimitReached"),
        12 => Fault::answer(429, "").body(AnswerBody::Html),
        13..15 => Fault::answer(503, "serviceNotAvailable"),
        15..17 => Fault::answer(503, "ErrorServerBusy"),
        17 => Fault::answer(503, "ErrorMailboxStoreUnavailable"),
        18 => Fault::answer(503, "").body(AnswerBody::None),
        19 => Fault::answer(503, "").body(AnswerBody::Html),
        20..22 => Fault::answer(503, "ErrorInternalServerTransientError").applied(),
        _ => Fault::answer(503, "ConcurrentItemSave").applied(),
    };
    let forms = ["1", "2", "1.3", "2.128", "0.4", "date:+2", "date:+3", "0", "date:-5", "soon", "-1", ""];
    let fault = match forms[rng.usize(0..forms.len())] {
        "" => fault,
        form => fault.retry_after(form),
    };
    let on = if rng.u32(0..4) == 0 { FaultOn::Lookup } else { FaultOn::Create };
    fault.on(on).mailbox(&mailbox(rng))
}

fn over(limit: &str) -> Fault {
    Fault::answer(429, "ApplicationThrottled").message(&format!("Application is over its {limit} limit."))
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn milliseconds(ms: u64) -> TimeDelta {
    TimeDelta::milliseconds(i64::try_from(ms).unwrap())
}

/// The window a request's answer opened, if it did.
fn window(request: &RequestRecord) -> Option<Window> {
    let wait = request.retry_after_ms.filter(|_| matches!(request.status, Some(429 | 503)))?;
    let opened = time(&request.at) + milliseconds(request.duration_ms?);
    let answer = format!("{:?} answered {:?} {:?}", request.kind, request.status, request.error_code);
    Some(Window { answer, mailbox: request.mailbox.clone()?, opened, end: opened + milliseconds(wait) })
}

struct Patience {
    ground: Ground,
    forgotten: Vec<Forgotten>,
    tally: Tally,
}

impl Patience {
    /// TERM, once the agent listens to it.
    async fn stop(&mut self, agent: Process) {
        self.ground.bed.until_said(&agent, "agent started").await;
        agent.stop().await.expect(0);
        self.tally.stops += 1;
    }

    /// kill -9, and a look at what the database knows of the windows that were open.
    async fn kill(&mut self, agent: Process) {
        self.ground.kill(agent).await;
        let killed = Utc::now();
        let known: BTreeMap<String, DateTime<Utc>> = self
            .ground
            .bed
            .pauses()
            .await
            .into_iter()
            .map(|pause| (pause.mailbox, time(&pause.paused_until)))
            .collect();
        // A pause is recorded with the end of the job that was told: only who has a job claimed may not know it yet.
        let claimed = self.ground.bed.jobs().await.into_iter().filter(|job| job.state == "claimed");
        let unsettled: BTreeSet<String> = claimed.filter_map(|job| job.mailbox).collect();
        let mut last: BTreeMap<String, Window> = BTreeMap::new();
        for window in self.ground.sandbox.requests(0).await.iter().filter_map(window) {
            let longest = last.entry(window.mailbox.clone()).or_insert_with(|| window.clone());
            if window.end > longest.end {
                *longest = window;
            }
        }
        // One that an earlier kill wiped out is not learnt again by itself.
        let news = |window: &Window| {
            !self.forgotten.iter().any(|old| old.window.mailbox == window.mailbox && old.window.end == window.end)
        };
        let open: Vec<Window> = last.into_values().filter(|window| window.end > killed && news(window)).collect();
        for window in open {
            self.tally.open_at_kills += 1;
            let recorded = known.get(&window.mailbox).is_some_and(|until| *until >= window.end - ROUNDING);
            if !recorded && !unsettled.contains(&window.mailbox) {
                self.tally.violations.push(format!("a job has ended without its pause: {window:?}, killed {killed}"));
            } else if !recorded {
                self.tally.forgotten += 1;
                self.tally.oldest_forgotten = self.tally.oldest_forgotten.max(killed - window.opened);
                self.forgotten.push(Forgotten { window, killed });
            }
        }
    }

    /// Sorts the early requests into those nobody could have helped and the others.
    async fn judge(&mut self, slots: u32) {
        let requests = self.ground.sandbox.requests(0).await;
        let counters = self.ground.sandbox.counters().await;
        let windows: Vec<Window> = requests.iter().filter_map(window).collect();
        let mut into: BTreeMap<usize, usize> = BTreeMap::new();
        let mut early = 0;
        for request in &requests {
            let Some(early_by) = request.early_by_ms else { continue };
            early += 1;
            let at = time(&request.at);
            let end = at + milliseconds(early_by);
            let of_mailbox = |window: &Window| request.mailbox.as_ref() == Some(&window.mailbox);
            let forgotten = self.forgotten.iter().position(|forgotten| {
                of_mailbox(&forgotten.window) && at > forgotten.killed && end <= forgotten.window.end + ROUNDING
            });
            let opened = windows.iter().filter(|window| of_mailbox(window) && window.end >= end - ROUNDING);
            let crossed = slots > 1 && opened.map(|window| at - window.opened).any(|after| after < CROSSING);
            match forgotten {
                Some(which) => *into.entry(which).or_default() += 1,
                None if crossed => self.tally.crossed += 1,
                None => {
                    let known = windows.iter().filter(|window| of_mailbox(window) && window.opened <= at);
                    let last = known.max_by_key(|window| window.end).map_or("", |window| window.answer.as_str());
                    let (kind, mailbox) = (request.kind, &request.mailbox);
                    self.tally
                        .violations
                        .push(format!("{at} {kind:?} of {mailbox:?} early by {early_by} ms after {last}"));
                }
            }
        }
        assert_eq!(counters.retry_after_violations, early, "the sandbox's counter and its journal agree");
        self.tally.early_after_a_kill = into.values().sum();
        self.tally.most_into_one = into.into_values().max().unwrap_or_default();
        self.tally.requests = requests.iter().filter(|request| request.mailbox.is_some()).count();
        self.tally.lookups_throttled = requests
            .iter()
            .filter(|request| request.method == "GET" && matches!(request.status, Some(429 | 503)))
            .count();
        let too_many = counters.max_in_flight.into_iter().filter(|(_, most)| *most > slots);
        self.tally.too_many = too_many.collect();
    }
}

async fn patience(trial: Trial) -> Tally {
    let Trial { slots, throttles, seed } = trial;
    let mut rng = Rng::with_seed(seed);
    // Answers take a little: requests that begin together have all arrived before the first of them is answered.
    let mut ground = Ground::new(Server::Whole, 40).await;
    ground.bed.set("delivery.max_in_flight_per_mailbox", &slots.to_string());
    let mut patience = Patience { ground, forgotten: Vec::new(), tally: Tally::default() };
    let mut agent = patience.ground.bed.run();
    let mut asked_to_wait = 0;
    while asked_to_wait < throttles {
        let rows = (0..rng.usize(4..16)).map(|_| {
            let row = row_for(&mailbox(&mut rng));
            if rng.u32(0..6) == 0 { row.with("attendees", INVALID_RECIPIENT) } else { row }
        });
        let rows: Vec<_> = rows.collect();
        patience.ground.bed.insert_all(rows).await;
        for _ in 0..rng.usize(2..8) {
            patience.ground.script(random_throttle(&mut rng)).await;
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(50..400))).await;
        match rng.u32(0..6) {
            0 => {
                patience.stop(agent).await;
                agent = patience.ground.bed.run();
            }
            1 | 2 => {
                patience.kill(agent).await;
                agent = patience.ground.bed.run();
            }
            _ => {}
        }
        let requests = patience.ground.sandbox.requests(0).await;
        asked_to_wait = requests.iter().filter(|request| matches!(request.status, Some(429 | 503))).count() as u64;
    }
    patience.stop(agent).await;
    let ledger = patience.ground.finish(|_| End::Sent).await;
    ledger.assert_balanced();
    patience.judge(slots).await;
    Tally { slots, throttles: asked_to_wait, jobs: ledger.jobs, kills: patience.ground.kills, ..patience.tally }
}

async fn trials(all_slots: &[u32], throttles: u64) {
    let seed = setting("EVENT_SENDER_SEED", 42);
    let trial = |slots: &u32| patience(Trial { slots: *slots, throttles, seed: seed + u64::from(*slots) });
    let tallies = side_by_side(all_slots.iter().map(trial).collect::<Vec<_>>()).await;
    for tally in &tallies {
        println!(
            "throttles {}, of them {} of lookups, requests {}, jobs {}, slots {}, stops {}, kills {}, windows open at kills {}, \
             forgotten {} (the oldest after {} ms), early after a kill {} (at most {} into one window), crossed {}, \
             over the slots {}, throttle violations {}, seed {seed}",
            tally.throttles,
            tally.lookups_throttled,
            tally.requests,
            tally.jobs,
            tally.slots,
            tally.stops,
            tally.kills,
            tally.open_at_kills,
            tally.forgotten,
            tally.oldest_forgotten.num_milliseconds(),
            tally.early_after_a_kill,
            tally.most_into_one,
            tally.crossed,
            tally.too_many.len(),
            tally.violations.len()
        );
    }
    let violations: Vec<&String> = tallies.iter().flat_map(|tally| &tally.violations).collect();
    assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
    for tally in tallies {
        assert!(tally.too_many.is_empty(), "seed {seed}: {:?}", tally.too_many);
        assert!(tally.kills > 0 && tally.stops > 0, "seed {seed}: {tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn throttled_mailboxes_are_left_alone_across_stops_and_kills() {
    trials(&[1, 2, 4], 60).await;
}

/// The long run: EVENT_SENDER_THROTTLES answers that ask for patience in all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn thousands_of_throttles_are_obeyed() {
    let slots = [1, 2, 4, 8];
    trials(&slots, setting("EVENT_SENDER_THROTTLES", 4000) / slots.len() as u64).await;
}
