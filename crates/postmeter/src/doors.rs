//! The two listeners while they are served, from the first connection to the last.
//!
//! They may be open before there is a server, where a queue was inherited, and stay
//! open while the server behind them stops: the order in which they are left is what
//! keeps senders from ever seeing a connection break.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::http::{self, Gate, Heir, Passed, Side, Stream};
use crate::sockets::Listeners;

/// How long connections that are in use may take to show it, so that their sender is
/// told to leave them, before those that are not are closed.
const QUIET: Duration = Duration::from_secs(1);
/// How long requests in hand may take before the journal is closed under them.
const FINISH: Duration = Duration::from_secs(1);
/// How long the last answers may take to be read.
const LAST: Duration = Duration::from_secs(2);
/// Connections on their way from another process.
const ARRIVING: usize = 64;

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) receive: SocketAddr,
    pub(crate) console: SocketAddr,
}

/// Both listeners, open.
pub(crate) struct Doors {
    public: Door,
    private: Door,
    sockets: Listeners,
    serving: JoinSet<()>,
}

struct Door {
    gate: Arc<Gate>,
    arriving: mpsc::Sender<Stream>,
}

impl Doors {
    /// Begins to take connections. Requests wait until [`Doors::let_in`].
    pub(crate) fn open(sockets: Listeners) -> anyhow::Result<Doors> {
        let Listeners { public, private } = sockets.again()?;
        let mut serving = JoinSet::new();
        let mut door = |side, listener: std::net::TcpListener| -> anyhow::Result<Door> {
            let ready = listener.set_nonblocking(true);
            let listener = ready.and_then(|()| TcpListener::from_std(listener));
            let listener = listener.context("cannot serve a listening socket")?;
            let gate = Arc::new(Gate::new(side));
            let (arriving, arrivals) = mpsc::channel(ARRIVING);
            serving.spawn(http::serve(listener, Arc::clone(&gate), arrivals));
            Ok(Door { gate, arriving })
        };
        Ok(Doors {
            public: door(Side::Public, public)?,
            private: door(Side::Private, private)?,
            sockets,
            serving,
        })
    }

    /// Where they are: with port 0 the system chose.
    pub(crate) fn addresses(&self) -> anyhow::Result<Addresses> {
        let at = |listener: &std::net::TcpListener| {
            let address = listener.local_addr();
            address.context("a listening socket has no address")
        };
        Ok(Addresses {
            receive: at(&self.sockets.public)?,
            console: at(&self.sockets.private)?,
        })
    }

    /// The listening sockets, for another process.
    pub(crate) fn sockets(&self) -> anyhow::Result<Listeners> {
        self.sockets.again()
    }

    /// Serves a connection on that somebody else has served before.
    pub(crate) async fn admit(&self, side: Side, early: Bytes, tcp: std::net::TcpStream) {
        let ready = tcp.set_nonblocking(true);
        match ready.and_then(|()| TcpStream::from_std(tcp)) {
            Ok(tcp) => {
                let stream = Stream::new(early, tcp);
                // Refused only once the door is left; then it is closed.
                self.door(side).arriving.send(stream).await.ok();
            }
            Err(error) => warn!(%error, "cannot take a connection over"),
        }
    }

    /// Lets requests in, those that wait first.
    pub(crate) fn let_in(&self, public: Router, private: Router) {
        self.public.gate.open(public);
        self.private.gate.open(private);
        let n_refused = self.public.gate.n_refused() + self.private.gate.n_refused();
        if n_refused > 0 {
            info!("{n_refused} requests were answered 503 until the journal was open");
        }
    }

    /// Makes requests wait again, as before [`Doors::let_in`].
    pub(crate) fn hold(&self) {
        self.gates().for_each(Gate::hold);
    }

    /// Tells every sender, with its next answer, to use another connection, and gives
    /// those in use a moment to get one.
    pub(crate) async fn clear(&self) {
        self.gates().for_each(Gate::leave);
        let all = async {
            self.public.gate.quiet().await;
            self.private.gate.quiet().await;
        };
        tokio::time::timeout(QUIET, all).await.ok();
    }

    /// Takes no more connections, finishes the requests in hand, and leaves what is
    /// idle to the heir. A request that takes longer is not finished; nor is any after
    /// this, so that nothing holds the server any more.
    pub(crate) async fn leave(&self, heir: Heir) {
        self.gates().for_each(|gate| gate.pass_on_to(heir.clone()));
        drop(heir);
        let all = async {
            self.public.gate.deserted().await;
            self.private.gate.deserted().await;
        };
        tokio::time::timeout(FINISH, all).await.ok();
        // The heir would wait for more.
        self.gates().for_each(|gate| gate.pass_on_to(Heir::Nobody));
        self.gates().for_each(Gate::shut);
    }

    /// Waits for the last answers to be read; then every connection is closed.
    pub(crate) async fn close(mut self) -> Listeners {
        let all = async { while self.serving.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST, all).await.is_err() {
            warn!("some requests were not finished within {LAST:?} and are cut off");
        }
        self.serving.shutdown().await;
        self.sockets
    }

    /// Gives up before there was a server: whoever waits is told so.
    pub(crate) async fn abandon(self) {
        self.gates().for_each(Gate::shut);
        self.clear().await;
        self.leave(Heir::Nobody).await;
        self.close().await;
    }

    fn gates(&self) -> impl Iterator<Item = &Gate> {
        [&*self.public.gate, &*self.private.gate].into_iter()
    }

    fn door(&self, side: Side) -> &Door {
        match side {
            Side::Public => &self.public,
            Side::Private => &self.private,
        }
    }
}

/// A way for idle connections to an heir, and its end.
pub(crate) fn passage() -> (mpsc::Sender<Passed>, mpsc::Receiver<Passed>) {
    mpsc::channel(ARRIVING)
}
