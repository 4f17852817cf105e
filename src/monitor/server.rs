//! The HTTP side: reading only, no sign-in, a connection for each request, few at a time and none for long. Whoever asks
//! too much waits; the agent does not. Whoever connects and asks nothing, or does not take the answer, makes room for the
//! next, so that the question whether the agent lives is always answered.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::Utc;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::Monitor;
use crate::backoff::doubled;
use crate::visible;

/// Connections at a time.
const CONNECTIONS: usize = 16;
/// From the first byte to the last.
const LONGEST: Duration = Duration::from_secs(10);
/// A request's head is a few hundred bytes; hyper wants room for at least this.
const BUFFER: usize = 8192;
/// Waits before a refused address is tried again, and after a failed accept (no file descriptors left).
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
const METRICS: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];
const INDEX: &str = "Exchange Event Sender\n\n/metrics  for Prometheus\n/healthz  whether the agent is alive\n\
                     /readyz   whether it sends, and if not, why\n";

/// Answers at `address` for ever. An address that cannot be had is tried again: events are sent meanwhile.
pub fn serve(address: SocketAddr, monitor: Arc<Monitor>) -> impl Future<Output = ()> + Send {
    let router = Router::new()
        .route("/", get(async || (TEXT, INDEX)))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(monitor);
    async move {
        let listener = listen(address).await;
        accept(&listener, &router).await;
    }
}

async fn listen(address: SocketAddr) -> TcpListener {
    let mut tries = 0;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let address = listener.local_addr().unwrap_or(address);
                tracing::info!(%address, "monitor listening");
                if !address.ip().to_canonical().is_loopback() {
                    tracing::warn!(%address, "monitor can be reached from other machines, and asks nobody who they are");
                }
                return listener;
            }
            Err(error) => {
                if tries == 0 {
                    tracing::error!(%address, %error, "monitor cannot listen, trying again");
                }
                tokio::time::sleep(doubled(FIRST_WAIT, tries, LONGEST_WAIT)).await;
                tries = tries.saturating_add(1);
            }
        }
    }
}

async fn accept(listener: &TcpListener, router: &Router) {
    let mut connections = Connections::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.make_room().await;
                connections.answer(stream, router.clone());
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// The connections there are, the oldest first.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    open: VecDeque<Open>,
}

struct Open {
    task: AbortHandle,
    /// It has asked, and the answer is being made. Before that and after that, only the asker is waited for.
    at_work: Arc<AtomicBool>,
}

impl Connections {
    /// Closes the oldest that only waits for its asker; where all are at work, waits for the first that ends.
    async fn make_room(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        loop {
            self.open.retain(|open| !open.task.is_finished());
            if self.open.len() < CONNECTIONS {
                return;
            }
            match self.open.iter().position(|open| !open.at_work.load(Ordering::Relaxed)) {
                Some(idle) => {
                    if let Some(open) = self.open.remove(idle) {
                        open.task.abort();
                    }
                }
                None => drop(self.tasks.join_next().await),
            }
        }
    }

    fn answer(&mut self, stream: TcpStream, router: Router) {
        let at_work = Arc::new(AtomicBool::new(false));
        let answer = answer(stream, router, at_work.clone());
        let task = self.tasks.spawn(async move { drop(tokio::time::timeout(LONGEST, answer).await) });
        self.open.push_back(Open { task, at_work });
    }
}

async fn answer(stream: TcpStream, router: Router, at_work: Arc<AtomicBool>) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request| {
        at_work.store(true, Ordering::Relaxed);
        let answer = router.call(request);
        let at_work = at_work.clone();
        async move {
            let answer = answer.await;
            at_work.store(false, Ordering::Relaxed);
            answer
        }
    });
    // What goes wrong on the way is the asker's matter.
    let _ = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn metrics(State(monitor): State<Arc<Monitor>>) -> Response {
    match monitor.metrics().await {
        Ok(text) => (METRICS, text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")).into_response(),
    }
}

async fn healthz(State(monitor): State<Arc<Monitor>>) -> Response {
    match monitor.is_alive(Instant::now()) {
        true => (TEXT, "ok\n").into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "the loop is stuck\n").into_response(),
    }
}

async fn readyz(State(monitor): State<Arc<Monitor>>) -> Response {
    let readiness = monitor.readiness(Instant::now(), Utc::now());
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&readiness) {
        // Somebody reads it with curl, and the hint may quote what a server said.
        Ok(text) => (status, JSON, format!("{}\n", visible::json(&text))).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")).into_response(),
    }
}
