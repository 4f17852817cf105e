//! From the written start and end to what Graph is told: single events, series and all-day events.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::job::times::parse;

type Told = (String, String, String);

/// Start, end and zone; where the two have different zones, both, with a slash between them.
fn told(kind: Kind, start: &str, end: &str, zone: &str) -> Result<Told, InvalidJob> {
    let (start, end) = (parse("start_time", start)?, parse("end_time", end)?);
    let (start, end) = resolve(kind, start, end, &Zone::named(zone))?;
    let zone = if start.time_zone == end.time_zone {
        start.time_zone
    } else {
        format!("{} and {}", start.time_zone, end.time_zone)
    };
    Ok((start.date_time, end.date_time, zone))
}

fn expected(start: &str, end: &str, zone: &str) -> Result<Told, InvalidJob> {
    Ok((start.into(), end.into(), zone.into()))
}

fn fault(kind: Kind, start: &str, end: &str, zone: &str) -> InvalidJob {
    told(kind, start, end, zone).unwrap_err()
}

use Kind::{AllDay, Series, Single};

#[test]
fn wall_times_are_sent_in_their_zone_and_instants_in_utc_whatever_the_zone() {
    for (start, end, zone, result) in [
        (
            "2026-12-01T09:00",
            "2026-12-01 10:00:00.123456789",
            "Europe/Berlin",
            expected("2026-12-01T09:00:00", "2026-12-01T10:00:00.1234567", "Europe/Berlin"),
        ),
        (
            "2026-12-01T09:00:00-07:00",
            "2026-12-01T10:00:00-07:00",
            "British Columbia Standard Time",
            expected("2026-12-01T16:00:00", "2026-12-01T17:00:00", "UTC"),
        ),
        (
            "2026-12-01T09:00:00Z",
            "2026-12-01T09:00:00 -01",
            "Africa/Casablanca",
            expected("2026-12-01T09:00:00", "2026-12-01T10:00:00", "UTC"),
        ),
        (
            "2026-10-25T01:30:00Z",
            "2026-10-25T03:00:00Z",
            "Europe/Berlin",
            expected("2026-10-25T01:30:00", "2026-10-25T03:00:00", "UTC"),
        ),
        (
            "2150-07-01T12:00:00Z",
            "2150-07-01T13:00:00Z",
            "America/New_York",
            expected("2150-07-01T12:00:00", "2150-07-01T13:00:00", "UTC"),
        ),
        (
            "2026-12-01T09:00Z",
            "2026-12-01T11:00",
            "Europe/Berlin",
            expected("2026-12-01T09:00:00", "2026-12-01T11:00:00", "UTC and Europe/Berlin"),
        ),
        (
            "2026-12-01T09:00Z",
            "2026-12-01T11:00",
            "Customized Time",
            expected("2026-12-01T09:00:00", "2026-12-01T11:00:00", "UTC and Customized Time"),
        ),
        (
            "2027-03-14T02:30",
            "2027-03-14T03:00",
            "America/Vancouver",
            expected("2027-03-14T02:30:00", "2027-03-14T03:00:00", "America/Vancouver"),
        ),
        (
            "2026-10-25T02:30",
            "2026-10-25T02:10",
            "Europe/Berlin",
            expected("2026-10-25T00:30:00", "2026-10-25T01:10:00", "UTC"),
        ),
    ] {
        assert_eq!(told(Single, start, end, zone), result, "{start} {end} {zone}");
    }
}

