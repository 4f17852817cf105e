//! How a sandbox starts, and what can be changed while it runs: plain data, replaced as a whole, read once per request.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::certificate::Certificate;
use super::tenant::{CLIENT_SECRET, PASSWORD};

/// Bounds what a wide spread can ask for.
const LONGEST_LATENCY: Duration = Duration::from_secs(600);

#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Added to each calendar request.
    pub latency: Duration,
    /// Lifetime of tokens; answers give it in whole seconds.
    pub token_lifetime: Duration,
    /// `transactionId` is honoured.
    pub deduplicate: bool,
    /// The marker lookup finds events.
    pub lookup: bool,
    /// The documented limits of a mailbox are enforced.
    pub limits: bool,
    /// The certificates registered for the application, PEM; of each text the first certificate counts.
    pub certificates: Vec<String>,
    /// The federated credential configured for the application.
    pub federated: FederatedCredential,
    /// The host has a system-assigned identity.
    pub system_identity: bool,
    /// Where Azure Arc writes its challenge files; without a directory this host is not an Arc machine.
    pub arc_tokens_dir: Option<PathBuf>,
    /// Claims that Graph wants a token to have been issued with, a JSON object.
    pub claims_challenge: Option<String>,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            latency: Duration::ZERO,
            token_lifetime: Duration::from_secs(3600),
            deduplicate: true,
            lookup: true,
            limits: true,
            certificates: Vec::new(),
            federated: FederatedCredential::default(),
            system_identity: true,
            arc_tokens_dir: None,
            claims_challenge: None,
        }
    }
}

/// A federated credential as it is configured for an application: whose tokens are accepted. Entra compares all three
/// letter by letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FederatedCredential {
    /// `iss` of the token: the provider.
    pub issuer: String,
    /// `sub`: the workload.
    pub subject: String,
    /// `aud`, or one element of it.
    pub audience: String,
}

impl Default for FederatedCredential {
    fn default() -> Self {
        Self {
            issuer: "https://kubernetes.sandbox.example/".to_owned(),
            subject: "system:serviceaccount:calendar:event-sender".to_owned(),
            audience: "api://AzureADTokenExchange".to_owned(),
        }
    }
}

/// The settings in force.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) latency: Duration,
    pub(super) latency_sigma: f64,
    pub(super) latency_seed: u64,
    pub(super) token_lifetime: Duration,
    pub(super) expires_in_as_text: bool,
    pub(super) refresh_in_s: Option<u64>,
    pub(super) deduplicate: bool,
    pub(super) lookup: bool,
    pub(super) limits: bool,
    pub(super) keep_alive: bool,
    pub(super) existing_event_id: bool,
    pub(super) tell_cancelled: bool,
    pub(super) late_join_url: bool,
    pub(super) client_secret: String,
    pub(super) password: String,
    pub(super) token_requests_per_minute: Option<u32>,
    pub(super) roles: Vec<String>,
    pub(super) opaque_tokens: bool,
    pub(super) secret_expires_in_days: i64,
    pub(super) certificates: Vec<Certificate>,
    pub(super) federated: FederatedCredential,
    pub(super) system_identity: bool,
    pub(super) arc_tokens_dir: Option<PathBuf>,
    pub(super) claims_challenge: Option<String>,
}

impl Options {
    pub(super) fn new(options: &SandboxOptions) -> Self {
        Self {
            latency: options.latency,
            latency_sigma: 0.0,
            latency_seed: 0,
            token_lifetime: options.token_lifetime,
            expires_in_as_text: false,
            refresh_in_s: None,
            deduplicate: options.deduplicate,
            lookup: options.lookup,
            limits: options.limits,
            keep_alive: true,
            existing_event_id: false,
            tell_cancelled: true,
            late_join_url: false,
            client_secret: CLIENT_SECRET.to_owned(),
            password: PASSWORD.to_owned(),
            token_requests_per_minute: None,
            roles: vec!["Calendars.ReadWrite".to_owned()],
            opaque_tokens: false,
            secret_expires_in_days: 180,
            certificates: readable(&options.certificates),
            federated: options.federated.clone(),
            system_identity: options.system_identity,
            arc_tokens_dir: options.arc_tokens_dir.clone(),
            claims_challenge: options.claims_challenge.clone().filter(|claims| !claims.is_empty()),
        }
    }

