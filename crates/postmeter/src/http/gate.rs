//! Between a listener and what it serves.
//!
//! A request that comes before there is a server waits for it, a short and bounded
//! time; one that comes after is told so. The gate also says when connections are to
//! end, and who takes over those that are idle, so that no sender ever sees one break.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use receive::{Answer, Receipt, StoreError};
use tokio::sync::{mpsc, watch};

use super::Stream;

/// How long a request waits for a server that is starting. Customer.io waits four
/// seconds for an answer, of which the network and the body want their part.
const HOLD: Duration = Duration::from_secs(2);

/// Which of the two listeners.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// Customer.io's.
    Public,
    /// The operator's.
    Private,
}

/// An idle connection on its way to whoever serves it next.
pub(crate) struct Passed {
    pub(crate) side: Side,
    pub(crate) stream: Stream,
}

/// Who takes over the connections that are idle when a listener is left.
#[derive(Clone)]
pub(crate) enum Heir {
    /// Nobody: they are closed.
    Nobody,
    /// Another process of ours, which serves them on, with what was read of them.
    Process(mpsc::Sender<Passed>),
    /// The system's service manager, which keeps them for the next process.
    Manager(mpsc::Sender<Passed>),
}

/// What is behind a gate.
enum Behind {
    /// Nothing yet: requests wait.
    Starting,
    /// A server.
    Open(Router),
    /// Nothing any more: requests, those in hand as well, are told so.
    Shut,
}

/// How connections are treated.
enum Phase {
    /// They are taken, and kept for further requests.
    Staying,
    /// They are taken, and each ends with its next answer.
    Leaving,
    /// No more are taken, requests in hand are finished, idle ones go to the heir.
    Left(Heir),
}

/// A listener's gate.
pub(crate) struct Gate {
    pub(super) side: Side,
    behind: watch::Sender<Behind>,
    phase: watch::Sender<Phase>,
    /// The listener, and the connections that may still bring a request.
    n_served: watch::Sender<usize>,
    n_refused: AtomicU64,
}

impl Gate {
    /// A gate with nothing behind it.
    pub(crate) fn new(side: Side) -> Gate {
        Gate {
            side,
            behind: watch::Sender::new(Behind::Starting),
            phase: watch::Sender::new(Phase::Staying),
            n_served: watch::Sender::new(0),
            n_refused: AtomicU64::new(0),
        }
    }

    /// Lets requests in, those that wait first.
    pub(crate) fn open(&self, server: Router) {
        self.behind.send_replace(Behind::Open(server));
    }

    /// Makes requests wait again.
    pub(crate) fn hold(&self) {
        self.behind.send_replace(Behind::Starting);
    }

    /// Lets nobody in any more, and lets go of the server: a request in hand is
    /// answered that it cannot be served, whether or not it was.
    pub(crate) fn shut(&self) {
        self.behind.send_replace(Behind::Shut);
    }

    /// Ends each connection with its next answer.
    pub(crate) fn leave(&self) {
        self.phase.send_replace(Phase::Leaving);
    }

    /// Takes no more connections, and passes on those that are idle.
    pub(crate) fn pass_on_to(&self, heir: Heir) {
        self.phase.send_replace(Phase::Left(heir));
    }

    /// How many requests were told that there is no server.
    pub(crate) fn n_refused(&self) -> u64 {
        self.n_refused.load(Ordering::Relaxed)
    }

    /// Waits until no connection is served.
    pub(crate) async fn quiet(&self) {
        self.at_most(1).await; // the listener itself
    }

    /// Waits until no connection is served nor can come.
    pub(crate) async fn deserted(&self) {
        self.at_most(0).await;
    }

    async fn at_most(&self, most: usize) {
        let mut n_served = self.n_served.subscribe();
        // An error would mean that the gate is gone, and with it all connections.
        n_served.wait_for(|n| *n <= most).await.ok();
    }

    /// Counts a connection, or a listener, for as long as what it returns is held.
    pub(super) fn enter(self: &Arc<Self>) -> Counted {
        self.n_served.send_modify(|n| *n += 1);
        Counted(Arc::clone(self))
    }

    /// Waits until the listener is left, and says to whom.
    pub(super) async fn left(&self) -> Heir {
        let mut phase = self.phase.subscribe();
        let left = phase
            .wait_for(|phase| matches!(phase, Phase::Left(_)))
            .await;
        match left.as_deref() {
            Ok(Phase::Left(heir)) => heir.clone(),
            _ => Heir::Nobody,
        }
    }

    /// Answers a request by the server behind the gate, or in its stead.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response {
        let answer = match self.server().await {
            Some(server) => tokio::select! {
                biased;
                answer = server.call(request) => answer.unwrap_or_else(|never| match never {}),
                () = self.is_shut() => self.refuse(),
            },
            None => self.refuse(),
        };
        self.last_words(answer)
    }

    async fn server(&self) -> Option<TowerToHyperService<Router>> {
        if let Behind::Open(server) = &*self.behind.borrow() {
            return Some(TowerToHyperService::new(server.clone()));
        }
        let mut behind = self.behind.subscribe();
        let known = behind.wait_for(|behind| !matches!(behind, Behind::Starting));
        match tokio::time::timeout(HOLD, known).await.ok()?.as_deref() {
            Ok(Behind::Open(server)) => Some(TowerToHyperService::new(server.clone())),
            _ => None,
        }
    }

    async fn is_shut(&self) {
        let mut behind = self.behind.subscribe();
        let shut = behind.wait_for(|behind| matches!(behind, Behind::Shut));
        shut.await.ok();
    }

    fn refuse(&self) -> Response {
        self.n_refused.fetch_add(1, Ordering::Relaxed);
        let receipt = Receipt {
            workspace: None,
            answer: Answer::Unavailable(Arc::new(StoreError::NotOpen)),
        };
        receipt.into_response()
    }

    /// Tells the sender to use another connection, once this one is to end.
    fn last_words(&self, mut answer: Response) -> Response {
        if !matches!(&*self.phase.borrow(), Phase::Staying) {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        answer
    }
}

/// A connection, or a listener, that is counted.
pub(super) struct Counted(Arc<Gate>);

impl Counted {
    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.n_served.send_modify(|n| *n -= 1);
    }
}
