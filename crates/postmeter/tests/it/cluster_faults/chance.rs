//! Chance with a seed, so that what happened can be read, and happen again.

/// A sequence that its seed decides (`SplitMix64`).
pub(super) struct Chance(u64);

impl Chance {
    /// Prints the seed. `POSTMETER_FAULT_SEED` repeats the faults of a run.
    pub(super) fn new() -> Chance {
        let named = std::env::var_os("POSTMETER_FAULT_SEED");
        let named = named.map(|seed| seed.to_str().unwrap().parse().unwrap());
        let now = jiff::Timestamp::now().as_microsecond();
        let seed = named.unwrap_or_else(|| u64::try_from(now).unwrap());
        println!("POSTMETER_FAULT_SEED={seed}");
        Chance(seed)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % end as u64).unwrap()
    }

    /// The numbers below `end` in some order.
    pub(super) fn order(&mut self, end: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..end).collect();
        for last in (1..end).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}
