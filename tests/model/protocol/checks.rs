//! The worlds the protocol is walked through, every state of each.

use super::rules::{
    CANCELLED_IN_DOUBT, CRASH_BEFORE_RECORD, EXHAUSTED, FOUND, KEPT, LATE_EVENT, LOST_ANSWER, PROMISE, REPEATED, STALE,
};
use super::state::{Calendar, Fence, Lookup, Protocol, Trouble};
use crate::walk;

/// The agent as it is, with one job, two processes and no trouble.
pub fn protocol(calendar: Calendar) -> Protocol {
    Protocol {
        jobs: 1,
        agents: 2,
        max_attempts: 2,
        trouble: Trouble::default(),
        calendar,
        fence: Fence::Claims,
        locked: true,
        recovery_doubts: true,
        keeps_transaction: true,
        always_looks_up: true,
        looks_after_death: true,
        doubts_unsendable: true,
    }
}

/// The server de-duplicates and nothing else can be relied on.
pub const DEDUP_ALONE: Calendar = Calendar { deduplicates: true, lookup: Lookup::Refused, late_requests: true };
/// The server de-duplicates, and the lookup may tell the truth or come too early.
pub const DEDUP_AND_LOOKUP: Calendar = Calendar { deduplicates: true, lookup: Lookup::Lags, late_requests: true };
/// Only the lookup can tell, and no request takes longer than the wait.
pub const LOOKUP_ALONE: Calendar = Calendar { deduplicates: false, lookup: Lookup::Works, late_requests: false };

fn holds(world: &str, protocol: Protocol, happens: &[&str]) {
    walk::holds(world, protocol, &PROMISE, happens);
}

/// Everything that can go wrong, each at least once.
const QUICK: Trouble = Trouble { faults: 2, crashes: 1, storage: 1, operator: 1, releases: 1, clock: 1 };
/// Enough for troubles of one kind to follow each other.
const LONG: Trouble = Trouble { faults: 3, crashes: 2, storage: 1, operator: 2, releases: 1, clock: 1 };

fn by_de_duplication_alone(trouble: Trouble) {
    let protocol = Protocol { trouble, ..protocol(DEDUP_ALONE) };
    let happens = [LOST_ANSWER, CRASH_BEFORE_RECORD, REPEATED, LATE_EVENT, EXHAUSTED, STALE, KEPT, CANCELLED_IN_DOUBT];
    holds("de-duplication alone", protocol, &happens);
}

fn with_de_duplication_and_a_lookup_that_lags(trouble: Trouble) {
    let protocol = Protocol { trouble, ..protocol(DEDUP_AND_LOOKUP) };
    let happens =
        [LOST_ANSWER, CRASH_BEFORE_RECORD, FOUND, REPEATED, LATE_EVENT, EXHAUSTED, STALE, KEPT, CANCELLED_IN_DOUBT];
    holds("de-duplication and a lookup that lags", protocol, &happens);
}

fn by_the_lookup_alone(trouble: Trouble) {
    // Without de-duplication a row put back by hand while its request is on its way is sent twice: no lookup can tell.
    let trouble = Trouble { releases: 0, ..trouble };
    let protocol = Protocol { trouble, ..protocol(LOOKUP_ALONE) };
    let happens = [LOST_ANSWER, CRASH_BEFORE_RECORD, FOUND, LATE_EVENT, EXHAUSTED, KEPT, CANCELLED_IN_DOUBT];
    holds("lookup alone", protocol, &happens);
}

fn for_two_jobs_side_by_side(trouble: Trouble) {
    let protocol = Protocol { jobs: 2, trouble, ..protocol(DEDUP_AND_LOOKUP) };
    holds("two jobs", protocol, &[LOST_ANSWER, CRASH_BEFORE_RECORD, FOUND, REPEATED, LATE_EVENT]);
}

#[test]
fn the_promise_holds_by_de_duplication_alone() {
    by_de_duplication_alone(QUICK);
}

#[test]
fn the_promise_holds_with_de_duplication_and_a_lookup_that_lags() {
    with_de_duplication_and_a_lookup_that_lags(Trouble { clock: 0, ..QUICK });
}

#[test]
fn the_promise_holds_by_the_lookup_alone() {
    by_the_lookup_alone(LONG);
}

#[test]
fn the_promise_holds_for_two_jobs_side_by_side() {
    for_two_jobs_side_by_side(Trouble { faults: 2, crashes: 1, ..Trouble::default() });
}

#[test]
#[ignore = "long"]
fn the_promise_holds_under_more_trouble_by_de_duplication_alone() {
    by_de_duplication_alone(LONG);
}

#[test]
#[ignore = "long"]
fn the_promise_holds_under_more_trouble_with_a_lookup_that_lags() {
    with_de_duplication_and_a_lookup_that_lags(LONG);
}

#[test]
#[ignore = "long"]
fn the_promise_holds_under_more_trouble_for_two_jobs_side_by_side() {
    for_two_jobs_side_by_side(Trouble { faults: 2, crashes: 1, storage: 1, operator: 1, ..Trouble::default() });
}
