//! Reading the log: ranges for those who follow it, single records for those who
//! ask, and never anything that is not on stable storage.

use std::io;
use std::ops::Range;

use jiff::Timestamp;

use super::Log;
use super::aside::Flaw;
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
    /// What is damaged among the entries, piece by piece.
    flaws: Vec<Flaw>,
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

    fn push_damage(&mut self, flaw: Flaw) {
        let (from, to) = (flaw.first, flaw.last);
        self.flaws.push(flaw);
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
            flaws: Vec::new(),
        };
        while at <= through && gathered.has_room() {
            let Some(holding) = self.shared.segments.holding(at) else {
                gathered.push_damage(Flaw {
                    first: at,
                    last: through,
                    segment: None,
                    bytes: 0..0,
                    why: "their segment is missing",
                });
                break;
            };
            let end = holding.end.unwrap_or(Seq::new(u64::MAX));
            at = self.read_segment(&holding, at..end.min(through.next()), &mut gathered)?;
        }
        self.report_damage(&gathered.flaws);
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
        let flaw = |first: Seq, last: Seq, bytes: Range<u64>, why| Flaw {
            first,
            last,
            segment: Some(segment.first),
            bytes,
            why,
        };
        while at < wanted.end && gathered.has_room() {
            let expected = walk.offset();
            let Some(found) = walk.step()? else {
                let bytes = expected..walk.file_bytes()?.max(expected);
                let why = "the segment ends without them";
                gathered.push_damage(flaw(at, wanted.end.previous(), bytes, why));
                return Ok(wanted.end);
            };
            let seq = found.header.seq;
            segment.note(seq, found.offset);
            if seq < at {
                continue;
            }
            if at < seq {
                let bytes = expected..found.offset.max(expected);
                let why = "there is no header where one was written";
                gathered.push_damage(flaw(at, seq.previous(), bytes, why));
                at = seq;
            }
            if gathered.has_room() {
                match walk.entry(&found)? {
                    Some(Entry::Record(record)) => gathered.push(record),
                    Some(erased) => gathered.entries.push(erased),
                    None => {
                        let why = "the checksum is not that of the body";
                        gathered.push_damage(flaw(seq, seq, found.offset..found.end(), why));
                    }
                }
                if !gathered.full {
                    at = seq.next();
                }
            }
        }
        Ok(at)
    }

    /// Remembers what is damaged, and sets it aside once.
    fn report_damage(&self, flaws: &[Flaw]) {
        for flaw in flaws {
            if !lock(&self.shared.damage).add(flaw.first..=flaw.last) {
                continue;
            }
            let holding = flaw
                .segment
                .and_then(|first| self.shared.segments.holding(first));
            let file = holding.map(|holding| self.shared.segments.file(&holding.segment));
            let file = match file {
                Some(Ok(Opened::File(file))) => Some(file),
                Some(Ok(Opened::Trimmed | Opened::Replaced) | Err(_)) | None => None,
            };
            self.shared.aside.set(flaw, file.as_ref());
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
