//! One request from arrival to answer, as the journal and the mailbox's lane see it. A scope that is dropped without an
//! answer (the client hung up, the sandbox stopped) still frees its place in the lane and completes its record.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::http::request::Parts;
use axum::response::Response;
use chrono::{SecondsFormat, Utc};

use super::connection::Connection;
use super::state::SandboxState;
use crate::sandbox::calendar::Arrival;
use crate::sandbox::journal::{RequestKind, RequestRecord};
use crate::sandbox::reply::{Ids, Reply};

pub(super) struct RequestScope {
    state: Arc<SandboxState>,
    pub(super) sequence: u64,
    started: Instant,
    pub(super) kind: RequestKind,
    pub(super) mailbox: Option<String>,
    pub(super) arrival: Arrival,
    pub(super) ids: Ids,
    pub(super) notes: Notes,
    /// What the calendar finds odd, also where a fault throws its answer away.
    pub(super) remark: Arc<OnceLock<&'static str>>,
}

/// What is learned about a request on its way.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) status: Option<u16>,
    pub(super) error_code: Option<String>,
    pub(super) fault: Option<&'static str>,
    pub(super) retry_after: Option<Duration>,
    pub(super) event_id: Option<String>,
    pub(super) transaction_id: Option<String>,
    pub(super) claims: Option<String>,
}

impl RequestScope {
    pub(super) fn begin(state: &Arc<SandboxState>, kind: RequestKind, parts: &Parts, mailbox: Option<String>) -> Self {
        let (started, at) = (Instant::now(), Utc::now());
        let ids = Ids::of(&parts.headers);
        let arrival = mailbox.as_deref().map(|mailbox| state.lanes.arrive(mailbox, started)).unwrap_or_default();
        let sequence = state.journal.open(RequestRecord {
            sequence: 0,
            at: at.to_rfc3339_opts(SecondsFormat::Millis, true),
            at_us: at.timestamp_micros(),
            kind,
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            mailbox: mailbox.clone(),
            status: None,
            error_code: None,
            fault: None,
            note: None,
            retry_after_ms: None,
            early_by_ms: arrival.early_by.map(milliseconds),
            client_request_id: ids.client_request_id.clone(),
            event_id: None,
            transaction_id: None,
            claims: None,
            in_flight: arrival.in_flight,
            duration_ms: None,
        });
        Self {
            state: Arc::clone(state),
            sequence,
            started,
            kind,
            mailbox,
            arrival,
            ids,
            notes: Notes::default(),
            remark: Arc::default(),
        }
    }

    /// Sends the reply over this connection, which a reply may ask to be cut. The mailbox's Retry-After
    /// window opens before the client can read of it.
    pub(super) fn answer(mut self, reply: Reply, connection: &Connection) -> Response {
        self.notes.status = reply.visible_status();
        self.notes.error_code = reply.error_code.clone().filter(|code| !code.is_empty());
        let now = Instant::now();
        self.notes.retry_after = reply.wait(now);
        let asks_to_wait = matches!(self.notes.status, Some(429 | 503));
        if let (true, Some(mailbox), Some(wait)) = (asks_to_wait, &self.mailbox, self.notes.retry_after) {
            self.state.lanes.ask_to_wait(mailbox, wait, now);
        }
        let ids = self.ids.clone();
        drop(self);
        if let Some(cut) = reply.cut {
            connection.cut(cut);
        }
        reply.into_response(&ids)
    }
}

impl Drop for RequestScope {
    fn drop(&mut self) {
        if let Some(mailbox) = &self.mailbox {
            self.state.lanes.leave(mailbox);
        }
        let notes = std::mem::take(&mut self.notes);
        let remark = self.remark.get().copied();
        let duration = milliseconds(self.started.elapsed());
        self.state.journal.close(self.sequence, notes.status, |record| {
            record.error_code = notes.error_code;
            record.fault = notes.fault.map(str::to_owned);
            record.note = remark.map(str::to_owned);
            record.retry_after_ms = notes.retry_after.map(milliseconds);
            record.event_id = notes.event_id;
            record.transaction_id = notes.transaction_id;
            record.claims = notes.claims;
            record.duration_ms = Some(duration);
        });
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
