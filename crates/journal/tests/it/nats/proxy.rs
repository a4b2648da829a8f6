//! A wire between clients and one server, that a test can hold or cut.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    BlackHole,
    Cut,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    ended: bool,
    sockets: Vec<TcpStream>,
}

/// What the threads of a proxy share.
#[derive(Debug)]
struct Wire {
    state: Mutex<State>,
    changed: Condvar,
}

/// Forwards connections to a server for as long as a test wants.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    wire: Arc<Wire>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy in front of `server`, as [`super::Cluster::server`] names it.
    pub(crate) fn start(server: &str) -> Proxy {
        let server: SocketAddr = server.trim_start_matches("nats://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            mode: Mode::Pass,
            ended: false,
            sockets: Vec::new(),
        };
        let wire = Arc::new(Wire {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let shared = Arc::clone(&wire);
        let accepting = std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.lock().ended {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.carry(client, server));
            }
        });
        Proxy {
            address,
            wire,
            accepting: Some(accepting),
        }
    }

    /// Where clients connect, as `nats://127.0.0.1:port`.
    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Forwards again, first of all what was held.
    pub(crate) fn pass(&self) {
        self.wire.change(Mode::Pass);
    }

    /// Keeps connections open, takes new ones, and forwards nothing.
    pub(crate) fn blackhole(&self) {
        self.wire.change(Mode::BlackHole);
    }

    /// Closes connections, those there are and those to come.
    pub(crate) fn cut(&self) {
        self.wire.change(Mode::Cut);
    }
}

impl Wire {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, mode: Mode) {
        let mut state = self.lock();
        state.mode = mode;
        if mode == Mode::Cut {
            for socket in state.sockets.drain(..) {
                close(&socket);
            }
        }
        self.changed.notify_all();
    }

    /// Waits while the wire is held. False when it is cut.
    fn may_pass(&self) -> bool {
        let held = |state: &mut State| state.mode == Mode::BlackHole && !state.ended;
        let state = self.changed.wait_while(self.lock(), held).unwrap();
        state.mode == Mode::Pass && !state.ended
    }

    /// Carries one connection, both ways, until an end closes it.
    fn carry(self: &Arc<Wire>, client: TcpStream, server: SocketAddr) {
        if !self.may_pass() {
            return close(&client);
        }
        let Ok(server) = TcpStream::connect(server) else {
            return close(&client);
        };
        let ends = [&client, &server].map(|end| end.try_clone().unwrap());
        let mut state = self.lock();
        if state.mode == Mode::Cut || state.ended {
            return ends.iter().for_each(close);
        }
        state.sockets.extend(ends);
        drop(state);
        let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let shared = Arc::clone(self);
        let upward = std::thread::spawn(move || shared.pump(from, to));
        self.pump(server, client);
        upward.join().unwrap();
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            let passes = self.may_pass();
            if read == 0 || !passes || to.write_all(&buffer[..read]).is_err() {
                close(&from);
                return close(&to);
            }
        }
    }
}

fn close(socket: &TcpStream) {
    // It may be closed already, which is as good.
    drop(socket.shutdown(Shutdown::Both));
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.lock().ended = true;
        self.wire.change(Mode::Cut);
        drop(TcpStream::connect(self.address)); // wakes who accepts
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}
