//! Serves a router on a listener until told to stop.
//!
//! Both listeners run on this loop. It bounds what a stranger can hold: the
//! number of connections, and the time that a request's head may take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

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
/// How long requests in hand may take once the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// The pause after the system refuses to accept a connection, as when no file
/// descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection that is being served.
pub(crate) type Connection<S> = http1::Connection<TokioIo<S>, TowerToHyperService<Router>>;

/// Binds `address`, and says which one that was when it fails.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("cannot listen on {address}"))
}

/// Serves `router` until `stop`; then takes no more connections, finishes the
/// requests in hand within [`DRAIN_TIME`], and returns.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener, &room)).await {
        let Some((stream, permit)) = accepted else {
            continue;
        };
        let connection = graceful.watch(connection(stream, router.clone()));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "a connection broke off"
                );
            }
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIME, graceful.shutdown())
        .await
        .is_err()
    {
        warn!("some requests were not finished within {DRAIN_TIME:?} and are cut off");
    }
}

/// Serves one connection, whatever carries its bytes.
pub(crate) fn connection<S>(stream: S, router: Router) -> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room)
        .acquire_owned()
        .await
        .expect("nobody closes the semaphore");
    match listener.accept().await {
        Ok((stream, _)) => {
            // Answers are small and a sender waits for each.
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%error, "cannot switch off delays on a connection");
            }
            Some((stream, permit))
        }
        Err(error) => {
            warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}
