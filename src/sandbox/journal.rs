//! The journal: one record per request from the moment it arrives, and counters that outlive the records. It holds the
//! last [`CAPACITY`] requests, so that a soak test of days does not eat the machine. Never holds bodies or tokens.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::guarded::Guarded;

/// Records kept; older ones are dropped, counters go on.
pub const CAPACITY: usize = 200_000;

/// What a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// A POST to a token endpoint.
    Token,
    /// A POST to a collection of events.
    Create,
    /// A GET on a collection of events with a `$filter`.
    Lookup,
    /// A GET of one event by its id.
    Get,
    /// A PATCH of an event.
    Patch,
    /// A DELETE of an event.
    Delete,
    /// A POST to an event's `cancel`.
    Cancel,
    /// Everything else, known or not.
    Other,
}

/// One request and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Order of arrival, from 1; goes on after a reset.
    pub sequence: u64,
    /// Time of arrival, UTC, RFC 3339 with milliseconds.
    pub at: String,
    /// The same in microseconds since 1970, for measurements finer than milliseconds.
    pub at_us: i64,
    /// What was asked for.
    pub kind: RequestKind,
    pub method: String,
    /// The path as it came, still percent-encoded, without the query.
    pub path: String,
    /// The query as it came.
    pub query: Option<String>,
    /// The mailbox, lower case; `/me` stands for the signed-in user.
    pub mailbox: Option<String>,
    /// The status sent; none while the request is being answered and when no answer was sent.
    pub status: Option<u16>,
    /// `error.code` of Graph, or `AADSTS…` of Entra.
    pub error_code: Option<String>,
    /// The scripted fault that struck, by its word in JSON.
    pub fault: Option<String>,
    /// Something odd that real Graph would not complain about, such as an offset inside `dateTime`.
    pub note: Option<String>,
    /// The wait asked for by Retry-After, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The request came this many milliseconds before the end of its mailbox's Retry-After window.
    pub early_by_ms: Option<u64>,
    /// The client's own id of the request.
    pub client_request_id: Option<String>,
    /// The event's id in the address.
    pub event_id: Option<String>,
    /// `transactionId` of the event in the body.
    pub transaction_id: Option<String>,
    /// The `claims` field of a token request.
    pub claims: Option<String>,
    /// Requests of the mailbox in flight when this one arrived, itself included; 0 without a mailbox.
    pub in_flight: u32,
    /// From arrival to answer, in milliseconds; none while the request is being answered.
    pub duration_ms: Option<u64>,
}

/// Totals since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Requests to a token endpoint.
    pub token_requests: u64,
    /// Requests to create an event, whatever the answer.
    pub create_requests: u64,
    /// Lookups by a `$filter`.
    pub lookup_requests: u64,
    /// Events read by id.
    pub get_requests: u64,
    /// Requests to change an event, whatever the answer.
    pub patch_requests: u64,
    /// Requests to delete an event, whatever the answer.
    pub delete_requests: u64,
    /// Requests to cancel an event, whatever the answer.
    pub cancel_requests: u64,
    /// Events in the calendars of all mailboxes; cancelled and deleted ones are not.
    pub events: u64,
    /// Mails that invited an attendee.
    pub invitations: u64,
    /// Mails that told an attendee of a change.
    pub updates: u64,
    /// Mails that told an attendee of the end.
    pub cancellations: u64,
    /// Answers with status 429.
    pub throttled: u64,
    /// Requests that reached a mailbox inside a Retry-After window it had been given with a 429 or 503.
    pub retry_after_violations: u64,
    /// The most requests ever in flight at once, per mailbox.
    pub max_in_flight: BTreeMap<String, u32>,
}

/// All records and the totals that need no other source.
#[derive(Debug, Default)]
pub(super) struct Journal(Guarded<Log>);

#[derive(Debug, Default)]
struct Log {
    records: VecDeque<RequestRecord>,
    /// Sequence of the last record ever written.
    last: u64,
    counters: Counters,
}

impl Journal {
    /// Writes down an arrival and gives it its sequence number.
    pub(super) fn open(&self, mut record: RequestRecord) -> u64 {
        let mut log = self.0.lock();
        match record.kind {
            RequestKind::Token => log.counters.token_requests += 1,
            RequestKind::Create => log.counters.create_requests += 1,
            RequestKind::Lookup => log.counters.lookup_requests += 1,
            RequestKind::Get => log.counters.get_requests += 1,
            RequestKind::Patch => log.counters.patch_requests += 1,
            RequestKind::Delete => log.counters.delete_requests += 1,
            RequestKind::Cancel => log.counters.cancel_requests += 1,
            RequestKind::Other => {}
        }
        log.last += 1;
        record.sequence = log.last;
        if log.records.len() == CAPACITY {
            log.records.pop_front();
        }
        log.records.push_back(record);
        log.last
    }

    /// Completes a record; one that has been dropped since is only counted.
    pub(super) fn close(&self, sequence: u64, status: Option<u16>, complete: impl FnOnce(&mut RequestRecord)) {
        let mut log = self.0.lock();
        if status == Some(429) {
            log.counters.throttled += 1;
        }
        // Sequences have no gaps, so a record's place follows from its distance to the newest one.
        let back = (log.last - sequence) as usize;
        let place = log.records.len().checked_sub(back + 1);
        if let Some(record) = place.and_then(|at| log.records.get_mut(at)) {
            record.status = status;
            complete(record);
        }
    }

    /// The records that `wanted` lets through, in order of arrival.
    pub(super) fn records(&self, wanted: impl Fn(&RequestRecord) -> bool) -> Vec<RequestRecord> {
        let log = self.0.lock();
        log.records.iter().filter(|record| wanted(record)).cloned().collect()
    }

    /// The totals kept here; events, mails, violations and lanes are counted where they live.
    pub(super) fn counters(&self) -> Counters {
        self.0.lock().counters.clone()
    }

    pub(super) fn reset(&self) {
        let mut log = self.0.lock();
        log.records.clear();
        log.counters = Counters::default();
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
