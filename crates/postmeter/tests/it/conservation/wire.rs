//! A wire whose far end may move, and that can be cut, held and disturbed.
//!
//! It carries bytes and does not know what they say.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What is no HTTP.
const NOISE: &[u8] = b"\x16\x03\x01\x02\x00 this is not the server that you look for\r\n";

/// What happens to bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// They arrive.
    Pass,
    /// They wait, and connections stay open.
    Hold,
    /// Whoever connects is reset.
    Refuse,
    /// What comes back is noise.
    Noise,
    /// A 200 that comes back looks as Segment's never looks.
    Odd,
}

/// A wire. It ends with its owner.
pub(super) struct Wire {
    address: SocketAddr,
    ends: Arc<Ends>,
    _carrying: JoinSet<()>,
}

struct Ends {
    far: Mutex<SocketAddr>,
    mode: watch::Sender<Mode>,
    cuts: watch::Sender<u64>,
}

impl Wire {
    /// A wire to `far`.
    pub(super) async fn start(far: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ends = Arc::new(Ends {
            far: Mutex::new(far),
            mode: watch::Sender::new(Mode::Pass),
            cuts: watch::Sender::new(0),
        });
        let mut carrying = JoinSet::new();
        carrying.spawn(accept(listener, Arc::clone(&ends)));
        Wire {
            address,
            ends,
            _carrying: carrying,
        }
    }

    /// Where one connects.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads connections from now on elsewhere.
    pub(super) fn aim(&self, far: SocketAddr) {
        *self.ends.far.lock().unwrap() = far;
    }

    pub(super) fn set(&self, mode: Mode) {
        self.ends.mode.send_replace(mode);
    }

    /// Resets every connection that there is.
    pub(super) fn cut(&self) {
        self.ends.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn accept(listener: TcpListener, ends: Arc<Ends>) {
    let mut carried = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((near, _)) = accepted {
                    carried.spawn(carry(near, Arc::clone(&ends)));
                }
            }
            Some(_) = carried.join_next() => {}
        }
    }
}

async fn carry(mut near: TcpStream, ends: Arc<Ends>) {
    let (mut cuts, mode) = (ends.cuts.subscribe(), ends.mode.subscribe());
    if *mode.borrow() == Mode::Refuse {
        return reset(&near);
    }
    let far = *ends.far.lock().unwrap();
    let Ok(mut far) = TcpStream::connect(far).await else {
        return reset(&near);
    };
    let (near_read, near_write) = near.split();
    let (far_read, far_write) = far.split();
    let is_cut = tokio::select! {
        () = pump(near_read, far_write, (mode.clone(), false)) => false,
        () = pump(far_read, near_write, (mode, true)) => false,
        _ = cuts.changed() => true,
    };
    if is_cut {
        reset(&near);
        reset(&far);
    }
}

/// Carries bytes one way until an end closes; `answers` are what noise replaces.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    (mut mode, answers): (watch::Receiver<Mode>, bool),
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let held = |mode: &Mode| *mode != Mode::Hold;
        let Ok(mode) = mode.wait_for(held).await.map(|mode| *mode) else {
            return;
        };
        let bytes = &mut buffer[..read];
        match mode {
            Mode::Noise if answers && read > 0 => {
                drop(to.write_all(NOISE).await);
                return;
            }
            Mode::Odd if answers => {
                replace(bytes, b" 200 OK", b" 202 ok");
                replace(bytes, b"true", b"9999");
            }
            _ => {}
        }
        if read == 0 || to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// Replaces the first occurrence by as many bytes.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let at = bytes.windows(from.len()).position(|each| each == from);
    if let Some(at) = at {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

/// Its close will be a reset.
fn reset(socket: &TcpStream) {
    drop(socket.set_zero_linger());
}
