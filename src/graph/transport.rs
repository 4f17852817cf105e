//! One exchange with Graph: connection and headers. Knows no calendar, and makes no request twice.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use reqwest::RequestBuilder;
use reqwest::header::{HeaderMap, HeaderValue};
use tower::{Layer, Service};
use zeroize::Zeroizing;

use super::faults::{has_died, misdirected, no_connection, reply_lost, stale, unbuildable_request};
use super::purpose::Purpose;
use super::reply::{self, Reply};
use crate::clock::Now;
use crate::http::{ClientFault, NetworkSettings, built, for_url};
use crate::job::CallResult;
use crate::secret::Secret;

/// After a 503 the retry wants a new connection (graph-facts 4.2); more often than this all connections of all
/// mailboxes are not dropped for it.
const RECONNECT_AT_MOST: Duration = Duration::from_secs(5);
/// From the end of an answer until its connection waits for others.
const HANDED_OVER_WITHIN: Duration = Duration::from_millis(20);

/// Over which connection a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Any that is open already, or a new one.
    Kept,
    /// One of its own.
    Fresh,
}

/// A whole answer.
pub(super) struct Answered {
    pub reply: Reply,
    /// What `reply` was read from; empty if it was too large to be read.
    pub body: Vec<u8>,
    /// The agent's id of the request.
    pub id: String,
    /// Whose connections it came over.
    pub client: Generation,
}

/// A request whose answer has begun.
struct Sent {
    response: reqwest::Response,
    id: String,
    client: Generation,
}

/// Counts the sets of kept connections, each of which is given up as a whole.
pub(super) type Generation = u64;

/// The connections that are kept.
struct Kept {
    client: reqwest::Client,
    generation: Generation,
    since: Instant,
}

/// The connections to Graph.
pub(super) struct Transport {
    url: String,
    network: NetworkSettings,
    kept: Mutex<Kept>,
    freed: Freed,
    /// Keeps no connection.
    fresh: OnceLock<reqwest::Client>,
}

impl Transport {
    pub(super) fn new(endpoint: &str, network: NetworkSettings, now: Instant) -> Result<Self, ClientFault> {
        let freed = Freed::default();
        let client = built(for_url(&network, endpoint)?.connector_layer(Noting(freed.clone())))?;
        let kept = Mutex::new(Kept { client, generation: 0, since: now });
        Ok(Self { url: endpoint.to_owned(), network, kept, freed, fresh: OnceLock::new() })
    }

    /// How long one request may take.
    pub(super) fn patience(&self) -> Duration {
        self.network.request_timeout
    }

    /// Sends once. The error is a call that got no whole answer.
    pub(super) async fn exchange(
        &self,
        purpose: Purpose,
        build: impl Fn(&reqwest::Client) -> RequestBuilder,
        limit: usize,
        line: Line,
        token: &Secret,
        now: Now,
    ) -> Result<Answered, CallResult> {
        let Sent { mut response, id, client } = self.send(purpose, build, line, token, now).await?;
        let status = response.status().as_u16();
        let is_anothers = |echo: &&HeaderValue| !echo.as_bytes().eq_ignore_ascii_case(id.as_bytes());
        if let Some(echo) = response.headers().get("client-request-id").filter(is_anothers) {
            // Answers have come out of step, and all others of these connections may be.
            self.forsake(client, now.steady);
            return Err(misdirected(echo.to_str().unwrap_or_default(), purpose, &id, status));
        }
        let body = match reply::body(&mut response, limit).await {
            Ok(body) => body.unwrap_or_default(),
            // Busy or broken is said by the head alone. Of a success or a refusal the rest decides what it means.
            Err(_) if status == 429 || status >= 500 => Vec::new(),
            Err(error) => return Err(reply_lost(&error, purpose, &id, Some(status))),
        };
        let headers = response.headers();
        let closes = headers.get("connection").is_some_and(|word| word.as_bytes().eq_ignore_ascii_case(b"close"));
        if line == Line::Kept && !closes {
            self.freed.note(Instant::now());
        }
        let reply = Reply::read(status, headers, &body, SystemTime::from(now.wall));
        Ok(Answered { reply, body, id, client })
    }

