//! Files nobody would write: no panic, and each line or row a job or a fault with its place.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::Judge;
use super::*;
use crate::job::Defaults;

/// What becomes of these bytes: candidates, and perhaps a fault of the whole file at their end.
fn told(bytes: &[u8], format: Format) {
    let defaults =
        Defaults { mailbox: None, body_type: crate::job::BodyType::Text, time_zone: None, own_mailbox: true };
    let judge = Judge(defaults);
    let mut ended = false;
    for candidate in Candidates::new(format, "file", bytes) {
        assert!(!ended, "nothing comes after a fault of the whole file");
        match candidate {
            Ok(candidate) => {
                assert!(candidate.from.starts_with("file, line "), "{}", candidate.from);
                let _ = judge.candidate(candidate);
            }
            Err(fault) => {
                assert!(fault.starts_with("file: ") || fault.starts_with("file, line "), "{fault}");
                ended = true;
            }
        }
    }
}

fn both(bytes: &[u8]) {
    told(bytes, Format::Ndjson);
    told(bytes, Format::Csv);
    let with_header = [b"subject,start_time,end_time,attendees,extra\n", bytes].concat();
    told(&with_header, Format::Csv);
}

proptest! {
    #[test]
    fn any_bytes_are_jobs_or_faults(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        both(&bytes);
    }

    #[test]
    fn anything_like_a_file_is_jobs_or_faults(
        text in "([\\[\\]{}:,\"\\\\\r\n\u{feff} a0]|subject|start_time|attendees|extra|null|2026-12-01 09:00){0,60}"
    ) {
        both(text.as_bytes());
    }
}

#[test]
fn deep_nesting_is_a_fault_and_no_overflow_of_the_stack() {
    for open in ["[", "{\"a\":", "{\"extra\":", "{\"attendees\":["] {
        both(open.repeat(500_000).as_bytes());
    }
    let nested = format!("{{\"extra\":{}{}}}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    both(nested.as_bytes());
}

/// The lines and whether each is a job.
fn lines(bytes: &[u8], format: Format) -> Vec<(String, bool)> {
    Candidates::new(format, "f", bytes).map(|line| line.unwrap()).map(|line| (line.from, line.job.is_ok())).collect()
}

#[test]
fn a_bad_row_of_a_csv_file_is_no_end_of_it() {
    let file = b"subject,start_time,end_time\na,1,2\nb,1\n\xff,1,2\nc,1,2\n";
    let expected = [("f, line 2", true), ("f, line 3", false), ("f, line 4", false), ("f, line 5", true)];
    assert_eq!(lines(file, Format::Csv), expected.map(|(from, job)| (from.to_owned(), job)));
}

#[test]
fn blank_lines_of_an_ndjson_file_are_counted_and_passed_over() {
    let expected = [("f, line 1", true), ("f, line 4", false), ("f, line 5", true)];
    assert_eq!(lines(b"{}\n \n\r\n[]\n{}", Format::Ndjson), expected.map(|(from, job)| (from.to_owned(), job)));
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let expected = [("f, line 1", true), ("f, line 2", false)].map(|(from, job)| (from.to_owned(), job));
    assert_eq!(lines("\u{feff}{}\r\n\u{feff}{}\r\n".as_bytes(), Format::Ndjson), expected);
    assert_eq!(lines("\u{feff}\r\n{}".as_bytes(), Format::Ndjson), [("f, line 2".to_owned(), true)]);
    assert_eq!(lines("\u{feff}subject\na\n".as_bytes(), Format::Csv), [("f, line 2".to_owned(), true)]);
}

#[test]
fn a_header_is_refused_with_what_is_wrong_with_it() {
    for (header, said) in [
        ("subject,body,subject", "column 'subject' is there twice"),
        ("subject;start_time;end_time", "not by semicolons"),
        ("subject\tstart_time", "not by tabs"),
        ("subject,colour", "'colour' is no column"),
    ] {
        let file = format!("{header}\na,b,c\n");
        let fault = Candidates::new(Format::Csv, "f", file.as_bytes()).next().unwrap().err().unwrap();
        assert!(fault.contains(said), "{fault}");
    }
    let fault = Candidates::new(Format::Csv, "f", &b"subject,a;b\nx,y\n"[..]).next().unwrap().err().unwrap();
    assert!(!fault.contains("separated"), "{fault}");
}
