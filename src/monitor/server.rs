//! The HTTP side: reading only, no sign-in, a connection for each request, few at a time and none for long. Whoever asks
//! too much waits; the agent does not.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::Utc;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Monitor;
use crate::backoff::doubled;

/// Connections at a time; more wait in the system's own queue.
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
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(LONGEST, answer(stream, router)).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn answer(stream: TcpStream, router: Router) {
    // What goes wrong on the way is the asker's matter.
    let _ = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
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
        false => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "the loop stands still\n").into_response(),
    }
}

async fn readyz(State(monitor): State<Arc<Monitor>>) -> Response {
    let readiness = monitor.readiness(Instant::now(), Utc::now());
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&readiness) {
        Ok(text) => (status, JSON, text + "\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")).into_response(),
    }
}
