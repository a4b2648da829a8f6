//! Ports that nobody else takes, not even while the server that has them is dead.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// Below the ports that systems give to outgoing connections.
const FIRST: u16 = 20_000;
const BLOCKS: u32 = 700;
const BLOCK: u16 = 16;
const PER_SERVER: usize = 3;

/// The ports of some servers, ours until dropped.
///
/// A block of ports belongs to the process that holds the datagram socket of its
/// first number: a lock without a file, gone with the process. The servers
/// themselves use streams only.
#[derive(Debug)]
pub(super) struct Ports {
    first: u16,
    _lock: UdpSocket,
}

impl Ports {
    pub(super) fn reserve(servers: usize) -> Ports {
        let needed = u16::try_from(servers * PER_SERVER).unwrap();
        assert!(needed <= BLOCK, "{servers} servers do not fit into a block");
        // Each process begins elsewhere; who meets another goes on to the next.
        let begin = std::process::id().wrapping_mul(37);
        let blocks = (0..BLOCKS).map(|step| begin.wrapping_add(step) % BLOCKS);
        let mut firsts = blocks.map(|block| FIRST + BLOCK * u16::try_from(block).unwrap());
        let found = firsts.find_map(|first| {
            let lock = UdpSocket::bind(address(first)).ok()?;
            let mut ports = first..first + needed;
            let free = ports.all(|port| TcpListener::bind(address(port)).is_ok());
            free.then_some(Ports { first, _lock: lock })
        });
        found.expect("some ports of this machine are free")
    }

    pub(super) fn client(&self, server: usize) -> SocketAddr {
        self.port(server, 0)
    }

    pub(super) fn route(&self, server: usize) -> SocketAddr {
        self.port(server, 1)
    }

    pub(super) fn monitor(&self, server: usize) -> SocketAddr {
        self.port(server, 2)
    }

    fn port(&self, server: usize, which: usize) -> SocketAddr {
        let offset = u16::try_from(server * PER_SERVER + which).unwrap();
        address(self.first + offset)
    }
}

fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
