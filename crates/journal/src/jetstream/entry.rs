//! What is written to a partition's state stream, and how. Every node reads the
//! same entries in the same order and builds the same view of them.
//!
//! ```text
//! "PMs1" | checksum of what follows, CRC-32C | kind u8 | ..
//! 1 page    first u64 through u64 newest i64
//!           | packs u32 first-of-first u64 (sequence u64 begins u64 records u32 bytes u32)..
//!           | entries u32 (offset u32 second i64 key 16 terms u8
//!                          duplicate u8 [partition u16 seq u64] (kind u8 hash 16)..)..
//! 2 claims  n u32 (key 16 seq u64)..: as 6, without traces
//! 3 reset
//! 4 fence   node, to the end
//! 5 clear   sequence u64 seq u64
//! 6 settled n u32 (key 16 seq u64).. | n u32 (first u64 through u64 length u32 value)..
//! 7 forget
//! ```
//!
//! Numbers are little-endian. Terms are hashes of what people search for: the
//! values are in the log, and only there.

mod settled;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_128;

pub(crate) use self::settled::Settled;
use super::numbering::{Anchor, Pack};
use crate::index::{ClaimKey, Term, TermKind};
use crate::place::{Partition, Place, Seq};
use crate::record::Verdict;

pub(crate) const MAGIC: [u8; 4] = *b"PMs1";
const PAGE: u8 = 1;
const CLAIMS: u8 = 2;
const RESET: u8 = 3;
const FENCE: u8 = 4;
const CLEAR: u8 = 5;
const SETTLED: u8 = 6;
const FORGET: u8 = 7;

/// One entry of a partition's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    /// Records were indexed.
    Page(Page),
    /// A connection settled; its name is in the subject.
    Settled(Settled),
    /// All claims of the connection are free again.
    Reset,
    /// What the connection did with records is forgotten.
    Forget,
    /// A node took over what is written on the subject.
    Fence(String),
    /// The index was thrown away; it starts over here.
    Clear(Anchor),
}

/// Records that were indexed together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Page {
    /// The first record after the page before.
    pub(crate) first: Seq,
    /// The last record of the page.
    pub(crate) through: Seq,
    /// When the newest of its records arrived, in seconds.
    pub(crate) newest_second: i64,
    /// The packs that hold its records, the first and the last maybe in part.
    pub(crate) packs: Vec<Pack>,
    /// What was found out about each record that is not damaged.
    pub(crate) records: Vec<IndexedRecord>,
}

/// What was found out about one record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct IndexedRecord {
    pub(crate) seq: Seq,
    /// When it arrived, in seconds.
    pub(crate) second: i64,
    pub(crate) key: ClaimKey,
    pub(crate) verdict: Verdict,
    pub(crate) terms: Vec<TermHash>,
}

/// What stands for a term.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TermHash {
    kind: TermKind,
    hash: [u8; 16],
}

impl TermHash {
    pub(crate) fn of(term: &Term) -> TermHash {
        TermHash {
            kind: term.kind,
            hash: xxh3_128(term.stored()).to_be_bytes(),
        }
    }

    /// The hash as a term, for tables that know terms only.
    pub(crate) fn as_term(&self) -> Term {
        Term {
            kind: self.kind,
            value: format!("{:032x}", u128::from_be_bytes(self.hash)),
        }
    }
}

impl Entry {
    pub(crate) fn encode(&self) -> Bytes {
        let mut content = BytesMut::new();
        match self {
            Entry::Page(page) => {
                content.put_u8(PAGE);
                encode_page(page, &mut content);
            }
            Entry::Settled(settled) if settled.traces.is_empty() => {
                content.put_u8(CLAIMS);
                settled.encode_claims(&mut content);
            }
            Entry::Settled(settled) => {
                content.put_u8(SETTLED);
                settled.encode_claims(&mut content);
                settled.encode_traces(&mut content);
            }
            Entry::Reset => content.put_u8(RESET),
            Entry::Forget => content.put_u8(FORGET),
            Entry::Fence(node) => {
                content.put_u8(FENCE);
                content.put_slice(node.as_bytes());
            }
            Entry::Clear(anchor) => {
                content.put_u8(CLEAR);
                content.put_u64_le(anchor.sequence);
                content.put_u64_le(anchor.seq.get());
            }
        }
        let mut whole = BytesMut::with_capacity(8 + content.len());
        whole.put_slice(&MAGIC);
        whole.put_u32_le(crc32c::crc32c(&content));
        whole.put_slice(&content);
        whole.freeze()
    }

