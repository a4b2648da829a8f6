//! Which records were found to be damaged: ranges that neither overlap nor touch.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::place::Seq;

/// Ranges by their first record.
#[derive(Default, Debug)]
pub(super) struct Damage(BTreeMap<Seq, Seq>);

impl Damage {
    /// Adds a range; says whether any of it was not known yet.
    pub(super) fn add(&mut self, range: RangeInclusive<Seq>) -> bool {
        let (mut first, mut last) = range.into_inner();
        let holding = self.0.range(..=first).next_back();
        if holding.is_some_and(|(_, known)| *known >= last) {
            return false;
        }
        while let Some((&begin, &end)) = self.0.range(..=last.next()).next_back() {
            if end.next() < first {
                break;
            }
            self.0.remove(&begin);
            first = first.min(begin);
            last = last.max(end);
        }
        self.0.insert(first, last);
        true
    }

    /// The last of the damaged records that follow `seq` without a gap; `seq`
    /// itself when the next one is not damaged.
    pub(super) fn step_over(&self, seq: Seq) -> Seq {
        let holding = self.0.range(..=seq.next()).next_back();
        holding.map_or(seq, |(_, last)| seq.max(*last))
    }

    /// Forgets everything below `first`.
    pub(super) fn trim(&mut self, first: Seq) {
        while let Some((begin, last)) = self.0.pop_first() {
            if last < first {
                continue;
            }
            self.0.insert(begin.max(first), last);
            break;
        }
    }

    /// How many records are damaged.
    pub(super) fn records(&self) -> u64 {
        let ranges = self.0.iter();
        ranges
            .map(|(first, last)| last.get() - first.get() + 1)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn seqs(first: u64, last: u64) -> RangeInclusive<Seq> {
        Seq::new(first)..=Seq::new(last)
    }

    proptest! {
        #[test]
        fn ranges_stand_for_the_records_in_them(ranges in proptest::collection::vec((1..40_u64, 0..8_u64), 0..12)) {
            let mut damage = Damage::default();
            let mut model = BTreeSet::new();
            for (first, more) in ranges {
                let before = model.len();
                model.extend(first..=first + more);
                let new = damage.add(seqs(first, first + more));
                prop_assert_eq!(new, model.len() > before);
            }
            prop_assert_eq!(damage.records(), model.len() as u64);
            for seq in 0..50 {
                let last = (seq + 1..100).find(|next| !model.contains(next)).unwrap() - 1;
                prop_assert_eq!(damage.step_over(Seq::new(seq)), Seq::new(last));
            }
        }
    }

    #[test]
    fn what_is_trimmed_is_no_longer_damaged() {
        let mut damage = Damage::default();
        damage.add(seqs(1, 3));
        damage.add(seqs(5, 9));
        damage.trim(Seq::new(8));
        assert_eq!(damage.records(), 2);
    }
}
