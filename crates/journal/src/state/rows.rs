//! How the state lies in its key-value databases. All numbers are big-endian, so
//! that keys sort as the numbers do; every key begins with a byte for its kind.
//! The kinds are stored: they stay as they are and are never used again.
//!
//! ```text
//! both/rows           0                            ->                see database.rs
//! kept/rows           1 partition connection       -> seq            cursor
//!                     2 key                        -> revision value setting
//!                     3                            -> revision       of the last change
//!                     4 connection                 -> number         prefix of its claims
//!                     5                            -> number         last one given out
//!                     6 partition                  -> seq            burials made through
//!                     7                            -> id             last dead letter
//!                     8                            -> count          dead letters
//!                     9 length connection id       ->                its dead letters
//! kept/dead-letters   id                           -> letter (see letters.rs)
//! kept/first-claims-S number hash                  -> place
//! kept/traces         partition length connection through -> first value
//! derived/rows        1 partition                  -> seq            watermark
//!                     2 first-seq                  -> number         index generation
//!                     3 partition                  -> sequence       last entry, in a cluster
//! derived/claims-S    hash                         -> place
//! derived/index-N     1 seq                        -> place          duplicate of
//!                     2 kind length value ~seq partition ->          term
//!                     3 first-seq                  -> page           where it is, in a cluster
//! ```
//!
//! `S` is the second in which a generation of claims begins, `N` the number of
//! an index generation; `~seq` has its bits turned, so that the newest comes
//! first.

use bytes::{Buf as _, BufMut as _, Bytes};

use crate::index::{ClaimKey, Term};
use crate::place::{Partition, Place, Seq};
use crate::settle::{DeadLetterId, Trace};

/// The kind of the row that says nothing.
pub(super) const TICK: u8 = 0;

/// The kinds of rows that cannot be derived.
pub(super) mod kept {
    pub(in super::super) const CURSOR: u8 = 1;
    pub(in super::super) const SETTING: u8 = 2;
    pub(in super::super) const LAST_REVISION: u8 = 3;
    pub(in super::super) const CLAIMS_NUMBER: u8 = 4;
    pub(in super::super) const LAST_CLAIMS_NUMBER: u8 = 5;
    pub(in super::super) const BURIED_THROUGH: u8 = 6;
    pub(in super::super) const LAST_LETTER: u8 = 7;
    pub(in super::super) const LETTERS: u8 = 8;
    pub(in super::super) const LETTER_OF: u8 = 9;
}

/// The kinds of rows that can be rebuilt from the log.
pub(super) mod derived {
    pub(in super::super) const WATERMARK: u8 = 1;
    pub(in super::super) const GENERATION: u8 = 2;
    pub(in super::super) const POSITION: u8 = 3;
    /// Within an index generation.
    pub(in super::super) const DUPLICATE: u8 = 1;
    /// Within an index generation.
    pub(in super::super) const TERM: u8 = 2;
    /// Within an index generation.
    pub(in super::super) const PAGE: u8 = 3;
}

/// A key of this kind for this name.
pub(super) fn named(kind: u8, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + name.len());
    key.push(kind);
    key.extend_from_slice(name.as_bytes());
    key
}

/// A key of this kind for this partition.
pub(super) fn of_partition(kind: u8, partition: Partition) -> Vec<u8> {
    let mut key = vec![kind];
    key.put_u16(partition.get());
    key
}

/// The key of a connection's cursor.
pub(super) fn cursor(partition: Partition, connection: &str) -> Vec<u8> {
    let mut key = of_partition(kept::CURSOR, partition);
    key.extend_from_slice(connection.as_bytes());
    key
}

/// The beginning of the keys of a connection's dead letters.
///
/// Names longer than a length can say share a prefix with each other; whoever
/// lists them looks at the letter.
pub(super) fn letters_of(connection: &str) -> Vec<u8> {
    let mut key = vec![kept::LETTER_OF];
    key.put_u16(u16::try_from(connection.len()).unwrap_or(u16::MAX));
    key.extend_from_slice(connection.as_bytes());
    key
}

/// The key of one of a connection's dead letters.
pub(super) fn letter_of(connection: &str, id: DeadLetterId) -> Vec<u8> {
    let mut key = letters_of(connection);
    key.put_u64(id.get());
    key
}

/// The beginning of the keys of a connection's traces in a partition. The names
/// of connections that settle are never longer than a length can say.
pub(super) fn traces_of(partition: Partition, connection: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(12 + connection.len());
    key.put_u16(partition.get());
    key.put_u16(u16::try_from(connection.len()).unwrap_or(u16::MAX));
    key.extend_from_slice(connection.as_bytes());
    key
}

/// The key of a trace of this owner through that record.
pub(super) fn trace(mut owner: Vec<u8>, through: Seq) -> Vec<u8> {
    owner.put_u64(through.get());
    owner
}

