//! Counts of one hour, minute by minute, and where in time a count belongs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;

use super::series::Series;

/// How many hours are kept: 30 days.
pub(crate) const HOURS_KEPT: u64 = 720;
/// How many series an hour has at most; what is beyond is counted as the rest.
pub(crate) const MAX_SERIES: usize = 1_000;

const MINUTES: usize = 60;
const MINUTES_U64: u64 = 60;

/// A minute since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Minute(pub(crate) u64);

/// An hour since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HourNumber(pub(crate) u64);

/// One number for each minute of an hour.
pub(crate) type Minutes = [u32; MINUTES];

/// What was counted in an hour: at most [`MAX_SERIES`] series and the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hour {
    series: HashMap<Series, Minutes>,
}

impl Minute {
    /// The minute of a moment; the first one of all for what was before 1970.
    pub(crate) fn of(at: Timestamp) -> Minute {
        Minute(u64::try_from(at.as_second()).unwrap_or_default() / 60)
    }

    pub(crate) fn hour(self) -> HourNumber {
        HourNumber(self.0 / MINUTES_U64)
    }

    /// Which minute of its hour it is.
    pub(crate) fn in_hour(self) -> usize {
        usize::try_from(self.0 % MINUTES_U64).expect("60 fits into a word")
    }

    /// Its first moment.
    pub(crate) fn begins_at(self) -> Timestamp {
        let second = i64::try_from(self.0.saturating_mul(60)).unwrap_or(i64::MAX);
        Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
    }
}

impl HourNumber {
    /// The place that it is kept at, until an hour 30 days later takes it.
    pub(crate) fn slot(self) -> u64 {
        self.0 % HOURS_KEPT
    }

    pub(crate) fn first_minute(self) -> Minute {
        Minute(self.0.saturating_mul(MINUTES_U64))
    }
}

impl Hour {
    /// Counts `n` more in a minute.
    pub(crate) fn add(&mut self, series: Series, minute: Minute, n: u32) {
        let mut minutes = [0; MINUTES];
        if let Some(count) = minutes.get_mut(minute.in_hour()) {
            *count = n;
        }
        self.add_all(series, &minutes);
    }

    /// Counts more in every minute.
    pub(crate) fn add_all(&mut self, series: Series, more: &Minutes) {
        let has_room = self.series.len() < MAX_SERIES;
        let sums = match self.series.entry(series) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) if has_room => free.insert([0; MINUTES]),
            Entry::Vacant(_) => {
                let rest = self.series.entry(Series::rest());
                rest.or_insert([0; MINUTES])
            }
        };
        for (sum, more) in sums.iter_mut().zip(more) {
            *sum = sum.saturating_add(*more);
        }
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn merge(&mut self, other: &Hour) {
        for (series, minutes) in &other.series {
            self.add_all(series.clone(), minutes);
        }
    }

    /// Takes away what is counted elsewhere by now.
    pub(crate) fn subtract(&mut self, other: &Hour) {
        self.series.retain(|series, minutes| {
            if let Some(less) = other.series.get(series) {
                for (count, less) in minutes.iter_mut().zip(less) {
                    *count = count.saturating_sub(*less);
                }
            }
            minutes.iter().any(|count| *count > 0)
        });
    }

    /// The series that count most, at most that many; all others are one.
    pub(crate) fn shrink(&mut self, n_series: usize) {
        let mut all: Vec<(Series, Minutes)> = self.series.drain().collect();
        let total = |minutes: &Minutes| minutes.iter().copied().map(u64::from).sum::<u64>();
        all.sort_by_key(|(_, minutes)| std::cmp::Reverse(total(minutes)));
        for (n, (series, minutes)) in all.into_iter().enumerate() {
            let series = if n < n_series { series } else { Series::rest() };
            self.add_all(series, &minutes);
        }
    }

    #[cfg(test)]
    pub(crate) fn get(&self, series: &Series) -> Option<&Minutes> {
        self.series.get(series)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Series, &Minutes)> {
        self.series.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::history::series::What;

    fn duplicates(of: &str) -> Series {
        Series::new(What::Duplicate, &Arc::from(of))
    }

    #[test]
    fn what_has_no_room_is_counted_as_the_rest() {
        let mut hour = Hour::default();
        for n in 0..MAX_SERIES + 50 {
            hour.add(duplicates(&n.to_string()), Minute(7), 1);
        }
        assert_eq!(hour.len(), MAX_SERIES + 1);
        assert_eq!(hour.get(&Series::rest()).unwrap()[7], 50);
        hour.add(duplicates("0"), Minute(7), 1);
        assert_eq!(hour.get(&duplicates("0")).unwrap()[7], 2, "it has room");
    }

    #[test]
    fn what_is_taken_away_leaves_what_came_since() {
        let mut hour = Hour::default();
        hour.add(duplicates("a"), Minute(1), 5);
        hour.add(duplicates("b"), Minute(2), 1);
        let taken = hour.clone();
        hour.add(duplicates("a"), Minute(1), 3);
        hour.subtract(&taken);
        assert_eq!(hour.get(&duplicates("a")).unwrap()[1], 3);
        assert_eq!(hour.len(), 1, "what is nothing is gone");
    }

    #[test]
    fn an_hour_that_shrinks_keeps_its_sum_and_its_largest() {
        let mut hour = Hour::default();
        for n in 1..=10 {
            hour.add(duplicates(&n.to_string()), Minute(0), n);
        }
        hour.shrink(3);
        assert_eq!(hour.len(), 4);
        assert_eq!(hour.get(&duplicates("10")).unwrap()[0], 10);
        assert_eq!(hour.get(&Series::rest()).unwrap()[0], 28);
    }

    #[test]
    fn an_hour_30_days_later_takes_the_place() {
        let hour = Minute::of(Timestamp::from_second(1_700_000_000).unwrap()).hour();
        assert_eq!(hour.slot(), HourNumber(hour.0 + 720).slot());
        assert_ne!(hour.slot(), HourNumber(hour.0 + 719).slot());
        assert_eq!(Minute::of(Timestamp::MIN), Minute(0));
        assert_eq!(Minute(u64::MAX).begins_at(), Timestamp::MAX);
    }
}
