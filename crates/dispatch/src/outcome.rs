//! How a batch ended, and what was tried: what the pipeline settles, buries and traces.
//!
//! Plain values with public fields. Nothing here decides anything.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::Call;

/// How many attempts an [`Outcome`] keeps: the last ones. A batch that waits for days makes thousands.
pub const OUTCOME_ATTEMPTS: usize = 50;

/// How a batch ended. Every one of its calls is in exactly one of the three lists, each in
/// the order in which the calls were pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Tags of the calls that Segment has.
    pub accepted: Vec<u64>,
    /// Calls that are wrong by themselves and will never be accepted.
    pub refused: Vec<Refused>,
    /// Tags of the calls whose fate is unknown because dispatch was told to stop. Some may
    /// have arrived: they are sent again after a restart, under the same message ids.
    pub stopped: Vec<u64>,
    /// The last [`OUTCOME_ATTEMPTS`] attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// How many attempts there were, kept or not.
    pub n_attempts: u32,
}

/// A call that Segment refused when it stood alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The caller's own mark, the same as in `call`.
    pub tag: u64,
    /// The call as it was sent.
    pub call: Call,
    /// The attempt that carried this call alone, with Segment's answer.
    pub attempt: Attempt,
}

/// One POST and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began; the batch's `sentAt`, if it has one.
    pub at: Timestamp,
    /// Its place among the attempts of its batch, halves included, counted from one.
    pub ordinal: u32,
    /// How many calls it carried.
    pub calls: usize,
    /// The body's length before compression.
    pub body_bytes: usize,
    /// The body's length as it was sent.
    pub sent_bytes: usize,
    /// What came back.
    pub result: AttemptResult,
    /// What was odd although the calls were accepted.
    pub note: Option<&'static str>,
    /// From the request's first byte to the answer's last, or to the failure.
    pub duration: Duration,
}

/// What came back from one POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// An answer, whatever it means.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The first 4 KB of the body, as text.
        body: String,
    },
    /// No answer, or one that broke off: the calls may have arrived.
    Failed {
        /// Why, in words that a person understands.
        cause: String,
    },
}

/// The last attempts, up to a limit.
#[derive(Debug)]
pub(crate) struct Recent {
    limit: usize,
    attempts: VecDeque<Attempt>,
}

impl Recent {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            attempts: VecDeque::new(),
        }
    }

    /// Adds the newest attempt, and forgets the oldest when there are too many.
    pub(crate) fn push(&mut self, attempt: Attempt) {
        if self.attempts.len() == self.limit {
            self.attempts.pop_front();
        }
        self.attempts.push_back(attempt);
    }

    pub(crate) fn newest_first(&self) -> Vec<Attempt> {
        self.attempts.iter().rev().cloned().collect()
    }

    pub(crate) fn into_oldest_first(self) -> Vec<Attempt> {
        self.attempts.into()
    }
}
