//! How long to wait after a failure of which nobody said how long it would last.
//!
//! Exponential with full jitter: every connection of every postmeter that saw the
//! same outage comes back at a time of its own. Pure, with chance as an argument.

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::Policy;

/// The wait after the `failures`th failure in a row, counted from one.
///
/// Evenly distributed between nothing and [`ceiling`].
pub(crate) fn backoff(policy: &Policy, failures: u32, rng: &mut impl Rng) -> Duration {
    rng.random_range(Duration::ZERO..=ceiling(policy, failures))
}

/// The longest wait after the `failures`th failure in a row.
fn ceiling(policy: &Policy, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1);
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    policy
        .backoff_first
        .saturating_mul(factor)
        .min(policy.backoff_max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn the_ceiling_doubles_from_half_a_second_to_a_minute() {
        let policy = Policy::default();
        let ceilings_ms = [
            500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
        ];
        for (failures, ceiling_ms) in (1..).zip(ceilings_ms) {
            assert_eq!(
                ceiling(&policy, failures),
                Duration::from_millis(ceiling_ms)
            );
        }
    }

    #[test]
    fn the_jitter_is_full() {
        let mut rng = StdRng::seed_from_u64(7);
        let policy = Policy::default();
        let waits: Vec<_> = (0..200).map(|_| backoff(&policy, 8, &mut rng)).collect();
        assert!(waits.iter().any(|wait| *wait < Duration::from_secs(6)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_secs(54)));
    }

    proptest! {
        #[test]
        fn a_wait_is_never_above_a_minute(failures in any::<u32>(), seed in any::<u64>()) {
            let policy = Policy::default();
            let wait = backoff(&policy, failures, &mut StdRng::seed_from_u64(seed));
            prop_assert!(wait <= ceiling(&policy, failures));
            prop_assert!(wait <= policy.backoff_max);
        }
    }
}