    pub(super) fn changed(mut self, change: OptionsChange) -> Self {
        set(&mut self.latency, change.latency_ms.map(Duration::from_millis));
        set(&mut self.latency_sigma, change.latency_sigma);
        set(&mut self.latency_seed, change.latency_seed);
        set(&mut self.token_lifetime, change.token_lifetime_s.map(Duration::from_secs));
        set(&mut self.expires_in_as_text, change.expires_in_as_text);
        set(&mut self.deduplicate, change.deduplicate);
        set(&mut self.lookup, change.lookup);
        set(&mut self.limits, change.limits);
        set(&mut self.keep_alive, change.keep_alive);
        set(&mut self.existing_event_id, change.existing_event_id);
        set(&mut self.tell_cancelled, change.tell_cancelled);
        set(&mut self.late_join_url, change.late_join_url);
        set(&mut self.client_secret, change.client_secret);
        set(&mut self.password, change.password);
        set(&mut self.roles, change.roles);
        set(&mut self.opaque_tokens, change.opaque_tokens);
        set(&mut self.secret_expires_in_days, change.secret_expires_in_days);
        set(&mut self.certificates, change.certificates.as_deref().map(readable));
        set(&mut self.federated, change.federated);
        set(&mut self.system_identity, change.system_identity);
        set(&mut self.claims_challenge, change.claims_challenge.map(|claims| (!claims.is_empty()).then_some(claims)));
        // Zero turns these two off again.
        set(&mut self.refresh_in_s, change.refresh_in_s.map(|s| (s > 0).then_some(s)));
        let per_minute = change.token_requests_per_minute;
        set(&mut self.token_requests_per_minute, per_minute.map(|n| (n > 0).then_some(n)));
        self
    }

    /// How long this calendar request takes. Depends on its number alone, so two clients that send as many requests
    /// under one seed meet the same waits in the same order.
    pub(super) fn latency_of(&self, sequence: u64) -> Duration {
        if self.latency_sigma == 0.0 || self.latency.is_zero() {
            return self.latency;
        }
        let mut jitter = fastrand::Rng::with_seed(self.latency_seed.rotate_left(32) ^ sequence);
        // Box and Muller's way to a normal number; the logarithm wants no zero.
        let radius = (-2.0 * (1.0 - jitter.f64()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * jitter.f64()).cos();
        let seconds = self.latency.as_secs_f64() * (self.latency_sigma * normal).exp();
        Duration::try_from_secs_f64(seconds).map_or(LONGEST_LATENCY, |latency| latency.min(LONGEST_LATENCY))
    }
}

/// Refuses a text that holds no certificate.
pub(super) fn check_certificates(texts: &[String]) -> Result<(), String> {
    texts.iter().try_for_each(|text| Certificate::from_pem(text).map(drop))
}

/// Refuses claims that are not a JSON object; an empty text stands for none.
pub(super) fn check_claims(text: &str) -> Result<(), String> {
    if text.is_empty() || serde_json::from_str::<Map<String, Value>>(text).is_ok() {
        return Ok(());
    }
    Err(format!("{text:?} is not a JSON object"))
}

fn readable(texts: &[String]) -> Vec<Certificate> {
    texts.iter().filter_map(|text| Certificate::from_pem(text).ok()).collect()
}

fn set<T>(option: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *option = value;
    }
}

