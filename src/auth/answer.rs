//! What a token endpoint answers, of Entra or of the machine itself: a token, or a [`TokenRefusal`] with number, plain
//! sentence and how long to wait.
//!
//! What the answer says beyond the token is read leniently: v1 endpoints and managed identities send numbers as text
//! (graph-facts 5.3), and a refusal may be no JSON at all.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{Advice, Patience, advice};
use crate::hint::Hint;
use crate::retry_after::RetryAfter;
use crate::secret::Secret;

/// Largest token answer that is read. Real ones have a few kilobytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// A token request has less to wait for than a calendar: it is never slow on purpose.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Assumed when the answer does not say (graph-facts 5.3).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);
/// A lifetime of more than a day is none Microsoft gives; the cap keeps sums of times inside the clock.
const LONGEST_LIFETIME: Duration = Duration::from_secs(86_400);
/// Where a moment is all that is told, a wrong clock of this machine makes it the past: the token is tried all the same, and
/// not asked for anew with each job. The same where the answer says that it is over at once.
const SHORTEST: Duration = Duration::from_secs(60);
/// MSAL's cap on a Retry-After of the token endpoint: a sign-in that was fixed must not wait for a day.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A fresh token and when to replace it.
pub(super) struct Fresh {
    pub access_token: Secret,
    pub expires_in: Duration,
    pub refresh_in: Option<Duration>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {hint}")]
pub struct TokenRefusal {
    /// `AADSTS7000215`, OAuth's `error` word, or `no_connection`.
    pub code: String,
    /// Nothing secret, nothing the server made up.
    pub hint: Hint,
    /// How patient to be.
    pub patience: Patience,
    /// Time the server asked for.
    pub retry_after: Option<Duration>,
    /// No answer came at all: a matter of the network, not of the sign-in.
    pub unreachable: bool,
}

impl TokenRefusal {
    /// Somebody must change something before it is of use to ask again.
    pub(super) fn needs_fix(code: &str, hint: Hint) -> Self {
        Self { code: code.into(), hint, patience: Patience::Refused, retry_after: None, unreachable: false }
    }

    /// No answer came.
    pub(super) fn no_connection(hint: Hint) -> Self {
        Self { code: "no_connection".into(), hint, patience: Patience::Transient, retry_after: None, unreachable: true }
    }
}

/// A whole answer, not yet understood.
pub(super) struct Answer {
    pub status: u16,
    pub challenge: Option<String>,
    pub retry_after: Option<Duration>,
    /// What is said where the server asked for a longer wait than is obeyed.
    asked: Option<String>,
    /// None if it was too large to be read.
    body: Option<Vec<u8>>,
}

impl Answer {
    /// Waits for the whole of it. `now` only serves a `Retry-After` without a `Date` beside it.
    pub(super) async fn read(mut response: reqwest::Response, now: DateTime<Utc>) -> Result<Self, reqwest::Error> {
        let status = response.status().as_u16();
        let named = RetryAfter::read(response.headers(), SystemTime::from(now));
        let retry_after = named.as_ref().map(|named| named.wait.min(LONGEST_WAIT));
        let asked = named.and_then(|named| named.sentence("It", LONGEST_WAIT));
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let challenge = header("www-authenticate").map(str::to_owned);
        let mut body = Some(Vec::new());
        while let Some(chunk) = response.chunk().await? {
            body = body.filter(|read| read.len() + chunk.len() <= MAX_ANSWER_BYTES);
            let Some(read) = &mut body else { break };
            read.extend_from_slice(&chunk);
        }
        Ok(Self { status, challenge, retry_after, asked, body })
    }

    /// The token at `now`, or why there is none.
    pub(super) fn token(&self, now: DateTime<Utc>) -> Result<Fresh, TokenRefusal> {
        self.understood(now).map_err(|refusal| match &self.asked {
            Some(asked) => TokenRefusal { hint: refusal.hint.and(asked), ..refusal },
            None => refusal,
        })
    }

