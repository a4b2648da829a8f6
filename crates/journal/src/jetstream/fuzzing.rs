//! Every decoder of what lies in the cluster's streams over the same bytes, for the
//! fuzz target `state`. No part of the product.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::entry::{self, Entry, PagePacks};
use super::names::Names;
use super::numbering::Pack;
use super::{kept, pack};
use crate::place::{Partition, Seq};

/// What decodes is written as it was read; checksums are made right first, since
/// nothing gets behind them by chance.
pub(crate) fn messages(bytes: &Bytes) {
    let mut sealed = BytesMut::from(entry::MAGIC.as_slice());
    sealed.put_u32_le(crc32c::crc32c(bytes));
    sealed.put_slice(bytes);
    for message in [bytes.clone(), sealed.freeze()] {
        if let Some(entry) = Entry::decode(&message) {
            let again = Entry::decode(&entry.encode());
            assert_eq!(again.as_ref(), Some(&entry), "another entry");
        }
    }
    if let Some(packs) = PagePacks::decode(bytes) {
        for pair in packs.packs.windows(2) {
            if let [earlier, later] = pair {
                assert_eq!(earlier.last().next(), later.first, "a gap between packs");
            }
        }
    }
    unpack(bytes);
    if let Some(seq) = kept::parse_seq(bytes) {
        assert_eq!(kept::seq_value(seq), bytes);
    }
    if let Some(anchor) = kept::parse_anchor(bytes) {
        assert_eq!(kept::anchor_value(anchor), bytes);
    }
    subject(bytes);
}

/// A pack says of each of its places what is there.
fn unpack(bytes: &Bytes) {
    let records = bytes.first().copied().unwrap_or_default();
    let pack = Pack {
        sequence: 9,
        begins: 9,
        first: Seq::new(40),
        records: u32::from(records).max(1),
        bytes: 0,
    };
    let mut at = pack.first;
    for entry in pack::decode(&pack, Partition::ZERO, bytes.clone()) {
        let (first, last) = entry.span();
        assert!(first == at && last >= first, "a gap at {at}");
        at = last.next();
    }
    assert_eq!(at, pack.last().next(), "not all places are told of");
}

fn subject(bytes: &Bytes) {
    let names = Names::new("pm");
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    for subject in [text.to_owned(), format!("pm.kept.{text}")] {
        if let Some(key) = names.kept_key(&subject) {
            let again = names.kept_key(&names.kept(&key));
            assert_eq!(again, Some(key), "{subject}");
        }
    }
}
