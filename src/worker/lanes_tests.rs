//! Slots and pauses of mailboxes.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;
use std::time::Duration;

use chrono::TimeDelta;

use super::*;

static START: LazyLock<Now> = LazyLock::new(|| Now { wall: Utc::now(), steady: Instant::now() });

fn in_secs(seconds: u64) -> Instant {
    START.steady + Duration::from_secs(seconds)
}

fn pause(lanes: &mut Lanes, key: &LaneKey, seconds: u64, halve_slots: bool) -> Pause {
    lanes
        .pause(
            key,
            &MailboxPause { wait: Duration::from_secs(seconds), halve_slots },
            &Answer::default(),
            Some(ErrorKind::Throttled),
            *START,
        )
        .0
}

#[test]
fn slots_are_taken_and_given_back_and_an_untouched_lane_is_forgotten() {
    let (mut lanes, ann) = (Lanes::new(4, 64), LaneKey::of("Ann@contoso.com"));
    lanes.begin(&ann);
    lanes.begin(&ann);
    assert_eq!(lanes.free()[&LaneKey::of("ann@CONTOSO.com")], 6, "two slots, and four places ahead");
    lanes.end(&ann, true);
    lanes.end(&ann, true);
    assert!(lanes.free().is_empty());
}

#[test]
fn a_paused_lane_has_no_free_slot_until_its_time_has_come() {
    let (mut lanes, ann) = (Lanes::new(4, 64), LaneKey::of("ann"));
    pause(&mut lanes, &ann, 5, false);
    assert_eq!(lanes.free()[&ann], 0);
    assert_eq!(lanes.next_resume(), Some(in_secs(5)));
    assert!(lanes.resume(in_secs(4)).is_empty());
    assert_eq!(lanes.resume(in_secs(5)), [(ann.clone(), true)]);
    assert_eq!(lanes.free()[&ann], 1);
}

#[test]
fn trouble_that_goes_on_is_told_at_its_begin_and_when_something_was_sent_again() {
    let (mut lanes, ann) = (Lanes::new(4, 64), LaneKey::of("ann"));
    let pause = MailboxPause { wait: Duration::from_secs(60), halve_slots: false };
    let mut told = Vec::new();
    for minute in 0..30 {
        lanes.begin(&ann);
        lanes.end(&ann, false);
        let now = Now { wall: START.wall, steady: in_secs(minute * 60) };
        let (_, tell) = lanes.pause(&ann, &pause, &Answer::default(), Some(ErrorKind::Throttled), now);
        if tell != PauseLine::Nothing {
            told.push((minute, tell));
        }
        let resumed = lanes.resume(in_secs(minute * 60 + 60));
        assert_eq!(resumed, [(ann.clone(), minute == 0)], "only a first pause may have been the whole trouble");
    }
    assert_eq!(
        told,
        [
            (0, PauseLine::Paused),
            (1, PauseLine::Paused),
            (11, PauseLine::StillPaused(10)),
            (21, PauseLine::StillPaused(10))
        ]
    );
    lanes.begin(&ann);
    assert!(lanes.end(&ann, true), "the end is told");
    lanes.begin(&ann);
    assert!(!lanes.end(&ann, true), "once");
}

#[test]
fn other_limits_hold_at_once_and_a_narrowed_lane_grows_up_to_them() {
    let (mut lanes, ann, bob) = (Lanes::new(4, 64), LaneKey::of("ann"), LaneKey::of("bob"));
    lanes.begin(&ann);
    lanes.halve_slots(&bob);
    lanes.set_limits(1, 8);
    assert_eq!((lanes.places(), lanes.turn(&ann)), (2, Turn::Wait));
    lanes.set_limits(8, 64);
    assert_eq!((lanes.places(), lanes.turn(&ann)), (16, Turn::Begin));
    assert_eq!(lanes.free()[&ann], 15);
    assert_eq!(lanes.free()[&bob], 1);
}

#[test]
fn four_refusals_of_one_moment_are_one_strike_and_the_longest_wait_holds() {
    let (mut lanes, ann) = (Lanes::new(4, 64), LaneKey::of("ann"));
    for seconds in [5, 9, 3, 4] {
        lanes.begin(&ann);
        let pause = pause(&mut lanes, &ann, seconds, false);
        assert_eq!(pause.pauses_in_a_row, 1);
    }
    assert_eq!(lanes.next_resume(), Some(in_secs(9)));
}

#[test]
fn too_many_at_once_halves_the_slots_and_success_grows_them_back() {
    let (mut lanes, ann) = (Lanes::new(4, 64), LaneKey::of("ann"));
    assert_eq!(pause(&mut lanes, &ann, 1, true).pauses_in_a_row, 1);
    lanes.resume(in_secs(1));
    assert_eq!(lanes.free()[&ann], 2);
    for _ in 0..2 {
        lanes.begin(&ann);
        lanes.end(&ann, true);
    }
    assert_eq!(lanes.free()[&ann], 6, "three slots, and as many places ahead");
    for _ in 0..3 {
        lanes.begin(&ann);
        lanes.end(&ann, true);
    }
    assert!(lanes.free().is_empty());
}

