//! The sandbox's own API for tests in other processes: what arrived, which faults come, which options hold. No
//! sign-in: it is reachable from this machine only. A refused request says which field is wrong and why.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::state::SandboxState;
use crate::sandbox::calendar::{FoundEvent, MailKind};
use crate::sandbox::entra::FederatedToken;
use crate::sandbox::faults::{Action, Fault};
use crate::sandbox::journal::RequestKind;
use crate::sandbox::options::{OptionsChange, check_certificates, check_claims};

pub(super) fn router() -> Router<Arc<SandboxState>> {
    Router::new()
        .route("/health", get(|| async { answer(&json!({"status": "ok"})) }))
        .route("/events", get(events).post(add_event))
        .route("/mails", get(mails))
        .route("/requests", get(requests))
        .route("/counters", get(counters))
        .route("/assertions", get(assertions))
        .route("/federated-token", post(federated_token))
        .route("/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/options", post(options))
        .route("/expire-tokens", post(expire_tokens))
        .route("/reset", post(reset))
        .fallback(|| async { refused(StatusCode::NOT_FOUND, "no such address below /sandbox") })
}

/// An event that did not come over Graph; the answer is the event as `GET` shows it.
async fn add_event(State(state): State<Arc<SandboxState>>, body: Bytes) -> Response {
    let found = parse::<Value>(&body).and_then(|value| field_by_field::<FoundEvent>(&value));
    match found.and_then(|found| state.store.put(found)) {
        Err(error) => bad(&error),
        Ok(event) => answer(&event),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedMails {
    /// In either form.
    event_id: Option<String>,
    mailbox: Option<String>,
    attendee: Option<String>,
    kind: Option<MailKind>,
}

async fn mails(
    State(state): State<Arc<SandboxState>>,
    wanted: Result<Query<WantedMails>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(wanted)) = wanted else {
        return bad("the query takes event_id, mailbox, attendee and kind (invitation, update, cancellation)");
    };
    let is =
        |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(found));
    let mut mails = match &wanted.event_id {
        Some(id) => state.store.mails_of(id),
        None => state.store.mails(),
    };
    mails.retain(|mail| {
        is(&wanted.mailbox, &mail.mailbox)
            && is(&wanted.attendee, &mail.attendee)
            && wanted.kind.is_none_or(|kind| mail.kind == kind)
    });
    answer(&mails)
}

async fn events(State(state): State<Arc<SandboxState>>) -> Response {
    answer(&state.store.events())
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    mailbox: Option<String>,
    kind: Option<RequestKind>,
    /// Only records after this sequence number.
    after: Option<u64>,
}

async fn requests(
    State(state): State<Arc<SandboxState>>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(wanted)) = wanted.map_err(|error| error.body_text()) else {
        return bad(
            "the query takes mailbox, kind (token, create, lookup, get, patch, delete, cancel, other) and after (a number)",
        );
    };
    let mailbox = wanted.mailbox.map(|mailbox| mailbox.to_lowercase());
    let records = state.journal.records(|record| {
        mailbox.as_ref().is_none_or(|mailbox| record.mailbox.as_ref() == Some(mailbox))
            && wanted.kind.is_none_or(|kind| record.kind == kind)
            && wanted.after.is_none_or(|after| record.sequence > after)
    });
    answer(&records)
}

async fn counters(State(state): State<Arc<SandboxState>>) -> Response {
    answer(&state.counters())
}

async fn assertions(State(state): State<Arc<SandboxState>>) -> Response {
    answer(&state.entra.assertions.all())
}

/// Text, as it stands in a file; without a body the token is as the configured credential wants it.
async fn federated_token(State(state): State<Arc<SandboxState>>, body: Bytes) -> Response {
    let wanted = match body.trim_ascii().is_empty() {
        true => Ok(FederatedToken::default()),
        false => parse::<Value>(&body).and_then(|value| field_by_field::<FederatedToken>(&value)),
    };
    match wanted {
        Err(error) => bad(&error),
        Ok(wanted) => ([(CONTENT_TYPE, "text/plain")], state.federated_token(&wanted)).into_response(),
    }
}

