//! How a record lies in a segment, and in a pack. All numbers are little-endian.
//!
//! ```text
//!  0        4          8        16       24         32        36
//!  +--------+----------+--------+--------+----------+---------+----------
//!  | "PMr1" | checksum | seq    | group  | received | received| body
//!  |        | of 8..48 |        |        | seconds  | nanos   | bytes
//!  +--------+----------+--------+--------+----------+---------+----------
//!  40         44          45       46      48
//!  +----------+-----------+--------+-------+-----------+--------+---------+------
//!  | checksum | workspace | signer | flags | workspace | signer | origin? | body
//!  | of 48..  | bytes     | bytes  |       |           |        |         |
//!  +----------+-----------+--------+-------+-----------+--------+---------+------
//! ```
//!
//! `group` is the seq of the first record that was written together with this
//! one. A group is written only when the one before is on stable storage, so
//! everything below any record's `group` was durable when that record was
//! written: this tells a torn tail from damage.
//!
//! The header has a checksum of its own, so that a damaged body can be stepped
//! over precisely. Checksums are CRC-32C. The `1` of the magic is the version of
//! this layout. Flag 1 says that there is a signer. Flag 2 says that there is an
//! origin, eight bytes: the seq in the journal that the record was carried over
//! from. Flag 4 says that the event is history that was brought later. Flag 8
//! says that the record was erased: there is no signer and no origin, and its body is
//! a tombstone. Other flags are zero.
//!
//! ```text
//!  0         8       12       28
//!  +---------+-------+--------+
//!  | erased  | nanos | key    |
//!  | seconds |       |        |
//!  +---------+-------+--------+
//! ```
//!
//! A segment is nothing but records, one after another. So is a pack, where the
//! first has the seq 1 and all are one group: only the whole log tells its place.

use bytes::{Buf as _, BufMut as _, Bytes};
use jiff::Timestamp;

use super::{Affinity, Draft, Entry, Record, Tense, Tombstone};
use crate::index::ClaimKey;
use crate::place::{Partition, Place, Seq};

/// The bytes in front of a record's names and body.
pub(crate) const HEADER_BYTES: usize = 48;

/// How every record begins.
pub(crate) const MAGIC: [u8; 4] = *b"PMr1";

/// The bytes of an origin, where there is one.
pub(crate) const ORIGIN_BYTES: usize = 8;

const HAS_SIGNER: u16 = 1;
const HAS_ORIGIN: u16 = 2;
const IS_HISTORICAL: u16 = 4;
const IS_ERASED: u16 = 8;

/// What a record's first bytes say about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) seq: Seq,
    /// The first record of the group that this one was written in.
    pub(crate) group: Seq,
    pub(crate) received_at: Timestamp,
    body_bytes: u32,
    payload_checksum: u32,
    workspace_bytes: u8,
    signer_bytes: u8,
    flags: u16,
}

/// Appends the record that `draft` becomes at `seq`, in the group that begins
/// with `group`.
///
/// The caller has checked the draft's names and body against [`Draft`]'s limits;
/// what exceeds them is a mistake of ours.
pub(crate) fn encode(draft: &Draft, seq: Seq, group: Seq, out: &mut Vec<u8>) {
    encode_flagged(draft, (seq, group), flags(draft), out);
}

fn encode_flagged(draft: &Draft, (seq, group): (Seq, Seq), flags: u16, out: &mut Vec<u8>) {
    let signer = draft.signed_by.as_deref().unwrap_or_default();
    let body_bytes = u32::try_from(draft.body.len()).expect("bodies are checked to fit");
    let workspace_bytes = u8::try_from(draft.workspace.len()).expect("names are checked to fit");
    let signer_bytes = u8::try_from(signer.len()).expect("names are checked to fit");
    let mut payload_checksum = crc32c::crc32c(draft.workspace.as_bytes());
    payload_checksum = crc32c::crc32c_append(payload_checksum, signer.as_bytes());
    let origin = draft.origin.map(|origin| origin.get().to_le_bytes());
    let origin = origin.as_ref().map_or(&[][..], |bytes| bytes);
    payload_checksum = crc32c::crc32c_append(payload_checksum, origin);
    payload_checksum = crc32c::crc32c_append(payload_checksum, &draft.body);

    let mut fields = [0; HEADER_BYTES - 8];
    let mut rest = fields.as_mut_slice();
    rest.put_u64_le(seq.get());
    rest.put_u64_le(group.get());
    rest.put_i64_le(draft.received_at.as_second());
    rest.put_i32_le(draft.received_at.subsec_nanosecond());
    rest.put_u32_le(body_bytes);
    rest.put_u32_le(payload_checksum);
    rest.put_u8(workspace_bytes);
    rest.put_u8(signer_bytes);
    rest.put_u16_le(flags);

    out.extend_from_slice(&MAGIC);
    out.put_u32_le(crc32c::crc32c(&fields));
    out.extend_from_slice(&fields);
    out.extend_from_slice(draft.workspace.as_bytes());
    out.extend_from_slice(signer.as_bytes());
    out.extend_from_slice(origin);
    out.extend_from_slice(&draft.body);
}

