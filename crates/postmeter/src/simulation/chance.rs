//! Chance with a seed: everything that a run leaves to luck follows from one number.

use std::time::Duration;

/// A sequence that its seed decides (`SplitMix64`).
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    /// A sequence of its own, for an actor whose luck is not to depend on how often
    /// others try theirs.
    pub(super) fn fork(&mut self) -> Chance {
        Chance(self.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// Whether something happens that happens once in so many times.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A wait of whole milliseconds, from `least` to `most` of them.
    pub(super) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.next() % (most - least + 1))
    }

    /// A wait of whole seconds, from `least` to `most` of them.
    pub(super) fn seconds(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_secs(least + self.next() % (most - least + 1))
    }
}
