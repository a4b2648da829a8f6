//! What happened in a run, in order: two runs are the same run if these are equal.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use super::clock;

/// The trace of a run; clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Trace(Arc<Mutex<Vec<Line>>>);

/// What one actor did at some millisecond.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    pub(super) millis: u128,
    pub(super) actor: String,
    pub(super) what: String,
}

impl Trace {
    pub(super) fn note(&self, actor: &str, what: impl Into<String>) {
        self.0.lock().unwrap().push(Line {
            millis: clock::elapsed().as_millis(),
            actor: actor.to_owned(),
            what: what.into(),
        });
    }

    /// All lines. What actors do in the same millisecond has no order between them,
    /// only for each: nobody outside could tell.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = self.0.lock().unwrap().clone();
        lines.sort_by(|one, other| (one.millis, &one.actor).cmp(&(other.millis, &other.actor)));
        lines
    }

    /// The last lines, for a person who wants to know what led to a failure.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for Line {
            millis,
            actor,
            what,
        } in self.lines()
        {
            let (seconds, millis) = (millis / 1_000, millis % 1_000);
            writeln!(text, "{seconds:>7}.{millis:03} {actor:<12} {what}").unwrap();
        }
        text
    }
}
