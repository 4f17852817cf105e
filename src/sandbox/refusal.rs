//! Graph's error answers: one constructor per answer the sandbox gives on its own, and the JSON they all share.

use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use serde_json::{Map, Value, json};

use super::reply::{Ids, Reply};

/// What Graph puts before every challenge; the id is Graph's own application id.
const BEARER: &str = "Bearer realm=\"\", \
    authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
    client_id=\"00000003-0000-0000-c000-000000000000\"";

/// An error of the Graph API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: String,
    pub(super) message: String,
    /// `@event.existingEventId`, seen beside `ErrorDuplicateTransactionId` by one author only.
    pub(super) existing_event_id: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), existing_event_id: None }
    }

    pub(super) fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn not_found(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message)
    }

    /// Names no culprit, as Exchange does not.
    pub(super) fn validation() -> Self {
        Self::bad_request("ErrorPropertyValidationFailure", "At least one property failed validation.")
    }

    pub(super) fn unknown_zone(name: &str) -> Self {
        let message = format!(
            "A valid TimeZone value must be specified. The following TimeZone value is not supported: '{name}'."
        );
        Self::bad_request("TimeZoneNotSupportedException", message)
    }

    pub(super) fn throttled(limit: &str) -> Self {
        let message = format!("Application is over its {limit} limit.");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "ApplicationThrottled", message)
    }

    pub(super) fn reply(&self, ids: &Ids) -> Reply {
        let reply = Reply::json(self.status, self.body(ids)).error_code(&self.code);
        if self.status == StatusCode::UNAUTHORIZED {
            return reply.header(WWW_AUTHENTICATE, BEARER);
        }
        reply
    }

    pub(super) fn body(&self, ids: &Ids) -> Value {
        let inner = json!({
            "date": Utc::now().format("%Y-%m-%dT%H:%M:%S").to_string(),
            "request-id": ids.request_id,
            "client-request-id": ids.client_request_id.as_ref().unwrap_or(&ids.request_id),
        });
        let mut error = Map::new();
        error.insert("code".into(), json!(self.code));
        error.insert("message".into(), json!(self.message));
        if let Some(id) = &self.existing_event_id {
            error.insert("@event.existingEventId".into(), json!(id));
        }
        error.insert("innerError".into(), inner);
        json!({ "error": error })
    }
}

/// The token was revoked or a policy wants more of it: 401 with the claims a new token must be asked for with.
pub(super) fn insufficient_claims(claims: &str, ids: &Ids) -> Reply {
    let challenge = format!("{BEARER}, error=\"insufficient_claims\", claims=\"{}\"", STANDARD.encode(claims));
    let message = "Continuous access evaluation resulted in challenge with result: InteractionRequired";
    let refusal = Refusal::unauthorized(message);
    Reply::json(refusal.status, refusal.body(ids)).error_code(&refusal.code).header(WWW_AUTHENTICATE, &challenge)
}
