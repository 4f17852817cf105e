//! The HTTP side: which door a request comes in by, its body within bounds, and the order in which a calendar request
//! is judged: sign-in, limits, script, then the calendar itself.
//!
//! A request is carried out the moment it has arrived whole; latency and delays only hold back the answer. So a client
//! that hangs up early leaves its event behind, as with the real service. The one exception is a request scripted to
//! come late: it waits for its turn first, and the client's hanging up does not call it back.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::map_response_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::Value;

use super::connection::Line;
use super::control;
use super::visit::Visit;
use super::world::World;
use crate::sandbox::calendar::{self, CONCURRENCY_LIMIT, Call, Owner};
use crate::sandbox::entra::{Caller, Host, IdentityRequest, Standing, TokenRequest, directory, discovery};
use crate::sandbox::faults::{Action, Scene};
use crate::sandbox::journal::RequestKind;
use crate::sandbox::knobs::Knobs;
use crate::sandbox::refusal::{Refusal, insufficient_claims};
use crate::sandbox::reply::{Cut, Ids, Reply};
use crate::sandbox::retry_after::RetryAfter;

/// The largest body of the Graph REST API.
const MAX_BODY: usize = 4 << 20;
/// A larger body is read on and thrown away up to here, so that the client gets to read the refusal.
const MAX_DISCARDED: usize = 64 << 20;

/// All routes.
pub(in crate::sandbox) fn router(world: Arc<World>) -> Router {
    let hosts = Host::ALL.iter().fold(Router::new(), |router, host| {
        router.route(host.path(), get(move |world, line, request| identity(*host, world, line, request)))
    });
    hosts
        .route("/{tenant}/oauth2/v2.0/token", post(token))
        .route("/{tenant}/oauth2/token", post(token))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(describe))
        .route("/{tenant}/.well-known/openid-configuration", get(describe))
        .nest("/sandbox", control::router())
        .fallback(graph)
        .layer(map_response_with_state(Arc::clone(&world), let_go))
        .with_state(world)
}

