//! The HTTP side: the routes, a request's body within bounds, and the order in which a calendar request is judged:
//! sign-in, limits, script, then the calendar itself.
//!
//! A request is carried out the moment it has arrived whole; latency and delays only hold back the answer. So a client
//! that hangs up early leaves its event behind, as with the real service. The one exception is a request scripted to
//! come late: it waits for its turn first, and goes on even if the client hangs up.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::map_response_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::Value;

use super::connection::Connection;
use super::control;
use super::page;
use super::request_scope::RequestScope;
use super::state::SandboxState;
use crate::sandbox::calendar::{self, CONCURRENCY_LIMIT, Call, Owner};
use crate::sandbox::entra::{Caller, Host, IdentityRequest, TokenRequest, TokenStatus, directory, discovery};
use crate::sandbox::faults::{FaultPlayer, FaultTarget};
use crate::sandbox::journal::RequestKind;
use crate::sandbox::options::Options;
use crate::sandbox::refusal::{Refusal, insufficient_claims};
use crate::sandbox::reply::{Cut, Ids, Reply};
use crate::sandbox::retry_after::RetryAfter;

/// The largest body of the Graph REST API.
const MAX_BODY: usize = 4 << 20;
/// A larger body is read on and thrown away up to here, so that the client gets to read the refusal.
const MAX_DISCARDED: usize = 64 << 20;

pub(in crate::sandbox) fn router(state: Arc<SandboxState>) -> Router {
    let hosts = Host::ALL.iter().fold(Router::new(), |router, host| {
        router.route(host.path(), get(move |state, connection, request| identity(*host, state, connection, request)))
    });
    hosts
        .route("/{tenant}/oauth2/v2.0/token", post(token))
        .route("/{tenant}/oauth2/token", post(token))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(describe))
        .route("/{tenant}/.well-known/openid-configuration", get(describe))
        .route("/", get(page::page))
        .nest("/sandbox", control::router())
        .fallback(graph)
        .layer(map_response_with_state(Arc::clone(&state), close_without_keep_alive))
        .with_state(state)
}

