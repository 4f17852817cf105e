//! One token request and its answer. Refusals become a [`TokenRefusal`]: number, plain sentence, how long to wait.
//!
//! What the answer says beyond the token is read leniently: v1 endpoints and managed identities send numbers as text
//! (graph-facts 5.3), and a refusal may be no JSON at all.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;

use super::renewal::Renewal;
use super::{Advice, Patience, Reread, SignIn, advice};
use crate::retry_after;
use crate::secret::Secret;

/// Largest token answer that is read. Real ones have a few kilobytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// A token request has less to wait for than a calendar: it is never slow on purpose.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Assumed when the answer does not say (graph-facts 5.3).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);
/// MSAL's cap on a Retry-After of the token endpoint.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A fresh token and when to replace it.
pub(super) struct Fresh {
    pub access_token: Secret,
    pub expires_in: Duration,
    pub refresh_in: Option<Duration>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {sentence}")]
pub struct TokenRefusal {
    /// `AADSTS7000215`, OAuth's `error` word, or `no_connection`.
    pub code: String,
    /// What it means and what to do; nothing secret, nothing the server made up.
    pub sentence: String,
    /// How patient to be.
    pub patience: Patience,
    /// Time the server asked for.
    pub retry_after: Option<Duration>,
    /// No answer came at all: a matter of the network, not of the sign-in.
    pub unreachable: bool,
}

/// The token endpoint of one tenant.
pub struct TokenEndpoint {
    http: reqwest::Client,
    renewal: Renewal,
}

impl TokenEndpoint {
    /// `http` must not follow redirects: a redirected token request would carry the secret elsewhere. `reread` reads the
    /// credentials anew, where they are kept outside the settings.
    pub fn new(http: reqwest::Client, sign_in: SignIn, reread: Option<Reread>) -> Self {
        Self { http, renewal: Renewal::new(sign_in, reread) }
    }

    #[cfg(test)]
    pub(super) fn sign_in(&self) -> SignIn {
        self.renewal.current()
    }

    /// Takes over credentials that are others by now, and tells whether they are.
    pub(super) fn renew(&self) -> bool {
        self.renewal.renew()
    }

    /// Asks once, with the credentials as they are now.
    pub(super) async fn ask(&self, claims: Option<&str>) -> Result<Fresh, TokenRefusal> {
        self.renew();
        let sign_in = self.renewal.current();
        let scope = sign_in.scope();
        let sent = self
            .http
            .post(sign_in.url())
            .header("accept", "application/json")
            .timeout(REQUEST_TIMEOUT)
            .form(&sign_in.form(&scope, claims))
            .send()
            .await;
        let mut response = sent.map_err(|error| unreachable(&error))?;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        // Without a Date beside it a date says nothing here: this module does not ask the clock.
        let date = header("date");
        let retry_after = header("retry-after")
            .and_then(|value| retry_after::parse(value, date, SystemTime::UNIX_EPOCH))
            .map(|wait| wait.min(LONGEST_WAIT));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(nonsense(status, retry_after));
            }
            body.extend_from_slice(&chunk);
        }
        if status == 200 {
            token(&body).ok_or_else(|| nonsense(status, retry_after))
        } else {
            Err(refusal(status, &body, retry_after))
        }
    }
}

fn unreachable(error: &reqwest::Error) -> TokenRefusal {
    let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
    TokenRefusal {
        code: "no_connection".into(),
        sentence: format!("The sign-in service {what}: check network, DNS, proxy and auth.instance."),
        patience: Patience::Transient,
        retry_after: None,
        unreachable: true,
    }
}

fn nonsense(status: u16, retry_after: Option<Duration>) -> TokenRefusal {
    TokenRefusal {
        code: format!("http_{status}"),
        sentence: "The sign-in service gave an answer that cannot be read: check auth.instance and any proxy.".into(),
        patience: if status >= 500 || status == 429 { Patience::Transient } else { Patience::Refused },
        retry_after,
        unreachable: false,
    }
}

/// The token out of a 200, or none.
fn token(body: &[u8]) -> Option<Fresh> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
        expires_in: Option<Value>,
        refresh_in: Option<Value>,
    }
    let granted: Granted = serde_json::from_slice(body).ok()?;
    let usable = !granted.access_token.is_empty() && granted.access_token.bytes().all(|b| b.is_ascii_graphic());
    usable.then(|| Fresh {
        access_token: Secret::new(granted.access_token),
        expires_in: granted.expires_in.as_ref().and_then(seconds).unwrap_or(DEFAULT_LIFETIME),
        refresh_in: granted.refresh_in.as_ref().and_then(seconds),
    })
}

/// A duration given as a number or as text.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // A lifetime of more than a day is none Entra gives; the cap keeps sums of times inside the clock.
    Duration::try_from_secs_f64(seconds).ok().map(|lifetime| lifetime.min(Duration::from_secs(86_400)))
}

fn refusal(status: u16, body: &[u8], retry_after: Option<Duration>) -> TokenRefusal {
    #[derive(Deserialize)]
    struct Refused {
        error: Option<String>,
        error_description: Option<String>,
        error_codes: Option<Vec<u32>>,
    }
    let Ok(refused) = serde_json::from_slice::<Refused>(body) else { return nonsense(status, retry_after) };
    let number = refused
        .error_codes
        .and_then(|codes| codes.first().copied())
        .or_else(|| refused.error_description.as_deref().and_then(aadsts));
    let Advice { sentence, patience } = advice(number);
    let word: String =
        refused.error.unwrap_or_default().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
    let busy = status == 429 || status >= 500 || word == "temporarily_unavailable";
    let known = number.is_some_and(|number| advice(Some(number)) != advice(None));
    TokenRefusal {
        code: number.map_or_else(
            || if word.is_empty() { format!("http_{status}") } else { word.clone() },
            |n| format!("AADSTS{n}"),
        ),
        sentence: if busy && !known {
            "Entra ID is busy or limits this application: waiting.".into()
        } else {
            sentence.into()
        },
        patience: match patience {
            Patience::Refused if busy => Patience::Transient,
            other => other,
        },
        // Client credentials asked for too often are answered 429 with 60 seconds (graph-facts 5.4).
        retry_after: retry_after.or((status == 429).then_some(Duration::from_secs(60))),
        unreachable: false,
    }
}

/// The number a description begins with.
fn aadsts(description: &str) -> Option<u32> {
    let digits = description.split_once("AADSTS")?.1;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
#[path = "entra_tests.rs"]
mod tests;