/// Without keep-alive, each connection ends with its answer.
async fn let_go(State(world): State<Arc<World>>, mut response: Response) -> Response {
    if !world.knobs().keep_alive {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn token(
    State(world): State<Arc<World>>,
    Path(tenant): Path<String>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let kept = line.note_request();
    let mut visit = Visit::begin(&world, RequestKind::Token, &parts, None);
    let reply = match read(body).await {
        Ok(body) => {
            let request = TokenRequest::read(&tenant, &parts, &body);
            answer_token(&world, &request, &parts.uri, kept, &mut visit).await
        }
        Err(refused) => refused.reply(&visit),
    };
    visit.answer(reply, &line)
}

async fn answer_token(world: &World, request: &TokenRequest, uri: &Uri, kept: bool, visit: &mut Visit) -> Reply {
    visit.notes.claims = request.claims().map(str::to_owned);
    let presented = request.assertion().map(|assertion| world.entra.presented.open(assertion, uri.path()));
    let action = world.script.take(visit.kind, None, None, kept);
    let ids = visit.ids.clone();
    let usual = || {
        let reply = request.answer(&world.entra, &world.knobs(), &ids);
        if let Some(number) = presented {
            world.entra.presented.close(number, reply.error_code.as_deref().unwrap_or("granted"));
        }
        reply
    };
    let Some(action) = action else { return usual() };
    visit.notes.fault = Some(action.word());
    let scene = Scene { kind: visit.kind, ids: &ids, tokens: &world.entra.tokens, bearer: None, uri };
    scene.play(&action, usual).await
}

/// A token of the host's own identity.
async fn identity(
    host: Host,
    State(world): State<Arc<World>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let mut visit = Visit::begin(&world, RequestKind::Token, &parts, None);
    let request = IdentityRequest::read(host, &parts);
    let ids = visit.ids.clone();
    let usual = || request.answer(&world.entra, &world.knobs(), &ids);
    let reply = match world.script.take(visit.kind, None, None, line.note_request()) {
        None => usual(),
        Some(action) => {
            visit.notes.fault = Some(action.word());
            let scene =
                Scene { kind: visit.kind, ids: &ids, tokens: &world.entra.tokens, bearer: None, uri: &parts.uri };
            scene.play(&action, usual).await
        }
    };
    visit.answer(reply, &line)
}

/// No sign-in: whoever is there may ask where the token endpoint is.
async fn describe(
    State(world): State<Arc<World>>,
    Path(tenant): Path<String>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let visit = Visit::begin(&world, RequestKind::Other, &parts, None);
    let reply = discovery(&tenant, &parts, &visit.ids);
    visit.answer(reply, &line)
}

async fn graph(State(world): State<Arc<World>>, ConnectInfo(line): ConnectInfo<Line>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(client_id) = directory::asked_for(&parts.method, parts.uri.path()) {
        return application(world, &client_id, &parts, &line).await;
    }
    let kept = line.note_request();
    let call = Call::parse(&parts.method, parts.uri.path(), parts.uri.query());
    let standing = world.entra.tokens.standing(bearer(&parts.headers));
    let kind = call.as_ref().map_or(RequestKind::Other, Call::kind);
    let mailbox = call.as_ref().ok().and_then(|call| mailbox_of(call, &standing));
    let mut visit = Visit::begin(&world, kind, &parts, mailbox);
    let reply = match (read(body).await, call) {
        (Err(refused), _) => refused.reply(&visit),
        (Ok(_), Err(refusal)) => refusal.reply(&visit.ids),
        (Ok(body), Ok(call)) => {
            let arrived = Arrived { parts: &parts, body: &body, kept };
            judge(&world, &call, standing, arrived, &mut visit).await
        }
    };
    visit.answer(reply, &line)
}

async fn application(world: Arc<World>, client_id: &str, parts: &Parts, line: &Line) -> Response {
    let mut visit = Visit::begin(&world, RequestKind::Other, parts, None);
    let bearer = bearer(&parts.headers);
    let (standing, knobs, ids) = (world.entra.tokens.standing(bearer), world.knobs(), visit.ids.clone());
    let usual = || match unmet_claims(&world, &knobs, bearer, &ids) {
        Some(reply) => reply,
        None => directory::answer(client_id, bearer, &standing, &world.entra.tokens, &knobs, &ids),
    };
    let reply = match world.script.take(visit.kind, None, None, line.note_request()) {
        None => usual(),
        Some(action) => {
            visit.notes.fault = Some(action.word());
            let scene = Scene { kind: visit.kind, ids: &ids, tokens: &world.entra.tokens, bearer, uri: &parts.uri };
            scene.play(&action, usual).await
        }
    };
    visit.answer(reply, line)
}

/// A calendar request as it came.
struct Arrived<'a> {
    parts: &'a Parts,
    body: &'a [u8],
    /// Its connection had brought one before.
    kept: bool,
}

async fn judge(
    world: &Arc<World>,
    call: &Call,
    standing: Standing,
    Arrived { parts, body, kept }: Arrived<'_>,
    visit: &mut Visit,
) -> Reply {
    let knobs = world.knobs();
    if let Err(refusal) = check_caller(call, &standing) {
        return refusal.reply(&visit.ids);
    }
    if let Some(reply) = unmet_claims(world, &knobs, bearer(&parts.headers), &visit.ids) {
        return reply;
    }
    if let Some(reply) = over_limit(world, &knobs, visit) {
        return reply;
    }
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let field = |name: &str| body.as_ref().and_then(|body| body.get(name)).and_then(Value::as_str);
    visit.notes.transaction_id = field("transactionId").map(str::to_owned);
    let mailbox = visit.mailbox.clone().unwrap_or_default();
    let action = world.script.take(visit.kind, Some(&mailbox), field("subject"), kept);
    let ids = visit.ids.clone();
    let headers = &parts.headers;
    let note = &mut visit.notes.note;
    if let Some(Action::Late { ms }) = action {
        visit.notes.fault = action.as_ref().map(Action::word);
        let late = Late { call: call.clone(), mailbox, uri: parts.uri.clone(), headers: headers.clone(), body, ids };
        let (reply, remark) = late.answer(Arc::clone(world), Duration::from_millis(ms)).await;
        visit.notes.note = remark;
        return reply;
    }
    let usual = || {
        let (mailbox, uri) = (mailbox.as_str(), &parts.uri);
        let request = calendar::Request { call, mailbox, uri, headers, body, ids: &ids, knobs: &knobs };
        let (reply, remark) = calendar::answer(&world.store, request);
        *note = remark;
        reply
    };
    let reply = match &action {
        None => usual(),
        Some(action) => {
            visit.notes.fault = Some(action.word());
            let bearer = bearer(headers);
            let scene = Scene { kind: visit.kind, ids: &ids, tokens: &world.entra.tokens, bearer, uri: &parts.uri };
            scene.play(action, usual).await
        }
    };
    let latency = knobs.latency_of(visit.sequence);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    reply
}

/// A calendar request that owns all it came with, so that it can outlive its client.
struct Late {
    call: Call,
    mailbox: String,
    uri: Uri,
    headers: HeaderMap,
    body: Option<Value>,
    ids: Ids,
}

impl Late {
    /// Carried out by a task of its own: dropping this future does not stop it.
    async fn answer(self, world: Arc<World>, wait: Duration) -> (Reply, Option<&'static str>) {
        let task = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let Self { call, mailbox, uri, headers, body, ids } = &self;
            let knobs = world.knobs();
            let request = calendar::Request { call, mailbox, uri, headers, body: body.clone(), ids, knobs: &knobs };
            calendar::answer(&world.store, request)
        });
        task.await.unwrap_or_else(|_| (Reply::cut(Cut::Close), None))
    }
}

