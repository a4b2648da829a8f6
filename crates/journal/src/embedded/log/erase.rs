//! Takes records out of the log for good, each without moving any other.
//!
//! A segment that holds some is written anew beside itself, with a tombstone in the
//! place of each, and renamed over the old one:
//!
//! ```text
//! 4711.log  a b c d  --copy-->  4711.log.new  a b + d  --sync, rename, sync folder-->  4711.log
//! ```
//!
//! A crash leaves the old one or the new one, whole; a copy that was not finished is
//! removed when the log is opened. Nobody who appends waits: the segment that is
//! written to is left behind first, as it is, and the next group begins another.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::info;

use super::Log;
use super::segments::{Opened, Segment, rewritten_name, segment_name};
use super::storage::StoredFile;
use super::walk::{Found, Span, Walk};
use crate::index::ClaimKey;
use crate::lock::lock;
use crate::place::{Partition, Place, Seq};
use crate::record::{Entry, Tombstone, format};
use crate::room::Health;

/// How much is copied at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Records that go, with the claims on their events, which stay.
type Doomed = BTreeMap<Seq, ClaimKey>;

/// How many of a segment's records went, and how many bytes it has without them.
struct Rewritten {
    records: u64,
    bytes: u64,
}

impl Log {
    /// Puts a tombstone of `now` in the place of each of these records, and says of
    /// how many: not of those that had one already or are not kept any more. When it
    /// returns, no file of the log holds their bodies, and none will after a crash.
    ///
    /// # Errors
    ///
    /// The disk failed. Some may be gone; doing it again does the rest.
    pub fn erase(&self, doomed: &BTreeMap<Seq, ClaimKey>, now: Timestamp) -> io::Result<u64> {
        if let Health::Poisoned { cause } = self.shared.room.health() {
            let what = format!("the log is broken and takes no change: {cause}");
            return Err(io::Error::other(what));
        }
        let _alone = lock(&self.trimming);
        let mut erased = 0;
        for holding in self.shared.segments.all() {
            let end = holding.end.unwrap_or(Seq::new(u64::MAX));
            let here = doomed.range(holding.segment.first..end);
            let here: Doomed = here.map(|(seq, key)| (*seq, *key)).collect();
            if !here.is_empty() {
                erased += self.rewrite(&holding.segment, &here, now)?;
            }
        }
        // Copies of what could not be read may hold what goes.
        let aside = &self.shared.aside;
        aside.remove(|first, last| doomed.range(first..=last).next().is_some())?;
        // What an earlier attempt renamed may not have been certain.
        self.shared.storage.sync_dir()?;
        Ok(erased)
    }

    /// Writes a segment anew without these records.
    fn rewrite(&self, segment: &Arc<Segment>, doomed: &Doomed, now: Timestamp) -> io::Result<u64> {
        let end = self.leave_behind(segment.first);
        let Opened::File(file) = self.shared.segments.file(segment)? else {
            return Ok(0); // trimmed meanwhile
        };
        let storage = &self.shared.storage;
        let name = rewritten_name(segment.first);
        match storage.unlink(&name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let span = Span {
            offset: 0,
            from: segment.first,
            end,
        };
        let mut copy = Copy {
            from: Arc::clone(&file),
            to: storage.create(&name)?,
            buffer: Vec::new(),
            bytes: 0,
        };
        let mut rewrite = Rewrite {
            walk: Walk::new(file, span, CHUNK_BYTES),
            doomed,
            now,
        };
        let Rewritten { records, bytes } = rewrite.run(span, &mut copy)?;
        if records == 0 {
            storage.unlink(&name)?;
            return Ok(0);
        }
        copy.to.sync()?;
        let before = segment.bytes();
        let rename = || storage.rename(&name, &segment_name(segment.first));
        self.shared.segments.replace(segment, bytes, rename)?;
        storage.sync_dir()?;
        self.shared.room.freed(before.saturating_sub(bytes));
        info!(
            "erased {records} records of the segment that begins with {}",
            segment.first
        );
        Ok(records)
    }

    /// Makes sure that nothing more is written to this segment, and says which place
    /// is the first that is not in it.
    fn leave_behind(&self, first: Seq) -> Seq {
        // The committer holds this while it writes and acknowledges.
        let mut closed = lock(&self.shared.closed);
        *closed = (*closed).max(first);
        let holding = self.shared.segments.holding(first);
        let end = holding.and_then(|holding| holding.end);
        end.unwrap_or_else(|| self.durable_seq().next())
    }
}

/// One walk through a segment that copies what stays.
struct Rewrite<'d> {
    walk: Walk,
    doomed: &'d Doomed,
    now: Timestamp,
}

