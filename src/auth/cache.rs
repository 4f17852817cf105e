//! The token every request takes: one request per lifetime however many jobs wait, one refresher at a time, renewed
//! early while the old token still serves, and never the same refused request twice in a row.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as AsyncMutex, watch};

use super::answer::Fresh;
use super::{CredentialEnd, Patience, TokenEndpoint, TokenRefusal};
use crate::backoff::doubled;
use crate::secret::Secret;

/// A token with less than this left is as good as expired (MSAL's rule, graph-facts 5.3).
const MARGIN: Duration = Duration::from_secs(300);
/// A token that lives this long is renewed at half its life (MSAL's rule, graph-facts 5.3).
const LONG: Duration = Duration::from_secs(2 * 3600);
/// Shortest wait after a refusal a person must fix; MSAL blocks the same request for as long.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// Longest wait after refusals in a row.
const LONGEST_REFUSED_WAIT: Duration = Duration::from_secs(15 * 60);
/// A request that was refused is not repeated sooner than that, whoever asks for it.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// First and longest wait after trouble that passes by itself.
const TRANSIENT_WAIT: Duration = Duration::from_secs(2);
const LONGEST_TRANSIENT_WAIT: Duration = Duration::from_secs(60);

/// A token in use.
#[derive(Clone)]
struct Held {
    token: Arc<Secret>,
    asked: Instant,
    /// Serves until here.
    expires: Instant,
    /// Renewed from here on, or after a failed early renewal, when that may be tried again.
    renew: Instant,
}

/// A refusal and the time before which the same request is not sent again.
#[derive(Clone)]
struct Blocked {
    refusal: TokenRefusal,
    since: Instant,
    until: Instant,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    blocked: Option<Blocked>,
    refusals: u32,
    /// Claims of a challenge, to be answered by the next request.
    claims: Option<String>,
    /// The credentials are others than those that were refused, and whoever waits for that has not been told yet.
    replaced: bool,
}

/// How it stands with the token, for whoever watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenStanding {
    /// Time since the token in use was asked for; none if there is none that serves.
    pub age: Option<Duration>,
    /// Time it still serves.
    pub serves_for: Option<Duration>,
    /// The last request for a token was refused so.
    pub refusal: Option<TokenRefusal>,
    /// Requests that brought a token, …
    pub granted: u64,
    /// … that were refused, …
    pub refused: u64,
    /// … and that got no answer.
    pub unreachable: u64,
}

/// Token requests by what came of them.
#[derive(Default)]
struct Requests {
    granted: AtomicU64,
    refused: AtomicU64,
    unreachable: AtomicU64,
}

impl State {
    /// The next request is another one than that which was refused.
    fn unblock(&mut self, now: Instant) {
        if self.blocked.take().is_some()
            && let Some(held) = &mut self.held
        {
            held.renew = now;
        }
        self.refusals = 0;
    }
}

/// Shared by everything that sends.
pub struct TokenCache {
    /// Another one after a change of settings.
    endpoint: Mutex<Arc<TokenEndpoint>>,
    requests: Requests,
    state: Mutex<State>,
    refresher: AsyncMutex<()>,
    /// When the credentials in use end, for those who wait for a change.
    end: watch::Sender<Option<CredentialEnd>>,
}

impl TokenCache {
    pub fn new(endpoint: TokenEndpoint) -> Self {
        Self {
            end: watch::Sender::new(endpoint.credential_end()),
            endpoint: Mutex::new(Arc::new(endpoint)),
            requests: Requests::default(),
            state: Mutex::default(),
            refresher: AsyncMutex::new(()),
        }
    }