    fn understood(&self, now: DateTime<Utc>) -> Result<Fresh, TokenRefusal> {
        let nonsense = || nonsense(self.status, self.retry_after);
        let body = self.body.as_deref().ok_or_else(nonsense)?;
        if self.status == 200 {
            token(body, now).ok_or_else(nonsense)
        } else {
            Err(refusal(self.status, body, self.retry_after))
        }
    }
}

fn nonsense(status: u16, retry_after: Option<Duration>) -> TokenRefusal {
    TokenRefusal {
        code: format!("http_{status}"),
        hint: Hint::new("The sign-in service gave an answer that cannot be read", "check auth.instance and any proxy."),
        patience: if status >= 500 || status == 429 { Patience::Transient } else { Patience::Refused },
        retry_after,
        unreachable: false,
    }
}

/// The token out of a 200, or none.
fn token(body: &[u8], now: DateTime<Utc>) -> Option<Fresh> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
        error: Option<Value>,
        token_type: Option<Value>,
        expires_in: Option<Value>,
        expires_on: Option<Value>,
        refresh_in: Option<Value>,
    }
    // Read as an object first: of an array, serde would take the fields in their order.
    let granted: Granted = serde_json::from_value(Value::Object(serde_json::from_slice(body).ok()?)).ok()?;
    // The request to Graph says "Bearer"; a token of another kind would be refused with each job.
    let kind = granted.token_type.filter(|kind| !kind.is_null());
    let bearer = kind.is_none_or(|kind| kind.as_str().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("bearer")));
    let printable = granted.access_token.bytes().all(|b| b.is_ascii_graphic());
    // Whoever says that it went wrong has granted nothing, whatever stands beside it.
    let granted_indeed = granted.error.is_none_or(|error| error.is_null());
    let usable = granted_indeed && bearer && printable && !granted.access_token.is_empty();
    usable.then(|| Fresh {
        access_token: Secret::new(granted.access_token),
        expires_in: granted
            .expires_in
            .as_ref()
            .and_then(lifetime)
            .or_else(|| until(granted.expires_on.as_ref()?, now))
            .unwrap_or(DEFAULT_LIFETIME),
        refresh_in: granted.refresh_in.as_ref().and_then(seconds),
    })
}

/// A number given as one or as text.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A token that is over within a second would be asked for with each job.
fn lifetime(value: &Value) -> Option<Duration> {
    seconds(value).map(|lifetime| if lifetime < Duration::from_secs(1) { SHORTEST } else { lifetime })
}

fn seconds(value: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(number(value)?).ok().map(|lifetime| lifetime.min(LONGEST_LIFETIME))
}

/// The time left until a moment given in seconds since 1970, which is all that App Service says.
fn until(value: &Value, now: DateTime<Utc>) -> Option<Duration> {
    let left = number(value)? - now.timestamp() as f64;
    let lifetime = Duration::try_from_secs_f64(left.max(0.0)).ok()?;
    Some(lifetime.clamp(SHORTEST, LONGEST_LIFETIME))
}

fn refusal(status: u16, body: &[u8], retry_after: Option<Duration>) -> TokenRefusal {
    #[derive(Deserialize)]
    struct Refused {
        error: Option<String>,
        error_description: Option<String>,
        error_codes: Option<Vec<u32>>,
    }
    let refused = serde_json::from_slice(body).map(Value::Object).and_then(serde_json::from_value::<Refused>);
    let Ok(refused) = refused else { return nonsense(status, retry_after) };
    let number = refused
        .error_codes
        .and_then(|codes| codes.first().copied())
        .or_else(|| refused.error_description.as_deref().and_then(aadsts));
    let Advice { hint, patience } = advice(number);
    let word: String =
        refused.error.unwrap_or_default().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
    let busy = status == 429 || status >= 500 || word == "temporarily_unavailable";
    let known = number.is_some_and(|number| advice(Some(number)) != advice(None));
    TokenRefusal {
        code: number.map_or_else(
            || if word.is_empty() { format!("http_{status}") } else { word.clone() },
            |n| format!("AADSTS{n}"),
        ),
        hint: if busy && !known { Hint::new("Entra ID is busy or limits this application", "waiting.") } else { hint },
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
#[path = "answer_tests.rs"]
mod tests;