/// Without keep-alive, each connection ends with its answer.
async fn close_without_keep_alive(State(state): State<Arc<SandboxState>>, mut response: Response) -> Response {
    if !state.options().keep_alive {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The head of a request.
struct Head {
    parts: Arc<Parts>,
    /// Its connection had brought a request before.
    kept: bool,
}

impl Head {
    fn new(parts: Parts, connection: &Connection) -> Self {
        Self { parts: Arc::new(parts), kept: connection.note_request() }
    }

    fn bearer(&self) -> Option<&str> {
        bearer(&self.parts.headers)
    }
}

/// The step that all requests share: the fault scripted for this one is played, or else it is carried out as usual.
async fn carry_out(
    state: &SandboxState,
    scope: &mut RequestScope,
    head: &Head,
    subject: Option<&str>,
    usual: impl FnOnce() -> Reply + Send + 'static,
) -> Reply {
    let target = FaultTarget { kind: scope.kind, mailbox: scope.mailbox.as_deref(), subject, kept: head.kept };
    let Some(action) = state.script.take(target) else { return usual() };
    scope.notes.fault = Some(action.word());
    let (tokens, bearer, uri) = (&state.entra.tokens, head.bearer(), &head.parts.uri);
    FaultPlayer { kind: scope.kind, ids: &scope.ids, tokens, bearer, uri }.play(&action, usual).await
}

async fn token(
    State(state): State<Arc<SandboxState>>,
    Path(tenant): Path<String>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let head = Head::new(parts, &connection);
    let mut scope = RequestScope::begin(&state, RequestKind::Token, &head.parts, None);
    let reply = match read(body).await {
        Ok(body) => answer_token(&state, TokenRequest::read(&tenant, &head.parts, &body), &head, &mut scope).await,
        Err(error) => error.reply(&scope.ids),
    };
    scope.answer(reply, &connection)
}

async fn answer_token(
    state: &Arc<SandboxState>,
    request: TokenRequest,
    head: &Head,
    scope: &mut RequestScope,
) -> Reply {
    scope.notes.claims = request.claims().map(str::to_owned);
    let presented = request.assertion().map(|assertion| state.entra.assertions.open(assertion, head.parts.uri.path()));
    let usual = {
        let (state, ids) = (Arc::clone(state), scope.ids.clone());
        move || {
            let reply = request.answer(&state.entra, &state.options(), &ids);
            if let Some(number) = presented {
                state.entra.assertions.close(number, reply.error_code.as_deref().unwrap_or("granted"));
            }
            reply
        }
    };
    carry_out(state, scope, head, None, usual).await
}

/// A token of the host's own identity.
async fn identity(
    host: Host,
    State(state): State<Arc<SandboxState>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let head = Head::new(request.into_parts().0, &connection);
    let mut scope = RequestScope::begin(&state, RequestKind::Token, &head.parts, None);
    let usual = {
        let (state, parts, ids) = (Arc::clone(&state), Arc::clone(&head.parts), scope.ids.clone());
        move || IdentityRequest::read(host, &parts).answer(&state.entra, &state.options(), &ids)
    };
    let reply = carry_out(&state, &mut scope, &head, None, usual).await;
    scope.answer(reply, &connection)
}

/// Where the token endpoint is, which is asked without a token.
async fn describe(
    State(state): State<Arc<SandboxState>>,
    Path(tenant): Path<String>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let scope = RequestScope::begin(&state, RequestKind::Other, &parts, None);
    let reply = discovery(&tenant, &parts, &scope.ids);
    scope.answer(reply, &connection)
}

async fn graph(
    State(state): State<Arc<SandboxState>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let head = Head::new(parts, &connection);
    if let Some(client_id) = directory::asked_for(&head.parts.method, head.parts.uri.path()) {
        return application(&state, client_id, &head, &connection).await;
    }
    let call = Call::parse(&head.parts.method, head.parts.uri.path(), head.parts.uri.query());
    let status = state.entra.tokens.status(head.bearer());
    let kind = call.as_ref().map_or(RequestKind::Other, Call::kind);
    let mailbox = call.as_ref().ok().and_then(|call| mailbox_of(call, &status));
    let mut scope = RequestScope::begin(&state, kind, &head.parts, mailbox);
    let reply = match (read(body).await, call) {
        (Err(error), _) => error.reply(&scope.ids),
        (Ok(_), Err(refusal)) => refusal.reply(&scope.ids),
        (Ok(body), Ok(call)) => match judge(&state, &call, &status, &head, &scope) {
            Some(refused) => refused,
            None => answer_call(&state, call, &head, &body, &mut scope).await,
        },
    };
    scope.answer(reply, &connection)
}

async fn application(state: &Arc<SandboxState>, client_id: String, head: &Head, connection: &Connection) -> Response {
    let mut scope = RequestScope::begin(state, RequestKind::Other, &head.parts, None);
    let usual = {
        let (state, parts, ids) = (Arc::clone(state), Arc::clone(&head.parts), scope.ids.clone());
        move || {
            let (bearer, options) = (bearer(&parts.headers), state.options());
            unmet_claims(&state, &options, bearer, &ids)
                .unwrap_or_else(|| directory::answer(&client_id, bearer, &state.entra.tokens, &options, &ids))
        }
    };
    let reply = carry_out(state, &mut scope, head, None, usual).await;
    scope.answer(reply, connection)
}

/// The refusal of a calendar request that does not get as far as the script.
fn judge(state: &SandboxState, call: &Call, status: &TokenStatus, head: &Head, scope: &RequestScope) -> Option<Reply> {
    if let Err(refusal) = check_caller(call, status) {
        return Some(refusal.reply(&scope.ids));
    }
    let options = state.options();
    unmet_claims(state, &options, head.bearer(), &scope.ids).or_else(|| over_limit(state, &options, scope))
}

async fn answer_call(
    state: &Arc<SandboxState>,
    call: Call,
    head: &Head,
    body: &[u8],
    scope: &mut RequestScope,
) -> Reply {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let field = |name: &str| Some(body.as_ref()?.get(name)?.as_str()?.to_owned());
    scope.notes.transaction_id = field("transactionId");
    scope.notes.event_id = call.event_id().map(str::to_owned);
    let mailbox = scope.mailbox.clone().unwrap_or_default();
    let subject = field("subject").or_else(|| state.store.subject_of(&mailbox, call.event_id()?));
    // Holds the event until the answer has gone out.
    let (basis, _writer) = state.store.begin_change(&mailbox, &call).unzip();
    let usual = {
        let (state, parts, ids) = (Arc::clone(state), Arc::clone(&head.parts), scope.ids.clone());
        let remark = Arc::clone(&scope.remark);
        move || {
            let (uri, headers, options) = (&parts.uri, &parts.headers, state.options());
            let (ids, options) = (&ids, &options);
            let request = calendar::Request { call: &call, mailbox: &mailbox, uri, headers, body, basis, ids, options };
            let (reply, odd) = calendar::answer(&state.store, request);
            if let Some(odd) = odd {
                let _ = remark.set(odd);
            }
            reply
        }
    };
    let reply = carry_out(state, scope, head, subject.as_deref(), usual).await;
    let latency = state.options().latency_of(scope.sequence);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    reply
}

fn check_caller(call: &Call, status: &TokenStatus) -> Result<(), Refusal> {
    match (status, &call.owner) {
        (TokenStatus::Missing, _) => Err(Refusal::unauthorized("Access token is empty.")),
        (TokenStatus::Unknown, _) => {
            Err(Refusal::unauthorized("IDX14100: JWT is not well formed, there are no dots (.)."))
        }
        (TokenStatus::Expired, _) => Err(Refusal::unauthorized("Lifetime validation failed, the token is expired.")),
        (TokenStatus::Valid(Caller::App), Owner::Me) => {
            Err(Refusal::bad_request("BadRequest", "/me request is only valid with delegated authentication flow."))
        }
        (TokenStatus::Valid(_), _) => Ok(()),
    }
}

/// A valid token that was not issued with the claims Graph wants is answered with them.
fn unmet_claims(state: &SandboxState, options: &Options, bearer: Option<&str>, ids: &Ids) -> Option<Reply> {
    let (claims, token) = (options.claims_challenge.as_deref()?, bearer?);
    let is_valid = matches!(state.entra.tokens.status(bearer), TokenStatus::Valid(_));
    (is_valid && !state.entra.tokens.meets(token, claims)).then(|| insufficient_claims(claims, ids))
}

/// The limit on requests in flight is not a matter of time, so it comes without Retry-After.
fn over_limit(state: &SandboxState, options: &Options, scope: &RequestScope) -> Option<Reply> {
    let mailbox = scope.mailbox.as_deref().filter(|_| options.limits)?;
    if let Some(wait) = state.lanes.count_request(mailbox, Instant::now()) {
        let reply = Refusal::throttled("RequestRate").reply(&scope.ids);
        return Some(reply.retry_after(&RetryAfter::seconds(wait)));
    }
    let over = scope.arrival.in_flight > CONCURRENCY_LIMIT;
    over.then(|| Refusal::throttled("MailboxConcurrency").reply(&scope.ids))
}

fn mailbox_of(call: &Call, status: &TokenStatus) -> Option<String> {
    match (&call.owner, status) {
        (Owner::Mailbox(mailbox), _) => Some(mailbox.clone()),
        (Owner::Me, TokenStatus::Valid(Caller::User(user))) => Some(user.clone()),
        (Owner::Me, _) => None,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

enum BodyError {
    TooLarge,
    /// The client went away.
    Broken,
}

impl BodyError {
    fn reply(&self, ids: &Ids) -> Reply {
        match self {
            BodyError::Broken => Reply::cut(Cut::Close),
            BodyError::TooLarge => {
                let message = "The request body is larger than 4 MB.";
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message).reply(ids)
            }
        }
    }
}

async fn read(mut body: Body) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    let mut seen = 0_usize;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| BodyError::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= MAX_BODY {
            bytes.extend_from_slice(&data);
        } else if seen > MAX_DISCARDED {
            break;
        }
    }
    if seen > MAX_BODY { Err(BodyError::TooLarge) } else { Ok(bytes) }
}