/// Appends what is left of a record that was erased, in the group that it was in.
pub(crate) fn encode_erased(tombstone: &Tombstone, group: Seq, out: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(28);
    body.put_i64_le(tombstone.erased_at.as_second());
    body.put_i32_le(tombstone.erased_at.subsec_nanosecond());
    body.extend_from_slice(tombstone.key.as_bytes());
    let draft = Draft {
        received_at: tombstone.received_at,
        workspace: tombstone.workspace.clone(),
        signed_by: None,
        affinity: Affinity::default(),
        origin: None,
        tense: Tense::Live,
        body: body.into(),
    };
    encode_flagged(&draft, (tombstone.place.seq, group), IS_ERASED, out);
}

fn flags(draft: &Draft) -> u16 {
    let signer = draft.signed_by.as_ref().map_or(0, |_| HAS_SIGNER);
    let origin = draft.origin.map_or(0, |_| HAS_ORIGIN);
    let historical = match draft.tense {
        Tense::Live => 0,
        Tense::Historical => IS_HISTORICAL,
    };
    signer | origin | historical
}

impl Header {
    /// The header that `bytes` begin with; none when they begin with anything
    /// else, or with too little.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Header> {
        let (magic, bytes) = bytes.split_first_chunk::<4>()?;
        let (checksum, bytes) = bytes.split_first_chunk::<4>()?;
        let fields = bytes.first_chunk::<{ HEADER_BYTES - 8 }>()?;
        if *magic != MAGIC || u32::from_le_bytes(*checksum) != crc32c::crc32c(fields) {
            return None;
        }
        let mut rest = fields.as_slice();
        let seq = Seq::new(rest.get_u64_le());
        let group = Seq::new(rest.get_u64_le());
        let received_at = Timestamp::new(rest.get_i64_le(), rest.get_i32_le()).ok()?;
        let header = Header {
            seq,
            group,
            received_at,
            body_bytes: rest.get_u32_le(),
            payload_checksum: rest.get_u32_le(),
            workspace_bytes: rest.get_u8(),
            signer_bytes: rest.get_u8(),
            flags: rest.get_u16_le(),
        };
        (Seq::ZERO < group && group <= seq).then_some(header)
    }

    fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// How many bytes of names, origin and body follow the header.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.body_bytes as usize
            + usize::from(self.workspace_bytes)
            + usize::from(self.signer_bytes)
            + if self.has(HAS_ORIGIN) {
                ORIGIN_BYTES
            } else {
                0
            }
    }

    /// Whether the record was erased.
    pub(crate) fn is_erased(&self) -> bool {
        self.has(IS_ERASED)
    }

    /// The record or its tombstone, provided that `payload` is what was written after
    /// the header.
    pub(crate) fn entry(&self, payload: Bytes) -> Option<Entry> {
        let record = self.record(payload)?;
        if !self.is_erased() {
            return Some(Entry::Record(record));
        }
        let mut body = record.body;
        let (seconds, nanos) = (body.try_get_i64_le().ok()?, body.try_get_i32_le().ok()?);
        let key: [u8; 16] = body.as_ref().try_into().ok()?;
        Some(Entry::Erased(Tombstone {
            place: record.place,
            received_at: record.received_at,
            workspace: record.workspace,
            key: ClaimKey::new(key),
            erased_at: Timestamp::new(seconds, nanos).ok()?,
        }))
    }

    /// The record, provided that `payload` is what was written after the header.
    pub(crate) fn record(&self, mut payload: Bytes) -> Option<Record> {
        if payload.len() != self.payload_bytes()
            || crc32c::crc32c(&payload) != self.payload_checksum
        {
            return None;
        }
        let workspace = text(payload.split_to(self.workspace_bytes.into()))?;
        let signer = text(payload.split_to(self.signer_bytes.into()))?;
        let origin = self.has(HAS_ORIGIN).then(|| payload.get_u64_le());
        Some(Record {
            place: Place::new(Partition::ZERO, self.seq),
            received_at: self.received_at,
            workspace,
            signed_by: self.has(HAS_SIGNER).then_some(signer),
            origin: origin.map(Seq::new),
            tense: if self.has(IS_HISTORICAL) {
                Tense::Historical
            } else {
                Tense::Live
            },
            body: payload,
        })
    }
}

