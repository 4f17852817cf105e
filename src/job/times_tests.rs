//! Every time format of the contract, and the hours the clocks skip or repeat.
#![allow(clippy::unwrap_used)]

use super::*;

fn sent(start: &str, end: &str, zone: &str) -> Result<(EventTime, EventTime), InvalidJob> {
    resolve(parse("start_time", start)?, parse("end_time", end)?, &Zone::named(zone))
}

fn start_of(start: &str, end: &str, zone: &str) -> (String, String) {
    let (start, _) = sent(start, end, zone).unwrap();
    (start.date_time, start.time_zone)
}

#[test]
fn all_forms_of_the_contract_are_read() {
    for (text, date_time) in [
        ("2026-12-01T09:00:00", "2026-12-01T09:00:00"),
        ("2026-12-01 09:00", "2026-12-01T09:00:00"),
        ("2026-12-01T09:00", "2026-12-01T09:00:00"),
        ("2026-12-01 09:00:30", "2026-12-01T09:00:30"),
        ("2026-12-01T09:00:00.5", "2026-12-01T09:00:00.5"),
        ("2026-12-01T09:00:00.123456789", "2026-12-01T09:00:00.1234567"),
        (" 2026-12-01T09:00:00.000 ", "2026-12-01T09:00:00"),
    ] {
        assert_eq!(start_of(text, "2026-12-01 11:00", "Europe/Berlin"), (date_time.into(), "Europe/Berlin".into()));
    }
}

#[test]
fn an_offset_is_resolved_into_the_zone_and_never_sent() {
    for (text, zone, date_time) in [
        ("2026-12-01T09:00:00Z", "UTC", "2026-12-01T09:00:00"),
        ("2026-12-01T09:00:00+02:00", "UTC", "2026-12-01T07:00:00"),
        ("2026-12-01T09:00:00-0530", "UTC", "2026-12-01T14:30:00"),
        ("2026-12-01T09:00:00Z", "Europe/Berlin", "2026-12-01T10:00:00"),
        ("2026-07-01 09:00Z", "W. Europe Standard Time", "2026-07-01T11:00:00"),
    ] {
        assert_eq!(start_of(text, "2026-12-31T23:00:00Z", zone), (date_time.into(), zone.into()), "{text}");
    }
}

#[test]
fn what_is_no_time_is_refused_with_the_column_and_the_value() {
    for text in [
        "2026-02-30T09:00:00",
        "2026-13-01T09:00:00",
        "2026-12-01T24:00:00",
        "2026-12-01T09:60",
        "2026-12-01T09:00:60",
        "2026-12-01",
        "09:00",
        "tomorrow",
        "2026-12-01T9:00",
        "2026-12-01T09:00:00+25:00",
        "2026-12-01T09:00:00 UTC",
        "2026-12-01T09:00:00.",
        "2026-12-01T09:00:00.1234567890",
        "0000-01-01T00:00",
        "+026-12-01T09:00",
        "２０２６-12-01T09:00",
        "2026-12-01T09:00:00Zjunk",
        "1733043600",
        "2026/12/01 09:00",
    ] {
        let error = parse("start_time", text).unwrap_err();
        assert_eq!(error.column, "start_time");
        assert!(
            error.fault.contains(&characters::shown(text)) && error.fault.contains("2026-12-01T09:00:00"),
            "{}",
            error.fault
        );
    }
}

#[test]
fn a_wall_time_the_clocks_skip_is_refused() {
    let error = sent("2026-03-29T02:30", "2026-03-29T04:00", "Europe/Berlin").unwrap_err();
    assert_eq!(error.column, "start_time");
    assert!(error.fault.contains("2026-03-29 02:30") && error.fault.contains("Europe/Berlin"), "{error}");
    let error = sent("2026-03-08T01:00", "2026-03-08T02:15", "Pacific Standard Time").unwrap_err();
    assert_eq!(error.column, "end_time");
}

#[test]
fn a_wall_time_the_clocks_repeat_is_sent_as_written() {
    assert_eq!(
        start_of("2026-10-25T02:30", "2026-10-25T04:00", "Europe/Berlin"),
        ("2026-10-25T02:30:00".into(), "Europe/Berlin".into())
    );
}

#[test]
fn an_instant_in_the_repeated_hour_is_sent_in_utc_because_only_utc_can_say_it() {
    let (start, end) = sent("2026-10-25T01:30:00Z", "2026-10-25T03:00:00Z", "Europe/Berlin").unwrap();
    assert_eq!((start.date_time.as_str(), start.time_zone.as_str()), ("2026-10-25T01:30:00", "UTC"));
    assert_eq!((end.date_time.as_str(), end.time_zone.as_str()), ("2026-10-25T03:00:00", "UTC"));
}

#[test]
fn an_unknown_zone_is_passed_on_with_wall_times_and_an_instant_in_it_goes_out_in_utc() {
    assert_eq!(
        start_of("2026-12-01T09:00", "2026-12-01T10:00", "Customized Time"),
        ("2026-12-01T09:00:00".into(), "Customized Time".into())
    );
    assert_eq!(
        start_of("2026-12-01T09:00Z", "2026-12-01T10:00Z", "Customized Time"),
        ("2026-12-01T09:00:00".into(), "UTC".into())
    );
}

#[test]
fn an_end_before_the_start_is_refused_also_across_offsets() {
    assert!(sent("2026-12-01T10:00", "2026-12-01T10:00", "UTC").is_ok());
    for (start, end) in [
        ("2026-12-01T10:00", "2026-12-01T09:59"),
        ("2026-12-01T10:00:00+01:00", "2026-12-01T10:00:00+02:00"),
        ("2026-12-01T10:00:00Z", "2026-12-01T10:30:00+01:00"),
    ] {
        let error = sent(start, end, "UTC").unwrap_err();
        assert_eq!(error.column, "end_time");
        assert!(error.fault.contains("before start_time"));
    }
}

#[test]
fn offsets_are_told_from_wall_times() {
    for text in ["2026-12-01T09:00:00Z", "2026-12-01T09:00z", "2026-12-01T09:00:00+01:00", "2026-12-01T09:00-0530"] {
        assert!(has_offset(text), "{text}");
    }
    for text in ["2026-12-01T09:00:00", "2026-12-01 09:00", "2026-12-01", "", "Z", "2026-12-01T09:00:00.25"] {
        assert!(!has_offset(text), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_whatever_makes_the_parser_panic(text in "\\PC{0,40}", zone in "\\PC{0,20}") {
        let _ = has_offset(&text);
        if let Ok(time) = parse("start_time", &text) {
            let _ = resolve(time, time, &Zone::named(&zone));
        }
    }

    #[test]
    fn text_that_is_nearly_a_time_makes_no_panic_either(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,10})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?") {
        for zone in ["UTC", "Europe/Berlin", "Pacific/Apia"] {
            if let Ok(time) = parse("start_time", &text) {
                let _ = resolve(time, time, &Zone::named(zone));
            }
        }
    }
}
