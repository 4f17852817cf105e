//! An HTTP server that holds nothing up: a connection for each request, few at a time and none for long. Whoever asks too much
//! waits; the agent does not. Whoever connects and asks nothing, or does not take the answer, makes room for the next.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::backoff::doubled;

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

/// Who asks, as the connection knows it; beside every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What to do about an address that cannot be had.
pub fn cure(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => "another program listens there: 'ss -ltnp' says which; end it, or choose another port",
        ErrorKind::AddrNotAvailable => "this machine does not have that address: 'ip address' lists those it has",
        ErrorKind::PermissionDenied => "ports below 1024 are root's: choose a higher one",
        _ => "choose another address",
    }
}

/// Listens there. An address that cannot be had is told of once and tried again: events are sent meanwhile.
pub async fn bind(address: SocketAddr, cannot: impl Fn(&std::io::Error)) -> TcpListener {
    let mut tries = 0;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                if tries == 0 {
                    cannot(&error);
                }
                tokio::time::sleep(doubled(FIRST_WAIT, tries, LONGEST_WAIT)).await;
                tries = tries.saturating_add(1);
            }
        }
    }
}

/// Answers for ever.
pub async fn answer(listener: &TcpListener, router: &Router) {
    let mut connections = Connections::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                connections.make_room().await;
                connections.answer(stream, Peer(peer), router.clone());
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

    fn answer(&mut self, stream: TcpStream, peer: Peer, router: Router) {
        let at_work = Arc::new(AtomicBool::new(false));
        let answer = one(stream, peer, router, at_work.clone());
        let task = self.tasks.spawn(async move { drop(tokio::time::timeout(LONGEST, answer).await) });
        self.open.push_back(Open { task, at_work });
    }
}

async fn one(stream: TcpStream, peer: Peer, router: Router, at_work: Arc<AtomicBool>) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        at_work.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(peer);
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
