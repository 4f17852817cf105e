//! What the sandbox answers, before it becomes HTTP: status, headers, content, and how the connection is treated.
//! Replies are plain data so that a scripted fault can damage one that was made normally.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use chrono::Utc;
use serde_json::Value;
use uuid::Uuid;

use super::retry_after::RetryAfter;

const JSON: &str =
    "application/json; odata.metadata=minimal; odata.streaming=true; IEEE754Compatible=false; charset=utf-8";

/// The two ids every answer carries for support cases.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    /// Made by the server, one per request.
    pub(super) request_id: String,
    /// The client's own, echoed when it sent one.
    pub(super) client_request_id: Option<String>,
}

impl Ids {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get("client-request-id");
        Self {
            request_id: Uuid::new_v4().to_string(),
            client_request_id: sent.and_then(|id| id.to_str().ok()).map(str::to_owned),
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    Empty,
    Json(Value),
    Bytes(&'static str, Vec<u8>),
}

/// How a connection ends before its answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Closed in the ordinary way (FIN), nothing is sent.
    Close = 1,
    /// Reset (RST), nothing is sent.
    Reset = 2,
    /// The head and half of the body are sent, then the connection is closed.
    MidBody = 3,
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content: Content,
    /// For the journal: `error.code` of Graph, `AADSTS…` of Entra.
    pub(super) error_code: Option<String>,
    /// How long the client is asked to wait.
    retry_after: Option<Duration>,
    /// The wait ends at a moment named at this time, however late the answer goes out.
    dated: Option<Instant>,
    /// Without Graph's ids.
    pub(super) unmarked: bool,
    /// The connection is cut instead of, or while, answering.
    pub(super) cut: Option<Cut>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    pub(super) fn new(status: StatusCode, content: Content) -> Self {
        Self {
            status,
            content,
            error_code: None,
            retry_after: None,
            dated: None,
            unmarked: false,
            cut: None,
            headers: Vec::new(),
        }
    }

    pub(super) fn json(status: StatusCode, value: Value) -> Self {
        Self::new(status, Content::Json(value))
    }

    /// No answer at all.
    pub(super) fn cut(cut: Cut) -> Self {
        let mut reply = Self::new(StatusCode::OK, Content::Empty);
        reply.cut = Some(cut);
        reply
    }

    /// A value that cannot stand in a header is left out: the sandbox never fails over an odd script.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    pub(super) fn error_code(mut self, code: &str) -> Self {
        self.error_code = Some(code.to_owned());
        self
    }

    /// Of several, the longest is the one that is asked for.
    pub(super) fn retry_after(mut self, value: &RetryAfter) -> Self {
        if value.wait >= self.retry_after {
            self.retry_after = value.wait;
            self.dated = value.is_date.then(Instant::now);
        }
        self.header(RETRY_AFTER, &value.header)
    }

    /// A header of a script; one that names a wait is one.
    pub(super) fn scripted_header(mut self, name: &str, value: &str) -> Self {
        let Ok(name) = HeaderName::try_from(name) else { return self };
        if name == RETRY_AFTER {
            return self.retry_after(&RetryAfter::scripted(value, Utc::now()));
        }
        if name.as_str().ends_with("retry-after-ms") {
            let wait = value.parse().ok().map(Duration::from_millis);
            self.retry_after = self.retry_after.max(wait);
        }
        self.header(name, value)
    }

    /// For the journal and the mailbox's window: how long the client is asked to wait if the answer goes out now.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let held_back = self.dated.map_or(Duration::ZERO, |made| now.saturating_duration_since(made));
        self.retry_after.map(|wait| wait.saturating_sub(held_back))
    }

    /// The status a client gets to see; none when the connection is cut before the status line.
    pub(super) fn visible_status(&self) -> Option<u16> {
        match self.cut {
            Some(Cut::Close | Cut::Reset) => None,
            Some(Cut::MidBody) | None => Some(self.status.as_u16()),
        }
    }

    /// Turns the reply into HTTP; whether the connection is cut meanwhile is not HTTP's business.
    pub(super) fn into_response(self, ids: &Ids) -> Response {
        let (content_type, body) = match self.content {
            Content::Empty => (None, Body::empty()),
            Content::Json(value) => (Some(JSON), Body::from(value.to_string())),
            Content::Bytes(kind, bytes) => (Some(kind), Body::from(bytes)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(kind) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if !self.unmarked {
            insert(headers, "request-id", Some(&ids.request_id));
            insert(headers, "client-request-id", ids.client_request_id.as_deref());
        }
        // What stands here takes the place of the usual, and may stand here more than once.
        self.headers.iter().for_each(|(name, _)| drop(headers.remove(name)));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: Option<&str>) {
    if let Some(value) = value.and_then(|text| HeaderValue::from_str(text).ok()) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
