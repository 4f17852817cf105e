//! Answers in JSON, and what is said where there is none.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::queue::QueueError;
use crate::visible;

const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

/// An answer, or why there is none.
pub type Reply = Result<Response, Refusal>;

/// Why there is no answer: a word for programs, a sentence for people.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub what: &'static str,
    pub why: String,
}

impl Refusal {
    pub fn new(status: StatusCode, what: &'static str, why: impl Into<String>) -> Self {
        Self { status, what, why: why.into() }
    }

    pub fn bad(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", why)
    }

    pub fn forbidden(what: &'static str, why: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, what, why)
    }

    /// The queue is not open yet.
    pub fn starting() -> Self {
        let why = "The queue is not open yet; if this lasts, the log says why.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "starting", why)
    }
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "queue", error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        with(self.status, &json!({ "error": { "what": self.what, "why": self.why } }))
    }
}

/// What others wrote is in it, and somebody may read it with curl.
pub fn with(status: StatusCode, value: &Value) -> Response {
    (status, JSON, format!("{}\n", visible::json(&value.to_string()))).into_response()
}

pub fn json(value: &Value) -> Response {
    with(StatusCode::OK, value)
}
