//! The simulated clock: tokio's, which stands still while anything is being done and
//! jumps to the next timer when nothing is. Hours pass in milliseconds.

use std::cell::Cell;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// When every run begins.
const BEGIN: Timestamp = Timestamp::constant(1_790_000_000, 0);

thread_local! {
    /// When this thread's run began; a run never leaves its thread.
    static BEGUN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Begins a run.
pub(super) fn begin() {
    BEGUN.set(Some(Instant::now()));
}

/// How long the run has gone on.
pub(super) fn elapsed() -> Duration {
    BEGUN.get().expect("a run has begun").elapsed()
}

/// The time that people would read.
pub(super) fn now() -> Timestamp {
    BEGIN.checked_add(elapsed()).expect("no run lasts so long")
}
