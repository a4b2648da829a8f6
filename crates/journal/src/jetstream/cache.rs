//! The packs that were read or written last, so that many readers near the end of
//! the log fetch each of them once.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

/// The most bytes of packs that a partition keeps at hand.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Packs by their sequence; the oldest guest leaves first.
#[derive(Default)]
pub(crate) struct Cache {
    packs: HashMap<u64, Bytes>,
    order: VecDeque<u64>,
    bytes: usize,
}

impl Cache {
    pub(crate) fn get(&self, sequence: u64) -> Option<Bytes> {
        self.packs.get(&sequence).cloned()
    }

    pub(crate) fn put(&mut self, sequence: u64, payload: Bytes) {
        if payload.len() > MAX_BYTES / 4 || self.packs.contains_key(&sequence) {
            return;
        }
        self.bytes += payload.len();
        self.packs.insert(sequence, payload);
        self.order.push_back(sequence);
        while self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            let gone = self.packs.remove(&oldest);
            self.bytes -= gone.map_or(0, |payload| payload.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leave_when_there_is_no_room() {
        let mut cache = Cache::default();
        let mebibyte = Bytes::from(vec![0; 1024 * 1024]);
        for sequence in 1..=40 {
            cache.put(sequence, mebibyte.clone());
        }
        assert!(cache.bytes <= MAX_BYTES);
        assert!(cache.get(24).is_none());
        assert!(cache.get(25).is_some() && cache.get(40).is_some());
        assert_eq!(cache.packs.len(), cache.order.len());
    }
}
