//! A connection's bytes: first those that somebody else has read already.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection that may have been served before, by this process or another.
pub(crate) struct Stream {
    /// Bytes that were read from `tcp` and are nobody's request yet.
    early: Bytes,
    tcp: TcpStream,
}

impl Stream {
    /// A connection of which `early` has been read already.
    pub(crate) fn new(early: Bytes, tcp: TcpStream) -> Stream {
        Stream { early, tcp }
    }

    /// Puts back what was read last.
    pub(super) fn put_back(self, read: Bytes) -> Stream {
        let early = if self.early.is_empty() {
            read
        } else {
            [read, self.early].concat().into()
        };
        Stream { early, ..self }
    }

    /// What was read and is no request yet, and the socket.
    pub(crate) fn parts(&self) -> (&Bytes, &TcpStream) {
        (&self.early, &self.tcp)
    }
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Stream {
        Stream::new(Bytes::new(), tcp)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.tcp).poll_read(cx, buf);
        }
        let taken = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early.slice(..taken));
        self.early.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
