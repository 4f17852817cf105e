//! Every form of a time in the contract, and what is none.
#![allow(clippy::unwrap_used)]

use super::*;

fn wall(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").unwrap()
}

#[test]
fn all_forms_of_the_contract_are_read() {
    for (text, expected) in [
        ("2026-12-01T09:00:00", "2026-12-01T09:00:00"),
        ("2026-12-01 09:00", "2026-12-01T09:00:00"),
        ("2026-12-01t09:00", "2026-12-01T09:00:00"),
        ("2026-12-01 09:00:30", "2026-12-01T09:00:30"),
        ("2026-12-01T09:00:00.5", "2026-12-01T09:00:00.5"),
        // .NET, Java, and more digits than anybody has a use for.
        ("2026-12-01T09:00:00.1234567", "2026-12-01T09:00:00.1234567"),
        ("2026-12-01T09:00:00.123456789", "2026-12-01T09:00:00.123456789"),
        ("2026-12-01T09:00:00.123456789999", "2026-12-01T09:00:00.123456789"),
        (" 2026-12-01T09:00:00.000 ", "2026-12-01T09:00:00"),
    ] {
        assert_eq!(parse("start_time", text), Ok(Written::Wall(wall(expected))), "{text}");
    }
    assert_eq!(parse("start_time", " 2026-12-01\n"), Ok(Written::Date(wall("2026-12-01T00:00:00").date())));
}

#[test]
fn what_only_looks_like_a_time_is_told_by_the_character_that_is_none() {
    for (text, point) in [
        ("\u{202f}2026-12-01T09:00", "U+202F"),
        ("2026-12-01T09:00\u{3000}", "U+3000"),
        ("2026-12-01\u{a0}", "U+00A0"),
        ("2026-12-01\u{422}09:00", "U+0422"),
        ("\u{662}026-12-01T09:00", "U+0662"),
        ("2026-12-01T09:00\u{396}", "U+0396"),
    ] {
        let error = parse("start_time", text).unwrap_err();
        assert!(error.fault.contains(&format!("contains {point}")), "{error}");
    }
}

#[test]
fn an_offset_is_read_in_every_way_databases_write_it() {
    for (text, utc) in [
        ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00"),
        ("2026-12-01T09:00z", "2026-12-01T09:00:00"),
        ("2026-12-01 09:00:00 Z", "2026-12-01T09:00:00"),
        ("2026-12-01T09:00:00+02:00", "2026-12-01T07:00:00"),
        ("2026-12-01T09:00:00-0530", "2026-12-01T14:30:00"),
        ("2026-12-01 09:00:00+01", "2026-12-01T08:00:00"),
        ("2026-12-01 09:00:00.25-03", "2026-12-01T12:00:00.25"),
        ("2026-12-01 09:00:00.0000000 +01:00", "2026-12-01T08:00:00"),
        ("2026-12-01 09:00  -0100", "2026-12-01T10:00:00"),
        ("2026-12-01T09:00:00-00:00", "2026-12-01T09:00:00"),
        ("2026-12-01T09:00:00+14:00", "2026-11-30T19:00:00"),
        ("9999-12-31T23:00:00-05:00", "+10000-01-01T04:00:00"),
    ] {
        let Ok(Written::Instant { utc: found, .. }) = parse("start_time", text) else { panic!("{text}") };
        assert_eq!(found, wall(utc), "{text}");
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
        "2026-02-30",
        "2026-12",
        "09:00",
        "now",
        "tomorrow",
        "infinity",
        "2026-12-01T9:00",
        "2026-12-01T09:00:00+25:00",
        "2026-12-01T09:00:00+1",
        "2026-12-01T09:00:00+01:0",
        "2026-12-01T09:00:00+01:00:00",
        "2026-12-01T09:00:00 UTC",
        "2026-12-01T09:00:00 +",
        "2026-12-01T09:00:00.",
        "2026-12-01T09:00:00. +01",
        "0000-01-01T00:00",
        "+026-12-01T09:00",
        "２０２６-12-01T09:00",
        "2026-12-01T09:00:00Zjunk",
        "2026-12-01T09:00:00Z+01:00",
        "1733043600",
        "2460000.5",
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

proptest::proptest! {
    #[test]
    fn no_text_whatever_makes_the_parser_panic(text in "\\PC{0,40}") {
        let _ = parse("start_time", &text);
    }
}
