//! The protocol with one rule left out. The checker must find each out, or it would find out nothing.

use stateright::{Checker, Model};

use super::checks::{DEDUP_ALONE, DEDUP_AND_LOOKUP, LOOKUP_ALONE, protocol};
use super::rules::{ONE_EVENT, PROMISE, RECORDED};
use super::state::{Calendar, Fence, Lookup, Protocol, Trouble};

const SOME: Trouble = Trouble { faults: 2, crashes: 1, storage: 0, operator: 0, releases: 0, clock: 0 };

/// Walks ever further until `rule` is broken, and tells the shortest way there.
fn breaks(protocol: Protocol, rule: &'static str) {
    for depth in 2..40 {
        let checker = protocol.clone().checker().target_max_depth(depth).spawn_dfs().join();
        if let Some(path) = checker.discovery(rule) {
            println!("caught: {rule}");
            for step in path.into_actions() {
                println!("    {step:?}");
            }
            return;
        }
    }
    panic!("not caught: {rule}");
}

/// The same world with no rule left out: else the catch would be the world's doing, not the variant's.
fn sound(protocol: Protocol) {
    let found = protocol.checker().threads(2).spawn_dfs().join().discoveries();
    assert!(PROMISE.iter().all(|rule| !found.contains_key(rule)), "the sound protocol fails in this world");
}

#[test]
fn a_fence_on_attempts_lets_a_late_outcome_through() {
    let world = Protocol { trouble: Trouble { releases: 1, ..SOME }, ..protocol(DEDUP_AND_LOOKUP) };
    sound(world.clone());
    breaks(Protocol { fence: Fence::Attempts, ..world }, RECORDED);
}

#[test]
fn no_fence_lets_a_late_outcome_through() {
    let world = Protocol { trouble: Trouble { releases: 1, ..SOME }, ..protocol(DEDUP_ALONE) };
    sound(world.clone());
    breaks(Protocol { fence: Fence::Nothing, ..world }, RECORDED);
}

#[test]
fn a_recovery_without_doubt_forgets_the_event_and_repeats_it() {
    let world = Protocol { trouble: SOME, ..protocol(LOOKUP_ALONE) };
    sound(world.clone());
    let broken = Protocol { recovery_doubts: false, ..world };
    breaks(broken.clone(), RECORDED);
    breaks(broken, ONE_EVENT);
}

#[test]
fn a_repeat_after_a_dead_connection_without_a_look_makes_a_second_event() {
    let world = Protocol { trouble: SOME, ..protocol(LOOKUP_ALONE) };
    sound(world.clone());
    breaks(Protocol { looks_after_death: false, ..world }, ONE_EVENT);
}

#[test]
fn two_agents_without_a_lock_send_the_same_job() {
    let world = Protocol { trouble: SOME, ..protocol(LOOKUP_ALONE) };
    sound(world.clone());
    breaks(Protocol { locked: false, ..world }, ONE_EVENT);
}

#[test]
fn a_new_transaction_id_for_a_job_in_doubt_makes_a_second_event() {
    let world = Protocol { trouble: SOME, ..protocol(DEDUP_AND_LOOKUP) };
    sound(world.clone());
    breaks(Protocol { keeps_transaction: false, ..world }, ONE_EVENT);
}

#[test]
fn a_repeat_without_a_lookup_makes_a_second_event_where_only_the_lookup_can_tell() {
    let world = Protocol { trouble: SOME, ..protocol(LOOKUP_ALONE) };
    sound(world.clone());
    breaks(Protocol { always_looks_up: false, ..world }, ONE_EVENT);
}

#[test]
fn a_job_in_doubt_that_makes_no_request_any_more_must_stay_in_doubt() {
    let world = Protocol { trouble: SOME, ..protocol(DEDUP_AND_LOOKUP) };
    sound(world.clone());
    breaks(Protocol { doubts_unsendable: false, ..world }, RECORDED);
}

/// The edge of the promise, where nobody can tell: neither does the server de-duplicate nor can the marker be looked up,
/// or not soon enough.
#[test]
fn where_neither_de_duplication_nor_the_lookup_can_tell_an_event_may_be_doubled() {
    let blind = Calendar { deduplicates: false, lookup: Lookup::Refused, late_requests: false };
    let lagging = Calendar { lookup: Lookup::Lags, ..LOOKUP_ALONE };
    let late = Calendar { late_requests: true, ..LOOKUP_ALONE };
    for calendar in [blind, lagging, late] {
        breaks(Protocol { trouble: SOME, ..protocol(calendar) }, ONE_EVENT);
    }
}
