//! The gate's states and the moves between them, with the time as an argument.
//!
//! ```text
//!          a fault                     one asks after retry_at
//!   open ----------> closed, probe due ------------------------> closed, probe away
//!    ^                      ^                                      |            |
//!    |                      '--- the probe fails, or is abandoned -'            |
//!    '----------------------------- the probe gets an answer -------------------'
//! ```
//!
//! Attempts that left before the gate last moved are *stale*: four batches that hit
//! the same outage close the gate once, not four times, and one that still succeeds
//! does not open it again. Knows neither HTTP nor how to wait.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rand::Rng;

use crate::Policy;
use crate::backoff::backoff;

/// One instant on both clocks: waits use the steady one, people read the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) steady: Instant,
    pub(super) wall: Timestamp,
}

impl Moment {
    fn after(self, wait: Duration) -> Self {
        // The wall clock is only displayed, and no clock is within a wait of year 9999.
        let wall = self.wall.checked_add(wait).unwrap_or(self.wall);
        Self {
            steady: self.steady + wait,
            wall,
        }
    }

    fn or_later(self, other: Self) -> Self {
        if other.steady > self.steady {
            other
        } else {
            self
        }
    }
}

/// Lets one attempt pass; says in which turn of the gate it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    turn: u64,
}

/// What the gate says to who asks to pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Pass(Pass),
    /// Closed until then; ask again.
    Until(Instant),
    /// Another is probing: ask again when the gate has moved.
    UntilMoved,
}

/// An attempt that found the destination at fault.
pub(super) struct Failure {
    pub(super) pass: Pass,
    pub(super) reason: String,
    /// What the destination asked for, within bounds.
    pub(super) retry_after: Option<Duration>,
}

/// Why and how long the gate is closed.
#[derive(Debug)]
pub(super) struct Closure {
    /// When the first failure in this row was seen.
    pub(super) since: Timestamp,
    pub(super) reason: String,
    pub(super) retry_at: Moment,
    /// Failures in a row, at least one.
    pub(super) failures: u32,
    probe: Probe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Due,
    Away,
}

/// Whether attempts of one connection may leave.
pub(super) struct Gate {
    policy: Policy,
    closure: Option<Closure>,
    turn: u64,
}

