//! From settings to objects, for every command that signs in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::network::network;
use crate::agent::{Failure, sign_in};
use crate::auth::TokenCache;
use crate::config::{AuthMode, DefaultSettings, GraphSettings, PastEvents, Settings};
use crate::graph::GraphClient;
use crate::job::{BodyType, Defaults};
use crate::policy::RetryPolicy;
use crate::worker::{MailLimits, WorkerSettings};

pub fn tokens(settings: &Settings) -> Result<Arc<TokenCache>, Failure> {
    Ok(Arc::new(TokenCache::new(sign_in::token_endpoint(settings)?)))
}

pub fn graph(settings: &Settings) -> Result<Arc<GraphClient>, Failure> {
    let graph = &settings.graph;
    let client = GraphClient::new(&graph.endpoint, &graph.api_version, network(graph), Instant::now());
    Ok(Arc::new(client.map_err(Failure::failed)?))
}

pub fn worker(settings: &Settings, until_empty: bool, heartbeat: Option<(Duration, fn())>) -> WorkerSettings {
    let delivery = &settings.delivery;
    WorkerSettings {
        max_in_flight: delivery.max_in_flight,
        per_mailbox: delivery.max_in_flight_per_mailbox,
        poll_interval: settings.queue.poll_interval,
        retention: settings.queue.retention,
        shutdown_grace: delivery.shutdown_grace,
        longest_attempt: longest_attempt(&settings.graph),
        policy: RetryPolicy {
            max_attempts: delivery.max_attempts,
            first_retry: delivery.first_retry,
            longest_retry: delivery.longest_retry,
            give_up_after: delivery.give_up_after,
            refuses_past_events: delivery.past_events == PastEvents::Refuse,
        },
        mail_limits: MailLimits {
            recipients_per_day: delivery.recipients_per_day,
            jobs_per_minute: delivery.invitations_per_minute,
        },
        defaults: defaults(&settings.defaults, settings.own_mailbox()),
        unnamed: settings.unnamed(),
        until_empty,
        heartbeat,
    }
}

/// An attempt makes a few requests one after the other (a lookup and its pages, the create, its repeat after a 401, all that
/// once more where a kept connection was dead, a token before each), and each has its timeouts: who is not done after this is
/// stuck.
fn longest_attempt(graph: &GraphSettings) -> Duration {
    (graph.connect_timeout + graph.request_timeout) * 16 + Duration::from_secs(300)
}

/// Whether the machine signs in, not an application in Entra.
pub fn own_identity(settings: &Settings) -> bool {
    matches!(settings.auth.mode, AuthMode::ManagedIdentity { .. })
}

pub fn defaults(settings: &DefaultSettings, own_mailbox: bool) -> Defaults {
    Defaults {
        mailbox: settings.mailbox.clone(),
        body_type: BodyType::parse(&settings.body_type).unwrap_or(BodyType::Text),
        time_zone: settings.time_zone.clone(),
        own_mailbox,
    }
}
