//! The access tokens handed out: opaque random text, known here with their end and the identity behind them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// Beyond this many tokens the expired ones are forgotten before a new one is added.
const PRUNE_ABOVE: usize = 10_000;

/// Who calls with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// The application itself.
    App,
    /// The application on behalf of this user (lower case).
    User(String),
}

/// What a presented token is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Missing,
    Unknown,
    Expired,
    Valid(Caller),
}

/// All tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens(RwLock<HashMap<String, Issued>>);

#[derive(Debug)]
struct Issued {
    caller: Caller,
    until: Instant,
}

impl Tokens {
    pub(super) fn issue(&self, caller: Caller, lifetime: Duration) -> String {
        let token = random_token();
        let now = Instant::now();
        // A lifetime beyond what the clock can express is a year: longer than any sandbox runs.
        let year = Duration::from_secs(365 * 24 * 3600);
        let until = now + lifetime.min(year);
        let mut tokens = self.write();
        if tokens.len() >= PRUNE_ABOVE {
            tokens.retain(|_, issued| issued.until > now);
        }
        tokens.insert(token.clone(), Issued { caller, until });
        token
    }

    pub(super) fn standing(&self, token: Option<&str>) -> Standing {
        let Some(token) = token else {
            return Standing::Missing;
        };
        match self.read().get(token) {
            None => Standing::Unknown,
            Some(issued) if issued.until <= Instant::now() => Standing::Expired,
            Some(issued) => Standing::Valid(issued.caller.clone()),
        }
    }

    /// One token stops being valid (continuous access evaluation).
    pub(super) fn revoke(&self, token: &str) {
        if let Some(issued) = self.write().get_mut(token) {
            issued.until = Instant::now();
        }
    }

    pub(super) fn expire_all(&self) {
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

/// Looks like a token and says nothing: clients must not look inside.
fn random_token() -> String {
    let mut bytes = Vec::with_capacity(96);
    for _ in 0..6 {
        bytes.extend_from_slice(Uuid::new_v4().as_bytes());
    }
    format!("sandbox.{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_token_stands_for_its_caller_until_it_expires() {
        let tokens = Tokens::default();
        let app = tokens.issue(Caller::App, HOUR);
        let stale = tokens.issue(Caller::App, Duration::ZERO);
        assert_eq!(tokens.standing(Some(&app)), Standing::Valid(Caller::App));
        assert_eq!(tokens.standing(Some(&stale)), Standing::Expired);
        assert_eq!(tokens.standing(Some("made-up")), Standing::Unknown);
        assert_eq!(tokens.standing(None), Standing::Missing);
    }

    #[test]
    fn revoking_one_token_leaves_the_others() {
        let tokens = Tokens::default();
        let (one, two) = (tokens.issue(Caller::App, HOUR), tokens.issue(Caller::App, Duration::MAX));
        tokens.revoke(&one);
        assert_eq!(tokens.standing(Some(&one)), Standing::Expired);
        assert_eq!(tokens.standing(Some(&two)), Standing::Valid(Caller::App));
        tokens.expire_all();
        assert_eq!(tokens.standing(Some(&two)), Standing::Expired);
    }
}
