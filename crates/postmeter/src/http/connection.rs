//! One connection, from its first request to an end that its sender can expect.
//!
//! A sender takes a reset, or an end where it awaits an answer, for a broken
//! receiver, and Customer.io then holds its feed for an hour. So a connection is
//! never closed under a request, nor with bytes of one unread.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Connection};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tracing::debug;

use super::gate::{Counted, Gate, Heir, Passed};
use super::stream::Stream;

/// How long an idle connection that nobody takes over may begin one more request.
const LAST_CALL: Duration = Duration::from_millis(50);
/// How long a sender may take to read the last answer and to close, and how much it
/// may send meanwhile. With bytes unread the system would reset the connection, and
/// the answer could be lost.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Serves a connection until it ends or somebody else takes it over.
pub(super) async fn serve(stream: Stream, served: Counted) {
    let gate = served.gate();
    let service = Answering(Arc::clone(gate));
    let mut connection = super::connection(stream, service);
    let heir = tokio::select! {
        ended = done(&mut connection) => {
            note(ended);
            None
        }
        heir = gate.left() => finish(&mut connection, heir).await,
    };
    let parts = connection.into_parts();
    let stream = parts.io.into_inner().put_back(parts.read_buf);
    let rest = match heir {
        None => Some(stream),
        Some(heir) => pass_on(stream, heir, gate).await,
    };
    // Nothing that comes now is a request.
    drop(served);
    if let Some(stream) = rest {
        linger(stream).await;
    }
}

type Served = Connection<TokioIo<Stream>, Answering>;

async fn done(connection: &mut Served) -> hyper::Result<()> {
    poll_fn(|cx| connection.poll_without_shutdown(cx)).await
}

/// Finishes the request in hand. Where there is none, the connection is the heir's.
async fn finish(connection: &mut Served, heir: Heir) -> Option<Heir> {
    Pin::new(&mut *connection).graceful_shutdown();
    let at_once = poll_fn(|cx| Poll::Ready(connection.poll_without_shutdown(cx))).await;
    match at_once {
        Poll::Ready(Ok(())) => return Some(heir),
        Poll::Ready(ended) => note(ended),
        Poll::Pending => {
            // The heir need not wait for this one.
            drop(heir);
            note(done(connection).await);
        }
    }
    None
}

/// Gives an idle connection to the heir; what nobody takes comes back.
async fn pass_on(stream: Stream, heir: Heir, gate: &Arc<Gate>) -> Option<Stream> {
    let side = gate.side;
    let begun = !stream.parts().0.is_empty();
    let rest = match heir {
        Heir::Nobody => stream,
        // It keeps sockets, and no bytes.
        Heir::Manager(_) if begun => stream,
        Heir::Process(passed) | Heir::Manager(passed) => {
            let sent = passed.send(Passed { side, stream }).await;
            sent.err()?.0.stream
        }
    };
    Some(last_call(rest, gate).await)
}

/// Answers a request that is on its way, if there is one.
async fn last_call(stream: Stream, gate: &Arc<Gate>) -> Stream {
    let service = Answering(Arc::clone(gate));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LAST_CALL)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    note(done(&mut connection).await);
    connection.into_parts().io.into_inner()
}

/// Closes in the order that lets the sender read the last answer.
async fn linger(mut stream: Stream) {
    let rest = async {
        stream.shutdown().await?;
        let mut unread = stream.take(LINGER_BYTES as u64);
        tokio::io::copy(&mut unread, &mut tokio::io::sink()).await
    };
    // The sender closes, breaks off, or has had its time: in any case it is over.
    tokio::time::timeout(LINGER, rest).await.ok();
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        debug!(
            error = &error as &dyn std::error::Error,
            "a connection broke off"
        );
    }
}

/// What hyper asks for answers.
struct Answering(Arc<Gate>);

impl Service<Request<Incoming>> for Answering {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let gate = Arc::clone(&self.0);
        Box::pin(async move { Ok(gate.answer(request).await) })
    }
}
