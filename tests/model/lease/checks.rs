//! The worlds the protocol is walked through, every state of each.

use super::moves::{BUILT, Leases};
use super::rules::{
    BURIED_AT_WORK, FOUND, HANDED_OVER, LATE, LOST_CLAIM, PROMISE, QUARANTINE, REPLACED, STOPPED_AT_WORK, STRAY,
    TAKEN_OVER,
};
use super::state::Trouble;
use crate::walk;

pub const NONE: Trouble =
    Trouble { lapses: 0, kills: 0, stops: 0, lost_answers: 0, lost_claims: 0, handovers: 0, stalls: 0, failovers: 0 };

/// The agents as they are.
pub fn leases(processes: usize, jobs: usize, trouble: Trouble) -> Leases {
    Leases { processes, jobs, trouble, rules: BUILT }
}

fn holds(world: &str, leases: Leases, happens: &[&str]) {
    walk::holds(world, leases, &PROMISE, happens);
}

#[test]
fn one_mailbox_has_one_owner_while_agents_fall_silent_and_die() {
    let trouble = Trouble { lapses: 1, kills: 1, ..NONE };
    holds("silent and killed", leases(2, 1, trouble), &[BURIED_AT_WORK, TAKEN_OVER, REPLACED, FOUND, LATE]);
}

#[test]
fn two_jobs_of_a_mailbox_are_never_asked_for_at_once() {
    let trouble = Trouble { lapses: 1, lost_answers: 1, ..NONE };
    holds("two jobs, silent, an answer lost", leases(2, 2, trouble), &[BURIED_AT_WORK, TAKEN_OVER, FOUND, LATE]);
}

#[test]
fn a_claim_whose_answer_is_lost_is_found_and_put_back() {
    let trouble = Trouble { lapses: 1, lost_claims: 1, ..NONE };
    holds("a claim lost, silent", leases(2, 1, trouble), &[BURIED_AT_WORK, TAKEN_OVER, STRAY]);
}

#[test]
fn who_stops_or_hands_over_leaves_nothing_behind() {
    let trouble = Trouble { stops: 1, handovers: 1, stalls: 1, ..NONE };
    holds("two jobs, stopped, handed over", leases(2, 2, trouble), &[STOPPED_AT_WORK, HANDED_OVER, FOUND]);
}

#[test]
fn a_failover_that_loses_claims_doubles_nothing() {
    let trouble = Trouble { failovers: 1, ..NONE };
    holds("lossy failover", leases(2, 1, trouble), &[LOST_CLAIM, QUARANTINE, FOUND]);
}

#[test]
#[ignore = "long"]
fn the_promise_holds_for_three_agents_of_which_two_fall_silent() {
    holds("three agents, two silent", leases(3, 1, Trouble { lapses: 2, ..NONE }), &[BURIED_AT_WORK, TAKEN_OVER, LATE]);
}

#[test]
#[ignore = "long"]
fn the_promise_holds_while_agents_die_after_each_other() {
    let trouble = Trouble { lapses: 1, kills: 1, ..NONE };
    holds("two jobs, silent and killed", leases(2, 2, trouble), &[BURIED_AT_WORK, TAKEN_OVER, REPLACED, FOUND, LATE]);
    let trouble = Trouble { kills: 1, stops: 1, stalls: 1, ..NONE };
    holds("two jobs, killed and stopped", leases(2, 2, trouble), &[REPLACED, STOPPED_AT_WORK, TAKEN_OVER]);
}

#[test]
#[ignore = "long"]
fn the_promise_holds_over_a_lossy_failover_beside_other_trouble() {
    for trouble in [
        Trouble { failovers: 1, kills: 1, ..NONE },
        Trouble { failovers: 1, lapses: 1, ..NONE },
        Trouble { failovers: 1, lost_answers: 1, stops: 1, ..NONE },
    ] {
        holds("lossy failover and more", leases(2, 1, trouble), &[LOST_CLAIM, QUARANTINE, FOUND]);
    }
    let trouble = Trouble { failovers: 1, ..NONE };
    holds("two jobs, lossy failover", leases(2, 2, trouble), &[LOST_CLAIM, QUARANTINE, FOUND]);
}
