//! The HTTP side: who may ask is looked at first, and every answer tells the browser to trust nothing else.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, Path, Query, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use chrono::Utc;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::actions::{Jobs, Mailbox};
use super::charts::EVERY;
use super::guard::{COOKIE_NAME, Who, session};
use super::reply::{Refusal, Reply, json};
use super::sessions::{LASTS, SignIn};
use super::{Web, page};
use crate::listener::{self, Peer};

/// A request with all ids that one may name.
const BODY: usize = 128 * 1024;
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";
/// On every answer.
const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

type Shared = State<Arc<Web>>;

/// Answers at `address` for ever. An address that cannot be had is tried again: events are sent meanwhile.
pub fn serve(address: SocketAddr, web: Arc<Web>) -> impl Future<Output = ()> + Send {
    let router = router(&web);
    async move {
        tokio::spawn(keep_looking(web));
        let cannot = |error: &std::io::Error| {
            let hint = listener::cure(error);
            tracing::error!(key = "web.listen", %address, %error, hint, "page cannot listen, trying again");
        };
        let listener = listener::bind(address, cannot).await;
        let address = listener.local_addr().unwrap_or(address);
        tracing::info!(%address, "page listening");
        listener::answer(&listener, &router).await;
    }
}

/// The charts go on whether anybody looks or not.
async fn keep_looking(web: Arc<Web>) {
    let mut every = tokio::time::interval(EVERY);
    while !web.stop.is_cancelled() {
        every.tick().await;
        web.charts.look(&web.measures, Utc::now());
    }
}

fn router(web: &Arc<Web>) -> Router {
    let base = &web.settings.base.path;
    let mut router = routes("");
    if base != "/" {
        // A proxy may take the path away before it asks here, or not.
        let (bare, whole) = (base.trim_end_matches('/'), base.clone());
        router = router.merge(routes(bare)).route(bare, get(async move || Redirect::permanent(&whole)));
    }
    router
        .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here."))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn_with_state(web.clone(), guarded))
        .with_state(web.clone())
}

fn routes(base: &str) -> Router<Arc<Web>> {
    let api = |path: &str| format!("{base}/api/v1/{path}");
    page::routes(base)
        .route(&api("session"), get(session_of).post(sign_in).delete(sign_out))
        .route(&api("overview"), get(overview))
        .route(&api("mailboxes"), get(mailboxes))
        .route(&api("jobs"), get(jobs))
        .route(&api("jobs/{id}"), get(job))
        .route(&api("jobs/retry"), post(retry))
        .route(&api("jobs/cancel"), post(cancel))
        .route(&api("mailboxes/hold"), post(hold))
        .route(&api("mailboxes/release"), post(release))
        .route(&api("mailboxes/resume"), post(resume))
}