#[test]
fn a_wall_time_the_clocks_repeat_is_sent_as_the_instant_that_is_meant() {
    for (start, end, zone, from, to) in [
        ("2026-10-25 02:45", "2026-10-25 02:15", "Europe/Berlin", "2026-10-25T00:45:00", "2026-10-25T01:15:00"),
        ("2026-10-25T02:45+02:00", "2026-10-25 02:15", "Europe/Berlin", "2026-10-25T00:45:00", "2026-10-25T01:15:00"),
        ("2026-10-25T02:45+01:00", "2026-10-25 02:50", "Europe/Berlin", "2026-10-25T01:45:00", "2026-10-25T01:50:00"),
        ("2026-10-25 02:15", "2026-10-25T02:15+01:00", "Europe/Berlin", "2026-10-25T00:15:00", "2026-10-25T01:15:00"),
        ("2026-10-25 02:15", "2026-10-25 02:15", "Europe/Berlin", "2026-10-25T00:15:00", "2026-10-25T00:15:00"),
        ("2026-10-25 02:15", "2026-10-25 02:45.5", "Europe/Berlin", "2026-10-25T00:15:00", "2026-10-25T00:45:00.5"),
        ("2026-11-01 01:45", "2026-11-01 01:15", "Pacific Standard Time", "2026-11-01T08:45:00", "2026-11-01T09:15:00"),
        ("2026-04-05 01:45", "2026-04-05 01:40", "Australia/Lord_Howe", "2026-04-04T14:45:00", "2026-04-04T15:10:00"),
    ] {
        assert_eq!(told(Single, start, end, zone), expected(from, to, "UTC"), "{start} {end} {zone}");
    }
    // The other one of the two stays as it is.
    for (start, end, from, to, zones) in [
        ("2026-10-25 02:15", "2026-10-25 04:00", "2026-10-25T00:15:00", "2026-10-25T04:00:00", "UTC and Europe/Berlin"),
        ("2026-10-25 01:00", "2026-10-25 02:15", "2026-10-25T01:00:00", "2026-10-25T00:15:00", "Europe/Berlin and UTC"),
    ] {
        assert_eq!(told(Single, start, end, "Europe/Berlin"), expected(from, to, zones), "{start} {end}");
    }
    // Nobody here knows whether its clocks repeat it.
    let unknown = expected("2026-10-25T02:15:00", "2026-10-25T02:45:00", "Customized Time");
    assert_eq!(told(Single, "2026-10-25 02:15", "2026-10-25 02:45", "Customized Time"), unknown);
    // An end before the first of both is none.
    assert_eq!(fault(Single, "2026-10-25T02:45+01:00", "2026-10-25 02:15", "Europe/Berlin").column, "end_time");
}

#[test]
fn a_series_whose_first_event_ends_before_it_begins_on_its_clock_is_refused() {
    for (start, end) in [("2026-10-25 02:45", "2026-10-25 02:15"), ("2026-10-25T02:45+02:00", "2026-10-25T02:15+01:00")]
    {
        let error = fault(Series, start, end, "Europe/Berlin");
        assert!(error.column == "end_time" && error.fault.contains("clocks go back"), "{error}");
    }
}

#[test]
fn a_wall_time_the_clocks_skip_is_refused_also_in_a_far_year() {
    for kind in [Single, Series] {
        let error = fault(kind, "2026-03-29T02:30", "2026-03-29T04:00", "Europe/Berlin");
        assert_eq!(error.column, "start_time");
        assert!(error.fault.contains("2026-03-29 02:30") && error.fault.contains("Europe/Berlin"), "{error}");
        assert_eq!(fault(kind, "2026-03-08T01:00", "2026-03-08T02:15", "Pacific Standard Time").column, "end_time");
        assert_eq!(fault(kind, "2150-03-29T02:30", "2150-03-29T04:00", "Europe/Berlin").column, "start_time");
    }
}

#[test]
fn an_end_before_the_start_is_refused_also_across_offsets() {
    assert!(told(Single, "2026-12-01T10:00", "2026-12-01T10:00", "UTC").is_ok());
    for (start, end) in [
        ("2026-12-01T10:00", "2026-12-01T09:59"),
        ("2026-12-01T10:00:00+01:00", "2026-12-01T10:00:00+02:00"),
        ("2026-12-01T10:00:00Z", "2026-12-01T10:30:00+01:00"),
        ("2026-12-01T10:00:00Z", "2026-12-01T10:30"),
    ] {
        for kind in [Single, Series] {
            let error = fault(kind, start, end, "Europe/Berlin");
            assert!(error.column == "end_time" && error.fault.contains("before start_time"), "{error}");
        }
    }
}

