//! What systemd is told, where it wants to be told: that the server is ready, that it
//! stops, and which connections to keep for the next process.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{self, SocketAddr};
use std::sync::Arc;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::http::{Passed, Side};
use crate::secrets::environment;
use crate::sockets::{Inherited, PRIVATE_CONNECTION, PUBLIC_CONNECTION};

/// The service manager, or nobody.
#[derive(Clone)]
pub(crate) struct Manager {
    socket: Option<Arc<UnixDatagram>>,
    has_sockets: bool,
}

impl Manager {
    /// Nobody.
    pub(crate) fn nobody() -> Manager {
        Manager {
            socket: None,
            has_sockets: false,
        }
    }

    /// The one that `NOTIFY_SOCKET` names, and from which sockets were inherited.
    pub(crate) fn find(inherited: &Inherited) -> Manager {
        let Some(name) = environment("NOTIFY_SOCKET") else {
            return Manager::nobody();
        };
        let connected = connect(&name);
        if let Err(error) = &connected {
            warn!(%error, "cannot speak to systemd: it does not learn that the server is ready");
        }
        Manager {
            socket: connected.ok().map(Arc::new),
            has_sockets: inherited.has_sockets(),
        }
    }

    /// Whether it can keep connections for the next process on the same sockets.
    pub(crate) fn keeps(&self) -> bool {
        self.has_sockets && self.socket.is_some()
    }

    /// The server serves.
    pub(crate) async fn ready(&self) {
        self.tell("READY=1").await;
    }

    /// The server has been told to stop.
    pub(crate) async fn stopping(&self) {
        self.tell("STOPPING=1").await;
    }

    async fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(state.as_bytes()).await
        {
            warn!(%error, "cannot tell systemd {state}");
        }
    }

    /// Leaves connections with the manager until there are no more. One that it does
    /// not take is closed.
    pub(crate) async fn keep_all(&self, mut passed: mpsc::Receiver<Passed>) {
        while let Some(connection) = passed.recv().await {
            if let Some(socket) = &self.socket
                && let Err(error) = keep(socket, &connection).await
            {
                debug!(%error, "systemd does not keep a connection");
            }
        }
    }
}

/// The name is a path, or that of an abstract socket behind an `@`.
fn connect(name: &str) -> io::Result<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = net::UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}

async fn keep(socket: &UnixDatagram, connection: &Passed) -> io::Result<()> {
    let name = match connection.side {
        Side::Public => PUBLIC_CONNECTION,
        Side::Private => PRIVATE_CONNECTION,
    };
    let state = format!("FDSTORE=1\nFDNAME={name}");
    let (_, tcp) = connection.stream.parts();
    let send = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let sockets = [tcp.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&sockets));
        let bytes = [IoSlice::new(state.as_bytes())];
        sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    };
    socket.async_io(Interest::WRITABLE, send).await
}