/// Whose the trace with this key is.
pub(super) fn trace_owner(key: &[u8]) -> Option<&[u8]> {
    key.split_last_chunk::<8>().map(|(owner, _)| owner)
}

/// What is kept of a trace beside its key.
pub(super) fn trace_value(trace: &Trace) -> Vec<u8> {
    let mut value = Vec::with_capacity(8 + trace.value.len());
    value.put_u64(trace.first.get());
    value.extend_from_slice(&trace.value);
    value
}

/// The trace that a key and a value hold.
pub(super) fn parse_trace(key: &[u8], mut value: Bytes) -> Option<Trace> {
    Some(Trace {
        through: last_number(key).map(Seq::new)?,
        first: value.try_get_u64().map(Seq::new).ok()?,
        value,
    })
}

/// The key of a first-only claim.
pub(super) fn first_claim(number: u64, key: &ClaimKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24);
    bytes.put_u64(number);
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// A key of this kind for this seq.
pub(super) fn of_seq(kind: u8, seq: Seq) -> Vec<u8> {
    let mut key = vec![kind];
    key.put_u64(seq.get());
    key
}

/// The beginning of the keys of everything that bears a term.
pub(super) fn term_prefix(term: &Term) -> Vec<u8> {
    let value = term.stored();
    let mut key = Vec::with_capacity(14 + value.len());
    key.push(derived::TERM);
    key.push(term.kind as u8);
    key.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
    key.extend_from_slice(value);
    key
}

/// The key that says that the record at `place` bears the term.
pub(super) fn term(term: &Term, place: Place) -> Vec<u8> {
    let mut key = term_prefix(term);
    key.put_u64(!place.seq.get());
    key.put_u16(place.partition.get());
    key
}

/// The place that a term's key names behind its prefix of `prefix_bytes`.
pub(super) fn term_place(key: &[u8], prefix_bytes: usize) -> Option<Place> {
    let mut rest = key.get(prefix_bytes..).filter(|rest| rest.len() == 10)?;
    let seq = Seq::new(!rest.get_u64());
    Some(Place::new(Partition::new(rest.get_u16()), seq))
}

/// The number at the end of a key or a value.
pub(super) fn last_number(bytes: &[u8]) -> Option<u64> {
    bytes
        .last_chunk::<8>()
        .map(|number| u64::from_be_bytes(*number))
}

/// A place as a value.
pub(super) fn place(place: Place) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(10);
    bytes.put_u16(place.partition.get());
    bytes.put_u64(place.seq.get());
    bytes
}

/// The place that a value holds.
pub(super) fn parse_place(mut bytes: &[u8]) -> Option<Place> {
    if bytes.len() != 10 {
        return None;
    }
    let partition = Partition::new(bytes.get_u16());
    Some(Place::new(partition, Seq::new(bytes.get_u64())))
}

/// The number that a value holds.
pub(super) fn parse_number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::index::TermKind;

    fn a_term(value: &str) -> Term {
        Term {
            kind: TermKind::Person,
            value: value.to_owned(),
        }
    }

    proptest! {
        #[test]
        fn a_term_names_its_place(value in ".{0,600}", partition: u16, seq: u64) {
            let there = Place::new(Partition::new(partition), Seq::new(seq));
            let bearer = a_term(&value);
            let prefix_bytes = term_prefix(&bearer).len();
            prop_assert_eq!(term_place(&term(&bearer, there), prefix_bytes), Some(there));
        }

        #[test]
        fn a_newer_record_comes_before_an_older(older in 0..u64::MAX, more in 1..1000_u64) {
            let newer = older.saturating_add(more);
            prop_assume!(newer > older);
            let key = |seq| term(&a_term("x"), Place::new(Partition::ZERO, Seq::new(seq)));
            prop_assert!(key(newer) < key(older));
        }

        #[test]
        fn a_trace_reads_back_from_its_row(
            owner in ".{0,9}",
            (first, through) in any::<(u64, u64)>(),
            value in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let owner = traces_of(Partition::ZERO, &owner);
            let written = Trace {
                first: Seq::new(first),
                through: Seq::new(through),
                value: value.into(),
            };
            let key = trace(owner.clone(), written.through);
            prop_assert_eq!(trace_owner(&key), Some(owner.as_slice()));
            let read = parse_trace(&key, trace_value(&written).into());
            prop_assert_eq!(read, Some(written));
        }

        #[test]
        fn any_bytes_are_a_value_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let number = parse_number(&bytes);
            prop_assert_eq!(number.is_some(), bytes.len() == 8);
            if let Some(there) = parse_place(&bytes) {
                prop_assert_eq!(place(there), bytes.clone());
            }
            let _ = parse_trace(&bytes, bytes.clone().into());
        }
    }

    #[test]
    fn a_name_that_begins_like_another_has_other_letters() {
        let id = DeadLetterId::new(1);
        assert!(letter_of("shop", id).starts_with(&letters_of("shop")));
        assert!(!letter_of("shop-eu", id).starts_with(&letters_of("shop")));
    }
}
