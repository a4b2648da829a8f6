//! Serves a listener until told to leave it.
//!
//! Both listeners run on this loop. It bounds what a stranger can hold: the number
//! of connections, and the time that a request's head may take. It knows nothing of
//! what is served: that is behind the [`Gate`], which may be shut, open, or shut again.

mod connection;
mod gate;
mod stream;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use self::gate::Counted;
pub(crate) use self::gate::{Gate, Heir, Passed, Side};
pub(crate) use self::stream::Stream;

/// Connections that one listener holds at a time. Further ones wait in the
/// system's backlog until one ends.
pub(crate) const MAX_CONNECTIONS: usize = 8_192;
/// How long a request's head may take to arrive, and a connection stay idle.
///
/// Hyper counts both with one clock. A sender whose idle connection is closed
/// just as it sends takes that for a reset, for which Customer.io holds its feed
/// for an hour; so this is well above the 90 s after which Go's client, which
/// Customer.io seems to use, closes idle connections by itself.
const HEAD_TIME: Duration = Duration::from_mins(5);
/// The pause after the system refuses to accept a connection, as when no file
/// descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds `address`, and says which one that was when it fails.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("cannot listen on {address}"))
}

/// Serves what is behind `gate` to those who connect and to the connections that
/// arrive from elsewhere. Once the gate says so it takes no more, and returns when
/// the last connection has ended.
pub(crate) async fn serve(
    listener: TcpListener,
    gate: Arc<Gate>,
    mut arriving: mpsc::Receiver<Stream>,
) {
    let here = gate.enter();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let permit = tokio::select! {
            _ = gate.left() => break,
            permit = place(&room) => permit,
        };
        let stream = tokio::select! {
            _ = gate.left() => break,
            Some(stream) = arriving.recv() => Some(stream),
            stream = accept(&listener) => stream,
        };
        if let Some(stream) = stream {
            connections.spawn(serve_one(stream, gate.enter(), permit));
        }
        while connections.try_join_next().is_some() {}
    }
    arriving.close();
    while let Some(stream) = left_over(&listener, &gate, &mut arriving).await {
        let permit = place(&room).await;
        connections.spawn(serve_one(stream, gate.enter(), permit));
    }
    drop(listener);
    drop(here);
    while connections.join_next().await.is_some() {}
}

/// Serves one connection, whatever carries its bytes.
pub(crate) fn connection<IO, S>(stream: IO, service: S) -> http1::Connection<TokioIo<IO>, S>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service)
}

/// A connection that came before the listener was left.
async fn left_over(
    listener: &TcpListener,
    gate: &Gate,
    arriving: &mut mpsc::Receiver<Stream>,
) -> Option<Stream> {
    if let Some(stream) = arriving.recv().await {
        return Some(stream);
    }
    match gate.left().await {
        // It waits in the socket, and would be reset with it.
        Heir::Nobody => waiting(listener).await,
        // Somebody else has the socket, too.
        Heir::Process(_) | Heir::Manager(_) => None,
    }
}

async fn serve_one(stream: Stream, served: Counted, _place: OwnedSemaphorePermit) {
    connection::serve(stream, served).await;
}

async fn place(room: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let place = Arc::clone(room).acquire_owned().await;
    place.expect("nobody closes the semaphore")
}

async fn accept(listener: &TcpListener) -> Option<Stream> {
    let accepted = listener.accept().await;
    let accepted = prepared(accepted);
    if accepted.is_none() {
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
    accepted
}

/// A connection that need not be waited for.
async fn waiting(listener: &TcpListener) -> Option<Stream> {
    let accepted = poll_fn(|cx| Poll::Ready(listener.poll_accept(cx))).await;
    match accepted {
        Poll::Ready(accepted) => prepared(accepted),
        Poll::Pending => None,
    }
}

fn prepared(accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<Stream> {
    match accepted {
        Ok((tcp, _)) => {
            // Answers are small and a sender waits for each.
            if let Err(error) = tcp.set_nodelay(true) {
                debug!(%error, "cannot switch off delays on a connection");
            }
            Some(Stream::from(tcp))
        }
        Err(error) => {
            warn!(%error, "cannot accept a connection");
            None
        }
    }
}