fn text(bytes: Bytes) -> Option<String> {
    String::from_utf8(bytes.into()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Affinity;

    fn draft() -> impl Strategy<Value = Draft> {
        (
            (-3_000_000_000..4_000_000_000_i64, 0..999_999_999_i32),
            "[a-z]{0,80}",
            proptest::option::of("[a-z]{0,80}"),
            proptest::option::of(any::<u64>()),
            prop_oneof![Just(Tense::Live), Just(Tense::Historical)],
            proptest::collection::vec(any::<u8>(), 0..300),
        )
            .prop_map(
                |((second, nanosecond), workspace, signed_by, origin, tense, body)| Draft {
                    received_at: Timestamp::new(second, 0)
                        .unwrap()
                        .checked_add(std::time::Duration::from_nanos(
                            nanosecond.unsigned_abs().into(),
                        ))
                        .unwrap(),
                    workspace,
                    signed_by,
                    affinity: Affinity::default(),
                    origin: origin.map(Seq::new),
                    tense,
                    body: body.into(),
                },
            )
    }

    proptest! {
        #[test]
        fn a_record_reads_back_as_it_was_written(draft in draft(), seq in 1..u64::MAX) {
            let mut bytes = Vec::new();
            encode(&draft, Seq::new(seq), Seq::FIRST, &mut bytes);
            let header = Header::decode(&bytes).unwrap();
            prop_assert_eq!(header.seq, Seq::new(seq));
            prop_assert_eq!(header.group, Seq::FIRST);
            let payload = Bytes::from(bytes).slice(HEADER_BYTES..);
            let record = header.record(payload).unwrap();
            prop_assert_eq!(record.received_at, draft.received_at);
            prop_assert_eq!(record.workspace, draft.workspace);
            prop_assert_eq!(record.signed_by, draft.signed_by);
            prop_assert_eq!(record.origin, draft.origin);
            prop_assert_eq!(record.tense, draft.tense);
            prop_assert_eq!(record.body, draft.body);
        }

        #[test]
        fn a_tombstone_reads_back_as_it_was_written(
            seq in 1..u64::MAX,
            (second, nanos) in (0..4_000_000_000_i64, 0..999_999_999_i32),
            workspace in "[a-z]{0,80}",
            key: [u8; 16],
        ) {
            let written = Tombstone {
                place: Place::new(Partition::ZERO, Seq::new(seq)),
                received_at: Timestamp::new(second, 0).unwrap(),
                workspace,
                key: ClaimKey::new(key),
                erased_at: Timestamp::new(second, nanos).unwrap(),
            };
            let mut bytes = Vec::new();
            encode_erased(&written, Seq::FIRST, &mut bytes);
            let header = Header::decode(&bytes).unwrap();
            prop_assert!(header.is_erased());
            let payload = Bytes::from(bytes).slice(HEADER_BYTES..);
            prop_assert_eq!(header.entry(payload), Some(Entry::Erased(written)));
        }

        #[test]
        fn one_wrong_bit_is_noticed(draft in draft(), bit in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            encode(&draft, Seq::FIRST, Seq::FIRST, &mut bytes);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = Header::decode(&bytes)
                .and_then(|header| header.record(Bytes::from(bytes).slice(HEADER_BYTES..)));
            prop_assert_eq!(read, None);
        }

        #[test]
        fn any_bytes_decode_to_something_or_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some(header) = Header::decode(&bytes) {
                let _ = header.record(Bytes::from(bytes));
            }
        }
    }
}
