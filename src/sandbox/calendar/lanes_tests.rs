//! Lanes are driven with given instants, so nothing here waits.

use super::*;

#[test]
fn requests_in_flight_are_counted_per_mailbox() {
    let lanes = Lanes::new();
    let now = Instant::now();
    assert_eq!(lanes.arrive("a@x", now).in_flight, 1);
    assert_eq!(lanes.arrive("a@x", now).in_flight, 2);
    assert_eq!(lanes.arrive("b@x", now).in_flight, 1);
    lanes.leave("a@x");
    assert_eq!(lanes.arrive("a@x", now).in_flight, 2);
    assert_eq!(lanes.max_in_flight()["a@x"], 2);
}

#[test]
fn a_request_inside_a_window_is_early_and_one_after_it_is_not() {
    let lanes = Lanes::new();
    let now = Instant::now();
    lanes.ask_to_wait("a@x", Duration::from_secs(5), now);
    let inside = lanes.arrive("a@x", now + Duration::from_secs(4));
    let after = lanes.arrive("a@x", now + Duration::from_secs(6));
    assert_eq!(inside.early_by, Some(Duration::from_secs(1)));
    assert_eq!(after.early_by, None);
    assert_eq!(lanes.violations(), 1);
}

#[test]
fn a_shorter_window_never_cuts_a_longer_one() {
    let lanes = Lanes::new();
    let now = Instant::now();
    lanes.ask_to_wait("a@x", Duration::from_secs(9), now);
    lanes.ask_to_wait("a@x", Duration::from_secs(1), now);
    assert!(lanes.arrive("a@x", now + Duration::from_secs(8)).early_by.is_some());
}

#[test]
fn the_ten_thousand_and_first_request_waits_for_the_oldest_to_age() {
    let lanes = Lanes::new();
    let now = lanes.started;
    for _ in 0..RATE_LIMIT {
        assert_eq!(lanes.count_request("a@x", now), None);
    }
    let wait = lanes.count_request("a@x", now + Duration::from_secs(10));
    assert_eq!(wait, Some(Duration::from_secs(590)));
    assert_eq!(lanes.count_request("b@x", now), None);
    assert_eq!(lanes.count_request("a@x", now + Duration::from_secs(600)), None);
}

#[test]
fn a_reset_keeps_only_what_is_in_flight() {
    let lanes = Lanes::new();
    let now = Instant::now();
    lanes.arrive("a@x", now);
    lanes.arrive("b@x", now);
    lanes.leave("b@x");
    lanes.ask_to_wait("a@x", Duration::from_secs(9), now);
    lanes.reset();
    assert_eq!(lanes.arrive("a@x", now), Arrival { in_flight: 2, early_by: None });
    assert!(!lanes.max_in_flight().contains_key("b@x"));
}
