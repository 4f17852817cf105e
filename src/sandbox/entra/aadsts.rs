//! Entra's error answers: the JSON, and the texts that begin with an AADSTS number.

use axum::http::StatusCode;
use chrono::Utc;
use serde_json::{Map, Value, json};

use crate::sandbox::reply::{Ids, Reply};

/// A refused token request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox) struct TokenRefusal {
    pub(in crate::sandbox) status: StatusCode,
    pub(in crate::sandbox) error: String,
    /// None for an error that is not Entra's own, such as a gateway's.
    pub(in crate::sandbox) number: Option<u32>,
    pub(in crate::sandbox) message: String,
    pub(in crate::sandbox) suberror: Option<String>,
}

impl TokenRefusal {
    pub(in crate::sandbox) fn new(status: StatusCode, error: &str, number: u32, message: impl Into<String>) -> Self {
        Self { status, error: error.to_owned(), number: Some(number), message: message.into(), suberror: None }
    }

    /// An error of the client's making: 400.
    pub(in crate::sandbox) fn bad(error: &str, number: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, number, message)
    }

    /// The client could not prove who it is: 401.
    pub(in crate::sandbox) fn client(number: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", number, message)
    }

    pub(in crate::sandbox) fn missing(parameter: &str) -> Self {
        let message = format!("The request body must contain the following parameter: '{parameter}'.");
        Self::bad("invalid_request", 900_144, message)
    }

    /// A script may give any error without a number.
    pub(in crate::sandbox) fn scripted(status: StatusCode, error: &str, message: &str) -> Self {
        Self { number: None, ..Self::new(status, error, 0, message) }
    }

    pub(in crate::sandbox) fn suberror(mut self, suberror: &str) -> Self {
        self.suberror = Some(suberror.to_owned());
        self
    }

    pub(in crate::sandbox) fn reply(&self, ids: &Ids) -> Reply {
        let code = match self.number {
            Some(number) => format!("AADSTS{number}"),
            None => self.error.clone(),
        };
        Reply::json(self.status, self.body(ids)).error_code(&code)
    }

    fn body(&self, ids: &Ids) -> Value {
        let correlation = ids.client_request_id.as_ref().unwrap_or(&ids.request_id);
        let timestamp = Utc::now().format("%Y-%m-%d %H:%M:%SZ").to_string();
        let mut body = Map::new();
        body.insert("error".into(), json!(self.error));
        let numbered = self.number.map(|number| format!("AADSTS{number}: ")).unwrap_or_default();
        let description = format!(
            "{numbered}{} Trace ID: {} Correlation ID: {correlation} Timestamp: {timestamp}",
            self.message, ids.request_id
        );
        body.insert("error_description".into(), json!(description));
        if let Some(number) = self.number {
            body.insert("error_codes".into(), json!([number]));
        }
        body.insert("timestamp".into(), json!(timestamp));
        body.insert("trace_id".into(), json!(ids.request_id));
        body.insert("correlation_id".into(), json!(correlation));
        if let Some(number) = self.number {
            let uri = format!("https://login.microsoftonline.com/error?code={number}");
            body.insert("error_uri".into(), json!(uri));
        }
        if let Some(suberror) = &self.suberror {
            body.insert("suberror".into(), json!(suberror));
        }
        Value::Object(body)
    }
}
