//! How much came by over the last minute, second by second.

use jiff::Timestamp;

const SECONDS: i64 = 60;

/// Counts of the last sixty seconds.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    counts: [u32; 60],
    newest: i64,
}

impl Default for Recent {
    fn default() -> Recent {
        Recent {
            counts: [0; 60],
            newest: 0,
        }
    }
}

impl Recent {
    pub(super) fn add(&mut self, now: Timestamp, n: u32) {
        let second = now.as_second();
        if second > self.newest {
            self.pass(second);
        } else if second <= self.newest - SECONDS {
            // The clock was put back, and what it said before was wrong.
            *self = Recent::default();
            self.newest = second;
        }
        // A clock that went back a little counts to its newest second.
        let newest = self.newest;
        if let Some(count) = self.at(newest) {
            *count = count.saturating_add(n);
        }
    }

    /// How many a second there were in the last minute.
    pub(super) fn rate(&self, now: Timestamp) -> f64 {
        let passed = now.as_second().saturating_sub(self.newest).max(0);
        let fresh = (0..SECONDS.saturating_sub(passed)).filter_map(|ago| {
            let index = usize::try_from((self.newest - ago).rem_euclid(SECONDS)).ok()?;
            self.counts.get(index).copied()
        });
        fresh.map(f64::from).sum::<f64>() / 60.0
    }

    /// Forgets what is older than a minute at `second`.
    fn pass(&mut self, second: i64) {
        let passed = second.saturating_sub(self.newest).min(SECONDS);
        for ago in 0..passed {
            if let Some(count) = self.at(second - ago) {
                *count = 0;
            }
        }
        self.newest = second;
    }

    fn at(&mut self, second: i64) -> Option<&mut u32> {
        let index = usize::try_from(second.rem_euclid(SECONDS)).ok()?;
        self.counts.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_rate_is_of_the_last_sixty_seconds() {
        let mut recent = Recent::default();
        for second in 1_000..1_090 {
            recent.add(at(second), 120);
        }
        assert!((recent.rate(at(1_089)) - 120.0).abs() < 1e-9);
        assert!((recent.rate(at(1_119)) - 60.0).abs() < 1e-9);
        assert!(recent.rate(at(1_200)).abs() < 1e-9);
        recent.add(at(5_000), 60);
        assert!((recent.rate(at(5_000)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_clock_that_jumps_neither_panics_nor_stops_the_count() {
        let mut recent = Recent::default();
        for second in [
            1_000,
            900,
            1_000_000,
            999_990,
            5,
            Timestamp::MAX.as_second(),
        ] {
            recent.add(at(second), 60);
        }
        recent.add(Timestamp::MIN, 60);
        assert!((recent.rate(Timestamp::MIN) - 1.0).abs() < 1e-9);
        assert!(recent.rate(Timestamp::MAX).abs() < 1e-9);
        recent.add(at(0), 60);
        recent.add(at(-3), 60);
        assert!((recent.rate(at(0)) - 2.0).abs() < 1e-9, "a little back");
    }
}
