//! A clock that tests can stop and move.
//!
//! Stamps, deduplication, tokens and the rate limit go by it. It only goes
//! forward, except when it is frozen at an instant or reset.

use std::{sync::Mutex, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{config::ClockStart, lock};

/// The stand-in's time, in whole milliseconds.
pub(super) struct Clock {
    start: ClockStart,
    hand: Mutex<Hand>,
}

#[derive(Clone, Copy)]
enum Hand {
    Running { ahead: SignedDuration },
    Frozen(Timestamp),
}

impl Clock {
    pub(super) fn new(start: ClockStart) -> Self {
        Self {
            start,
            hand: Mutex::new(Hand::at(start)),
        }
    }

    /// Now, cut to the millisecond: Segment's stamps carry no more.
    pub(super) fn now(&self) -> Timestamp {
        let now = match *lock(&self.hand) {
            Hand::Running { ahead } => {
                let now = Timestamp::now();
                now.checked_add(ahead).unwrap_or(now)
            }
            Hand::Frozen(at) => at,
        };
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Moves the clock forward; one that would pass the end of time stays.
    pub(super) fn advance(&self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        let mut hand = lock(&self.hand);
        match &mut *hand {
            Hand::Running { ahead } => *ahead = ahead.checked_add(by).unwrap_or(*ahead),
            Hand::Frozen(at) => *at = at.checked_add(by).unwrap_or(*at),
        }
    }

    pub(super) fn freeze(&self, at: Timestamp) {
        *lock(&self.hand) = Hand::Frozen(at);
    }

    pub(super) fn reset(&self) {
        *lock(&self.hand) = Hand::at(self.start);
    }
}

impl Hand {
    fn at(start: ClockStart) -> Self {
        match start {
            ClockStart::System => Self::Running {
                ahead: SignedDuration::ZERO,
            },
            ClockStart::FrozenAt(at) => Self::Frozen(at),
        }
    }
}
