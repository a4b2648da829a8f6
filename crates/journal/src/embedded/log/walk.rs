//! Walks through the records of one segment, over whatever damage lies between
//! them. It decides nothing: whether a flaw is a torn tail or lost data is the
//! business of who walks.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::storage::StoredFile;
use crate::place::Seq;
use crate::record::Entry;
use crate::record::format::{HEADER_BYTES, Header, MAGIC};

/// Where a walk begins and where it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// The byte at which the record `from` is expected.
    pub(super) offset: u64,
    pub(super) from: Seq,
    /// The walk ends before this record: it belongs to the next segment, or is
    /// not on stable storage yet.
    pub(super) end: Seq,
}

/// A record's header, found where or behind where it was expected.
///
/// Records missing between this one and the one before are damaged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) header: Header,
    /// The first byte of the header.
    pub(super) offset: u64,
}

impl Found {
    /// The first byte behind the record.
    pub(super) fn end(&self) -> u64 {
        self.offset + HEADER_BYTES as u64 + self.header.payload_bytes() as u64
    }
}

/// A walk through one segment, strictly upwards.
pub(super) struct Walk {
    file: Arc<dyn StoredFile>,
    span: Span,
    /// The most bytes to read ahead.
    chunk_bytes: usize,
    /// What was read last, and where it begins in the file.
    buffer: Bytes,
    buffer_offset: u64,
}

impl Walk {
    pub(super) fn new(file: Arc<dyn StoredFile>, span: Span, chunk_bytes: usize) -> Walk {
        Walk {
            file,
            span,
            chunk_bytes,
            buffer: Bytes::new(),
            buffer_offset: 0,
        }
    }

    /// The next record of which at least the header is intact; none at the end.
    pub(super) fn step(&mut self) -> io::Result<Option<Found>> {
        if self.span.from >= self.span.end {
            return Ok(None);
        }
        let found = match self.header_at(self.span.offset)? {
            Some(header) => Some(Found {
                header,
                offset: self.span.offset,
            }),
            None => self.search()?,
        };
        if let Some(Found { header, offset }) = found {
            self.span.offset = Found { header, offset }.end();
            self.span.from = header.seq.next();
        }
        Ok(found)
    }

    /// Where the next record is expected.
    pub(super) fn offset(&self) -> u64 {
        self.span.offset
    }

    /// Where the segment's file ends.
    pub(super) fn file_bytes(&self) -> io::Result<u64> {
        self.file.size()
    }

    /// What was just found, a record or its tombstone; none when its names or body are
    /// damaged.
    pub(super) fn entry(&mut self, found: &Found) -> io::Result<Option<Entry>> {
        let payload_bytes = found.header.payload_bytes();
        let bytes = self.bytes_at(found.offset, HEADER_BYTES + payload_bytes)?;
        let end = HEADER_BYTES + payload_bytes;
        if bytes.len() < end {
            return Ok(None);
        }
        Ok(found.header.entry(bytes.slice(HEADER_BYTES..end)))
    }

    /// The header at `offset`, if there is one that can belong here.
    fn header_at(&mut self, offset: u64) -> io::Result<Option<Header>> {
        let bytes = self.bytes_at(offset, HEADER_BYTES)?;
        let header = Header::decode(&bytes);
        Ok(header.filter(|header| (self.span.from..self.span.end).contains(&header.seq)))
    }

    /// The first header behind the place where one was expected.
    fn search(&mut self) -> io::Result<Option<Found>> {
        let mut offset = self.span.offset + 1;
        loop {
            let window = self.bytes_at(offset, HEADER_BYTES)?;
            if window.len() < HEADER_BYTES {
                return Ok(None);
            }
            let candidate = window.windows(MAGIC.len()).position(|at| at == MAGIC);
            let Some(candidate) = candidate else {
                // The magic may straddle the edge of what was read.
                offset += (window.len() - (MAGIC.len() - 1)) as u64;
                continue;
            };
            offset += candidate as u64;
            if let Some(header) = self.header_at(offset)? {
                return Ok(Some(Found { header, offset }));
            }
            offset += 1;
        }
    }

    /// The bytes from `offset` on: at least `least` where the file has them.
    fn bytes_at(&mut self, offset: u64, least: usize) -> io::Result<Bytes> {
        let start = offset
            .checked_sub(self.buffer_offset)
            .and_then(|start| usize::try_from(start).ok())
            .filter(|start| start.saturating_add(least) <= self.buffer.len());
        if let Some(start) = start {
            return Ok(self.buffer.slice(start..));
        }
        let mut bytes = vec![0; least.max(self.chunk_bytes)];
        let filled = self.file.read_at(&mut bytes, offset)?;
        bytes.truncate(filled);
        self.buffer = bytes.into();
        self.buffer_offset = offset;
        Ok(self.buffer.clone())
    }
}
