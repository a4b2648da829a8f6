//! The two listening sockets, before anybody is served on them.
//!
//! They are bound here, or inherited: from systemd, which binds them before this
//! process and keeps them after it, or from the process that it replaces. An
//! inherited socket has lost nobody in its queue.

use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::Context as _;
use listenfd::ListenFd;
use tokio::net::TcpSocket;

use crate::config::Config;
use crate::http::Side;
use crate::secrets::environment;

/// Connections that the system holds until they are accepted. It may hold fewer.
const BACKLOG: u32 = 4_096;
/// What systemd calls the sockets: `FileDescriptorName=` of the socket units.
const PUBLIC: &str = "receive";
const PRIVATE: &str = "console";
/// What it calls the connections that the last process left with it.
pub(crate) const PUBLIC_CONNECTION: &str = "receive-connection";
pub(crate) const PRIVATE_CONNECTION: &str = "console-connection";
const CONNECTIONS: [&str; 2] = [PUBLIC_CONNECTION, PRIVATE_CONNECTION];
/// `AF_INET` and `SOCK_STREAM`, which also stand for IPv6 here.
const INTERNET: i32 = 2;
const STREAM: i32 = 1;

/// Both listening sockets.
pub(crate) struct Listeners {
    pub(crate) public: TcpListener,
    pub(crate) private: TcpListener,
}

impl Listeners {
    /// Takes what was inherited, and binds the rest where the config says.
    pub(crate) fn take_or_bind(inherited: Inherited, config: &Config) -> anyhow::Result<Listeners> {
        let public = match inherited.public {
            Some(listener) => listener,
            None => bind(config.receive_listen, config.share_port)?,
        };
        let private = match inherited.private {
            Some(listener) => listener,
            None => bind(config.console_listen, SharePort::No)?,
        };
        Ok(Listeners { public, private })
    }

    /// The same sockets once more. Their queues stay for as long as one of them.
    pub(crate) fn again(&self) -> anyhow::Result<Listeners> {
        let again = |listener: &TcpListener| listener.try_clone().context("cannot keep a socket");
        Ok(Listeners {
            public: again(&self.public)?,
            private: again(&self.private)?,
        })
    }
}

/// Whether other processes may bind the same port beside this one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum SharePort {
    /// A port that is taken is an error.
    #[default]
    No,
    /// The system spreads connections over all of them.
    Yes,
}

/// Sockets that were bound by somebody else.
#[derive(Default)]
pub(crate) struct Inherited {
    pub(crate) public: Option<TcpListener>,
    pub(crate) private: Option<TcpListener>,
    /// Connections, idle when they were left behind.
    pub(crate) connections: Vec<(Side, TcpStream)>,
}

impl Inherited {
    /// What systemd passes to this process; nothing where it was started otherwise.
    /// To be called before there is a second thread: it clears the environment.
    pub(crate) fn from_manager() -> anyhow::Result<Inherited> {
        let names = environment("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let kept = names.clone().filter(|name| CONNECTIONS.contains(name));
        let alone = passed.len() - kept.count().min(passed.len()) == 1;
        let mut inherited = Inherited::default();
        for index in 0..passed.len() {
            let name = names.next().unwrap_or_default();
            let what = || format!("cannot take the socket {name:?} over from systemd");
            match name {
                PUBLIC => {
                    inherited.public = passed.take_tcp_listener(index).with_context(what)?;
                }
                PRIVATE => {
                    inherited.private = passed.take_tcp_listener(index).with_context(what)?;
                }
                PUBLIC_CONNECTION | PRIVATE_CONNECTION => {
                    let stream = passed.take_custom(index, INTERNET, STREAM, "tcp connection");
                    // It may have ended meanwhile; then nothing is lost with it.
                    let stream = stream.ok().flatten();
                    let side = side_of_connection(name);
                    inherited
                        .connections
                        .extend(stream.map(|stream| (side, stream)));
                }
                _ if alone => {
                    inherited.public = passed.take_tcp_listener(index).with_context(what)?;
                }
                _ => anyhow::bail!(
                    "systemd passes a socket {name:?}: set FileDescriptorName= to {PUBLIC:?} or \
                     {PRIVATE:?} in its unit"
                ),
            }
        }
        Ok(inherited)
    }

    /// Whether systemd, or whoever does as it does, holds the public socket.
    pub(crate) fn has_sockets(&self) -> bool {
        self.public.is_some() || self.private.is_some()
    }
}

fn side_of_connection(name: &str) -> Side {
    if name == PUBLIC_CONNECTION {
        Side::Public
    } else {
        Side::Private
    }
}

/// Binds `address`, and says which one that was when it fails.
fn bind(address: SocketAddr, share: SharePort) -> anyhow::Result<TcpListener> {
    let bound = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // Else a server that has just ended would keep the port for a minute.
        socket.set_reuseaddr(true)?;
        if share == SharePort::Yes {
            socket.set_reuseport(true)?;
        }
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    bound().with_context(|| format!("cannot listen on {address}"))
}