fn check_caller(call: &Call, standing: &Standing) -> Result<(), Refusal> {
    match (standing, &call.owner) {
        (Standing::Missing, _) => Err(Refusal::unauthorized("Access token is empty.")),
        (Standing::Unknown, _) => {
            Err(Refusal::unauthorized("IDX14100: JWT is not well formed, there are no dots (.)."))
        }
        (Standing::Expired, _) => Err(Refusal::unauthorized("Lifetime validation failed, the token is expired.")),
        (Standing::Valid(Caller::App), Owner::Me) => {
            Err(Refusal::bad_request("BadRequest", "/me request is only valid with delegated authentication flow."))
        }
        (Standing::Valid(_), _) => Ok(()),
    }
}

/// A valid token that was not issued with the claims Graph wants is answered with them.
fn unmet_claims(world: &World, knobs: &Knobs, bearer: Option<&str>, ids: &Ids) -> Option<Reply> {
    let (claims, token) = (knobs.claims_challenge.as_deref()?, bearer?);
    let is_valid = matches!(world.entra.tokens.standing(bearer), Standing::Valid(_));
    (is_valid && !world.entra.tokens.meets(token, claims)).then(|| insufficient_claims(claims, ids))
}

/// The limit on requests in flight is not a matter of time, so it comes without Retry-After.
fn over_limit(world: &World, knobs: &Knobs, visit: &Visit) -> Option<Reply> {
    let mailbox = visit.mailbox.as_deref().filter(|_| knobs.limits)?;
    if let Some(wait) = world.lanes.spend(mailbox, Instant::now()) {
        let reply = Refusal::throttled("RequestRate").reply(&visit.ids);
        return Some(reply.retry_after(&RetryAfter::seconds(wait)));
    }
    let over = visit.arrival.in_flight > CONCURRENCY_LIMIT;
    over.then(|| Refusal::throttled("MailboxConcurrency").reply(&visit.ids))
}

fn mailbox_of(call: &Call, standing: &Standing) -> Option<String> {
    match (&call.owner, standing) {
        (Owner::Mailbox(mailbox), _) => Some(mailbox.clone()),
        (Owner::Me, Standing::Valid(Caller::User(user))) => Some(user.clone()),
        (Owner::Me, _) => None,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// Why a body was not read.
enum Unread {
    TooLarge,
    /// The client went away.
    Broken,
}

impl Unread {
    fn reply(&self, visit: &Visit) -> Reply {
        match self {
            Unread::Broken => Reply::cut(Cut::Close),
            Unread::TooLarge => {
                let message = "The request body is larger than 4 MB.";
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message).reply(&visit.ids)
            }
        }
    }
}

async fn read(mut body: Body) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    let mut seen = 0_usize;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| Unread::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= MAX_BODY {
            bytes.extend_from_slice(&data);
        } else if seen > MAX_DISCARDED {
            break;
        }
    }
    if seen > MAX_BODY { Err(Unread::TooLarge) } else { Ok(bytes) }
}
