//! What two processes say to each other, which may be of different versions.
//!
//! ```text
//! kind u8 | length of the rest u32, little-endian | the rest
//! ```
//!
//! Sockets travel beside the first byte of a frame. Bytes that make no sense are an
//! error, never a guess: then whoever serves goes on.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The first and so far only version of the conversation.
pub(super) const VERSION: u8 = 1;
/// The longest rest of a frame. The longest that we send is a connection's unread
/// bytes, of which the HTTP server buffers less than half of this.
const MAX_REST: usize = 1024 * 1024;
/// Sockets beside one frame.
const MAX_SOCKETS: usize = 2;
const HEAD: usize = 5;

/// What a frame says. The numbers are for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    /// The new process is there, and speaks this version.
    Ask = 1,
    /// It has all that it needs, and begins.
    Take = 2,
    /// It serves.
    Ready = 3,
    /// The public and the private listener are beside this.
    Sockets = 16,
    /// From now on only the new process accepts.
    Accept = 17,
    /// An idle connection: which listener's, and what was read of it.
    Connection = 18,
    /// The journal is free.
    Closed = 19,
}

impl Kind {
    const ALL: [Kind; 7] = [
        Kind::Ask,
        Kind::Take,
        Kind::Ready,
        Kind::Sockets,
        Kind::Accept,
        Kind::Connection,
        Kind::Closed,
    ];

    fn parse(byte: u8) -> io::Result<Kind> {
        let found = Kind::ALL.into_iter().find(|kind| *kind as u8 == byte);
        found.ok_or_else(|| senseless("a frame of an unknown kind"))
    }
}

/// A frame as it came.
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) rest: Vec<u8>,
    pub(super) sockets: Vec<OwnedFd>,
}

/// Bytes that the other side cannot have meant.
pub(super) fn senseless(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// Sends a frame whole.
pub(super) async fn send(
    stream: &UnixStream,
    kind: Kind,
    rest: &[u8],
    sockets: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let length = u32::try_from(rest.len()).map_err(|_| senseless("a frame is too long"))?;
    let frame = [&[kind as u8][..], &length.to_le_bytes(), rest].concat();
    let mut left = frame.as_slice();
    let mut beside = sockets;
    while !left.is_empty() {
        let sent = stream
            .async_io(Interest::WRITABLE, || send_some(stream, left, beside))
            .await?;
        left = left.get(sent..).unwrap_or_default();
        beside = &[];
    }
    Ok(())
}

fn send_some(stream: &UnixStream, bytes: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(senseless("too many sockets beside a frame"));
    }
    let bytes = [IoSlice::new(bytes)];
    Ok(sendmsg(stream, &bytes, &mut control, SendFlags::NOSIGNAL)?)
}

/// Waits for a frame. An error of kind `UnexpectedEof`: the other process has ended.
pub(super) async fn receive(stream: &UnixStream) -> io::Result<Frame> {
    let mut sockets = Vec::new();
    let mut head = [0; HEAD];
    fill(stream, &mut head, &mut sockets).await?;
    let [kind, length @ ..] = head;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_REST {
        return Err(senseless("a frame is too long"));
    }
    let mut rest = vec![0; length];
    fill(stream, &mut rest, &mut sockets).await?;
    Ok(Frame {
        kind: Kind::parse(kind)?,
        rest,
        sockets,
    })
}

async fn fill(
    stream: &UnixStream,
    mut bytes: &mut [u8],
    sockets: &mut Vec<OwnedFd>,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let got = stream
            .async_io(Interest::READABLE, || receive_some(stream, bytes, sockets))
            .await?;
        if got == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes = bytes.get_mut(got..).unwrap_or_default();
    }
    Ok(())
}

fn receive_some(
    stream: &UnixStream,
    bytes: &mut [u8],
    sockets: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [IoSliceMut::new(bytes)];
    let got = recvmsg(stream, &mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            sockets.extend(passed);
        }
    }
    Ok(got.bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_passed_is_the_same_with_what_waits_in_it() {
        let (here, there) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"early").unwrap();
        let long = vec![7; 600_000];
        let sending = async {
            let sockets = [listener.as_fd()];
            send(&here, Kind::Ask, b"", &[]).await.unwrap();
            send(&here, Kind::Sockets, &long, &sockets).await.unwrap();
            drop(here);
        };
        let receiving = async {
            assert_eq!(receive(&there).await.unwrap().kind, Kind::Ask);
            let frame = receive(&there).await.unwrap();
            assert_eq!((frame.kind, frame.rest), (Kind::Sockets, long.clone()));
            let end = receive(&there).await.err().map(|error| error.kind());
            assert_eq!(end, Some(ErrorKind::UnexpectedEof));
            frame.sockets
        };
        let ((), sockets) = tokio::join!(sending, receiving);
        drop(listener);
        let [socket] = <[OwnedFd; 1]>::try_from(sockets).unwrap();
        let (mut accepted, _) = TcpListener::from(socket).accept().unwrap();
        let mut early = [0; 5];
        accepted.read_exact(&mut early).unwrap();
        assert_eq!(&early, b"early");
    }

    #[tokio::test]
    async fn bytes_that_make_no_sense_are_an_error() {
        for bytes in [&[99, 0, 0, 0, 0][..], &[1, 255, 255, 255, 255], &[1, 0]] {
            let (here, there) = UnixStream::pair().unwrap();
            here.try_write(bytes).unwrap();
            drop(here);
            assert!(receive(&there).await.is_err(), "{bytes:?}");
        }
    }
}