/// A change of options while the sandbox runs; what is left out stays as it is. The JSON of `POST /sandbox/options`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptionsChange {
    /// Added to each calendar request, milliseconds; the median of it where it is spread.
    pub latency_ms: Option<u64>,
    /// Spreads the latency lognormally: the standard deviation of its logarithm; 0 makes it always the same.
    pub latency_sigma: Option<f64>,
    /// Another seed gives other latencies.
    pub latency_seed: Option<u64>,
    /// Lifetime of tokens issued from now on, seconds.
    pub token_lifetime_s: Option<u64>,
    /// `expires_in` as text, as the v1 endpoint writes it.
    pub expires_in_as_text: Option<bool>,
    /// `refresh_in` of token answers, seconds; 0 leaves it out.
    pub refresh_in_s: Option<u64>,
    /// `transactionId` is honoured.
    pub deduplicate: Option<bool>,
    /// The marker lookup finds events.
    pub lookup: Option<bool>,
    /// The documented limits of a mailbox are enforced.
    pub limits: Option<bool>,
    /// Connections are kept for the next request; otherwise each ends with its answer.
    pub keep_alive: Option<bool>,
    /// A duplicate's error carries `@event.existingEventId`.
    pub existing_event_id: Option<bool>,
    /// A cancelled event, read by its id, has `isCancelled`; otherwise only the listing shows that it is gone.
    pub tell_cancelled: Option<bool>,
    /// The answer that creates an online meeting lacks its `joinUrl`; a later GET has it.
    pub late_join_url: Option<bool>,
    /// The client secret accepted from now on.
    pub client_secret: Option<String>,
    /// The password of the user accepted from now on.
    pub password: Option<String>,
    /// Token requests per minute before the endpoint throttles; 0 turns that off.
    pub token_requests_per_minute: Option<u32>,
    /// Permissions of tokens issued from now on: `roles` of an application, `scp` of a user. What a mailbox allows does
    /// not depend on them, as Exchange may grant access by itself; reading the application does.
    pub roles: Option<Vec<String>>,
    /// Tokens issued from now on are opaque instead of JWTs.
    pub opaque_tokens: Option<bool>,
    /// When the application says its secret expires, counted from the time of the request; below zero: it has expired.
    pub secret_expires_in_days: Option<i64>,
    /// The certificates registered for the application, PEM; the list replaces the one before. Of each text the first
    /// certificate counts; one without any is an error over HTTP and registers nothing in
    /// [`crate::sandbox::Sandbox::configure`].
    pub certificates: Option<Vec<String>>,
    /// The federated credential configured for the application.
    pub federated: Option<FederatedCredential>,
    /// The host has a system-assigned identity.
    pub system_identity: Option<bool>,
    /// Claims, a JSON object: Graph refuses tokens that were not issued with exactly these; an empty text ends that.
    pub claims_challenge: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(sigma: f64, seed: u64) -> Vec<Duration> {
        let change = OptionsChange {
            latency_ms: Some(150),
            latency_sigma: Some(sigma),
            latency_seed: Some(seed),
            ..OptionsChange::default()
        };
        let options = Options::new(&SandboxOptions::default()).changed(change);
        (1..=10_001).map(|sequence| options.latency_of(sequence)).collect()
    }

    #[test]
    fn a_spread_latency_is_lognormal_around_its_median() {
        let mut latencies = spread(0.5, 7);
        latencies.sort();
        let at = |share: f64| latencies[(share * 10_000.0) as usize].as_secs_f64() * 1000.0;
        // One standard deviation to either side: 150 ms / e^0.5, 150 ms, 150 ms * e^0.5.
        for (share, expected) in [(0.159, 91.0), (0.5, 150.0), (0.841, 247.0)] {
            assert!((at(share) / expected - 1.0).abs() < 0.05, "{share}: {}", at(share));
        }
    }

    #[test]
    fn a_seed_gives_the_same_latencies_again_and_another_seed_others() {
        assert_eq!(spread(0.5, 7), spread(0.5, 7));
        assert_ne!(spread(0.5, 7), spread(0.5, 8));
        assert!(spread(0.0, 7).iter().all(|latency| *latency == Duration::from_millis(150)));
        assert!(spread(f64::MAX, 7).iter().all(|latency| *latency <= LONGEST_LATENCY));
    }
}
