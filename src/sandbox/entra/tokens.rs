//! The access tokens handed out, known here with their end, the identity behind them and what they permit.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Beyond this many tokens the expired ones are forgotten before a new one is added.
const PRUNE_ABOVE: usize = 10_000;

/// The identity behind a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum Caller {
    /// The application itself.
    App,
    /// The application on behalf of this user (lower case).
    User(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum TokenStatus {
    Missing,
    Unknown,
    Expired,
    Valid(Caller),
}

#[derive(Debug, Default)]
pub(in crate::sandbox) struct Tokens(RwLock<HashMap<String, Issued>>);

#[derive(Debug)]
struct Issued {
    caller: Caller,
    permissions: Vec<String>,
    claims: Option<String>,
    until: Instant,
}

impl Tokens {
    /// Registers `token`, which stands for the caller with these permissions from now on.
    pub(in crate::sandbox) fn issue(&self, token: &str, caller: Caller, permissions: &[String], lifetime: Duration) {
        let now = Instant::now();
        // A lifetime beyond what the clock can express is a year: longer than any sandbox runs.
        let year = Duration::from_secs(365 * 24 * 3600);
        let until = now + lifetime.min(year);
        let mut tokens = self.write();
        if tokens.len() >= PRUNE_ABOVE {
            tokens.retain(|_, issued| issued.until > now);
        }
        let permissions = permissions.to_vec();
        tokens.insert(token.to_owned(), Issued { caller, permissions, claims: None, until });
    }

    /// Notes the claims the client passed on when it asked for this token.
    pub(super) fn note_claims(&self, token: &str, claims: &str) {
        if let Some(issued) = self.write().get_mut(token) {
            issued.claims = Some(claims.to_owned());
        }
    }

    /// Whether the token was issued with these claims, however their JSON is written.
    pub(in crate::sandbox) fn meets(&self, token: &str, claims: &str) -> bool {
        let tokens = self.read();
        let passed = tokens.get(token).and_then(|issued| issued.claims.as_deref());
        let same = |passed: &str| match (parsed(passed), parsed(claims)) {
            (Some(passed), Some(wanted)) => passed == wanted,
            _ => passed == claims,
        };
        passed.is_some_and(same)
    }

    /// Whether the token has this permission.
    pub(in crate::sandbox) fn permits(&self, token: &str, permission: &str) -> bool {
        self.read().get(token).is_some_and(|issued| issued.permissions.iter().any(|one| one == permission))
    }

    pub(in crate::sandbox) fn status(&self, token: Option<&str>) -> TokenStatus {
        let Some(token) = token else {
            return TokenStatus::Missing;
        };
        match self.read().get(token) {
            None => TokenStatus::Unknown,
            Some(issued) if issued.until <= Instant::now() => TokenStatus::Expired,
            Some(issued) => TokenStatus::Valid(issued.caller.clone()),
        }
    }

    /// One token stops being valid (continuous access evaluation).
    pub(in crate::sandbox) fn revoke(&self, token: &str) {
        if let Some(issued) = self.write().get_mut(token) {
            issued.until = Instant::now();
        }
    }

    pub(in crate::sandbox) fn expire_all(&self) {
        let now = Instant::now();
        for issued in self.write().values_mut() {
            issued.until = issued.until.min(now);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Issued>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Issued>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parsed(claims: &str) -> Option<Value> {
    serde_json::from_str(claims).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_token_stands_for_its_caller_until_it_expires() {
        let tokens = Tokens::default();
        tokens.issue("app", Caller::App, &["Calendars.ReadWrite".to_owned()], HOUR);
        tokens.issue("stale", Caller::App, &[], Duration::ZERO);
        assert_eq!(tokens.status(Some("app")), TokenStatus::Valid(Caller::App));
        assert_eq!(tokens.status(Some("stale")), TokenStatus::Expired);
        assert!(tokens.permits("app", "Calendars.ReadWrite"));
        assert!(!tokens.permits("stale", "Calendars.ReadWrite") && !tokens.permits("app", "Calendars.Read"));
        assert_eq!(tokens.status(Some("made-up")), TokenStatus::Unknown);
        assert_eq!(tokens.status(None), TokenStatus::Missing);
    }

    #[test]
    fn revoking_one_token_leaves_the_others() {
        let tokens = Tokens::default();
        tokens.issue("one", Caller::App, &[], HOUR);
        tokens.issue("two", Caller::App, &[], Duration::MAX);
        tokens.revoke("one");
        assert_eq!(tokens.status(Some("one")), TokenStatus::Expired);
        assert_eq!(tokens.status(Some("two")), TokenStatus::Valid(Caller::App));
        tokens.expire_all();
        assert_eq!(tokens.status(Some("two")), TokenStatus::Expired);
    }

    #[test]
    fn a_token_meets_the_claims_it_was_issued_with() {
        let tokens = Tokens::default();
        tokens.issue("one", Caller::App, &[], HOUR);
        assert!(!tokens.meets("one", "{}") && !tokens.meets("made-up", "{}"));
        tokens.note_claims("one", r#"{"a": 1, "b": 2}"#);
        assert!(tokens.meets("one", r#"{"b":2,"a":1}"#));
        assert!(!tokens.meets("one", r#"{"a":1}"#) && !tokens.meets("one", "text"));
    }
}
