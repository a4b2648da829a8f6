//! Which message ids have been seen: all of them, whoever sent them.
//!
//! Segment's deduplication is global, by `messageId` alone, for at least a day.
//! Ids are kept as 128-bit hashes, oldest first, so memory has a bound.

use std::{
    collections::{HashSet, VecDeque, hash_map::RandomState},
    hash::BuildHasher,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

/// A message id's hash.
pub(super) type IdHash = u128;

/// Hashes message ids with keys of its own.
#[derive(Default)]
pub(super) struct IdHasher(RandomState);

impl IdHasher {
    pub(super) fn hash(&self, message_id: &str) -> IdHash {
        let half = |salt: u8| u128::from(self.0.hash_one((salt, message_id)));
        (half(0) << 64) | half(1)
    }
}

/// The ids of the last day, or the last so many.
pub(super) struct Seen {
    window: SignedDuration,
    max_ids: usize,
    ids: HashSet<IdHash>,
    in_order: VecDeque<(Timestamp, IdHash)>,
}

impl Seen {
    pub(super) fn new(window: Duration, max_ids: usize) -> Self {
        Self {
            window: SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX),
            max_ids,
            ids: HashSet::new(),
            in_order: VecDeque::new(),
        }
    }

    /// Takes note of an id; false where it is a duplicate.
    pub(super) fn claim(&mut self, id: IdHash, now: Timestamp) -> bool {
        self.forget(now);
        if !self.ids.insert(id) {
            return false;
        }
        self.in_order.push_back((now, id));
        if self.in_order.len() > self.max_ids
            && let Some((_, oldest)) = self.in_order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some(&(at, id)) = self.in_order.front()
            && now.duration_since(at) >= self.window
        {
            self.in_order.pop_front();
            self.ids.remove(&id);
        }
    }

    pub(super) fn clear(&mut self) {
        self.ids = HashSet::new();
        self.in_order = VecDeque::new();
    }
}
