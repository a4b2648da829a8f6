//! What must hold of what is stored whatever the bytes are: for the fuzz targets
//! `records` and `state`, and for a test that runs their seeds. No part of the product.
//!
//! `records` makes the folder of a log out of its input, a command after another:
//!
//! ```text
//! 0..=127 n   a whole record with a body of n bytes, in the same group
//! 128..=159 n a whole record that begins a group
//! 160..=175 n a record whose header is whole and whose body is not
//! 176..=191 n so many bytes of the input as they are
//! 192..=207 n so many zeros
//! 208..=223 n places that are missing
//! 224..=231   a new segment, named by the next place
//! 232..=239   a tombstone
//! 240..=255 n the segment ends after n bytes
//! ```

#![expect(clippy::missing_panics_doc, reason = "a panic is what is looked for")]

mod storage;

use std::collections::BTreeMap;
use std::sync::{Arc, Once};

use bytes::{Buf as _, Bytes};
use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};

use self::storage::Memory;
use crate::embedded::log::{Expiry, Log, Storage};
use crate::record::format;
use crate::{
    Affinity, ClaimKey, Config, Draft, Entry, Partition, Place, ReadLimit, Seq, Tense, Tombstone,
};

/// Of every event here: only tombstones keep it.
const KEY: ClaimKey = ClaimKey::new([7; 16]);

/// Opens a log that consists of what `data` says, reads all of it, goes on and
/// opens it once more.
pub fn records(data: &[u8]) {
    quietly();
    let disk = Memory::default();
    let mut folder = Folder {
        disk: disk.clone(),
        next: Seq::FIRST,
        group: Seq::FIRST,
        name: Seq::FIRST,
    };
    folder.fill(data);
    let floor = Seq::new(u64::from(data.first().copied().unwrap_or_default() % 4));
    let (first, last) = check(&open(&disk, floor), floor);
    let log = open(&disk, floor);
    assert_eq!(check(&log, floor), (first, last), "opening changed it");
    let place = append(&log);
    assert_eq!(
        place,
        last.max(floor).next(),
        "a place is left out or reused"
    );
    check(&log, floor);
    let doomed = BTreeMap::from([(first, KEY), (place, KEY)]);
    log.erase(&doomed, Timestamp::UNIX_EPOCH)
        .expect("memory does not fail");
    assert_eq!(
        check(&log, floor).1,
        place,
        "a place went with what was erased"
    );
    let expiry = Expiry {
        now: Timestamp::MAX,
        retention: std::time::Duration::ZERO,
        keep_from: place,
    };
    log.trim(&expiry).expect("memory does not fail");
    drop(log);
    let (_, again) = check(&open(&disk, floor), floor);
    assert_eq!(again, place, "what was acknowledged is gone");
}

/// Decodes `data` as each of the things that the state keeps, and what decodes is
/// written and decoded once more.
pub fn state(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    crate::state::fuzzing::rows(&bytes);
    crate::jetstream::fuzzing::messages(&bytes);
}

/// Recovery talks of each damage that it finds.
fn quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let silent = tracing::subscriber::NoSubscriber::default();
        tracing::subscriber::set_global_default(silent).ok();
    });
}

fn open(disk: &Memory, floor: Seq) -> Log {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let config = Config::for_tests("nowhere");
    Log::open(storage, &config, floor).expect("memory does not fail")
}

/// Reads everything, page by page; tells the first place and the last.
fn check(log: &Log, floor: Seq) -> (Seq, Seq) {
    let (first, last) = (log.first(), log.durable_seq());
    assert!(last >= floor, "what is known to be durable is gone");
    let limit = ReadLimit {
        records: 3,
        bytes: 4096,
    };
    let mut at = first;
    while at <= last {
        let entries = log.read(at, last, limit).expect("memory does not fail");
        assert!(!entries.is_empty(), "nothing is said of {at}");
        for entry in &entries {
            let (begin, end) = entry.span();
            assert!(begin == at && end >= begin && end <= last, "a gap at {at}");
            if let Entry::Record(record) = entry {
                assert!(record.workspace.len() <= Draft::MAX_NAME_BYTES);
            }
            at = end.next();
        }
    }
    (first, last)
}

fn append(log: &Log) -> Seq {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().build().expect("a runtime");
    }
    let permit = log.reserve(2).expect("there is room");
    let stored = RUNTIME.with(|runtime| runtime.block_on(permit.append(draft(2))));
    let stored = stored.expect("memory does not fail");
    stored.place.expect("the embedded log tells at once").seq
}

fn draft(body_bytes: usize) -> Draft {
    Draft {
        received_at: Timestamp::UNIX_EPOCH,
        workspace: "acme".to_owned(),
        signed_by: body_bytes.is_multiple_of(2).then(|| "key".to_owned()),
        affinity: Affinity::default(),
        origin: body_bytes.is_multiple_of(3).then_some(Seq::FIRST),
        tense: if body_bytes.is_multiple_of(5) {
            Tense::Historical
        } else {
            Tense::Live
        },
        body: vec![b'P'; body_bytes].into(),
    }
}

/// A log's folder that is being made.
struct Folder {
    disk: Memory,
    next: Seq,
    group: Seq,
    /// The first place of the segment.
    name: Seq,
}

impl Folder {
    fn fill(&mut self, mut input: &[u8]) {
        while let (Ok(command), Ok(n)) = (input.try_get_u8(), input.try_get_u8()) {
            let n = usize::from(n);
            match command {
                0..=127 => self.record(n),
                128..=159 => {
                    self.group = self.next;
                    self.record(n);
                }
                160..=175 => {
                    self.record(n);
                    self.segment(|bytes| bytes.truncate(bytes.len() - n.div_ceil(2)));
                }
                176..=191 => {
                    let (raw, rest) = input.split_at(n.min(input.len()));
                    self.segment(|bytes| bytes.extend_from_slice(raw));
                    input = rest;
                }
                192..=207 => self.segment(|bytes| bytes.resize(bytes.len() + n, 0)),
                208..=223 => self.next = Seq::new(self.next.get() + n as u64),
                224..=231 => self.name = self.next,
                232..=239 => self.tombstone(),
                240..=255 => self.segment(|bytes| bytes.truncate(n)),
            }
        }
    }

    fn record(&mut self, body_bytes: usize) {
        let (seq, group) = (self.next, self.group.min(self.next));
        self.segment(|bytes| format::encode(&draft(body_bytes), seq, group, bytes));
        self.next = self.next.next();
    }

    fn tombstone(&mut self) {
        let tombstone = Tombstone {
            place: Place::new(Partition::ZERO, self.next),
            received_at: Timestamp::UNIX_EPOCH,
            workspace: "acme".to_owned(),
            key: KEY,
            erased_at: Timestamp::UNIX_EPOCH,
        };
        let group = self.group.min(self.next);
        self.segment(|bytes| format::encode_erased(&tombstone, group, bytes));
        self.next = self.next.next();
    }

    fn segment(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        self.disk.change(&format!("{:020}.log", self.name), change);
    }
}

#[cfg(test)]
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

#[cfg(test)]
mod tests {
    #[test]
    fn every_seed_of_the_records_opens_as_a_log() {
        assert!(super::seeds::each("records", super::records) > 3);
    }

    #[test]
    fn every_seed_of_the_state_is_something_or_nothing() {
        assert!(super::seeds::each("state", super::state) > 3);
    }
}
