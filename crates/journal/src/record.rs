//! What goes into the journal and what comes out: drafts, records, and the marks
//! of those that were damaged.
//!
//! A body is bytes and stays bytes: nothing here knows what an event looks like.

pub(crate) mod format;

use std::collections::HashMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use jiff::Timestamp;

use crate::index::ClaimKey;
use crate::place::{Place, Seq};

/// An event that is about to be journaled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// When the event arrived; kept to the nanosecond.
    pub received_at: Timestamp,
    /// The workspace it came from: at most [`Draft::MAX_NAME_BYTES`] bytes.
    pub workspace: String,
    /// The signing key that matched, if one did: at most
    /// [`Draft::MAX_NAME_BYTES`] bytes.
    pub signed_by: Option<String>,
    /// What decides the partition: events that may be the same, or of one
    /// message to one person, have the same. Not kept.
    pub affinity: Affinity,
    /// The place it had in the journal that it was carried over from; none where
    /// it arrived here.
    pub origin: Option<Seq>,
    /// Whether it arrives as it happens.
    pub tense: Tense,
    /// The raw body, exactly as it arrived.
    pub body: Bytes,
}

/// Whether an event came as it happened, which is what its receipt says about its
/// time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Tense {
    /// It did: the sender reported it.
    #[default]
    Live,
    /// It is history that was brought later.
    Historical,
}

/// What keeps drafts together in one partition, in their order: a hash, chosen by
/// the caller.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Affinity(u64);

impl Affinity {
    /// Of whatever hashes to `hash`.
    pub const fn new(hash: u64) -> Affinity {
        Affinity(hash)
    }

    /// Which of so many partitions it is; the first where there is none.
    pub(crate) fn among(self, partitions: usize) -> usize {
        let partitions = u64::try_from(partitions.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.0 % partitions).expect("below a number of partitions")
    }
}

impl Draft {
    /// The longest workspace name, and the longest key name.
    pub const MAX_NAME_BYTES: usize = 255;
    /// The largest body that a journal keeps.
    pub const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
    /// The most bytes that a record takes beyond its body.
    pub(crate) const MAX_OVERHEAD_BYTES: usize =
        format::HEADER_BYTES + 2 * Draft::MAX_NAME_BYTES + format::ORIGIN_BYTES;
}

/// An event as journaled.
///
/// Bodies that were read together share one buffer of up to
/// [`ReadLimit::SHARED_BYTES`]: copy a body that is to be kept for long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Where it is.
    pub place: Place,
    /// When the event arrived.
    pub received_at: Timestamp,
    /// The workspace it came from.
    pub workspace: String,
    /// The signing key that matched, if one did.
    pub signed_by: Option<String>,
    /// The place it had in the journal that it was carried over from, if it was.
    pub origin: Option<Seq>,
    /// Whether it arrived as it happened.
    pub tense: Tense,
    /// The raw body, exactly as it arrived.
    pub body: Bytes,
}

/// What is left of a record that was erased: where and when it was, and by what a
/// repetition of its event is recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tombstone {
    /// Where it is.
    pub place: Place,
    /// When the event arrived.
    pub received_at: Timestamp,
    /// The workspace it came from; empty where it was too damaged to tell.
    pub workspace: String,
    /// The key of its event.
    pub key: ClaimKey,
    /// When it was erased.
    pub erased_at: Timestamp,
}

/// What stands at one or more places of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A record, intact.
    Record(Record),
    /// A record was here, and was erased.
    Erased(Tombstone),
    /// Records from `first` to `last` were journaled and cannot be read any more.
    Damaged {
        /// The first place that cannot be read.
        first: Seq,
        /// The last place that cannot be read.
        last: Seq,
    },
}

/// What stands at one or more places that the indexer has been through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Indexed {
    /// A record, and whether its event had been seen before.
    Record {
        /// The record, intact.
        record: Record,
        /// Whether its event had been seen before.
        verdict: Verdict,
    },
    /// A record was here, and was erased.
    Erased(Tombstone),
    /// Records from `first` to `last` were journaled and cannot be read any more.
    Damaged {
        /// The first place that cannot be read.
        first: Seq,
        /// The last place that cannot be read.
        last: Seq,
    },
}

impl Entry {
    /// The first place and the last that it stands for.
    pub(crate) fn span(&self) -> (Seq, Seq) {
        match self {
            Entry::Record(Record { place, .. }) | Entry::Erased(Tombstone { place, .. }) => {
                (place.seq, place.seq)
            }
            Entry::Damaged { first, last } => (*first, *last),
        }
    }

    /// All places that entries stand for; none where there are none.
    pub(crate) fn span_of(entries: &[Entry]) -> Option<RangeInclusive<Seq>> {
        let (first, last) = entries.first().zip(entries.last())?;
        Some(first.span().0..=last.span().1)
    }
}

impl Indexed {
    /// An indexed entry, given which records are duplicates and of what.
    pub(crate) fn of(entry: Entry, duplicates: &HashMap<Seq, Place>) -> Indexed {
        match entry {
            Entry::Damaged { first, last } => Indexed::Damaged { first, last },
            Entry::Erased(tombstone) => Indexed::Erased(tombstone),
            Entry::Record(record) => {
                let earlier = duplicates.get(&record.place.seq).copied();
                let verdict = earlier.map_or(Verdict::First, Verdict::DuplicateOf);
                Indexed::Record { record, verdict }
            }
        }
    }
}

/// Whether a record is the first to bear its event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// No record before it, within the life of a claim, bears the same event.
    First,
    /// The record at this place bears the same event and came first.
    DuplicateOf(Place),
}

/// How much one read brings at most; a read that finds anything brings at least
/// one entry, however large.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadLimit {
    /// The most entries.
    pub records: usize,
    /// The most bytes of bodies and names together.
    pub bytes: usize,
}

impl ReadLimit {
    /// The most bytes that bodies of one read share as a buffer, unless one
    /// record alone is larger.
    pub const SHARED_BYTES: usize = 256 * 1024;
}
