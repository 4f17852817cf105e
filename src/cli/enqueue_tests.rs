//! Files nobody would write: no panic, and each line or row a job or a fault with its place.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// What `read` makes of these bytes: every candidate, or the one reason there is none.
fn told(bytes: &[u8], read: impl Fn(&[u8], &mut Vec<Candidate>) -> Result<(), Failure>) {
    let mut candidates = Vec::new();
    match read(bytes, &mut candidates) {
        Err(failure) => assert!(failure.text.starts_with("file") && failure.exit == Exit::Failed, "{failure:?}"),
        Ok(()) => {
            let defaults = Defaults {
                mailbox: None,
                body_type: crate::job::BodyType::Text,
                time_zone: "UTC".into(),
                own_mailbox: true,
            };
            for candidate in &candidates {
                assert!(candidate.from.starts_with("file, line "), "{}", candidate.from);
            }
            let _ = judged(candidates, &defaults);
        }
    }
}

fn both(bytes: &[u8]) {
    told(bytes, |bytes, into| ndjson("file", bytes, into));
    told(bytes, |bytes, into| csv("file", bytes, into));
    let with_header = [b"subject,start_time,end_time,attendees,extra\n", bytes].concat();
    told(&with_header, |bytes, into| csv("file", bytes, into));
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
