//! Graph as a careful user calls it: one client, one token for all until it is about to end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Mutex;

#[derive(Clone)]
pub struct Graph {
    url: String,
    http: reqwest::Client,
    held: Arc<Mutex<Option<Held>>>,
}

/// A token, until it is about to end.
struct Held {
    token: Arc<str>,
    end: Instant,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Event {
    id: String,
}

impl Graph {
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), http: reqwest::Client::new(), held: Arc::default() }
    }

    /// The id of the event.
    pub async fn create(&self, mailbox: &str, event: &RawValue) -> reqwest::Result<String> {
        let url = format!("{}/v1.0/users/{mailbox}/events", self.url);
        let request = self.http.post(url).bearer_auth(self.token().await?).json(event);
        Ok(request.send().await?.error_for_status()?.json::<Event>().await?.id)
    }

    async fn token(&self) -> reqwest::Result<Arc<str>> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| Instant::now() < held.end) {
            return Ok(held.token.clone());
        }
        let form = [("grant_type", "client_credentials"), ("client_id", "peers"), ("client_secret", "secret")];
        let url = format!("{}/tenant/oauth2/v2.0/token", self.url);
        let answer = self.http.post(url).form(&form).send().await?.error_for_status()?;
        let Token { access_token, expires_in } = answer.json().await?;
        let token: Arc<str> = access_token.into();
        let end = Instant::now() + Duration::from_secs(expires_in.saturating_sub(300));
        *held = Some(Held { token: token.clone(), end });
        Ok(token)
    }
}