    /// The entry in a message; none when it is no entry that we know.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Entry> {
        let mut rest = bytes.clone();
        let (magic, after) = bytes.split_first_chunk::<4>()?;
        let (checksum, content) = after.split_first_chunk::<4>()?;
        if *magic != MAGIC || u32::from_le_bytes(*checksum) != crc32c::crc32c(content) {
            return None;
        }
        rest.advance(8);
        let entry = match rest.try_get_u8().ok()? {
            PAGE => Entry::Page(decode_page(&mut rest)?),
            CLAIMS => Entry::Settled(Settled {
                claims: settled::decode_claims(&mut rest)?,
                traces: Vec::new(),
            }),
            SETTLED => Entry::Settled(Settled {
                claims: settled::decode_claims(&mut rest)?,
                traces: settled::decode_traces(&mut rest)?,
            }),
            RESET => Entry::Reset,
            FORGET => Entry::Forget,
            FENCE => {
                let node = rest.split_to(rest.len());
                Entry::Fence(String::from_utf8(node.into()).ok()?)
            }
            CLEAR => Entry::Clear(Anchor {
                sequence: rest.try_get_u64_le().ok()?,
                seq: seq(&mut rest)?,
            }),
            _ => return None,
        };
        rest.is_empty().then_some(entry)
    }
}

impl Page {
    /// The part that is kept to find records by: when they arrived, and in which
    /// packs they are.
    pub(crate) fn encode_packs(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(28 + 24 * self.packs.len());
        row.put_u64_le(self.through.get());
        row.put_i64_le(self.newest_second);
        put_packs(&self.packs, &mut row);
        row
    }
}

/// What is kept of a page to find its records by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PagePacks {
    pub(crate) through: Seq,
    pub(crate) newest_second: i64,
    pub(crate) packs: Vec<Pack>,
}

impl PagePacks {
    pub(crate) fn decode(row: &[u8]) -> Option<PagePacks> {
        let mut rest = Bytes::copy_from_slice(row);
        Some(PagePacks {
            through: seq(&mut rest)?,
            newest_second: rest.try_get_i64_le().ok()?,
            packs: packs(&mut rest)?,
        })
    }
}

fn encode_page(page: &Page, out: &mut BytesMut) {
    out.put_u64_le(page.first.get());
    out.put_u64_le(page.through.get());
    out.put_i64_le(page.newest_second);
    put_packs(&page.packs, out);
    out.put_u32_le(length(page.records.len()));
    for record in &page.records {
        let offset = record.seq.get().saturating_sub(page.first.get());
        out.put_u32_le(u32::try_from(offset).expect("a page is far below 4 billion records"));
        out.put_i64_le(record.second);
        out.put_slice(record.key.as_bytes());
        match record.verdict {
            Verdict::First => out.put_u8(0),
            Verdict::DuplicateOf(place) => {
                out.put_u8(1);
                out.put_u16_le(place.partition.get());
                out.put_u64_le(place.seq.get());
            }
        }
        let terms = record.terms.iter().take(usize::from(u8::MAX));
        out.put_u8(u8::try_from(terms.len()).expect("it takes as many as fit"));
        for term in terms {
            out.put_u8(term.kind as u8);
            out.put_slice(&term.hash);
        }
    }
}

fn decode_page(rest: &mut Bytes) -> Option<Page> {
    let first = seq(rest)?;
    let through = seq(rest)?;
    let newest_second = rest.try_get_i64_le().ok()?;
    let packs = packs(rest)?;
    let n_records = rest.try_get_u32_le().ok()?;
    let mut records = Vec::new();
    for _ in 0..n_records {
        let offset = rest.try_get_u32_le().ok()?;
        records.push(IndexedRecord {
            seq: Seq::new(first.get().checked_add(offset.into())?),
            second: rest.try_get_i64_le().ok()?,
            key: ClaimKey::new(hash(rest)?),
            verdict: match rest.try_get_u8().ok()? {
                0 => Verdict::First,
                1 => {
                    let partition = Partition::new(rest.try_get_u16_le().ok()?);
                    Verdict::DuplicateOf(Place::new(partition, seq(rest)?))
                }
                _ => return None,
            },
            terms: terms(rest)?,
        });
    }
    Some(Page {
        first,
        through,
        newest_second,
        packs,
        records,
    })
}

