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

#[test]
fn signs_that_open_or_close_nothing_are_faults_and_the_file_has_an_end() {
    for file in
        ["[}", "[}\n{}]", "[{}}]", "[,,]", "}", "]", "[]]", "[[]", "{]", "[{]}", "[\"]", ",", ":", "[:}]", "[{}\n}\n]"]
    {
        let told: Vec<_> = Candidates::new(Format::Ndjson, "f", file.as_bytes()).take(20).collect();
        let bad = |candidate: &Result<Candidate, String>| candidate.as_ref().map_or(true, |it| it.job.is_err());
        assert!(told.len() < 20 && told.iter().any(bad), "{file}");
    }
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
        ("subject;start;end_time", "'start' is not a column; did you mean start_time?"),
        ("subject\tbody\tcolour", "'colour' is not a column"),
        ("subject;;", "column 2 has no name"),
        ("subject,colour", "'colour' is not a column"),
        ("a,2027-12-01T09:00,2027-12-01T10:00", "f, line 1, the header: 'a' is not a column"),
        ("\r\n\r\nsubject,colour", "f, line 3, the header: 'colour' is not a column"),
    ] {
        let file = format!("{header}\na,b,c\n");
        let fault = Candidates::new(Format::Csv, "f", file.as_bytes()).next().unwrap().err().unwrap();
        assert!(fault.contains(said), "{fault}");
    }
}

/// What is said of each line that is not a job, and of the file if it cannot be used itself.
fn faults(bytes: &[u8], format: Format) -> Vec<String> {
    let told = |candidate: Result<Candidate, String>| match candidate {
        Ok(candidate) => candidate.job.err().map(|fault| format!("{}: {fault}", candidate.from)),
        Err(fault) => Some(fault),
    };
    Candidates::new(format, "f", bytes).filter_map(told).collect()
}

#[test]
fn quoting_that_is_not_right_is_refused_with_its_place_and_what_came_before_is_kept() {
    for (rows, place, part) in [
        ("a,b\nc,\"Room 1\nd,e\nf,g\n", "f, line 3, column 3: ", "never closed"),
        ("a,\"The \"big\" one\"\n", "f, line 2, column 9: ", "begins in line 2, column 3"),
        ("a,\"x\" \n", "f, line 2, column 6: ", "follows the closing quotation mark"),
        ("a,\"x \\\"y\\\" z\"\n", "f, line 2, column 8: ", "written twice"),
        ("ü, \"Room, 1\"\n", "f, line 2, column 4: ", "there is a space before the opening quotation mark"),
        ("a,x\0\n", "f, line 2, column 4: ", "U+0000"),
        ("a,\"x\r\ny\"z\n", "f, line 3, column 3: ", "begins in line 2, column 3"),
    ] {
        let file = format!("subject,location\n{rows}");
        let told = faults(file.as_bytes(), Format::Csv);
        assert!(matches!(&told[..], [one] if one.starts_with(place) && one.contains(part)), "{rows}: {told:?}");
    }
    let jobs = lines(b"subject,location\na,b\nc,d\n", Format::Csv).len();
    let cut = Candidates::new(Format::Csv, "f", &b"subject,location\na,b\nc,d\ne,\"x\"y\n"[..]);
    assert_eq!((jobs, cut.filter(Result::is_ok).count()), (2, 2));
}

#[test]
fn quoting_that_is_right_is_read_as_it_is_meant() {
    let file = "subject;location\n\"The \"\"big\"\" one\";Room 12\"\n\"a\nb\";\"\"\n  c ;\"\"\"\"\"\"\n";
    let jobs = Candidates::new(Format::Csv, "f", file.as_bytes()).map(|line| line.unwrap().job.unwrap());
    let fields: Vec<_> = jobs.map(|job| (job.subject.unwrap(), job.location)).collect();
    let expected = [("The \"big\" one", Some("Room 12\"")), ("a\nb", None), ("  c ", Some("\"\""))];
    assert_eq!(fields, expected.map(|(subject, location)| (subject.to_owned(), location.map(str::to_owned))));
}

