//! Times as counts in buckets: small to keep, and their percentiles come out
//! within a quarter of what they are.

use std::collections::BTreeMap;
use std::time::Duration;

/// Which bucket a time falls into. Each is half as wide again as the one before,
/// from 1 ms to more than a day; what is faster or slower is in the outer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bucket(u8);

/// The upper bound of the first bucket, in microseconds.
const FIRST_US: u64 = 1_000;

impl Bucket {
    /// How many there are: the last begins above a day.
    pub(crate) const COUNT: usize = 48;
    const LAST: u8 = 47;

    /// The bucket of a time.
    pub(crate) fn of(took: Duration) -> Bucket {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let (mut bound_us, mut bucket) = (FIRST_US, 0);
        while bound_us < took_us && bucket < Bucket::LAST {
            bound_us += bound_us / 2;
            bucket += 1;
        }
        Bucket(bucket)
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn code(self) -> u16 {
        u16::from(self.0)
    }

    pub(crate) fn of_code(code: u16) -> Option<Bucket> {
        let code = u8::try_from(code).ok()?;
        (code <= Bucket::LAST).then_some(Bucket(code))
    }

    pub(crate) fn all() -> impl Iterator<Item = Bucket> {
        (0..=Bucket::LAST).map(Bucket)
    }

    /// The time that stands for all in the bucket, in seconds: as far from its
    /// lower bound as from its upper one, by their ratio.
    fn middle_s(self) -> f64 {
        let first_s = Duration::from_micros(FIRST_US).as_secs_f64();
        match self.0 {
            0 => first_s,
            more => first_s * 1.5_f64.powf(f64::from(more) - 0.5),
        }
    }
}

/// The time that this many of a thousand were no slower than, in seconds; none
/// where there are none.
pub(crate) fn percentile(counts: &BTreeMap<Bucket, u64>, per_mille: u64) -> Option<f64> {
    let total: u64 = counts.values().sum();
    let rank = (u128::from(total) * u128::from(per_mille)).div_ceil(1_000);
    let mut passed = 0_u128;
    let reached = counts.iter().find(|(_, count)| {
        passed += u128::from(**count);
        **count > 0 && passed >= rank
    });
    reached.map(|(bucket, _)| bucket.middle_s())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_percentile_is_within_a_quarter_of_the_true_one(
            exponents in prop::collection::vec(0.0_f64..1.0, 1..400),
            per_mille in prop::sample::select(vec![500_u64, 990]),
        ) {
            // From a millisecond to a day, as likely in each of its decades.
            let took = |exponent: f64| Duration::from_secs_f64(0.001 * 86_400_000_f64.powf(exponent));
            let mut times: Vec<Duration> = exponents.into_iter().map(took).collect();
            times.sort();
            let mut counts = BTreeMap::new();
            for took in &times {
                *counts.entry(Bucket::of(*took)).or_default() += 1;
            }
            let per_mille_rank = usize::try_from(per_mille).unwrap();
            let rank = (times.len() * per_mille_rank).div_ceil(1_000);
            let exact = times[rank - 1].as_secs_f64();
            let found = percentile(&counts, per_mille).unwrap();
            prop_assert!((0.8..=1.25).contains(&(found / exact)), "{found} for {exact}");
        }
    }

    #[test]
    fn the_last_bucket_begins_above_a_day() {
        let day = Duration::from_hours(24);
        assert!(Bucket::of(day) < Bucket::of(Duration::MAX));
        assert_eq!(Bucket::of(Duration::MAX), Bucket(Bucket::LAST));
        assert_eq!(Bucket::of(Duration::ZERO), Bucket(0));
        assert_eq!(Bucket::all().count(), Bucket::COUNT);
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(percentile(&BTreeMap::new(), 500), None);
        assert_eq!(percentile(&BTreeMap::from([(Bucket(3), 0)]), 990), None);
    }
}