    /// A token that serves at `now`.
    ///
    /// # Errors
    /// The refusal, with the time still to wait in `retry_after`. Within that time no request is made.
    pub async fn get(&self, now: Instant) -> Result<Arc<Secret>, TokenRefusal> {
        let held = self.state().held.clone();
        if let Some(held) = held.filter(|held| now < held.expires) {
            if now < held.renew {
                return Ok(held.token);
            }
            // Renewal is due: one caller does it, the others go on with the old token.
            let Ok(_turn) = self.refresher.try_lock() else { return Ok(held.token) };
            // The one before may have just done it.
            if let Some(renewed) = self.state().held.clone().filter(|held| now < held.renew) {
                return Ok(renewed.token);
            }
            return Ok(self.renew_apart(now).await.unwrap_or(held.token));
        }
        let _turn = self.refresher.lock().await;
        // Somebody else may have brought a token, or a refusal, while this caller waited for its turn.
        match self.known(now) {
            Some(answer) => answer,
            None => self.renew_apart(now).await,
        }
    }

    /// Drops `rejected` if it is still the one in use, so that the next `get` asks for a new one. `claims` are those
    /// of the challenge that came with the rejection.
    pub fn reject(&self, rejected: &Secret, claims: Option<String>) {
        let mut state = self.state();
        if state.held.as_ref().is_some_and(|held| *held.token == *rejected) {
            state.held = None;
            state.claims = claims;
        }
    }

    /// Whether the credentials are others by now than those that were refused. Then the next `get` asks at once: the wait
    /// was for the request that was refused, and this is another one.
    pub fn credentials_replaced(&self, now: Instant) -> bool {
        if self.state().blocked.is_some() {
            self.read_credentials(now);
        }
        std::mem::take(&mut self.state().replaced)
    }

    /// Reads the credentials anew, as a request for a token would: an agent that has nothing to send makes none, and is
    /// to know all the same what it would sign in with.
    pub fn read_credentials(&self, now: Instant) {
        if self.endpoint().renew() {
            let mut state = self.state();
            state.replaced |= state.blocked.is_some();
            state.unblock(now);
        }
        self.tell_end();
    }

    /// Asks in another way from now on. The token in use goes on serving if it is for the same application, tenant and
    /// resource; what was refused was another request.
    pub fn sign_in_with(&self, endpoint: TokenEndpoint, keeps_token: bool, now: Instant) {
        *self.endpoint.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(endpoint);
        let mut state = self.state();
        state.unblock(now);
        if !keeps_token {
            *state = State::default();
        }
        drop(state);
        self.tell_end();
    }

    /// Something may have been fixed at Microsoft's end: the next `get` asks at once, if a person had to fix something,
    /// no server named a wait, and the last request was not made a moment ago. Tells whether it will.
    pub fn try_again(&self, now: Instant) -> bool {
        let mut state = self.state();
        let may = state.blocked.as_ref().is_some_and(|blocked| {
            matches!(blocked.refusal.patience, Patience::Refused)
                && blocked.refusal.retry_after.is_none()
                && now.saturating_duration_since(blocked.since) >= AGAIN_AFTER
        });
        if may {
            state.blocked = None;
        }
        may
    }

