//! When the application's client secrets expire. Graph tells only callers who may read applications, which sending does
//! not need; so a refusal is the usual answer, and no reason for alarm.
//!
//! Not in graph-facts. From Microsoft's reference: "Get application" (`GET /applications(appId='…')`, permission
//! Application.Read.All) and the resource type passwordCredential (`endDateTime`, `hint` = the first three characters).

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::client::GraphClient;
use crate::clock::Now;
use crate::job::CallResult;
use crate::secret::Secret;

/// What Graph tells of a client secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSecretInfo {
    /// The name somebody gave it.
    pub name: Option<String>,
    /// Its first three characters. Enough to tell which one is in use, and nothing to be shown.
    pub hint: Option<String>,
    pub expires: Option<DateTime<Utc>>,
}

impl GraphClient {
    /// The client secrets of the application.
    ///
    /// # Errors
    /// The call, as of any other request. A refusal with status 403 means that this application may not look.
    pub async fn client_secrets(
        &self,
        client_id: &str,
        token: &Secret,
        now: Now,
    ) -> Result<Vec<ClientSecretInfo>, CallResult> {
        let url = format!("{}?$select=passwordCredentials", self.base.application(client_id));
        let (application, damaged) = self.get(&url, token, now).await?;
        let listed = application["passwordCredentials"].as_array().ok_or(damaged)?;
        Ok(listed.iter().map(info).collect())
    }
}

fn info(credential: &Value) -> ClientSecretInfo {
    let text = |name: &str| credential[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let expires = text("endDateTime").and_then(|time| DateTime::parse_from_rfc3339(&time).ok());
    ClientSecretInfo {
        name: text("displayName"),
        hint: text("hint"),
        expires: expires.map(|time| time.with_timezone(&Utc)),
    }
}
