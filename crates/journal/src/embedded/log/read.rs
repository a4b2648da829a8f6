//! Reading the log: ranges for those who follow it, single records for those who
//! ask, and never anything that is not on stable storage.

use std::io;
use std::ops::Range;

use jiff::Timestamp;
use tracing::error;

use super::Log;
use super::segments::{Holding, Opened};
use super::walk::Walk;
use crate::lock::lock;
use crate::place::Seq;
use crate::record::{Entry, ReadLimit, Record};

/// The most bytes read to find a single record, unless it is larger itself.
const SINGLE_CHUNK_BYTES: usize = 64 * 1024;

/// What was gathered so far, and how much more may be.
struct Gathered {
    entries: Vec<Entry>,
    limit: ReadLimit,
    bytes: usize,
    /// There was a record that did not fit any more.
    full: bool,
}

impl Gathered {
    fn has_room(&self) -> bool {
        let within = self.entries.len() < self.limit.records && self.bytes < self.limit.bytes;
        !self.full && (within || self.entries.is_empty())
    }

    /// Adds `record`; if it does not fit any more, nothing does.
    fn push(&mut self, record: Record) {
        let signer_bytes = record.signed_by.as_ref().map_or(0, String::len);
        let bytes = record.body.len() + record.workspace.len() + signer_bytes;
        if self.entries.is_empty() || self.bytes + bytes <= self.limit.bytes {
            self.bytes += bytes;
            self.entries.push(Entry::Record(record));
        } else {
            self.full = true;
        }
    }

    fn push_damage(&mut self, from: Seq, to: Seq) {
        match self.entries.last_mut() {
            Some(Entry::Damaged { last, .. }) if last.next() == from => *last = to,
            _ => self.entries.push(Entry::Damaged {
                first: from,
                last: to,
            }),
        }
    }
}

/// What one record of the log turned out to be.
pub(crate) enum Lookup {
    /// It is there and intact.
    Record(Record),
    /// It was journaled and cannot be read any more.
    Damaged,
    /// It was journaled and erased.
    Erased {
        /// When.
        at: Timestamp,
    },
    /// It is not there yet, or not any more.
    Absent,
}

impl Log {
    /// Records from `from` on, or from the first kept one after it, up to
    /// `through` at most; in order, without a gap that is not an [`Entry`].
    pub fn read(&self, from: Seq, through: Seq, limit: ReadLimit) -> io::Result<Vec<Entry>> {
        let through = self.durable_seq().min(through);
        let mut at = from.max(self.first());
        let mut gathered = Gathered {
            entries: Vec::new(),
            limit,
            bytes: 0,
            full: false,
        };
        while at <= through && gathered.has_room() {
            let Some(holding) = self.shared.segments.holding(at) else {
                gathered.push_damage(at, through);
                break;
            };
            let end = holding.end.unwrap_or(Seq::new(u64::MAX));
            at = self.read_segment(&holding, at..end.min(through.next()), &mut gathered)?;
        }
        self.report_damage(&gathered.entries);
        Ok(gathered.entries)
    }

    /// The record at `seq`.
    pub(crate) fn record(&self, seq: Seq) -> io::Result<Lookup> {
        let limit = ReadLimit {
            records: 1,
            bytes: SINGLE_CHUNK_BYTES,
        };
        if seq < self.first() {
            return Ok(Lookup::Absent);
        }
        Ok(match self.read(seq, seq, limit)?.into_iter().next() {
            Some(Entry::Record(record)) if record.place.seq == seq => Lookup::Record(record),
            Some(Entry::Damaged { first, .. }) if first == seq => Lookup::Damaged,
            Some(Entry::Erased(tombstone)) if tombstone.place.seq == seq => Lookup::Erased {
                at: tombstone.erased_at,
            },
            _ => Lookup::Absent,
        })
    }

    /// When the first readable record of the segment arrived.
    pub(super) fn begun_at(&self, holding: &Holding) -> io::Result<Option<Timestamp>> {
        let known = *lock(&holding.segment.begun_at);
        if known.is_some() {
            return Ok(known);
        }
        let Opened::File(file) = self.shared.segments.file(&holding.segment)? else {
            return Ok(None);
        };
        let end = holding.end.unwrap_or(self.durable_seq().next());
        let span = holding.segment.span(holding.segment.first, end);
        let found = Walk::new(file, span, SINGLE_CHUNK_BYTES).step()?;
        let begun_at = found.map(|found| found.header.received_at);
        *lock(&holding.segment.begun_at) = begun_at;
        Ok(begun_at)
    }

    /// Gathers from one segment and says where to go on.
    fn read_segment(
        &self,
        holding: &Holding,
        wanted: Range<Seq>,
        gathered: &mut Gathered,
    ) -> io::Result<Seq> {
        let segment = &holding.segment;
        let file = match self.shared.segments.file(segment)? {
            Opened::File(file) => file,
            // What is kept begins further up.
            Opened::Trimmed => return Ok(wanted.end),
            Opened::Replaced => return Ok(wanted.start),
        };
        // What lies before it was trimmed meanwhile, too.
        let mut at = wanted.start.max(segment.first);
        let chunk_bytes = gathered.limit.bytes.min(ReadLimit::SHARED_BYTES);
        let span = segment.span(at, wanted.end);
        let mut walk = Walk::new(file, span, chunk_bytes.max(SINGLE_CHUNK_BYTES));
        while at < wanted.end && gathered.has_room() {
            let Some(found) = walk.step()? else {
                gathered.push_damage(at, wanted.end.previous());
                return Ok(wanted.end);
            };
            let seq = found.header.seq;
            segment.note(seq, found.offset);
            if seq < at {
                continue;
            }
            if at < seq {
                gathered.push_damage(at, seq.previous());
                at = seq;
            }
            if gathered.has_room() {
                match walk.entry(&found)? {
                    Some(Entry::Record(record)) => gathered.push(record),
                    Some(erased) => gathered.entries.push(erased),
                    None => gathered.push_damage(seq, seq),
                }
                if !gathered.full {
                    at = seq.next();
                }
            }
        }
        Ok(at)
    }

    /// Remembers what is damaged and says so, once.
    fn report_damage(&self, entries: &[Entry]) {
        for entry in entries {
            if let Entry::Damaged { first, last } = entry {
                let range = *first..=*last;
                if lock(&self.shared.damage).add(range) {
                    error!("the journal's records {first} to {last} are damaged and set aside");
                }
            }
        }
    }

    /// The last of the damaged records that follow `seq` without a gap; `seq`
    /// itself when the one after it is intact, or was not read yet.
    pub(crate) fn step_over_damage(&self, seq: Seq) -> Seq {
        lock(&self.shared.damage).step_over(seq)
    }

    /// The last durable place; [`Seq::ZERO`] when there is none.
    pub(crate) fn durable_seq(&self) -> Seq {
        let durable = self.shared.durable.borrow();
        durable.unwrap_or(Seq::ZERO)
    }

    /// The first place that is kept, or will be.
    pub fn first(&self) -> Seq {
        let first = self.shared.segments.first();
        first.unwrap_or_else(|| self.durable_seq().next())
    }
}