    async fn send(
        &self,
        purpose: Purpose,
        build: impl Fn(&reqwest::Client) -> RequestBuilder,
        line: Line,
        token: &Secret,
        now: Now,
    ) -> Result<Sent, CallResult> {
        // Told apart from others, not kept secret: no cryptographic chance is needed.
        let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid().to_string();
        let (http, client) = self.http(line);
        let request = build(&http).headers(headers(token, &id));
        let (sent, is_new) = noting(request.send()).await;
        match sent {
            Ok(response) => Ok(Sent { response, id, client }),
            Err(error) if error.is_builder() => Err(unbuildable_request(&error)),
            Err(error) if error.is_connect() => Err(no_connection(&error, &id)),
            Err(error) if line == Line::Kept && !is_new && has_died(&error) => {
                // Whoever closed this one has most likely closed the others that were idle as long.
                self.reconnect(now.steady);
                Err(stale(purpose, &id))
            }
            Err(error) => Err(reply_lost(&error, purpose, &id, None)),
        }
    }

    fn http(&self, line: Line) -> (reqwest::Client, Generation) {
        let kept = self.kept();
        let client = match line {
            Line::Kept => kept.client.clone(),
            Line::Fresh => {
                self.fresh.get_or_init(|| self.keeping_none().unwrap_or_else(|| kept.client.clone())).clone()
            }
        };
        (client, kept.generation)
    }

    fn keeping_none(&self) -> Option<reqwest::Client> {
        built(for_url(&self.network, &self.url).ok()?.pool_max_idle_per_host(0)).ok()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all idle connections, now and then.
    pub(super) fn reconnect(&self, now: Instant) {
        let kept = self.kept();
        if now.saturating_duration_since(kept.since) >= RECONNECT_AT_MOST {
            self.renew(kept, now);
        }
    }

    /// Forgets all connections among which is one whose answers are not to be believed, unless that was done already.
    pub(super) fn forsake(&self, client: Generation, now: Instant) {
        let kept = self.kept();
        if kept.generation == client {
            self.renew(kept, now);
        }
    }

    fn renew(&self, mut kept: MutexGuard<'_, Kept>, now: Instant) {
        if let Ok(client) = for_url(&self.network, &self.url)
            .and_then(|client| built(client.connector_layer(Noting(self.freed.clone()))))
        {
            *kept = Kept { client, generation: kept.generation + 1, since: now };
        }
    }
}

/// When an answer left its connection to others last.
#[derive(Clone, Default)]
struct Freed(Arc<Mutex<Option<Instant>>>);

impl Freed {
    fn note(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    fn since(&self, time: Instant) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last + HANDED_OVER_WITHIN >= time)
    }
}

/// The request under way.
struct UnderWay {
    began: Instant,
    /// It certainly has a connection made for it.
    is_new: AtomicBool,
}

tokio::task_local! {
    static UNDER_WAY: UnderWay;
}

/// Waits for the end of `sending`, and tells whether a connection was made for it.
async fn noting<T>(sending: impl Future<Output = T>) -> (T, bool) {
    let noted = async {
        let sent = sending.await;
        (sent, UNDER_WAY.with(|request| request.is_new.load(Ordering::Relaxed)))
    };
    UNDER_WAY.scope(UnderWay { began: Instant::now(), is_new: AtomicBool::new(false) }, noted).await
}

/// Notes each new connection with the request it is made for. One that is finished only after its request has found another
/// is made by a task of its own, and noted nowhere; nor is one in whose making another fell free, which the request may have
/// taken at the last moment.
#[derive(Clone)]
struct Noting(Freed);

#[derive(Clone)]
struct Noted<S>(S, Freed);

impl<S> Layer<S> for Noting {
    type Service = Noted<S>;

    fn layer(&self, connector: S) -> Noted<S> {
        Noted(connector, self.0.clone())
    }
}

impl<S, R> Service<R> for Noted<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let (connecting, freed) = (self.0.call(target), self.1.clone());
        Box::pin(async move {
            let connected = connecting.await;
            if connected.is_ok() {
                let note = |request: &UnderWay| {
                    request.is_new.store(!freed.since(request.began), Ordering::Relaxed);
                };
                let _ = UNDER_WAY.try_with(note);
            }
            connected
        })
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
