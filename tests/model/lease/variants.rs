//! The protocol with one rule left out. The checker must find each out, or it would find out nothing.

use stateright::{Checker, HasDiscoveries, Model};

use super::checks::{NONE, leases};
use super::moves::{BUILT, Leases, Rules};
use super::rules::{ENDS, ONE_AT_ONCE, ONE_EVENT, PROMISE};
use super::state::Trouble;

/// Tells the shortest way in which `rule` is broken without one of the rules. With all of them nothing is broken in this world, else
/// the catch would be the world's doing: `checks` walks through it, or through one with more trouble.
fn breaks(world: Leases, rules: Rules, rule: &'static str) {
    let caught = HasDiscoveries::AnyOf([rule].into());
    let checker = Leases { rules, ..world }.checker().finish_when(caught).spawn_bfs().join();
    let path = checker.discovery(rule).unwrap_or_else(|| panic!("not caught: {rule}"));
    println!("caught: {rule}");
    path.into_actions().iter().for_each(|step| println!("    {step:?}"));
}

/// For worlds that `checks` has not.
fn sound(world: Leases) {
    let checker = world.checker().threads(2).spawn_dfs().join();
    assert!(PROMISE.iter().all(|rule| checker.discovery(rule).is_none()), "the sound protocol fails in this world");
}

const SILENT: Trouble = Trouble { lapses: 1, ..NONE };
const FAILED_OVER: Trouble = Trouble { failovers: 1, ..NONE };

#[test]
fn without_a_look_right_before_it_a_request_leaves_too_late() {
    breaks(leases(2, 1, SILENT), Rules { guard: false, ..BUILT }, ONE_AT_ONCE);
    breaks(leases(2, 1, SILENT), Rules { guard: false, ..BUILT }, ONE_EVENT);
}

#[test]
fn a_claim_of_an_earlier_start_is_none_of_the_new_one() {
    breaks(leases(2, 1, SILENT), Rules { pass_by_claim: false, ..BUILT }, ONE_EVENT);
}

#[test]
fn a_start_that_trusts_its_lease_before_it_has_forgotten_sends_for_the_one_before() {
    breaks(leases(2, 1, SILENT), Rules { forgets_first: false, ..BUILT }, ONE_AT_ONCE);
}

#[test]
fn without_ghosts_a_successor_sends_beside_the_dead_ones_request() {
    breaks(leases(2, 2, SILENT), Rules { ghosts: false, ..BUILT }, ONE_AT_ONCE);
}

#[test]
fn ghosts_that_a_second_death_ends_are_too_few() {
    let world = leases(2, 2, Trouble { stops: 2, ..NONE });
    sound(world.clone());
    breaks(world, Rules { ghosts_add_up: false, ..BUILT }, ONE_AT_ONCE);
}

#[test]
fn a_dead_process_leaves_ghosts_too() {
    let world = leases(2, 2, Trouble { kills: 1, ..NONE });
    sound(world.clone());
    breaks(world, Rules { ghosts_of_all: false, ..BUILT }, ONE_AT_ONCE);
}

#[test]
fn ghosts_take_up_slots_and_not_what_is_claimed_ahead() {
    breaks(leases(2, 2, SILENT), Rules { ghosts_take_slots: false, ..BUILT }, ONE_AT_ONCE);
}

#[test]
fn who_cleans_in_two_steps_loses_the_ghosts_between_them() {
    breaks(leases(2, 2, SILENT), Rules { cleans_at_once: false, ..BUILT }, ONE_AT_ONCE);
}

/// Of one slot, the ghost alone would hold it back.
#[test]
fn a_doubtful_job_that_is_looked_up_at_once_is_sent_twice() {
    breaks(leases(2, 1, SILENT), Rules { doubt_waits: false, ghosts: false, ..BUILT }, ONE_EVENT);
}

#[test]
fn a_job_put_back_without_doubt_is_sent_twice() {
    breaks(leases(2, 1, SILENT), Rules { doubt: false, ..BUILT }, ONE_EVENT);
}

#[test]
fn a_hand_over_of_an_earlier_epoch_gives_away_what_was_taken_since() {
    let trouble = Trouble { stalls: 1, ..NONE };
    breaks(leases(2, 2, trouble), Rules { fence_by_epoch: false, ..BUILT }, ONE_AT_ONCE);
}

#[test]
fn a_late_answer_in_two_steps_leaves_a_job_that_nobody_puts_back() {
    breaks(leases(2, 1, SILENT), Rules { late_at_once: false, ..BUILT }, ENDS);
}

#[test]
fn a_claim_that_nobody_knows_of_waits_for_ever_unless_it_is_looked_for() {
    let trouble = Trouble { lost_claims: 1, ..NONE };
    breaks(leases(2, 1, trouble), Rules { puts_strays_back: false, ..BUILT }, ENDS);
}

#[test]
fn without_quarantine_a_failover_lets_two_send_at_once() {
    breaks(leases(2, 1, FAILED_OVER), Rules { quarantine: false, ..BUILT }, ONE_AT_ONCE);
}

#[test]
fn without_doubt_after_a_failover_a_lost_claim_is_sent_again() {
    breaks(leases(2, 1, FAILED_OVER), Rules { doubt_after_failover: false, ..BUILT }, ONE_EVENT);
}

#[test]
fn claims_on_a_server_that_took_over_unnoticed_are_sent_twice() {
    breaks(leases(2, 1, FAILED_OVER), Rules { claims_by_timeline: false, ..BUILT }, ONE_EVENT);
}

/// Numbers come again after a failover: a stale give-back would free another's claim.
#[test]
fn a_fence_of_numbers_that_come_again_lets_a_stale_end_through() {
    breaks(leases(2, 1, FAILED_OVER), Rules { counts_on: false, ..BUILT }, ONE_EVENT);
    breaks(leases(2, 1, FAILED_OVER), Rules { counts_on: false, fence_by_agent: false, ..BUILT }, ONE_EVENT);
}
