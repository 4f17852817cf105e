//! The journal alone: order, completion, forgetting.

use super::*;

fn arrival(kind: RequestKind) -> RequestRecord {
    RequestRecord {
        sequence: 0,
        at: String::new(),
        at_us: 0,
        kind,
        method: "POST".into(),
        path: "/".into(),
        query: None,
        mailbox: None,
        status: None,
        error_code: None,
        fault: None,
        note: None,
        retry_after_ms: None,
        early_by_ms: None,
        client_request_id: None,
        event_id: None,
        transaction_id: None,
        claims: None,
        in_flight: 0,
        duration_ms: None,
    }
}

#[test]
fn requests_that_end_out_of_order_complete_their_own_record() {
    let journal = Journal::default();
    let first = journal.open(arrival(RequestKind::Create));
    let second = journal.open(arrival(RequestKind::Lookup));
    journal.close(second, Some(200), |_| {});
    journal.close(first, Some(429), |record| record.duration_ms = Some(7));
    let records = journal.records(|_| true);
    assert_eq!(records[0].status, Some(429));
    assert_eq!(records[0].duration_ms, Some(7));
    assert_eq!(records[1].status, Some(200));
    assert_eq!(journal.counters().throttled, 1);
}

#[test]
fn a_full_journal_drops_the_oldest_records_and_keeps_counting() {
    let journal = Journal::default();
    for _ in 0..CAPACITY + 5 {
        journal.open(arrival(RequestKind::Create));
    }
    journal.close(1, Some(429), |_| {});
    let records = journal.records(|_| true);
    assert_eq!(records.len(), CAPACITY);
    assert_eq!(records[0].sequence, 6);
    assert_eq!(records[0].status, None);
    assert_eq!(journal.counters().create_requests, CAPACITY as u64 + 5);
    assert_eq!(journal.counters().throttled, 1);
}

#[test]
fn a_request_from_before_a_reset_spoils_no_later_record() {
    let journal = Journal::default();
    let old = journal.open(arrival(RequestKind::Create));
    journal.reset();
    journal.open(arrival(RequestKind::Token));
    journal.close(old, Some(201), |_| {});
    let records = journal.records(|_| true);
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].sequence, records[0].status), (2, None));
}