impl Gate {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            closure: None,
            turn: 0,
        }
    }

    /// Why the gate is closed, if it is.
    pub(super) fn closure(&self) -> Option<&Closure> {
        self.closure.as_ref()
    }

    /// Asks to pass. While the gate is closed, one may pass when the time has come.
    pub(super) fn ask(&mut self, now: Instant) -> Admission {
        match &mut self.closure {
            Some(closure) if closure.probe == Probe::Away => return Admission::UntilMoved,
            Some(closure) if now < closure.retry_at.steady => {
                return Admission::Until(closure.retry_at.steady);
            }
            Some(closure) => {
                closure.probe = Probe::Away;
                self.turn += 1;
            }
            None => (),
        }
        Admission::Pass(Pass { turn: self.turn })
    }

    /// Notes that the destination answered, whatever it said of the calls.
    ///
    /// Returns the closure that has ended, if this opens the gate.
    pub(super) fn answered(&mut self, pass: Pass) -> Option<Closure> {
        if pass.turn != self.turn {
            return None;
        }
        let ended = self.closure.take()?;
        self.turn += 1;
        Some(ended)
    }

    /// Closes the gate, for as long as the destination asks or else by backoff.
    ///
    /// A stale failure was counted when the gate moved, unless it brings a wait that the
    /// destination asked for: that one is kept, and never shortens another.
    pub(super) fn failed(&mut self, failure: Failure, now: Moment, rng: &mut impl Rng) {
        let stale = failure.pass.turn != self.turn;
        if stale && failure.retry_after.is_none() {
            return;
        }
        let (since, failures, not_before) = match &self.closure {
            None => (now.wall, 1, now),
            Some(closure) if stale => (closure.since, closure.failures, closure.retry_at),
            Some(closure) => (closure.since, closure.failures.saturating_add(1), now),
        };
        let wait = failure
            .retry_after
            .unwrap_or_else(|| backoff(&self.policy, failures, rng));
        let retry_at = now.after(wait).or_later(not_before);
        let reason = failure.reason;
        self.closure = Some(Closure {
            since,
            reason,
            retry_at,
            failures,
            probe: Probe::Due,
        });
        self.turn += 1;
    }

    /// Takes back a pass whose attempt ended without having learned anything.
    ///
    /// Returns whether the gate moved: if that was the probe, the next may probe.
    pub(super) fn abandoned(&mut self, pass: Pass) -> bool {
        match &mut self.closure {
            Some(closure) if pass.turn == self.turn && closure.probe == Probe::Away => {
                closure.probe = Probe::Due;
                self.turn += 1;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A gate and a clock that the test moves.
    struct Scene {
        gate: Gate,
        now: Moment,
    }

    impl Scene {
        fn new() -> Self {
            Self {
                gate: Gate::new(Policy::default()),
                now: Moment {
                    steady: Instant::now(),
                    wall: Timestamp::UNIX_EPOCH,
                },
            }
        }

        fn ask(&mut self) -> Admission {
            self.gate.ask(self.now.steady)
        }

        fn pass(&mut self) -> Pass {
            match self.ask() {
                Admission::Pass(pass) => pass,
                other => panic!("the gate should let an attempt pass, but says {other:?}"),
            }
        }

        fn fail(&mut self, pass: Pass, retry_after: Option<Duration>) {
            let failure = Failure {
                pass,
                reason: "it rains".to_owned(),
                retry_after,
            };
            self.gate
                .failed(failure, self.now, &mut StdRng::seed_from_u64(1));
        }

        fn wait(&mut self, wait: Duration) {
            self.now = self.now.after(wait);
        }

        fn failures(&self) -> u32 {
            self.gate.closure().map_or(0, |closure| closure.failures)
        }
    }

    #[test]
    fn an_open_gate_lets_everyone_pass() {
        let mut scene = Scene::new();
        let passes = [scene.pass(), scene.pass(), scene.pass()];
        for pass in passes {
            assert!(scene.gate.answered(pass).is_none());
        }
        assert!(scene.gate.closure().is_none());
    }

    #[test]
    fn a_closed_gate_lets_one_probe_pass_when_the_time_has_come() {
        let mut scene = Scene::new();
        let pass = scene.pass();
        scene.fail(pass, Some(10 * SECOND));
        let retry_at = scene.now.after(10 * SECOND).steady;
        assert_eq!(scene.ask(), Admission::Until(retry_at));
        scene.wait(9 * SECOND);
        assert_eq!(scene.ask(), Admission::Until(retry_at));
        scene.wait(SECOND);
        let probe = scene.pass();
        assert_eq!(scene.ask(), Admission::UntilMoved);
        assert_eq!(scene.gate.answered(probe).unwrap().failures, 1);
        scene.pass();
        scene.pass();
    }

    #[test]
    fn a_failed_probe_closes_the_gate_for_longer_and_keeps_its_beginning() {
        let mut scene = Scene::new();
        let since = scene.now.wall;
        for failures in 1..=20 {
            let pass = scene.pass();
            scene.fail(pass, None);
            assert_eq!(scene.failures(), failures);
            scene.wait(60 * SECOND);
        }
        assert_eq!(scene.gate.closure().unwrap().since, since);
    }

    #[test]
    fn a_window_that_meets_one_outage_closes_the_gate_once() {
        let mut scene = Scene::new();
        let window = [scene.pass(), scene.pass(), scene.pass(), scene.pass()];
        for pass in window {
            scene.fail(pass, None);
        }
        assert_eq!(scene.failures(), 1);
    }

    #[test]
    fn a_late_success_does_not_open_a_gate_that_closed_behind_it() {
        let mut scene = Scene::new();
        let (early, late) = (scene.pass(), scene.pass());
        scene.fail(early, Some(10 * SECOND));
        assert!(scene.gate.answered(late).is_none());
        assert!(matches!(scene.ask(), Admission::Until(_)));
    }

    #[test]
    fn the_longest_wait_that_was_asked_for_is_kept() {
        let mut scene = Scene::new();
        let window = [scene.pass(), scene.pass(), scene.pass()];
        for (pass, seconds) in window.into_iter().zip([5, 30, 10]) {
            scene.fail(pass, Some(seconds * SECOND));
        }
        assert_eq!(
            scene.ask(),
            Admission::Until(scene.now.after(30 * SECOND).steady)
        );
        assert_eq!(scene.failures(), 1);
    }

    #[test]
    fn a_late_wait_holds_even_against_the_probes_success() {
        let mut scene = Scene::new();
        let (early, late) = (scene.pass(), scene.pass());
        scene.fail(early, Some(SECOND));
        scene.wait(SECOND);
        let probe = scene.pass();
        scene.fail(late, Some(10 * SECOND));
        assert!(scene.gate.answered(probe).is_none());
        assert_eq!(
            scene.ask(),
            Admission::Until(scene.now.after(10 * SECOND).steady)
        );
    }

    #[test]
    fn an_abandoned_probe_leaves_its_place_to_the_next() {
        let mut scene = Scene::new();
        let (early, other) = (scene.pass(), scene.pass());
        scene.fail(early, Some(SECOND));
        scene.wait(SECOND);
        let probe = scene.pass();
        assert!(!scene.gate.abandoned(other));
        assert_eq!(scene.ask(), Admission::UntilMoved);
        assert!(scene.gate.abandoned(probe));
        scene.pass();
        assert_eq!(scene.failures(), 1);
    }
}
