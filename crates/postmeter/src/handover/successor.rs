//! The process that takes our place, as the old one sees it.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::SOCKET;
use super::wire::{self, Kind, VERSION};
use crate::http::{Passed, Side};
use crate::sockets::Listeners;

/// How long a new process may look at the sockets before it takes them or not. One at
/// a time does.
const LOOK: Duration = Duration::from_secs(30);
/// The pause after the system refuses a conversation.
const PAUSE: Duration = Duration::from_millis(100);

/// Stands in the folder and says that a new process may take over.
///
/// To be made and dropped while the folder's lock is held: so the socket is always
/// that of the process that has the folder.
pub(crate) struct Invitation {
    socket: UnixListener,
    path: PathBuf,
    sockets: Listeners,
}

impl Invitation {
    /// Puts the socket into `dir`, for this user only. None where that cannot be: then
    /// a new process has to wait for the end of this one.
    pub(crate) fn put(dir: &Path, sockets: Listeners) -> Option<Invitation> {
        let path = dir.join(SOCKET);
        match bind(&path) {
            Ok(socket) => Some(Invitation {
                socket,
                path,
                sockets,
            }),
            Err(error) => {
                let path = path.display();
                warn!(%error, "cannot listen on {path}: no process can take over from this one");
                None
            }
        }
    }

    /// Waits for a process that takes over.
    pub(crate) async fn taken(&self) -> Successor {
        loop {
            let stream = match self.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot hear a process that may want to take over");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            match tokio::time::timeout(LOOK, self.show(&stream)).await {
                Ok(Ok(())) => return Successor { stream },
                Ok(Err(error)) => info!(%error, "a process wanted to take over and did not"),
                Err(_) => warn!("a process wanted to take over and did not within {LOOK:?}"),
            }
        }
    }

    async fn show(&self, stream: &UnixStream) -> io::Result<()> {
        let asked = wire::receive(stream).await?;
        if asked.kind != Kind::Ask || asked.rest != [VERSION] {
            return Err(wire::senseless("it speaks another version"));
        }
        let Listeners { public, private } = &self.sockets;
        let sockets = [public.as_fd(), private.as_fd()];
        wire::send(stream, Kind::Sockets, &[], &sockets).await?;
        let taken = wire::receive(stream).await?;
        if taken.kind == Kind::Take {
            return Ok(());
        }
        Err(wire::senseless("it neither takes over nor leaves"))
    }
}

impl Drop for Invitation {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            debug!(%error, "cannot remove {}", self.path.display());
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    // What a killed process left behind.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(socket)
}

/// A process that takes over. Whatever fails in speaking to it means that it has
/// ended, which [`Successor::serves`] says.
pub(crate) struct Successor {
    stream: UnixStream,
}

impl Successor {
    /// Tells it that it is the only one to accept from now on.
    pub(crate) async fn accept(&self) -> io::Result<()> {
        wire::send(&self.stream, Kind::Accept, &[], &[]).await
    }

    /// Gives it connections until there are no more.
    pub(crate) async fn pass_on(&self, mut passed: mpsc::Receiver<Passed>) {
        while let Some(Passed { side, stream }) = passed.recv().await {
            let (early, tcp) = stream.parts();
            let side = match side {
                Side::Public => 0,
                Side::Private => 1,
            };
            let rest = [&[side][..], early].concat();
            let sent = wire::send(&self.stream, Kind::Connection, &rest, &[tcp.as_fd()]).await;
            if let Err(error) = sent {
                debug!(%error, "cannot pass a connection on");
                return;
            }
        }
    }

    /// Tells it that the journal is free, and waits until it serves; false: it has
    /// ended instead.
    pub(crate) async fn serves(self) -> bool {
        let ready = async {
            wire::send(&self.stream, Kind::Closed, &[], &[]).await?;
            wire::receive(&self.stream).await
        };
        ready.await.is_ok_and(|frame| frame.kind == Kind::Ready)
    }
}
