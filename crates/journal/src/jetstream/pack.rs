//! How records lie in a pack: one after another, as in a segment.
//!
//! Places inside of a pack are counted from 1; where the pack is in the whole
//! only the whole tells. A damaged record is stepped over where its header is
//! whole, else it takes all behind it along: what each of them counted as is known
//! from the pack's own header.

use bytes::Bytes;

use super::numbering::Pack;
use crate::place::{Partition, Place, Seq};
use crate::record::format::{self, HEADER_BYTES, Header};
use crate::record::{Draft, Entry, Record};

/// The payload of a pack of these drafts.
pub(crate) fn encode<'a>(drafts: impl Iterator<Item = &'a Draft>) -> Bytes {
    let mut payload = Vec::new();
    let mut seq = Seq::FIRST;
    for draft in drafts {
        format::encode(draft, seq, Seq::FIRST, &mut payload);
        seq = seq.next();
    }
    payload.into()
}

/// The records of a pack, as many as it counted for.
pub(crate) fn decode(pack: &Pack, partition: Partition, mut payload: Bytes) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut seq = pack.first;
    for number in 1..=u64::from(pack.records) {
        match split_first(&mut payload, number) {
            Split::Record(record) => entries.push(Entry::Record(Record {
                place: Place::new(partition, seq),
                ..record
            })),
            Split::Damaged => note_damage(&mut entries, seq, seq),
            Split::Lost => {
                note_damage(&mut entries, seq, pack.last());
                break;
            }
        }
        seq = seq.next();
    }
    entries
}

/// The entry of a pack that is not to be had any more.
pub(crate) fn lost(pack: &Pack) -> Vec<Entry> {
    vec![Entry::Damaged {
        first: pack.first,
        last: pack.last(),
    }]
}

enum Split {
    Record(Record),
    /// Its header is whole, and it is not.
    Damaged,
    /// Nobody knows where the next one begins.
    Lost,
}

fn split_first(payload: &mut Bytes, number: u64) -> Split {
    let header = Header::decode(payload).filter(|header| header.seq == Seq::new(number));
    let Some(header) = header else {
        return Split::Lost;
    };
    let record_bytes = HEADER_BYTES + header.payload_bytes();
    if record_bytes > payload.len() {
        return Split::Lost;
    }
    let content = payload.split_to(record_bytes).slice(HEADER_BYTES..);
    header.record(content).map_or(Split::Damaged, Split::Record)
}

fn note_damage(entries: &mut Vec<Entry>, first: Seq, last: Seq) {
    if let Some(Entry::Damaged { last: end, .. }) = entries.last_mut() {
        *end = last;
    } else {
        entries.push(Entry::Damaged { first, last });
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::record::{Affinity, Tense};

    fn draft(body: &'static str) -> Draft {
        Draft {
            received_at: Timestamp::UNIX_EPOCH,
            workspace: "shop".to_owned(),
            signed_by: None,
            affinity: Affinity::default(),
            origin: None,
            tense: Tense::Live,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    fn packed() -> (Pack, Vec<u8>) {
        let drafts = [draft("one"), draft("two"), draft("three")];
        let payload = encode(drafts.iter()).to_vec();
        let pack = Pack {
            sequence: 9,
            begins: 9,
            first: Seq::new(40),
            records: 3,
            bytes: 0,
        };
        (pack, payload)
    }

    fn read(pack: &Pack, payload: Vec<u8>) -> Vec<String> {
        let entries = decode(pack, Partition::new(2), payload.into());
        let words = entries.into_iter().map(|entry| match entry {
            Entry::Record(record) => {
                format!("{} {}", record.place, String::from_utf8_lossy(&record.body))
            }
            Entry::Damaged { first, last } => format!("{first} to {last} damaged"),
            Entry::Erased(_) => unreachable!("nothing in a pack is erased"),
        });
        words.collect()
    }

    #[test]
    fn records_read_back_at_their_places() {
        let (pack, payload) = packed();
        let read = read(&pack, payload);
        assert_eq!(read, ["p2/40 one", "p2/41 two", "p2/42 three"]);
    }

    #[test]
    fn a_damaged_body_costs_its_record_only() {
        let (pack, mut payload) = packed();
        let at = payload
            .windows(3)
            .position(|bytes| bytes == b"two")
            .unwrap();
        payload[at] ^= 1;
        let read = read(&pack, payload);
        assert_eq!(read, ["p2/40 one", "41 to 41 damaged", "p2/42 three"]);
    }

    #[test]
    fn a_pack_that_breaks_off_still_counts_for_all_it_held() {
        let (pack, mut payload) = packed();
        payload.truncate(60);
        assert_eq!(read(&pack, payload), ["p2/40 one", "41 to 42 damaged"]);
        assert_eq!(read(&pack, Vec::new()), ["40 to 42 damaged"]);
    }
}