fn terms(rest: &mut Bytes) -> Option<Vec<TermHash>> {
    let n_terms = rest.try_get_u8().ok()?;
    let mut terms = Vec::new();
    for _ in 0..n_terms {
        let kind = match rest.try_get_u8().ok()? {
            1 => TermKind::EventId,
            2 => TermKind::Delivery,
            3 => TermKind::Person,
            _ => return None,
        };
        terms.push(TermHash {
            kind,
            hash: hash(rest)?,
        });
    }
    Some(terms)
}

/// Packs follow each other without a gap, so only the first tells its place.
fn put_packs(packs: &[Pack], out: &mut impl bytes::BufMut) {
    out.put_u32_le(length(packs.len()));
    out.put_u64_le(packs.first().map_or(0, |pack| pack.first.get()));
    for pack in packs {
        out.put_u64_le(pack.sequence);
        out.put_u64_le(pack.begins);
        out.put_u32_le(pack.records);
        out.put_u32_le(pack.bytes);
    }
}

fn packs(rest: &mut Bytes) -> Option<Vec<Pack>> {
    let n_packs = rest.try_get_u32_le().ok()?;
    let mut first = seq(rest)?;
    let mut packs = Vec::new();
    for _ in 0..n_packs {
        let pack = Pack {
            sequence: rest.try_get_u64_le().ok()?,
            begins: rest.try_get_u64_le().ok()?,
            first,
            records: rest.try_get_u32_le().ok().filter(|records| *records > 0)?,
            bytes: rest.try_get_u32_le().ok()?,
        };
        first = Seq::new(first.get().checked_add(pack.records.into())?);
        packs.push(pack);
    }
    Some(packs)
}

fn seq(rest: &mut Bytes) -> Option<Seq> {
    rest.try_get_u64_le().ok().map(Seq::new)
}

fn hash(rest: &mut Bytes) -> Option<[u8; 16]> {
    let hash = *rest.first_chunk::<16>()?;
    rest.advance(16);
    Some(hash)
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("an entry is far below 4 billion of anything")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(offset: u8, terms: &[&str], earlier: Option<u64>) -> IndexedRecord {
        let terms = terms.iter().map(|value| Term {
            kind: TermKind::Person,
            value: (*value).to_owned(),
        });
        let earlier = earlier.map(|seq| Place::new(Partition::new(3), Seq::new(seq)));
        IndexedRecord {
            seq: Seq::new(100 + u64::from(offset)),
            second: -5,
            key: ClaimKey::new([offset; 16]),
            verdict: earlier.map_or(Verdict::First, Verdict::DuplicateOf),
            terms: terms.map(|term| TermHash::of(&term)).collect(),
        }
    }

    fn pack(sequence: u64, first: u64, records: u32) -> Pack {
        Pack {
            sequence,
            begins: sequence,
            first: Seq::new(first),
            records,
            bytes: 10,
        }
    }

    fn page() -> Page {
        Page {
            first: Seq::new(100),
            through: Seq::new(104),
            newest_second: 1_790_000_000,
            packs: vec![pack(7, 98, 3), pack(9, 101, 1), pack(10, 102, 9)],
            records: vec![
                record(0, &["ada", "ada@example.com"], None),
                record(4, &[], Some(9)),
            ],
        }
    }

    #[test]
    fn every_entry_reads_back_as_it_was_written() {
        for entry in [
            Entry::Page(page()),
            Entry::Settled(settled::tests::of_both()),
            Entry::Settled(Settled {
                claims: Vec::new(),
                ..settled::tests::of_both()
            }),
            Entry::Settled(Settled::default()),
            Entry::Reset,
            Entry::Forget,
            Entry::Fence("n-1".to_owned()),
            Entry::Clear(Anchor::START),
        ] {
            assert_eq!(Entry::decode(&entry.encode()), Some(entry));
        }
    }

    #[test]
    fn a_page_keeps_where_its_records_are() {
        let kept = PagePacks::decode(&page().encode_packs()).unwrap();
        assert_eq!(kept.packs, page().packs);
        assert_eq!(kept.through, page().through);
    }

    proptest! {
        #[test]
        fn one_wrong_bit_is_noticed(bit in any::<prop::sample::Index>()) {
            let mut bytes = Entry::Page(page()).encode().to_vec();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Entry::decode(&bytes.into()), None);
        }

        #[test]
        fn any_content_decodes_to_something_or_nothing(
            content in proptest::collection::vec(any::<u8>(), 0..200),
            kind in 1..8_u8,
        ) {
            let mut content = content;
            content.insert(0, kind);
            let mut bytes = MAGIC.to_vec();
            bytes.extend(crc32c::crc32c(&content).to_le_bytes());
            bytes.extend(content);
            let _ = Entry::decode(&bytes.into());
        }
    }
}
