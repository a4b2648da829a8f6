//! How long Customer.io waits before it sends an event again.
//!
//! Published: a hold of one hour before the first retry after certain statuses
//! and connection errors, else exponential backoff, seven days in all. The
//! intervals of the backoff are not published; ours begin at 15 s and double to
//! an hour, without jitter.

use std::{fmt, time::Duration};

/// The hold after a listed failure, once per event.
pub const HOLD: Duration = Duration::from_hours(1);
/// The first wait of the backoff. A guess.
pub const FIRST_BACKOFF: Duration = Duration::from_secs(15);
/// The longest wait of the backoff. A guess.
pub const MAX_BACKOFF: Duration = Duration::from_hours(1);
/// An event that was waiting for so long is given up.
pub const GIVE_UP_AFTER: Duration = Duration::from_hours(7 * 24);

/// Statuses that cost an hour.
const HOLDING_STATUSES: [u16; 11] = [400, 401, 402, 403, 404, 405, 410, 429, 500, 502, 521];

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Failure {
    /// An answer in time, but no 2xx.
    Status(u16),
    /// No answer in time.
    Timeout,
    /// Refused, reset, closed without an answer, or TLS failed.
    Connection,
}

impl Failure {
    /// Whether Customer.io lists it among those that hold the line for an hour.
    pub fn holds_an_hour(self) -> bool {
        match self {
            Self::Status(status) => HOLDING_STATUSES.contains(&status),
            Self::Timeout => false,
            Self::Connection => true,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Connection => f.write_str("connection failed"),
        }
    }
}

/// What one event has waited for so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience {
    waited: Duration,
    backoffs: u32,
    held: Held,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Held {
    #[default]
    NotYet,
    Once,
}

impl Patience {
    /// How long to wait before the next attempt; none once seven days would be over.
    pub(super) fn after(&mut self, failure: Failure) -> Option<Duration> {
        let wait = if failure.holds_an_hour() && self.held == Held::NotYet {
            self.held = Held::Once;
            HOLD
        } else {
            let doubled =
                FIRST_BACKOFF.saturating_mul(1_u32.checked_shl(self.backoffs).unwrap_or(u32::MAX));
            self.backoffs += 1;
            doubled.min(MAX_BACKOFF)
        };
        let waited = self.waited + wait;
        if waited > GIVE_UP_AFTER {
            return None;
        }
        self.waited = waited;
        Some(wait)
    }

    /// All waits so far, in Customer.io's time.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(failures: &[Failure]) -> Vec<u64> {
        let mut patience = Patience::default();
        failures
            .iter()
            .map(|failure| patience.after(*failure).unwrap().as_secs())
            .collect()
    }

    #[test]
    fn a_listed_failure_holds_for_an_hour_once_and_backs_off_then() {
        use Failure::{Connection, Status, Timeout};
        assert_eq!(
            waits(&[Status(500), Status(500), Status(500)]),
            [3600, 15, 30]
        );
        assert_eq!(
            waits(&[Status(503), Status(503), Status(503)]),
            [15, 30, 60]
        );
        assert_eq!(
            waits(&[Timeout, Connection, Timeout, Status(401)]),
            [15, 3600, 30, 60]
        );
        assert_eq!(waits(&[Status(503); 12])[8..], [3600; 4]);
    }

    #[test]
    fn exactly_the_listed_statuses_hold_for_an_hour() {
        let listed: Vec<u16> = (100..600)
            .filter(|status| Failure::Status(*status).holds_an_hour())
            .collect();
        assert_eq!(
            listed,
            [400, 401, 402, 403, 404, 405, 410, 429, 500, 502, 521]
        );
    }

    #[test]
    fn patience_ends_within_seven_days() {
        let mut patience = Patience::default();
        let n_waits = std::iter::from_fn(|| patience.after(Failure::Timeout)).count();
        assert!(patience.waited() <= GIVE_UP_AFTER);
        assert!(patience.waited() + MAX_BACKOFF > GIVE_UP_AFTER);
        assert!(n_waits > 7 * 24, "{n_waits}");
    }
}
