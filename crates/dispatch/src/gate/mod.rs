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
use tokio::sync::watch;
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
    state: Mutex<State>,
    /// Wakes those who wait, whenever they have reason to ask again.
    moved: watch::Sender<()>,
    condition: watch::Sender<Condition>,
}

/// Leave for one attempt. Dropped without a word, it lets another go in its place.
#[must_use]
pub(crate) struct Permit<'a> {
    gate: &'a Gate,
    pass: Option<Pass>,
}

impl Gate {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            state: Mutex::new(State::new(policy)),
            moved: watch::Sender::new(()),
            condition: watch::Sender::new(Condition::Flowing),
        }
    }

    pub(crate) fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// Waits until an attempt may leave; nothing if `stop` came first.
    pub(crate) async fn permit(&self, stop: &CancellationToken) -> Option<Permit<'_>> {
        let mut moved = self.moved.subscribe();
        loop {
            if stop.is_cancelled() {
                return None;
            }
            let until = match self.lock().ask(Instant::now()) {
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
                () = stop.cancelled() => (),
                _ = moved.changed() => (), // the sender lives in self, so this is never an error
                () = reached(until) => (),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds this lock")
    }
}

impl Permit<'_> {
    /// The destination answered, whatever it said of the calls.
    pub(crate) fn answered(mut self) {
        let Some(pass) = self.pass.take() else { return };
        let mut state = self.gate.lock();
        let Some(ended) = state.answered(pass) else {
            return;
        };
        self.gate.condition.send_replace(Condition::Flowing); // under the lock, as in `failed`
        drop(state);
        self.gate.moved.send_replace(());
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
        let mut state = self.gate.lock();
        state.failed(
            Failure {
                pass,
                reason,
                retry_after,
            },
            Moment::now(),
            &mut rand::rng(),
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
        drop(state);
        self.gate.moved.send_replace(());
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let Some(pass) = self.pass.take() else { return };
        if self.gate.lock().abandoned(pass) {
            self.gate.moved.send_replace(());
        }
    }
}

async fn reached(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}