#[test]
fn lines_are_those_an_editor_shows() {
    for end in ["\n", "\r\n", "\r"] {
        let csv = ["\u{feff}subject,location", "", "a,\"x", "", "y\"", "b", "", "c", ""].join(end);
        let expected = [("f, line 3", true), ("f, line 6", false), ("f, line 8", false)];
        assert_eq!(lines(csv.as_bytes(), Format::Csv), expected.map(|(from, job)| (from.to_owned(), job)), "{end:?}");
        let csv = ["sep=;", "", "subject;location", "a;b", "c"].join(end);
        let expected = [("f, line 4", true), ("f, line 5", false)];
        assert_eq!(lines(csv.as_bytes(), Format::Csv), expected.map(|(from, job)| (from.to_owned(), job)), "{end:?}");
        let json = ["\u{feff}{}", "", "{", "  \"body\": null", "}", "5", "{}"].join(end);
        let expected = [("f, line 1", true), ("f, line 3", true), ("f, line 6", false), ("f, line 7", true)];
        assert_eq!(
            lines(json.as_bytes(), Format::Ndjson),
            expected.map(|(from, job)| (from.to_owned(), job)),
            "{end:?}"
        );
        let json = ["[", "  {", "    \"body\": x", "  },", "  {}", "]"].join(end);
        let told = faults(json.as_bytes(), Format::Ndjson);
        let expected = "f, line 2: is not JSON: expected value; found 'x' (line 3, column 13)";
        assert_eq!(told, [expected], "{end:?}");
    }
}

#[test]
fn objects_may_stand_in_a_list_or_run_over_lines() {
    for (file, jobs) in [
        ("[]", 0),
        ("[{},{}]", 2),
        ("[{}\n,{}\n]\n", 2),
        ("[\n  {\n    \"extra\": {\n      \"categories\": [\"a]}\"]\n    }\n  },\n  {}\n]", 2),
        ("{\"attendees\":[\n{\"address\":\"a@b.c\"},\n{\"address\":\"b@b.c\"}]}\n{}", 2),
        ("{\n\"extra\":\n{\"a\":1}}\n{}{}", 3),
    ] {
        let told = lines(file.as_bytes(), Format::Ndjson);
        assert!(told.len() == jobs && told.iter().all(|(_, job)| *job), "{file}: {told:?}");
    }
}

#[test]
fn an_object_that_is_cut_off_takes_no_other_along_in_silence() {
    for (file, said) in [
        ("{\"subject\":\"a\n{}\n{}", vec!["f, line 1: is not JSON: EOF while parsing a string"]),
        ("{\"subject\":\"a\",\n{}\n{}", vec!["f, line 1: is not closed before the next object begins, in line 2"]),
        ("{\"attendees\":[\n{}\n{}", vec!["f, line 1: is not closed before the next object begins, in line 3"]),
        ("{}\n{\"subject\":\n\n", vec!["f, line 2: what begins here is never closed"]),
        ("[\n{},\n", vec!["f, line 1: the list that begins here is never closed"]),
        ("[{},\n]", vec!["f, line 2, column 1: the list ends with a comma"]),
        ("[{} {}]", vec!["f, line 1: is not JSON: trailing characters", "f, line 1: the list"]),
        ("[{}\n{}]", vec!["f, line 2: is in the list without a comma"]),
        ("[{}]\n{}", vec!["f, line 2: comes after the end of the list"]),
        ("{},\n{}", vec!["f, line 1: is not JSON: trailing characters; found ',' (line 1, column 3)"]),
        ("{}\nx]", vec!["f, line 2: is not JSON: expected value; found 'x' (line 2, column 1)"]),
        ("{\"subject\":\"a\",\"subject\":\"b\"}", vec!["f, line 1: has the key 'subject' twice"]),
        ("{\"extra\":{\"a\":1,\"a\":2}}", vec!["f, line 1: extra has the key 'a' twice"]),
    ] {
        let told = faults(file.as_bytes(), Format::Ndjson);
        let as_said = told.len() == said.len() && told.iter().zip(&said).all(|(told, said)| told.starts_with(said));
        assert!(as_said, "{file}: {told:?}");
    }
}

#[test]
fn a_file_that_is_something_else_is_called_by_its_name() {
    let utf16: Vec<u8> = "\u{feff}subject\tbody\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, format, said) in [
        (&utf16[..], Format::Csv, "f: is UTF-16; save it as UTF-8"),
        (&utf16[2..], Format::Csv, "f: is UTF-16"),
        (&utf16[..], Format::Ndjson, "f: is UTF-16"),
        (b"PK\x03\x04\x14", Format::Csv, "f: is an Excel workbook"),
        (b"\x1f\x8b\x08", Format::Ndjson, "f: is compressed by gzip"),
        (b"subject,body\na,M\xfcller\n", Format::Csv, "f, line 2: field 2 is not UTF-8 (byte 0xFC)"),
        (b"subject,b\xfcdy\na,b\n", Format::Csv, "f, line 1: field 2 is not UTF-8"),
        (b"{\"body\":\"M\xfc\"}", Format::Ndjson, "f, line 1: is not UTF-8 at byte 11 (0xFC)"),
        (b"subject,body\na,b\n", Format::Ndjson, "f: is a CSV file by its first line"),
        (b"{\"subject\":1}\n", Format::Csv, "f: is a JSON file by its first line"),
    ] {
        let told = faults(bytes, format);
        assert!(matches!(&told[..], [one] if one.starts_with(said)), "{said}: {told:?}");
    }
}
