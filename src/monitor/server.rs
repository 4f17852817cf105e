//! The HTTP side: reading only, no sign-in. The question whether the agent lives is always answered.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::Utc;
use tokio::net::TcpListener;

use super::Monitor;
use crate::{listener, visible};

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
        listener::answer(&listener, &router).await;
    }
}

async fn listen(address: SocketAddr) -> TcpListener {
    let cannot = |error: &std::io::Error| {
        let hint = listener::cure(error);
        tracing::error!(key = "monitor.listen", %address, %error, hint, "monitor cannot listen, trying again");
    };
    let listener = listener::bind(address, cannot).await;
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(%address, "monitor listening");
    if !address.ip().to_canonical().is_loopback() {
        tracing::warn!(%address, "monitor can be reached from other machines, and asks nobody who they are");
    }
    listener
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