#[test]
fn a_series_is_sent_in_the_time_of_its_zone_also_in_an_hour_the_clocks_repeat() {
    for (start, end, zone, result) in [
        (
            "2027-03-06T06:00:00+08:00",
            "2027-03-05T23:00:00Z",
            "Asia/Singapore",
            expected("2027-03-06T06:00:00", "2027-03-06T07:00:00", "Asia/Singapore"),
        ),
        (
            "2026-10-25T01:30:00Z",
            "2026-10-25T03:00:00Z",
            "W. Europe Standard Time",
            expected("2026-10-25T02:30:00", "2026-10-25T04:00:00", "W. Europe Standard Time"),
        ),
        (
            "2026-12-01T09:00",
            "2026-12-01T09:00:00Z",
            "Europe/Berlin",
            expected("2026-12-01T09:00:00", "2026-12-01T10:00:00", "Europe/Berlin"),
        ),
        (
            "2026-12-01T09:00",
            "2026-12-01T10:00",
            "Moon",
            expected("2026-12-01T09:00:00", "2026-12-01T10:00:00", "Moon"),
        ),
    ] {
        assert_eq!(told(Series, start, end, zone), result, "{start} {end} {zone}");
    }
    let error = fault(Series, "2026-12-01T09:00Z", "2026-12-01T10:00Z", "Customized Time");
    assert!(error.column == "start_time" && error.fault.contains("without offset"), "{error}");
}

#[test]
fn an_all_day_event_is_dates_and_no_clock_is_asked() {
    for (start, end, zone, from, to) in [
        ("2026-12-01", "2026-12-02", "Europe/Berlin", "2026-12-01", "2026-12-02"),
        ("2026-12-01", "2026-12-04 00:00", "UTC", "2026-12-01", "2026-12-04"),
        // Midnight does not exist there that day.
        ("2027-09-05T00:00", "2027-09-06T00:00", "America/Santiago", "2027-09-05", "2027-09-06"),
        ("2027-09-05T04:00:00Z", "2027-09-06T03:00:00Z", "America/Santiago", "2027-09-05", "2027-09-06"),
        ("2027-10-31T00:00:00+00:00", "2027-11-01T00:00:00-01:00", "Atlantic/Azores", "2027-10-31", "2027-11-01"),
        // Written as midnight, whatever the zone makes of it.
        ("2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z", "America/New_York", "2026-12-01", "2026-12-02"),
        ("2026-12-01T00:00:00+01:00", "2026-12-02T00:00:00+01:00", "Asia/Tokyo", "2026-12-01", "2026-12-02"),
        ("2026-11-30T23:00:00Z", "2026-12-01T23:00:00Z", "Europe/Berlin", "2026-12-01", "2026-12-02"),
        ("2026-12-01 00:00:00 +01", "2026-12-02 00:00:00 +01", "Customized Time", "2026-12-01", "2026-12-02"),
    ] {
        let told = told(AllDay, start, end, zone);
        assert_eq!(told, expected(&format!("{from}T00:00:00"), &format!("{to}T00:00:00"), zone), "{start} {zone}");
    }
}

#[test]
fn an_all_day_event_that_is_no_whole_days_is_refused() {
    for (start, end, zone, column, part) in [
        ("2026-12-01 09:00", "2026-12-02", "UTC", "start_time", "not midnight"),
        ("2026-12-01", "2026-12-01 23:59:59", "UTC", "end_time", "not midnight"),
        ("2026-12-01", "2026-12-01", "UTC", "end_time", "write 2026-12-02"),
        ("2026-12-02", "2026-12-01", "UTC", "end_time", "before start_time"),
        ("2026-11-30T23:00:00Z", "2026-12-01T23:00:00Z", "Asia/Tokyo", "start_time", "Asia/Tokyo"),
        ("2026-11-30T23:00:00Z", "2026-12-01T23:00:00Z", "Customized Time", "start_time", "Customized Time"),
        ("1899-12-31", "1900-01-01", "UTC", "start_time", "1900 to 9999"),
    ] {
        let error = fault(AllDay, start, end, zone);
        assert!(error.column == column && error.fault.contains(part), "{start} {end}: {error}");
    }
}

