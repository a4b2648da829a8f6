//! The optional rate limit: one bucket of a second's worth.

use jiff::Timestamp;

use super::config::RateLimit;

/// Room for a second of traffic, refilled by the stand-in's clock.
pub(super) struct Bucket {
    limit: RateLimit,
    /// What is left, in thousandths; below zero after a batch that overdrew.
    left: i64,
    filled_at: Timestamp,
}

impl Bucket {
    pub(super) fn new(limit: RateLimit, now: Timestamp) -> Self {
        let mut bucket = Self {
            limit,
            left: 0,
            filled_at: now,
        };
        bucket.left = bucket.per_second() * 1000;
        bucket
    }

    fn per_second(&self) -> i64 {
        match self.limit {
            RateLimit::Requests(limit) | RateLimit::Calls(limit) => i64::from(limit.get()),
        }
    }

    /// Lets a request pass, or says after how many whole seconds to come again.
    pub(super) fn take(&mut self, calls: usize, now: Timestamp) -> Result<(), u64> {
        let elapsed = now.as_millisecond() - self.filled_at.as_millisecond();
        let refill = elapsed.max(0).saturating_mul(self.per_second());
        self.left = self
            .left
            .saturating_add(refill)
            .min(self.per_second() * 1000);
        // Requests may come in out of order; time that was filled in once stays so.
        self.filled_at = self.filled_at.max(now);
        if self.left <= 0 {
            let missing = u64::try_from(-self.left).unwrap_or_default();
            let per_second = u64::try_from(self.per_second()).unwrap_or(1);
            return Err((missing / (per_second * 1000) + 1).max(1));
        }
        let cost = match self.limit {
            RateLimit::Requests(_) => 1,
            RateLimit::Calls(_) => i64::try_from(calls).unwrap_or(i64::MAX / 1000),
        };
        self.left = self.left.saturating_sub(cost.saturating_mul(1000));
        Ok(())
    }
}