async fn guarded(State(web): Shared, request: Request, next: Next) -> Response {
    let mut response = match web.guard.check_host(request.headers()) {
        Ok(()) => explained(next.run(request).await),
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What axum refuses by itself says why like everything else.
fn explained(response: Response) -> Response {
    let (status, kind) = (response.status(), response.headers().get(CONTENT_TYPE));
    if status.as_u16() < 400 || kind.is_some_and(|kind| kind == "application/json") {
        return response;
    }
    let (what, why) = match status {
        StatusCode::METHOD_NOT_ALLOWED => ("method", "The header Allow says which methods there are here.".to_owned()),
        StatusCode::PAYLOAD_TOO_LARGE => ("too_large", format!("A body has at most {BODY} bytes.")),
        _ => ("bad_request", "The request cannot be read.".to_owned()),
    };
    let mut refusal = Refusal::new(status, what, why).into_response();
    if let Some(allowed) = response.headers().get(ALLOW) {
        refusal.headers_mut().insert(ALLOW, allowed.clone());
    }
    refusal
}

async fn overview(State(web): Shared, headers: HeaderMap) -> Reply {
    web.check_reader(&headers, Instant::now())?;
    web.overview().await
}

async fn mailboxes(State(web): Shared, headers: HeaderMap, Query(query): Query<Search>) -> Reply {
    web.check_reader(&headers, Instant::now())?;
    without_nul("search", &query.search)?;
    web.mailboxes(&query.search).await
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    search: String,
}

async fn jobs(State(web): Shared, headers: HeaderMap, Query(query): Query<Vec<(String, String)>>) -> Reply {
    web.check_reader(&headers, Instant::now())?;
    query.iter().try_for_each(|(name, value)| without_nul(name, value))?;
    web.jobs(&query).await
}

async fn job(State(web): Shared, headers: HeaderMap, Path(id): Path<String>) -> Reply {
    web.check_reader(&headers, Instant::now())?;
    web.job(&id).await
}

async fn session_of(State(web): Shared, headers: HeaderMap) -> Reply {
    let who = web.who(&headers, Instant::now());
    let signs_in = web.settings.token.as_ref().map(|_| "token");
    let signs_in = signs_in.or(web.settings.trusted_proxy_header.as_ref().map(|_| "proxy"));
    Ok(json(&json!({
        "signed_in": who != Who::Nobody,
        "who": match &who {
            Who::User(user) => Some(user.as_str()),
            _ => None,
        },
        "may_read": web.may_read(&who),
        "actions": web.settings.actions,
        "show_content": web.settings.show_content,
        "sign_in": signs_in,
    })))
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

async fn sign_in(State(web): Shared, Extension(peer): Extension<Peer>, headers: HeaderMap, body: Bytes) -> Reply {
    web.check_origin(&headers)?;
    let Some(token) = &web.settings.token else {
        return Err(Refusal::forbidden(
            "no_token",
            "There is no token to sign in with: set web.token_file in agent.toml.",
        ));
    };
    let given: Token = read(&body)?;
    match web.sessions.sign_in(token, given.token.trim(), Instant::now()) {
        SignIn::Begun(name) => {
            tracing::info!(from = %peer.0.ip(), "signed in to the page");
            Ok(([(SET_COOKIE, cookie(&web, &name, LASTS.as_secs()))], json(&json!({ "signed_in": true })))
                .into_response())
        }
        SignIn::Wrong => {
            tracing::warn!(from = %peer.0.ip(), "sign-in to the page refused, wrong token");
            Err(Refusal::new(StatusCode::UNAUTHORIZED, "wrong_token", "That is not the token in web.token_file."))
        }
        SignIn::Wait => {
            let why = "Too many wrong tokens: none is looked at for a minute.";
            Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "wait", why))
        }
    }
}

async fn sign_out(State(web): Shared, headers: HeaderMap) -> Reply {
    web.check_origin(&headers)?;
    if let Some(name) = session(&headers) {
        web.sessions.sign_out(&name);
    }
    Ok(([(SET_COOKIE, cookie(&web, "", 0))], json(&json!({ "signed_in": false }))).into_response())
}

fn cookie(web: &Web, value: &str, seconds: u64) -> String {
    let base = &web.settings.base;
    let secure = if base.encrypted { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={value}; Path={}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", base.path)
}

async fn retry(State(web): Shared, Extension(peer): Extension<Peer>, headers: HeaderMap, body: Bytes) -> Reply {
    let who = web.check_operator(&headers, peer, Instant::now())?;
    web.retry(&who, read::<Jobs>(&body)?).await
}

async fn cancel(State(web): Shared, Extension(peer): Extension<Peer>, headers: HeaderMap, body: Bytes) -> Reply {
    let who = web.check_operator(&headers, peer, Instant::now())?;
    web.cancel(&who, read::<Jobs>(&body)?).await
}

async fn hold(State(web): Shared, Extension(peer): Extension<Peer>, headers: HeaderMap, body: Bytes) -> Reply {
    let who = web.check_operator(&headers, peer, Instant::now())?;
    web.hold(&who, mailbox_of(&body)?).await
}

async fn release(State(web): Shared, Extension(peer): Extension<Peer>, headers: HeaderMap, body: Bytes) -> Reply {
    let who = web.check_operator(&headers, peer, Instant::now())?;
    web.release(&who, mailbox_of(&body)?).await
}

async fn resume(State(web): Shared, Extension(peer): Extension<Peer>, headers: HeaderMap, body: Bytes) -> Reply {
    let who = web.check_operator(&headers, peer, Instant::now())?;
    web.resume(&who, mailbox_of(&body)?).await
}

/// No queue has text with a NUL, and PostgreSQL takes none.
fn without_nul(name: &str, text: &str) -> Result<(), Refusal> {
    match text.contains('\0') {
        true => Err(Refusal::bad(format!("{name} has a NUL character; remove it"))),
        false => Ok(()),
    }
}

/// A mailbox of a request.
fn mailbox_of(body: &[u8]) -> Result<Mailbox, Refusal> {
    let asked: Mailbox = read(body)?;
    without_nul("mailbox", &asked.mailbox)?;
    without_nul("reason", asked.reason.as_deref().unwrap_or_default())?;
    Ok(asked)
}

/// A JSON object. A list of its values in their order would be taken as well, where nobody sees what is what.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    if body.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(Refusal::bad("The body is not a JSON object."));
    }
    serde_json::from_slice(body).map_err(|error| Refusal::bad(format!("The body cannot be read: {error}")))
}
