//! A started sandbox and a plain HTTP client: what the tests of this module share.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::*;

/// The mailbox most tests write to.
pub(super) const MAILBOX: &str = "calendar@contoso.com";

pub(super) struct Bed {
    pub(super) sandbox: Sandbox,
    pub(super) client: Client,
    pub(super) token: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    pub(super) body: Value,
}

impl Got {
    pub(super) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub(super) fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_default()
    }
}

impl Bed {
    pub(super) async fn new() -> Self {
        Self::with(SandboxOptions::default()).await
    }

    pub(super) async fn with(options: SandboxOptions) -> Self {
        let sandbox = Sandbox::start(options).await.unwrap();
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let mut bed = Self { sandbox, client, token: String::new() };
        bed.token = bed.new_token().await;
        bed
    }

    pub(super) async fn new_token(&self) -> String {
        let got = self.ask_token(TENANT_ID, &client_credentials()).await.unwrap();
        got.body["access_token"].as_str().unwrap().to_owned()
    }

    /// Signs in as the user.
    pub(super) async fn signed_in(mut self) -> Self {
        let got = self.ask_token(TENANT_ID, &ropc(CLIENT_ID, USERNAME, PASSWORD)).await.unwrap();
        self.token = got.body["access_token"].as_str().unwrap().to_owned();
        self
    }

    pub(super) async fn ask_token(&self, tenant: &str, form: &[(&str, &str)]) -> reqwest::Result<Got> {
        let url = format!("{}/{tenant}/oauth2/v2.0/token", self.sandbox.url());
        read(self.client.post(url).form(form)).await
    }

    /// The v1 endpoint's answer.
    pub(super) async fn ask_token_v1(&self, tenant: &str, form: &[(&str, &str)]) -> reqwest::Result<Got> {
        let url = format!("{}/{tenant}/oauth2/token", self.sandbox.url());
        read(self.client.post(url).form(form)).await
    }

    pub(super) fn post(&self, path: &str, event: &Value) -> RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.sandbox.url())).bearer_auth(&self.token);
        request.header("content-type", "application/json").body(event.to_string())
    }

    pub(super) async fn create(&self, mailbox: &str, event: &Value) -> reqwest::Result<Got> {
        read(self.post(&format!("/v1.0/users/{mailbox}/events"), event)).await
    }

    pub(super) async fn get(&self, path: &str) -> reqwest::Result<Got> {
        read(self.client.get(format!("{}{path}", self.sandbox.url())).bearer_auth(&self.token)).await
    }

    /// A request with another method; the body is JSON, or none where it is null.
    pub(super) fn request(&self, method: &str, path: &str, body: &Value) -> RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("{}{path}", self.sandbox.url())).bearer_auth(&self.token);
        match body {
            Value::Null => request,
            body => request.header("content-type", "application/json").body(body.to_string()),
        }
    }

    pub(super) async fn patch(&self, id: &str, change: &Value) -> Got {
        read(self.request("PATCH", &event_path(id), change)).await.unwrap()
    }

    pub(super) async fn delete(&self, id: &str) -> Got {
        read(self.request("DELETE", &event_path(id), &Value::Null)).await.unwrap()
    }

    pub(super) async fn cancel(&self, id: &str, comment: &str) -> Got {
        let path = format!("{}/cancel", event_path(id));
        read(self.request("POST", &path, &json!({"comment": comment}))).await.unwrap()
    }

    pub(super) async fn event(&self, id: &str) -> Got {
        self.get(&event_path(id)).await.unwrap()
    }

    pub(super) async fn control(&self, path: &str, body: &Value) -> Got {
        let url = format!("{}/sandbox/{path}", self.sandbox.url());
        read(self.client.post(url).body(body.to_string())).await.unwrap()
    }

    /// Waits for a condition; the tests never depend on how long something takes.
    pub(super) async fn until(&self, condition: impl Fn(&Sandbox) -> bool) {
        for _ in 0..5_000 {
            if condition(&self.sandbox) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("the condition never came true: {:?}", self.sandbox.requests());
    }
}

/// The address of an event in the mailbox most tests write to.
pub(super) fn event_path(id: &str) -> String {
    format!("/v1.0/users/{MAILBOX}/events/{id}")
}

pub(super) async fn read(request: RequestBuilder) -> reqwest::Result<Got> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Got { status, headers, text, body })
}

pub(super) fn client_credentials() -> Vec<(&'static str, &'static str)> {
    vec![
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("scope", "https://graph.microsoft.com/.default"),
    ]
}

pub(super) fn ropc<'a>(client_id: &'a str, username: &'a str, password: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut form = vec![
        ("grant_type", "password"),
        ("client_id", client_id),
        ("username", username),
        ("password", password),
        ("scope", "https://graph.microsoft.com/.default offline_access"),
    ];
    if client_id != PUBLIC_CLIENT_ID {
        form.push(("client_secret", CLIENT_SECRET));
    }
    form
}

/// The form with one field replaced, added or (None) left out.
pub(super) fn with<'a>(
    form: Vec<(&'a str, &'a str)>,
    name: &'a str,
    value: Option<&'a str>,
) -> Vec<(&'a str, &'a str)> {
    let mut form: Vec<_> = form.into_iter().filter(|(known, _)| *known != name).collect();
    form.extend(value.map(|value| (name, value)));
    form
}

/// The form with an assertion in the secret's place.
pub(super) fn asserted<'a>(form: Vec<(&'a str, &'a str)>, assertion: &'a str) -> Vec<(&'a str, &'a str)> {
    let form = with(with(form, "client_secret", None), "client_assertion", Some(assertion));
    with(form, "client_assertion_type", Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"))
}

/// A meeting with this subject, and a `transactionId` when one is given.
pub(super) fn meeting(subject: &str, transaction: Option<&str>) -> Value {
    let mut event = json!({
        "subject": subject,
        "body": {"contentType": "text", "content": "Agenda <attached>"},
        "start": {"dateTime": "2026-12-01T09:00:00", "timeZone": "W. Europe Standard Time"},
        "end": {"dateTime": "2026-12-01T10:00:00", "timeZone": "W. Europe Standard Time"},
        "location": {"displayName": "Room 1"},
        "attendees": [{"emailAddress": {"address": "ann@contoso.com"}, "type": "required"}],
    });
    if let Some(transaction) = transaction {
        event["transactionId"] = json!(transaction);
    }
    event
}
