//! How often somebody may guess the token.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong tokens within [`WINDOW`], over all clients: behind a proxy they look alike.
const FAILURES: usize = 10;
/// The time that counts.
const WINDOW: Duration = Duration::from_mins(1);

/// The wrong tokens of the last minute.
#[derive(Default)]
pub(super) struct Limit(Mutex<Vec<Instant>>);

impl Limit {
    /// How long to wait until a token is looked at again; none where it is now.
    pub(super) fn wait(&self) -> Option<Duration> {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|at| at.elapsed() < WINDOW);
        let oldest = failures.first().filter(|_| failures.len() >= FAILURES)?;
        Some(WINDOW.saturating_sub(oldest.elapsed()))
    }

    /// Notes a wrong token.
    pub(super) fn failed(&self) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_guess_within_a_minute_waits() {
        let limit = Limit::default();
        for _ in 0..FAILURES {
            assert_eq!(limit.wait(), None);
            limit.failed();
        }
        assert!(limit.wait().is_some_and(|wait| wait <= WINDOW));
    }
}
