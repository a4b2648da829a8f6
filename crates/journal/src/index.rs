//! What the indexer tells the journal about records: the key of the event that
//! each bears, and the terms to find it by.
//!
//! All of it is derived from the log and can be thrown away. How a key or a term
//! is found in a body is the caller's business.

use jiff::Timestamp;

use crate::place::Seq;
use crate::settle::NewDeadLetter;

/// What is claimed, once, by the first record that bears it: a hash, chosen by
/// the caller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClaimKey([u8; 16]);

impl ClaimKey {
    /// The claim on whatever hashes to `hash`.
    pub const fn new(hash: [u8; 16]) -> ClaimKey {
        ClaimKey(hash)
    }

    /// The bare hash.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What a term is. The numbers are stored: they stay as they are and are never
/// used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum TermKind {
    /// The source's id of the event.
    EventId = 1,
    /// The source's id of one message to one person.
    Delivery = 2,
    /// Any name of a person: an id, an address.
    Person = 3,
}

/// Something that records are looked up by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Term {
    /// What the value is.
    pub kind: TermKind,
    /// The value, compared byte for byte.
    pub value: String,
}

impl Term {
    /// Of a longer value only this much is compared.
    pub const MAX_VALUE_BYTES: usize = 512;

    /// The bytes that are stored and compared.
    pub(crate) fn stored(&self) -> &[u8] {
        let bytes = self.value.as_bytes();
        bytes.get(..Self::MAX_VALUE_BYTES).unwrap_or(bytes)
    }
}

/// What the indexer found out about one record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexEntry {
    /// The record's place in the partition.
    pub seq: Seq,
    /// When the event arrived; decides how long its claim is kept.
    pub received_at: Timestamp,
    /// The event that the record bears.
    pub key: ClaimKey,
    /// What to find the record by.
    pub terms: Vec<Term>,
    /// Kept only when the record is the first to bear its event, and only once,
    /// however often the index is rebuilt.
    pub burial: Option<NewDeadLetter>,
}
