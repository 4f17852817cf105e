//! The sandbox's own TCP connection, which a request may cut: closed or reset before any answer, or in the middle of
//! the answer's body. These are the faults HTTP libraries cannot be asked for, so they happen below HTTP, on the bytes.
//! Knows nothing of requests: the answering side pulls the switch ([`Connection::cut`]) and the next write obeys it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{self, IncomingStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::sandbox::reply::Cut;

/// After a failed accept (no file descriptors left) the listener waits this long before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection as its requests see it, and the switch that cuts it; clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::sandbox) struct Connection(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    cut: AtomicU8,
    /// The connection has brought a request.
    used: AtomicBool,
}

impl Connection {
    /// From the next write on, the connection fails in this way.
    pub(in crate::sandbox) fn cut(&self, cut: Cut) {
        self.0.cut.store(cut as u8, Ordering::Release);
    }

    /// Notes a request; whether the connection had brought one before.
    pub(super) fn note_request(&self) -> bool {
        self.0.used.swap(true, Ordering::AcqRel)
    }

    fn state(&self) -> Option<Cut> {
        match self.0.cut.load(Ordering::Acquire) {
            1 => Some(Cut::Close),
            2 => Some(Cut::Reset),
            3 => Some(Cut::MidBody),
            _ => None,
        }
    }
}

impl Connected<IncomingStream<'_, Listener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.io().connection.clone()
    }
}

/// The listening socket; every connection it accepts carries a [`Connection`] and ends with the shutdown token.
pub(in crate::sandbox) struct Listener {
    listener: TcpListener,
    shutdown: CancellationToken,
}

impl Listener {
    pub(in crate::sandbox) fn new(listener: TcpListener, shutdown: CancellationToken) -> Self {
        Self { listener, shutdown }
    }
}

impl serve::Listener for Listener {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (Stream::new(stream, &self.shutdown), peer),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The bytes of one accepted connection.
pub(in crate::sandbox) struct Stream {
    tcp: TcpStream,
    connection: Connection,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Stream {
    fn new(tcp: TcpStream, shutdown: &CancellationToken) -> Self {
        // Answers are small; without this, the last part of one could wait for the client's delayed ACK.
        let _ = tcp.set_nodelay(true);
        let shutdown = Box::pin(shutdown.clone().cancelled_owned());
        Self { tcp, connection: Connection::default(), shutdown }
    }

    fn poll_part(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let part = half_of_the_body(bytes);
        let sent = ready!(Pin::new(&mut self.tcp).poll_write(cx, &bytes[..part]))?;
        if sent == part {
            self.connection.cut(Cut::Close);
        }
        Poll::Ready(Ok(sent))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // The reading side is polled even while a request is being answered, so this also ends a hanging one.
        if self.shutdown.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.connection.state() {
            None => Pin::new(&mut self.tcp).poll_write(cx, bytes),
            Some(Cut::MidBody) => self.poll_part(cx, bytes),
            Some(Cut::Close) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            Some(Cut::Reset) => {
                // With a zero linger time the kernel answers the coming close with RST instead of FIN.
                let _ = self.tcp.set_zero_linger();
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// How many bytes of an answer to let through so that its head arrives whole and its body does not.
fn half_of_the_body(bytes: &[u8]) -> usize {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let body_starts = head.map_or(0, |at| at + 4);
    let half = body_starts + (bytes.len() - body_starts) / 2;
    half.max(1).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::half_of_the_body;

    #[test]
    fn half_of_the_body_follows_the_whole_head() {
        assert_eq!(half_of_the_body(b"HTTP/1.1 201\r\n\r\n12345678"), 20);
    }

    #[test]
    fn a_body_written_apart_from_its_head_is_halved() {
        assert_eq!(half_of_the_body(b"12345678"), 4);
        assert_eq!(half_of_the_body(b"1"), 1);
    }
}