#[test]
fn a_date_alone_is_for_all_day_events() {
    for kind in [Single, Series] {
        let error = fault(kind, "2026-12-01", "2026-12-02", "UTC");
        assert!(error.column == "start_time" && error.fault.contains("isAllDay"), "{error}");
    }
}

#[test]
fn years_outside_of_the_calendar_are_refused_as_they_would_be_sent() {
    for (kind, start, end, zone, column) in [
        (Single, "9999-12-31T23:00:00-05:00", "9999-12-31T23:30:00-05:00", "America/New_York", "start_time"),
        (Single, "9999-12-31T18:00:00-05:00", "9999-12-31T19:30:00-05:00", "America/New_York", "end_time"),
        (Single, "1899-12-31T23:00", "1900-01-01T00:00", "UTC", "start_time"),
        (Single, "1900-01-01T00:30:00+01:00", "1900-01-01T02:00:00+01:00", "Europe/Berlin", "start_time"),
        (Series, "9999-12-31T20:00:00Z", "9999-12-31T21:00:00Z", "Asia/Tokyo", "start_time"),
        (Single, "0001-01-01T00:00:00", "0001-01-01T01:00:00", "UTC", "start_time"),
    ] {
        let error = fault(kind, start, end, zone);
        assert!(error.column == column && error.fault.contains("1900 to 9999"), "{start}: {error}");
    }
    assert!(told(Single, "1899-12-31T23:30:00-01:00", "1900-01-01T02:00:00Z", "Europe/Berlin").is_ok());
    assert!(told(Single, "9999-12-31T23:00:00", "9999-12-31T23:59:59.9999999", "UTC").is_ok());
}

/// The hours around a change of the clocks.
const CHANGES: [(&str, &str); 4] = [
    ("Europe/Berlin", "2026-10-25T00:00"),
    ("America/New_York", "2026-11-01T00:00"),
    ("Australia/Lord_Howe", "2026-04-05T00:30"),
    ("W. Europe Standard Time", "2026-10-25T00:30"),
];

proptest::proptest! {
    #[test]
    fn what_is_accepted_is_sent_in_order_and_without_a_second_meaning(
        change in 0..CHANGES.len(), from in 0_i64..300, to in 0_i64..300, recurs in proptest::bool::ANY
    ) {
        let (name, midnight) = CHANGES[change];
        let Ok(Written::Wall(midnight)) = parse("start_time", midnight) else { panic!() };
        let wall = |minutes| midnight + chrono::TimeDelta::minutes(minutes);
        let zone = Zone::named(name);
        let kind = if recurs { Series } else { Single };
        if let Ok((start, end)) = resolve(kind, Written::Wall(wall(from)), Written::Wall(wall(to)), &zone) {
            if recurs {
                proptest::prop_assert!(start.wall() <= end.wall());
                return Ok(());
            }
            let rules = zone.rules.as_ref().unwrap();
            for (sent, written) in [(&start, wall(from)), (&end, wall(to))] {
                let sent_in = Zone::named(&sent.time_zone);
                let moments = sent_in.rules.as_ref().unwrap().moments(sent.wall().unwrap());
                proptest::prop_assert!(matches!(moments, MappedLocalTime::Single(_)), "{sent:?}");
                proptest::prop_assert_eq!(rules.wall(moments.earliest().unwrap()), written);
            }
            proptest::prop_assert!(start.moment() <= end.moment(), "{start:?} {end:?}");
        }
    }

    #[test]
    fn text_that_is_nearly_a_time_makes_no_panic(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,10})?)?( ?Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?", odd in "\\PC{0,20}") {
        for zone in ["UTC", "Europe/Berlin", "Pacific/Apia", &odd] {
            for kind in [Single, Series, AllDay] {
                if let Ok(time) = parse("start_time", &text) {
                    let _ = resolve(kind, time, time, &Zone::named(zone));
                }
            }
        }
    }
}
