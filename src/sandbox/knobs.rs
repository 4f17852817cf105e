//! What can be turned while the sandbox runs: plain data, replaced as a whole, read once per request.

use std::time::Duration;

use serde::Deserialize;

use super::{CLIENT_SECRET, PASSWORD, SandboxOptions};

/// The settings in force.
#[derive(Clone, Debug)]
pub(super) struct Knobs {
    pub(super) latency: Duration,
    pub(super) token_lifetime: Duration,
    pub(super) expires_in_as_text: bool,
    pub(super) refresh_in_s: Option<u64>,
    pub(super) deduplicate: bool,
    pub(super) lookup: bool,
    pub(super) limits: bool,
    pub(super) existing_event_id: bool,
    pub(super) client_secret: String,
    pub(super) password: String,
    pub(super) token_requests_per_minute: Option<u32>,
}

impl Knobs {
    pub(super) fn new(options: &SandboxOptions) -> Self {
        Self {
            latency: options.latency,
            token_lifetime: options.token_lifetime,
            expires_in_as_text: false,
            refresh_in_s: None,
            deduplicate: options.deduplicate,
            lookup: options.lookup,
            limits: options.limits,
            existing_event_id: false,
            client_secret: CLIENT_SECRET.to_owned(),
            password: PASSWORD.to_owned(),
            token_requests_per_minute: None,
        }
    }

    pub(super) fn changed(mut self, change: OptionsChange) -> Self {
        set(&mut self.latency, change.latency_ms.map(Duration::from_millis));
        set(&mut self.token_lifetime, change.token_lifetime_s.map(Duration::from_secs));
        set(&mut self.expires_in_as_text, change.expires_in_as_text);
        set(&mut self.deduplicate, change.deduplicate);
        set(&mut self.lookup, change.lookup);
        set(&mut self.limits, change.limits);
        set(&mut self.existing_event_id, change.existing_event_id);
        set(&mut self.client_secret, change.client_secret);
        set(&mut self.password, change.password);
        // Zero turns these two off again.
        set(&mut self.refresh_in_s, change.refresh_in_s.map(|s| (s > 0).then_some(s)));
        let per_minute = change.token_requests_per_minute;
        set(&mut self.token_requests_per_minute, per_minute.map(|n| (n > 0).then_some(n)));
        self
    }
}

fn set<T>(knob: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *knob = value;
    }
}

/// A change of options while the sandbox runs; what is left out stays as it is. The JSON of `POST /sandbox/options`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptionsChange {
    /// Added to each calendar request, milliseconds.
    pub latency_ms: Option<u64>,
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
    /// A duplicate's error carries `@event.existingEventId`.
    pub existing_event_id: Option<bool>,
    /// The client secret accepted from now on.
    pub client_secret: Option<String>,
    /// The password of the user accepted from now on.
    pub password: Option<String>,
    /// Token requests per minute before the endpoint throttles; 0 turns that off.
    pub token_requests_per_minute: Option<u32>,
}