/// In the form in which they were given, counted down by what has struck or was let through.
async fn faults(State(state): State<Arc<SandboxState>>) -> Response {
    answer(&state.script.armed())
}

async fn add_faults(State(state): State<Arc<SandboxState>>, body: Bytes) -> Response {
    let faults = match parse::<Value>(&body) {
        Ok(Value::Array(faults)) => faults,
        Ok(fault) => vec![fault],
        Err(error) => return bad(&error),
    };
    let faults: Result<Vec<Fault>, String> = faults.iter().map(fault).collect();
    match faults {
        Err(error) => bad(&error),
        Ok(faults) => {
            let added = faults.len();
            faults.into_iter().for_each(|fault| state.script.add(fault));
            answer(&json!({"added": added}))
        }
    }
}

async fn clear_faults(State(state): State<Arc<SandboxState>>) -> Response {
    state.script.clear();
    answer(&json!({}))
}

async fn options(State(state): State<Arc<SandboxState>>, body: Bytes) -> Response {
    match parse::<Value>(&body).and_then(|value| change(&value)) {
        Err(error) => bad(&error),
        Ok(change) => {
            state.turn(change);
            answer(&json!({}))
        }
    }
}

async fn expire_tokens(State(state): State<Arc<SandboxState>>) -> Response {
    state.entra.tokens.expire_all();
    answer(&json!({}))
}

async fn reset(State(state): State<Arc<SandboxState>>) -> Response {
    state.reset();
    answer(&json!({}))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))
}

fn fault(value: &Value) -> Result<Fault, String> {
    let fault: Fault = field_by_field(value)?;
    match fault.action {
        Action::Answer { status, .. } | Action::TokenRefused { status, .. } | Action::Status { status }
            if !(200..=599).contains(&status) =>
        {
            Err(format!("status: {status} is not between 200 and 599"))
        }
        _ => Ok(fault),
    }
}

fn change(value: &Value) -> Result<OptionsChange, String> {
    let change: OptionsChange = field_by_field(value)?;
    let certificates = change.certificates.as_deref().unwrap_or_default();
    check_certificates(certificates).map_err(|fault| format!("certificates: {fault}"))?;
    let claims = change.claims_challenge.as_deref().unwrap_or_default();
    check_claims(claims).map_err(|fault| format!("claims_challenge: {fault}"))?;
    Ok(change)
}

/// Reads a value; an error is blamed on the field whose removal changes it, as deep as that leads.
fn field_by_field<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| {
        let message = error.to_string();
        let path = culprit::<T>(value, "", &message);
        if path.is_empty() { message } else { format!("{}: {message}", path.replace('/', ".")) }
    })
}

fn culprit<T: DeserializeOwned>(whole: &Value, path: &str, message: &str) -> String {
    let Some(Value::Object(fields)) = whole.pointer(pointer(path).as_str()) else {
        return path.to_owned();
    };
    for name in fields.keys().filter(|name| !name.contains(['/', '~'])) {
        let mut without = whole.clone();
        if let Some(Value::Object(fields)) = without.pointer_mut(pointer(path).as_str()) {
            fields.shift_remove(name);
        }
        let changed = match serde_json::from_value::<T>(without) {
            Ok(_) => true,
            Err(error) => error.to_string() != message,
        };
        if changed {
            let deeper = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            return culprit::<T>(whole, &deeper, message);
        }
    }
    path.to_owned()
}

fn pointer(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("/{path}") }
}

fn bad(message: &str) -> Response {
    refused(StatusCode::BAD_REQUEST, message)
}

fn refused(status: StatusCode, message: &str) -> Response {
    (status, answer(&json!({"error": message}))).into_response()
}

fn answer<T: Serialize>(value: &T) -> Response {
    let body = serde_json::to_string(value).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
