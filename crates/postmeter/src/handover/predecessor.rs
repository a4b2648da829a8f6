//! The process whose place is taken, as the new one sees it.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use tokio::net::UnixStream;
use tracing::{info, warn};

use super::SOCKET;
use super::wire::{self, Frame, Kind, VERSION, senseless};
use crate::config::Config;
use crate::doors::Doors;
use crate::http::Side;
use crate::sockets::{Inherited, Listeners};

/// How long the old process may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long it may take to finish its attempts, and then to close its journal: more
/// than it allows itself.
const FAREWELL: Duration = Duration::from_secs(30);

/// A server that runs on the folder. It does not notice us until [`Predecessor::take`].
pub(crate) struct Predecessor {
    stream: UnixStream,
}

impl Predecessor {
    /// Finds the server that runs on the config's folder, and those of its sockets
    /// that the config names; none where nobody runs, or has just ended.
    pub(crate) async fn find(config: &Config) -> anyhow::Result<Option<(Self, Inherited)>> {
        let path = config.journal.dir().join(SOCKET);
        let stream = match UnixStream::connect(&path).await {
            Ok(stream) => stream,
            Err(error) if is_nobody(&error) => return Ok(None),
            Err(error) => {
                let path = path.display();
                return Err(error)
                    .with_context(|| format!("cannot reach the running server by {path}"));
            }
        };
        let why = "the running server does not hand its sockets over";
        let asked = tokio::time::timeout(ANSWER, ask(&stream)).await;
        let sockets = match asked.context(why)? {
            Err(error) if is_end(&error) => return Ok(None),
            asked => asked.context(why)?,
        };
        let inherited = Inherited {
            public: named(sockets.public, config.receive_listen)?,
            private: named(sockets.private, config.console_listen)?,
            connections: Vec::new(),
        };
        Ok(Some((Predecessor { stream }, inherited)))
    }

    /// Begins to take its place. Waits while it finishes its attempts; it receives all
    /// the while.
    pub(crate) async fn take(self) -> anyhow::Result<Taken> {
        let Predecessor { stream } = self;
        let taking = async {
            wire::send(&stream, Kind::Take, &[], &[]).await?;
            let frame = wire::receive(&stream).await?;
            if frame.kind == Kind::Accept {
                return Ok(());
            }
            Err(senseless("it does not let go of its sockets"))
        };
        match tokio::time::timeout(FAREWELL, taking).await {
            Ok(Ok(())) => {}
            // It has ended meanwhile. The sockets are here, and the folder is free.
            Ok(Err(error)) if is_end(&error) => {}
            Ok(Err(error)) => return Err(error).context("the running server does not give way"),
            Err(_) => anyhow::bail!("the running server does not give way within {FAREWELL:?}"),
        }
        Ok(Taken { stream })
    }
}

/// Whether nobody has been there, or whoever was has been killed.
fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused
    )
}

/// Whether the other process has ended.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

/// A server that accepts no more.
pub(crate) struct Taken {
    stream: UnixStream,
}

impl Taken {
    /// Takes its idle connections over, until it has closed the journal.
    pub(crate) async fn inherit(&self, doors: &Doors) -> anyhow::Result<()> {
        let inheriting = async {
            loop {
                let frame = match wire::receive(&self.stream).await {
                    Ok(frame) if frame.kind == Kind::Closed => return Ok(()),
                    Ok(frame) => frame,
                    Err(error) if is_end(&error) => return Ok(()),
                    Err(error) => return Err(error),
                };
                match connection(frame) {
                    Ok((side, early, tcp)) => doors.admit(side, early, tcp).await,
                    Err(error) => warn!(%error, "a connection cannot be taken over"),
                }
            }
        };
        let inherited = tokio::time::timeout(FAREWELL, inheriting).await;
        let closed = inherited.context("the old server does not close its journal")?;
        closed.context("the old server cannot be understood")
    }

    /// Tells it that it may end. If it has already, so much the better.
    pub(crate) async fn dismiss(self) {
        wire::send(&self.stream, Kind::Ready, &[], &[]).await.ok();
        info!("took the place of the server that ran before");
    }
}

async fn ask(stream: &UnixStream) -> io::Result<Listeners> {
    wire::send(stream, Kind::Ask, &[VERSION], &[]).await?;
    let Frame { kind, sockets, .. } = wire::receive(stream).await?;
    let sockets = <[OwnedFd; 2]>::try_from(sockets).ok();
    let sockets = sockets.filter(|_| kind == Kind::Sockets);
    let [public, private] = sockets.ok_or_else(|| senseless("it answered something else"))?;
    Ok(Listeners {
        public: public.into(),
        private: private.into(),
    })
}

/// The socket, if the config says that this is where to listen. Another one is let
/// go of, and the config's is bound.
fn named(socket: TcpListener, listen: SocketAddr) -> anyhow::Result<Option<TcpListener>> {
    let at = socket.local_addr().context("a socket has no address")?;
    let any_port = listen.port() == 0;
    let same = at.ip() == listen.ip() && (any_port || at.port() == listen.port());
    if !same {
        info!("the running server listens on {at}, this one will on {listen}");
    }
    Ok(same.then_some(socket))
}

fn connection(frame: Frame) -> io::Result<(Side, Bytes, TcpStream)> {
    let mut early = Bytes::from(frame.rest);
    let side = match early.split_to(1.min(early.len())).first() {
        Some(0) if frame.kind == Kind::Connection => Side::Public,
        Some(1) if frame.kind == Kind::Connection => Side::Private,
        _ => return Err(senseless("no connection of a listener that is known")),
    };
    let socket = frame.sockets.into_iter().next();
    let socket = socket.ok_or_else(|| senseless("a connection without its socket"))?;
    Ok((side, early, socket.into()))
}
