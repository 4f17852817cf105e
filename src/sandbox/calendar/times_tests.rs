//! What counts as a time, and which moment it is.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn moment(text: &str, zone: &str) -> String {
    EventTime::parse(text, zone).unwrap().in_zone(&TimeZone::UTC)
}

#[test]
fn windows_and_iana_names_mean_the_same_moment() {
    let expected = "2026-12-01T08:00:00.0000000";
    assert_eq!(moment("2026-12-01T09:00:00", "W. Europe Standard Time"), expected);
    assert_eq!(moment("2026-12-01T09:00:00", "europe/berlin"), expected);
    assert_eq!(moment("2026-12-01T09:00", "Europe/Berlin"), expected);
    assert_eq!(moment("2026-12-01T08:00:00.0000000", "UTC"), expected);
}

#[test]
fn every_windows_name_is_known() {
    assert!(WINDOWS_ZONES.len() >= 139);
    for (name, tz) in WINDOWS_ZONES {
        assert_eq!(zone_named(name), zone_named(tz), "{name}");
        assert!(zone_named(tz).is_some(), "{name}");
    }
}

#[test]
fn unknown_zones_are_named() {
    for zone in ["Greenwich Mean Time", "", "[]", "Mars/Olympus"] {
        let fault = EventTime::parse("2026-12-01T09:00:00", zone).unwrap_err();
        assert_eq!(fault, TimeFault::UnknownZone(zone.to_owned()));
    }
    let refused = EventTime::parse("2026-12-01T09:00:00", "Africa/Casablanca").unwrap_err();
    assert_eq!(refused, TimeFault::RefusedZone);
}

#[test]
fn text_that_is_not_a_date_and_time_is_refused() {
    for text in [
        "",
        "2026-12-01",
        "2026-12-01 09:00:00",
        "2026-1-1T9:0:0",
        "2026-02-30T09:00:00",
        "2026-12-01T25:00:00",
        "2026-12-01T09:00:00.12345678",
        "2026-12-01T09:00:00.",
        "2026-12-01T09:00:00 x",
        "ééééééé",
    ] {
        assert_eq!(EventTime::parse(text, "UTC").unwrap_err(), TimeFault::Text, "{text}");
    }
}

#[test]
fn an_offset_wins_and_is_remarked() {
    let with = EventTime::parse("2026-12-01T09:00:00+01:00", "UTC").unwrap();
    assert!(with.had_offset);
    assert_eq!(with.in_zone(&TimeZone::UTC), "2026-12-01T08:00:00.0000000");
    assert!(EventTime::parse("2026-12-01T09:00:00Z", "UTC").unwrap().had_offset);
    assert!(!EventTime::parse("2026-12-01T09:00:00", "UTC").unwrap().had_offset);
}

#[test]
fn the_calendar_has_its_last_day() {
    assert_eq!(moment("9999-12-31T23:59:59.9999999", "UTC"), "9999-12-31T23:59:59.9999999");
    assert_eq!(moment("9999-12-31T23:59:59", "Europe/Paris"), "9999-12-31T22:59:59.0000000");
    assert_eq!(moment("9999-12-30T23:00:00", "UTC"), "9999-12-30T23:00:00.0000000");
    for zone in ["America/New_York", "Europe/Paris", "UTC"] {
        let when = EventTime::parse("9999-12-31T00:00:00", zone).unwrap();
        assert!(when.is_midnight() && when.floating() == "9999-12-31T00:00:00.0000000", "{zone}");
    }
}

#[test]
fn skipped_and_doubled_wall_times_still_are_moments() {
    assert_eq!(moment("2026-03-29T02:30:00", "Europe/Berlin"), "2026-03-29T01:30:00.0000000");
    assert_eq!(moment("2026-10-25T02:30:00", "Europe/Berlin"), "2026-10-25T00:30:00.0000000");
    assert_eq!(moment("2027-09-05T00:00:00", "America/Santiago"), "2027-09-05T04:00:00.0000000");
    // British Columbia has stayed on its summer time since 2026.
    assert_eq!(moment("2027-03-14T02:30:00", "British Columbia Standard Time"), "2027-03-14T09:30:00.0000000");
}
