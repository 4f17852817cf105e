//! When the gate shuts and opens.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use super::*;
use crate::job::EventId;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn at(seconds: u64) -> Instant {
    *START + Duration::from_secs(seconds)
}

fn held(wait: Option<u64>) -> Outcome {
    Outcome::Unable(GateReason {
        cause: Cause::NoNetwork,
        code: "no_connection".into(),
        hint: Hint::default(),
        wait: wait.map(Duration::from_secs),
    })
}

fn created() -> Outcome {
    Outcome::Done(EventId("AAMk".into()).into())
}

fn throttled(gate: &mut Gate, mailbox: &str, second: u64, until: u64) -> GateChange {
    let lane = LaneKey::of(mailbox);
    gate.observe(&lane, &Outcome::AppThrottled, at(until) - at(second), at(second))
}

fn observe(gate: &mut Gate, outcome: &Outcome, second: u64) -> GateChange {
    gate.observe(&LaneKey::of("ann"), outcome, Duration::ZERO, at(second))
}

#[test]
fn it_shuts_for_the_time_named_and_opens_for_one_request_first() {
    let mut gate = Gate::default();
    assert_eq!(gate.limit(at(0), 0, 64), 64);
    assert!(matches!(observe(&mut gate, &held(Some(60)), 0), GateChange::Closed { again: false, .. }));
    assert_eq!(gate.reopens(), Some(at(60)));
    assert_eq!(gate.limit(at(59), 0, 64), 0);
    assert_eq!(gate.limit(at(60), 0, 64), 1);
    assert_eq!(gate.limit(at(60), 1, 63), 0);
    assert_eq!(observe(&mut gate, &created(), 61), GateChange::Reopened);
    assert_eq!(gate.limit(at(61), 0, 64), 64);
}

#[test]
fn it_waits_longer_each_time_the_one_request_fails_and_says_so_only_once() {
    let mut gate = Gate::default();
    let (mut second, mut waits) = (0, Vec::new());
    for round in 0..8 {
        assert!(gate.limit(at(second), 0, 64) > 0);
        let GateChange::Closed { wait, again, .. } = observe(&mut gate, &held(None), second) else { panic!() };
        assert_eq!(again, round > 0);
        waits.push(wait.as_secs());
        second += waits.last().unwrap();
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn sixty_four_that_meet_the_same_trouble_shut_it_once() {
    let mut gate = Gate::default();
    observe(&mut gate, &held(None), 0);
    for _ in 0..63 {
        assert_eq!(observe(&mut gate, &held(None), 0), GateChange::Unchanged);
    }
    assert!(gate.reopens().unwrap() <= at(1));
}

#[test]
fn a_success_that_was_under_way_does_not_open_it() {
    let mut gate = Gate::default();
    observe(&mut gate, &held(Some(60)), 0);
    assert_eq!(observe(&mut gate, &created(), 1), GateChange::Unchanged);
    assert_eq!(gate.limit(at(2), 0, 64), 0);
}

#[test]
fn one_throttled_mailbox_shuts_nothing_and_two_at_once_shut_all_for_the_longer_time() {
    let mut gate = Gate::default();
    assert_eq!(throttled(&mut gate, "ann", 0, 30), GateChange::Unchanged);
    assert_eq!(throttled(&mut gate, "ann", 1, 30), GateChange::Unchanged);
    let GateChange::Closed { wait, reason, .. } = throttled(&mut gate, "bob", 2, 20) else { panic!() };
    assert_eq!((wait.as_secs(), reason.kind()), (28, ErrorKind::Throttled));
}

#[test]
fn a_probe_that_is_throttled_again_shuts_it_again_however_long_the_wait_was() {
    let mut gate = Gate::default();
    throttled(&mut gate, "ann", 0, 60);
    throttled(&mut gate, "bob", 1, 60);
    assert_eq!(gate.limit(at(60), 0, 64), 1);
    assert!(matches!(throttled(&mut gate, "ann", 60, 120), GateChange::Closed { again: true, .. }));
    assert_eq!(gate.reopens(), Some(at(120)));
}

#[test]
fn throttling_far_apart_or_with_a_success_between_is_not_at_once() {
    let mut gate = Gate::default();
    throttled(&mut gate, "ann", 0, 30);
    assert_eq!(throttled(&mut gate, "bob", 11, 40), GateChange::Unchanged);
    let mut gate = Gate::default();
    throttled(&mut gate, "ann", 0, 30);
    observe(&mut gate, &created(), 1);
    assert_eq!(throttled(&mut gate, "bob", 2, 30), GateChange::Unchanged);
}

#[test]
fn a_mailboxs_own_limits_never_shut_it() {
    let mut gate = Gate::default();
    for mailbox in ["ann", "bob", "cy"] {
        let passage = gate.observe(&LaneKey::of(mailbox), &Outcome::MailboxThrottled, Duration::ZERO, at(0));
        assert_eq!(passage, GateChange::Unchanged);
    }
}

#[test]
fn a_longer_wait_met_while_it_is_shut_is_told_and_what_throttles_is_waited_out_whatever_is_fixed() {
    let mut gate = Gate::default();
    observe(&mut gate, &held(Some(10)), 0);
    assert!(gate.waits_for_fix());
    assert_eq!(observe(&mut gate, &held(Some(5)), 1), GateChange::Unchanged, "sooner than it opens anyway");
    assert!(matches!(observe(&mut gate, &held(Some(20)), 1), GateChange::Extended { .. }));
    assert_eq!(gate.reopens(), Some(at(21)));
    // Requests that were under way meet the application's limit.
    throttled(&mut gate, "ann", 2, 60);
    assert!(matches!(throttled(&mut gate, "bob", 2, 90), GateChange::Extended { .. }));
    assert!(!gate.waits_for_fix());
    assert_eq!(gate.reopens(), Some(at(90)));
}
