//! What a sender has to tell: attempt by attempt, and at the end.

use std::{collections::BTreeMap, time::Duration};

use super::patience::Failure;

/// Holds that a report lists; further ones are only counted.
pub const MAX_HOLDS: usize = 10_000;

/// One attempt, as it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// The event's place in its source, from 0.
    pub sequence: u64,
    /// The attempt's number for this event, from 1.
    pub attempt: u32,
    /// Whether it is the event itself or a deliberate repeat.
    pub turn: Turn,
    /// What came back.
    pub outcome: Outcome,
    /// How long the answer took, or the failure.
    pub took: Duration,
    /// What follows.
    pub next: Next,
}

/// Which sending of an event an attempt belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// The event's own.
    Event,
    /// A repeat of an event that was accepted, as after a lost answer.
    Repeat,
}

/// What came back from an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// A 2xx.
    Accepted(u16),
    /// Anything else.
    Failed(Failure),
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// The event is done.
    Done,
    /// The line stands still, for so long in Customer.io's time.
    RetryAfter(Duration),
    /// Seven days are over: the event is lost.
    Lost,
}

/// A time in which an event held the line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hold {
    /// The event's place in its source, from 0.
    pub sequence: u64,
    /// The first failure.
    pub cause: Failure,
    /// All attempts for the event.
    pub attempts: u32,
    /// How long the line was held, in Customer.io's time.
    pub held_for: Duration,
    /// How it ended.
    pub end: HoldEnd,
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HoldEnd {
    /// The event was accepted.
    Accepted,
    /// The event was given up.
    Lost,
    /// The sender was stopped.
    Stopped,
}

/// What a sender did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Events taken from the source.
    pub sent: u64,
    /// Events answered with 2xx.
    pub accepted: u64,
    /// Events given up after seven days.
    pub lost: u64,
    /// Events that were under way when the sender was stopped.
    pub unfinished: u64,
    /// Deliberate repeats of accepted events.
    pub repeats: u64,
    /// Posts, all in all.
    pub attempts: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Attempts without an answer: timeouts and connection failures.
    pub unanswered: BTreeMap<Failure, u64>,
    /// How often the line was held.
    pub holds: u64,
    /// The first [`MAX_HOLDS`] holds.
    pub held: Vec<Hold>,
    /// How long accepted attempts took.
    pub latency: Latency,
}

impl Report {
    pub(super) fn count(&mut self, outcome: Outcome, took: Duration) {
        self.attempts += 1;
        match outcome {
            Outcome::Accepted(status) => {
                *self.statuses.entry(status).or_default() += 1;
                self.latency.record(took);
            }
            Outcome::Failed(Failure::Status(status)) => {
                *self.statuses.entry(status).or_default() += 1;
            }
            Outcome::Failed(failure @ (Failure::Timeout | Failure::Connection)) => {
                *self.unanswered.entry(failure).or_default() += 1;
            }
        }
    }

    pub(super) fn hold(&mut self, hold: Hold) {
        self.holds += 1;
        if self.held.len() < MAX_HOLDS {
            self.held.push(hold);
        }
    }
}

/// Buckets for each doubling, so that a quantile is at most 1/16 too high.
const PARTS: u64 = 16;

/// A distribution of times, in constant memory.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// How many times fell into each bucket.
    buckets: BTreeMap<u64, u64>,
    count: u64,
    max: Duration,
}

impl Latency {
    /// The longest.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// Half of the times are at most this, give or take a sixteenth.
    pub fn p50(&self) -> Duration {
        self.quantile(50)
    }

    /// Of a hundred times, 99 are at most this, give or take a sixteenth.
    pub fn p99(&self) -> Duration {
        self.quantile(99)
    }

    fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        *self.buckets.entry(ceiling(micros)).or_default() += 1;
        self.count += 1;
        self.max = self.max.max(took);
    }

    fn quantile(&self, percent: u64) -> Duration {
        let rank = (self.count.saturating_mul(percent)).div_ceil(100);
        let mut seen = 0;
        for (ceiling, count) in &self.buckets {
            seen += count;
            if seen >= rank {
                return Duration::from_micros(*ceiling).min(self.max);
            }
        }
        self.max
    }
}

/// The largest value of the bucket that `micros` falls into.
fn ceiling(micros: u64) -> u64 {
    let step = (micros / PARTS)
        .checked_ilog2()
        .map_or(1, |doublings| 1_u64 << doublings);
    (micros / step)
        .saturating_mul(step)
        .saturating_add(step - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_at_most_a_sixteenth_too_high() {
        let mut latency = Latency::default();
        for micros in 1..=100_000 {
            latency.record(Duration::from_micros(micros));
        }
        for (quantile, exact) in [(latency.p50(), 50_000), (latency.p99(), 99_000)] {
            let micros = u64::try_from(quantile.as_micros()).unwrap();
            assert!(
                (exact..=exact + exact / PARTS).contains(&micros),
                "{micros} for {exact}"
            );
        }
        assert_eq!(latency.max(), Duration::from_millis(100));
        assert!(latency.buckets.len() < 300);
    }

    #[test]
    fn nothing_measured_is_zero() {
        assert_eq!(Latency::default().p99(), Duration::ZERO);
    }
}