    fn endpoint(&self) -> Arc<TokenEndpoint> {
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When the credentials in use end, as far as that can be known.
    pub fn credential_end(&self) -> Option<CredentialEnd> {
        self.endpoint().credential_end()
    }

    /// The same, to wait for a change of.
    pub fn watch_credential_end(&self) -> watch::Receiver<Option<CredentialEnd>> {
        self.end.subscribe()
    }

    fn tell_end(&self) {
        let end = self.credential_end();
        self.end.send_if_modified(|known| std::mem::replace(known, end) != end);
    }

    /// How it stands with the token at `now`. Asks nobody.
    pub fn standing(&self, now: Instant) -> TokenStanding {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let state = self.state();
        let held = state.held.as_ref().filter(|held| now < held.expires);
        TokenStanding {
            age: held.map(|held| now.saturating_duration_since(held.asked)),
            serves_for: held.map(|held| held.expires - now),
            refusal: state.blocked.as_ref().map(|blocked| blocked.refusal.clone()),
            granted: count(&self.requests.granted),
            refused: count(&self.requests.refused),
            unreachable: count(&self.requests.unreachable),
        }
    }

    /// What is known without a request: a token that serves, or a refusal still to be waited out.
    fn known(&self, now: Instant) -> Option<Result<Arc<Secret>, TokenRefusal>> {
        let state = self.state();
        if let Some(held) = state.held.as_ref().filter(|held| now < held.expires) {
            return Some(Ok(held.token.clone()));
        }
        let blocked = state.blocked.as_ref().filter(|blocked| now < blocked.until)?;
        Some(Err(TokenRefusal { retry_after: Some(blocked.until - now), ..blocked.refusal.clone() }))
    }

    /// Must be called by the one refresher. In memory of its own: it comes once an hour, and every attempt would carry its
    /// size.
    fn renew_apart(&self, now: Instant) -> impl Future<Output = Result<Arc<Secret>, TokenRefusal>> {
        Box::pin(self.renew(now))
    }

    async fn renew(&self, mut now: Instant) -> Result<Arc<Secret>, TokenRefusal> {
        let answer = loop {
            let (endpoint, claims) = (self.endpoint(), self.state().claims.clone());
            let answer = endpoint.ask(claims.as_deref()).await;
            // The request was made with the credentials as they are in their files by now.
            self.tell_end();
            let count = match &answer {
                Ok(_) => &self.requests.granted,
                Err(refusal) if refusal.unreachable => &self.requests.unreachable,
                Err(_) => &self.requests.refused,
            };
            count.fetch_add(1, Ordering::Relaxed);
            if Arc::ptr_eq(&endpoint, &self.endpoint()) {
                break answer;
            }
            // The sign-in was changed meanwhile: this answer says nothing of the new one.
            now = Instant::now();
        };
        let mut state = self.state();
        match answer {
            Ok(fresh) => {
                let held = Held::from_fresh(fresh, now);
                tracing::info!(
                    duration_ms = u64::try_from(now.elapsed().as_millis()).unwrap_or(u64::MAX),
                    expires_in_s = held.expires.saturating_duration_since(now).as_secs(),
                    "token acquired"
                );
                let token = held.token.clone();
                *state = State { held: Some(held), ..State::default() };
                Ok(token)
            }
            Err(refusal) => {
                // With the claims it is refused for good. Graph challenges again if it still means them.
                if refusal.patience != Patience::Transient {
                    state.claims = None;
                }
                state.replaced = false;
                state.refusals = state.refusals.saturating_add(1);
                let wait = wait(&refusal, state.refusals);
                let until = now + now.elapsed() + wait;
                if let Some(held) = &mut state.held {
                    held.renew = until;
                }
                state.blocked = Some(Blocked { refusal: refusal.clone(), since: until - wait, until });
                Err(TokenRefusal { retry_after: Some(wait), ..refusal })
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is replaced as a whole; a panic elsewhere leaves nothing half-written in it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Lifetimes count from before the request, so the margin errs on the safe side.
    fn from_fresh(fresh: Fresh, asked: Instant) -> Self {
        let lifetime = fresh.expires_in;
        // Half of a short lifetime is all that may be kept in reserve.
        let margin = MARGIN.min(lifetime / 2);
        let usual = if lifetime >= LONG { lifetime / 2 } else { lifetime - margin };
        let renew = fresh.refresh_in.filter(|early| *early < lifetime).unwrap_or(usual).min(lifetime - margin);
        // A server that says "renew at once" is not asked for every job.
        let renew = renew.max(lifetime / 10);
        // The last moments are not used: a request must not arrive with a token that dies on the way.
        let reserve = Duration::from_secs(30).min(lifetime / 10);
        Self { token: Arc::new(fresh.access_token), asked, expires: asked + (lifetime - reserve), renew: asked + renew }
    }
}

/// How long the same request waits after its `refusals`-th refusal in a row.
fn wait(refusal: &TokenRefusal, refusals: u32) -> Duration {
    let times = refusals.saturating_sub(1);
    let own = match refusal.patience {
        Patience::Transient => doubled(TRANSIENT_WAIT, times, LONGEST_TRANSIENT_WAIT),
        Patience::Refused => doubled(REFUSED_WAIT, times, LONGEST_REFUSED_WAIT),
        Patience::AtLeast(least) => least,
    };
    own.max(refusal.retry_after.unwrap_or_default())
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