impl Rewrite<'_> {
    fn run(&mut self, span: Span, copy: &mut Copy) -> io::Result<Rewritten> {
        let (mut next, mut offset, mut records) = (span.from, span.offset, 0);
        while let Some(found) = self.walk.step()? {
            records += self.pass_over(next..found.header.seq, offset..found.offset, copy)?;
            let end = found.end();
            if self.takes(&found) {
                let tombstone = self.tombstone_of(&found)?;
                copy.write(|out| format::encode_erased(&tombstone, found.header.group, out))?;
                records += 1;
            } else {
                copy.copy(found.offset..end)?;
            }
            (next, offset) = (found.header.seq.next(), end);
        }
        let rest = if next < span.end {
            offset..copy.from.size()?
        } else {
            offset..offset // never acknowledged
        };
        records += self.pass_over(next..span.end, rest, copy)?;
        copy.flush()?;
        let bytes = copy.bytes;
        Ok(Rewritten { records, bytes })
    }

    fn takes(&self, found: &Found) -> bool {
        self.doomed.contains_key(&found.header.seq) && !found.header.is_erased()
    }

    /// Passes over records that are damaged, and the bytes that were theirs. Of which
    /// of them a byte was is not known, so all bytes go where one of them has to.
    fn pass_over(&self, seqs: Range<Seq>, bytes: Range<u64>, copy: &mut Copy) -> io::Result<u64> {
        let mut records = 0;
        for (seq, key) in self.doomed.range(seqs.start..seqs.end.max(seqs.start)) {
            let tombstone = Tombstone {
                place: Place::new(Partition::ZERO, *seq),
                received_at: self.now,
                workspace: String::new(),
                key: *key,
                erased_at: self.now,
            };
            copy.write(|out| format::encode_erased(&tombstone, *seq, out))?;
            records += 1;
        }
        if records == 0 {
            copy.copy(bytes)?;
        }
        Ok(records)
    }

    fn tombstone_of(&mut self, found: &Found) -> io::Result<Tombstone> {
        let workspace = match self.walk.entry(found)? {
            Some(Entry::Record(record)) => record.workspace,
            Some(Entry::Erased(_) | Entry::Damaged { .. }) | None => String::new(),
        };
        let seq = found.header.seq;
        let key = self.doomed.get(&seq).copied();
        Ok(Tombstone {
            place: Place::new(Partition::ZERO, seq),
            received_at: found.header.received_at,
            workspace,
            key: key.expect("only doomed records get a tombstone"),
            erased_at: self.now,
        })
    }
}

/// A file that is being written from another.
struct Copy {
    from: Arc<dyn StoredFile>,
    to: Arc<dyn StoredFile>,
    buffer: Vec<u8>,
    /// What it has, with what is still in the buffer.
    bytes: u64,
}

impl Copy {
    /// Copies these bytes, as far as the file has them.
    fn copy(&mut self, range: Range<u64>) -> io::Result<()> {
        let mut offset = range.start;
        while offset < range.end {
            let wanted = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
            let mut chunk = vec![0; wanted.min(CHUNK_BYTES)];
            let filled = self.from.read_at(&mut chunk, offset)?;
            if filled == 0 {
                break;
            }
            chunk.truncate(filled);
            self.write(|out| out.extend_from_slice(&chunk))?;
            offset += filled as u64;
        }
        Ok(())
    }

    fn write(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let before = self.buffer.len();
        encode(&mut self.buffer);
        self.bytes += (self.buffer.len() - before) as u64;
        if self.buffer.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.to.append(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}
