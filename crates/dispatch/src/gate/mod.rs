//! One gate for all batches of a connection: when the destination wants a pause, all wait.
//!
//! A 429 to one batch is a 429 to its neighbours; a destination that is down gets one
//! probe at a time instead of a whole window. What opens and closes the gate is decided
//! in [`state`]; here are the lock, the waiting and the [`Condition`] that others watch.
//! Knows nothing of HTTP or of batches.

mod state;

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::rngs::StdRng;
use tokio::sync::{Notify, watch};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::state::{Admission, Failure, Gate as State, Moment, Pass};
use crate::Policy;

/// Whether a connection's calls are on their way, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing holds them back.
    Flowing,
    /// The destination is at fault; nothing is lost, and it is tried again without being asked.
    Waiting {
        /// When the first failure in this row was seen.
        since: Timestamp,
        /// Why, such as `cannot resolve host api.segment.io`.
        reason: String,
        /// When one batch is sent as a probe; in the past while it is under way.
        retry_at: Timestamp,
        /// Failures in a row, at least one; a whole window that fails at once counts as one.
        failures: u32,
    },
}

/// The gate of one connection, shared by its batches.
pub(crate) struct Gate {
    inside: Mutex<Inside>,
    now: fn() -> Timestamp,
    /// Wakes those who wait, whenever they have reason to ask again: in the order in
    /// which they came, so that the oldest batch is the first to leave.
    moved: Notify,
    condition: watch::Sender<Condition>,
}

/// What is behind the lock.
struct Inside {
    state: State,
    /// Where the jitter of waits comes from.
    chance: StdRng,
}

/// Leave for one attempt. Dropped without a word, it lets another go in its place.
#[must_use]
pub(crate) struct Permit<'a> {
    gate: &'a Gate,
    pass: Option<Pass>,
}

impl Gate {
    pub(crate) fn new(policy: Policy, now: fn() -> Timestamp, chance: StdRng) -> Self {
        Self {
            inside: Mutex::new(Inside {
                state: State::new(policy),
                chance,
            }),
            now,
            moved: Notify::new(),
            condition: watch::Sender::new(Condition::Flowing),
        }
    }

    pub(crate) fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// Waits until an attempt may leave; nothing if `stop` came first.
    pub(crate) async fn permit(&self, stop: &CancellationToken) -> Option<Permit<'_>> {
        loop {
            if stop.is_cancelled() {
                return None;
            }
            // Made before the question, so that no move behind it is missed.
            let moved = self.moved.notified();
            let until = match self.lock().state.ask(steady_now()) {
                Admission::Pass(pass) => {
                    return Some(Permit {
                        gate: self,
                        pass: Some(pass),
                    });
                }
                Admission::Until(instant) => Some(instant),
                Admission::UntilMoved => None,
            };
            tokio::select! {
                biased; // all of them end in the same question
                () = stop.cancelled() => (),
                () = moved => (),
                () = reached(until) => (),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside
            .lock()
            .expect("nothing panics while it holds this lock")
    }
}

impl Permit<'_> {
    /// The destination answered, whatever it said of the calls.
    pub(crate) fn answered(mut self) {
        let Some(pass) = self.pass.take() else { return };
        let mut inside = self.gate.lock();
        let Some(ended) = inside.state.answered(pass) else {
            return;
        };
        self.gate.condition.send_replace(Condition::Flowing); // under the lock, as in `failed`
        drop(inside);
        self.gate.moved.notify_waiters();
        info!(
            dispatch.failures = ended.failures,
            "the destination takes batches again, after {} failures since {:.0}",
            ended.failures,
            ended.since,
        );
    }

    /// The destination is at fault, and has perhaps asked for a pause.
    pub(crate) fn failed(mut self, reason: String, retry_after: Option<Duration>) {
        let Some(pass) = self.pass.take() else { return };
        let now = Moment {
            steady: steady_now(),
            wall: (self.gate.now)(),
        };
        let mut inside = self.gate.lock();
        let Inside { state, chance } = &mut *inside;
        state.failed(
            Failure {
                pass,
                reason,
                retry_after,
            },
            now,
            chance,
        );
        let Some(closure) = state.closure() else {
            return;
        };
        let waiting = Condition::Waiting {
            since: closure.since,
            reason: closure.reason.clone(),
            retry_at: closure.retry_at.wall,
            failures: closure.failures,
        };
        // Under the lock, so that conditions are seen in the order of the moves.
        let before = self.gate.condition.send_replace(waiting);
        if before == Condition::Flowing {
            warn!(
                "the destination takes no batches, they wait: {}",
                closure.reason
            );
        }
        drop(inside);
        self.gate.moved.notify_waiters();
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let Some(pass) = self.pass.take() else { return };
        if self.gate.lock().state.abandoned(pass) {
            self.gate.moved.notify_waiters();
        }
    }
}

/// The clock that waits go by.
fn steady_now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn reached(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}
