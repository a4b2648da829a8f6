//! The real socket: connections that can be cut on command.
//!
//! Faults such as a TCP reset lie below HTTP. Each connection therefore hangs
//! on a [`Line`] that a handler can cut; the next read or write on it fails,
//! and the connection is closed or reset.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What requests in flight may take after `stop` before they are cut.
const GRACE: Duration = Duration::from_secs(2);

/// Serves `router` until `stop`; then finishes what is in flight, or cuts it after [`GRACE`].
pub(super) async fn run(
    router: Router,
    listener: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let all_lines = CancellationToken::new();
    let incoming = Incoming {
        listener,
        all_lines: all_lines.clone(),
        stop: stop.clone(),
    };
    let service = router.into_make_service_with_connect_info::<Peer>();
    let serve =
        axum::serve(incoming, service).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut serve = std::pin::pin!(serve.into_future());
    tokio::select! {
        ended = &mut serve => return ended,
        () = stop.cancelled() => (),
    }
    if let Ok(ended) = tokio::time::timeout(GRACE, &mut serve).await {
        return ended;
    }
    all_lines.cancel();
    serve.await
}

/// The other end of a request's connection.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) line: Arc<Line>,
    /// The server's end: nothing waits longer.
    pub(super) stop: CancellationToken,
}

/// What holds a connection open.
pub(super) struct Line {
    held: CancellationToken,
    reset: AtomicBool,
}

impl Line {
    /// Ends the connection as if the server's process had closed it.
    pub(super) fn close(&self) {
        self.held.cancel();
    }

    /// Ends the connection with a TCP reset; bytes not yet sent are lost.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::Release);
        self.held.cancel();
    }
}

struct Incoming {
    listener: TcpListener,
    all_lines: CancellationToken,
    stop: CancellationToken,
}

impl Listener for Incoming {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Socket, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, "cannot switch delays off: {error}");
        }
        let held = self.all_lines.child_token();
        let peer = Peer {
            address,
            line: Arc::new(Line {
                held: held.clone(),
                reset: AtomicBool::new(false),
            }),
            stop: self.stop.clone(),
        };
        let cut = Box::pin(held.cancelled_owned());
        (Socket { stream, peer, cut }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Listener::local_addr(&self.listener)
    }
}

impl Connected<IncomingStream<'_, Incoming>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Incoming>) -> Self {
        stream.io().peer.clone()
    }
}

/// A TCP stream whose next operation fails once its line is cut.
struct Socket {
    stream: TcpStream,
    peer: Peer,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Socket {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        Err(io::ErrorKind::ConnectionReset.into())
    }

    fn guarded<T>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        then: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let socket = self.get_mut();
        socket.check(cx)?;
        then(Pin::new(&mut socket.stream), cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.peer.line.reset.load(Ordering::Acquire)
            // With no time to linger, the close that follows sends RST.
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(address = %self.peer.address, "cannot reset the connection: {error}");
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.guarded(cx, |stream, cx| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.guarded(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.guarded(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.guarded(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.guarded(cx, AsyncWrite::poll_shutdown)
    }
}