#[test]
fn pauses_in_a_row_are_counted_until_a_success() {
    let (mut lanes, ann) = (Lanes::new(4, 64), LaneKey::of("ann"));
    for count in 1..=3 {
        assert_eq!(pause(&mut lanes, &ann, 1, false).pauses_in_a_row, count);
        lanes.resume(in_secs(1));
    }
    assert_eq!(lanes.begin(&ann), 3);
    lanes.end(&ann, true);
    assert_eq!(lanes.begin(&ann), 0);
}

#[test]
fn a_pause_of_the_last_run_is_kept() {
    let (mut lanes, ann) = (Lanes::new(4, 64), LaneKey::of("ann"));
    let pause = Pause {
        lane: ann.clone(),
        until: START.wall + TimeDelta::seconds(60),
        reason: String::new(),
        kind: None,
        pauses_in_a_row: 2,
        asked_until: None,
    };
    lanes.remember(&pause, *START);
    assert_eq!(lanes.next_resume(), Some(in_secs(60)));
    assert_eq!(lanes.free()[&ann], 0);
    assert_eq!(lanes.begin(&ann), 2);
}

#[test]
fn mailboxes_in_trouble_get_at_most_half_of_all_slots_together() {
    let mut lanes = Lanes::new(4, 6);
    for mailbox in ["a", "b", "c", "d"] {
        let key = LaneKey::of(mailbox);
        lanes.begin(&key);
        lanes.halve_slots(&key);
        lanes.end(&key, false);
    }
    lanes.begin(&LaneKey::of("a"));
    lanes.begin(&LaneKey::of("healthy"));
    let Suspects { lanes: troubled, limit: slots } = lanes.suspects();
    assert_eq!((troubled.len(), slots), (4, 2));
    assert!(!troubled.contains(&LaneKey::of("healthy")));
}

#[test]
fn nothing_begins_at_a_mailbox_on_hold_whatever_else_is_known_of_it() {
    let (mut lanes, ann, bob) = (Lanes::new(4, 64), LaneKey::of("ann"), LaneKey::of("bob"));
    let held = Arc::new(HashSet::from([ann.clone()]));
    let changed = lanes.put_on_hold(&held);
    assert_eq!(changed, HoldsChanged { held: vec![ann.clone()], released: vec![] });
    assert_eq!((lanes.turn(&ann), lanes.turn(&bob)), (Turn::GiveBack, Turn::Begin));
    assert_eq!(lanes.put_on_hold(&held), HoldsChanged::default(), "said once");
    // A pause begins and ends under the hold.
    lanes.begin(&ann);
    pause(&mut lanes, &ann, 5, false);
    lanes.end(&ann, false);
    assert_eq!(lanes.resume(in_secs(5)), [(ann.clone(), true)]);
    assert_eq!(lanes.turn(&ann), Turn::GiveBack);
    let changed = lanes.put_on_hold(&Arc::new(HashSet::from([bob.clone()])));
    assert_eq!(changed, HoldsChanged { held: vec![bob.clone()], released: vec![ann.clone()] });
    assert_eq!((lanes.turn(&ann), lanes.turn(&bob)), (Turn::Begin, Turn::GiveBack));
}

#[test]
fn a_rest_is_ended_by_hand_unless_microsoft_asked_for_it_or_it_came_later() {
    let (mut lanes, ann) = (Lanes::new(4, 64), LaneKey::of("ann"));
    let at = |seconds: u64| Now { wall: START.wall + TimeDelta::seconds(seconds as i64), steady: in_secs(seconds) };
    assert!(!lanes.resume_by_hand(&ann, at(1).wall, at(1)), "it does not pause");
    pause(&mut lanes, &ann, 600, false);
    assert!(!lanes.resume_by_hand(&ann, START.wall - TimeDelta::seconds(1), at(2)), "the pause came later");
    assert!(lanes.resume_by_hand(&ann, at(1).wall, at(2)));
    assert_eq!((lanes.paused(), lanes.free()[&ann]), (0, 1), "one request finds out");
    pause(&mut lanes, &ann, 600, false);
    assert_eq!(lanes.asked(&ann, Duration::from_secs(60), *START), at(60).wall);
    assert_eq!(lanes.asked(&ann, Duration::from_secs(30), *START), at(60).wall, "what was asked before goes on");
    assert!(!lanes.resume_by_hand(&ann, at(1).wall, at(59)));
    assert!(lanes.resume_by_hand(&ann, at(61).wall, at(61)), "what is left is the agent's own patience");
}
