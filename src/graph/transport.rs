//! One exchange with Graph: connection, token, headers, and the one repeat after a 401. Knows no calendar.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::RequestBuilder;
use reqwest::header::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::client::Call;
use super::faults::{lost, no_connection, no_token, unsayable};
use super::reply::{self, Reply};
use crate::auth::TokenCache;
use crate::secret::Secret;

/// After a 503 the retry wants a new connection (graph-facts 4.2); more often than this all connections of all
/// mailboxes are not dropped for it.
const RECONNECT_AT_MOST: Duration = Duration::from_secs(5);

/// The time of a call, on both clocks: the wall's for dates, the steady one for lifetimes.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Wall clock.
    pub wall: DateTime<Utc>,
    /// Steady clock.
    pub steady: Instant,
}

impl Now {
    /// A time of day as a moment of the steady clock. What is past is now.
    pub fn steady_at(&self, wall: DateTime<Utc>) -> Instant {
        self.steady.checked_add((wall - self.wall).to_std().unwrap_or_default()).unwrap_or(self.steady)
    }

    /// A moment of the steady clock as a time of day. What is past is now.
    pub fn wall_at(&self, steady: Instant) -> DateTime<Utc> {
        let wait = TimeDelta::from_std(steady.saturating_duration_since(self.steady)).unwrap_or(TimeDelta::MAX);
        self.wall.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// `graph.connect_timeout`, `graph.request_timeout` and `graph.ca_file`.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// Until the connection stands, TLS included.
    pub connect_timeout: Duration,
    /// Until the whole answer is read.
    pub request_timeout: Duration,
    /// PEM certificates trusted beside the system's.
    pub extra_ca: Option<Vec<u8>>,
}

/// An HTTP client for `url`: HTTP/1.1, a connection for each request in flight (with real latencies as quick as HTTP/2
/// and cheaper, docs/performance.md; and a connection that breaks leaves one job in doubt, not all), no redirects (they would carry the token elsewhere), no hidden retries, the proxy of the
/// environment unless the host is this machine.
///
/// # Errors
/// The extra certificates cannot be read.
pub fn http_client(settings: &NetworkSettings, url: &str) -> Result<reqwest::Client, reqwest::Error> {
    if url.starts_with("http://") {
        // Plain HTTP is only allowed to loopback (config/rules.rs), where a proxy has no business.
        return local_client(settings);
    }
    client(settings)?.build()
}

/// The same for a service of this machine itself: it is never asked through a proxy.
///
/// # Errors
/// As [`http_client`].
pub fn local_client(settings: &NetworkSettings) -> Result<reqwest::Client, reqwest::Error> {
    client(settings)?.no_proxy().build()
}

fn client(settings: &NetworkSettings) -> Result<reqwest::ClientBuilder, reqwest::Error> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("event-sender/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.request_timeout);
    match &settings.extra_ca {
        Some(pem) => Ok(builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem)?)),
        None => Ok(builder),
    }
}

/// Asked right before each request leaves: the mailbox may have been told to rest while its token was awaited.
pub type MayLeave<'a> = &'a (dyn Fn() -> bool + Sync);

/// A whole answer.
pub(super) struct Answered {
    pub reply: Reply,
    /// What `reply` was read from; empty if it was too large to be read.
    pub body: Vec<u8>,
    /// The agent's id of the request.
    pub id: String,
    token: Arc<Secret>,
}

/// A request whose answer has begun.
struct Sent {
    response: reqwest::Response,
    id: String,
    token: Arc<Secret>,
}

/// The connections to Graph and the tokens for them.
pub(super) struct Transport {
    url: String,
    network: NetworkSettings,
    http: Mutex<(reqwest::Client, Instant)>,
    tokens: Arc<TokenCache>,
}

impl Transport {
    pub(super) fn new(
        endpoint: &str,
        network: NetworkSettings,
        tokens: Arc<TokenCache>,
        now: Instant,
    ) -> Result<Self, reqwest::Error> {
        let http = Mutex::new((http_client(&network, endpoint)?, now));
        Ok(Self { url: endpoint.to_owned(), network, http, tokens })
    }

    /// Sends, and after a 401 or a claims challenge once more with a new token. The error is a call that got no whole
    /// answer.
    pub(super) async fn exchange(
        &self,
        build: impl Fn(&reqwest::Client) -> RequestBuilder,
        limit: usize,
        now: Now,
        may_leave: MayLeave<'_>,
    ) -> Result<Answered, Call> {
        let first = self.exchange_once(&build, limit, now, may_leave).await?;
        let reply = &first.reply;
        let named = reply.codes.iter().any(|code| code.eq_ignore_ascii_case("insufficient_claims"));
        let challenged = named || reply.claims.is_some();
        if reply.status != 401 && !(reply.status == 403 && challenged) {
            return Ok(first);
        }
        self.tokens.reject(&first.token, reply.claims.clone());
        if reply.retry_after.is_some() {
            return Err(Call { retry_after: reply.retry_after, ..Call::not_made() });
        }
        self.exchange_once(&build, limit, now, may_leave).await
    }

    async fn exchange_once(
        &self,
        build: &impl Fn(&reqwest::Client) -> RequestBuilder,
        limit: usize,
        now: Now,
        may_leave: MayLeave<'_>,
    ) -> Result<Answered, Call> {
        let Sent { mut response, id, token } = self.send_once(build, now, may_leave).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = match reply::body(&mut response, limit).await {
            Ok(body) => body.unwrap_or_default(),
            // Busy or broken is said by the head alone. Of a success or a refusal the rest decides what it means.
            Err(_) if status == 429 || status >= 500 => Vec::new(),
            Err(error) => return Err(lost(&error, &id, Some(status))),
        };
        let reply = Reply::read(status, &headers, &body, SystemTime::from(now.wall));
        Ok(Answered { reply, body, id, token })
    }

    async fn send_once(
        &self,
        build: &impl Fn(&reqwest::Client) -> RequestBuilder,
        now: Now,
        may_leave: MayLeave<'_>,
    ) -> Result<Sent, Call> {
        let token = self.tokens.get(now.steady).await.map_err(no_token)?;
        if !may_leave() {
            return Err(Call::not_made());
        }
        // Told apart from others, not kept secret: no cryptographic chance is needed.
        let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid().to_string();
        let request = build(&self.http()).headers(headers(&token, &id));
        match request.send().await {
            Ok(response) => Ok(Sent { response, id, token }),
            Err(error) if error.is_builder() => Err(unsayable(&error)),
            Err(error) if error.is_connect() => Err(no_connection(&error, &id)),
            Err(error) => Err(lost(&error, &id, None)),
        }
    }

    fn http(&self) -> reqwest::Client {
        self.http.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Forgets all idle connections.
    pub(super) fn reconnect(&self, now: Instant) {
        let mut current = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(current.1) >= RECONNECT_AT_MOST
            && let Ok(fresh) = http_client(&self.network, &self.url)
        {
            *current = (fresh, now);
        }
    }
}

fn headers(token: &Secret, id: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Both are printable ASCII: the cache takes no other token, and the id is a UUID.
    let bearer = Zeroizing::new(format!("Bearer {}", token.expose()));
    if let Ok(mut bearer) = HeaderValue::from_str(&bearer) {
        bearer.set_sensitive(true);
        headers.insert("authorization", bearer);
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("client-request-id", id);
    }
    headers.insert("accept", HeaderValue::from_static("application/json"));
    headers.insert("return-client-request-id", HeaderValue::from_static("true"));
    headers.insert("prefer", HeaderValue::from_static("IdType=\"ImmutableId\""));
    headers
}
