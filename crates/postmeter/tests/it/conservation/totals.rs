//! What many runs come to.

use std::collections::BTreeMap;
use std::fmt;

use super::Ran;

/// Sums over runs.
#[derive(Default)]
pub(super) struct Totals {
    runs: usize,
    failed: Vec<u64>,
    kills: usize,
    events: usize,
    taken: usize,
    requests: usize,
    calls: usize,
    repeats: u64,
    letters: usize,
    faults: BTreeMap<&'static str, usize>,
}

impl Totals {
    /// Adds a run; none where it failed.
    pub(super) fn enter(&mut self, seed: u64, ran: Option<Ran>) {
        self.runs += 1;
        let Some(ran) = ran else {
            self.failed.push(seed);
            return;
        };
        self.kills += ran.done.kills;
        self.events += ran.heard.len();
        self.taken += ran.heard.iter().filter(|heard| heard.taken > 0).count();
        self.requests += ran.heard.iter().map(|heard| heard.requests).sum::<usize>();
        self.calls += ran.calls;
        self.repeats += ran.repeats;
        self.letters += ran.letters;
        for (family, _) in &ran.done.faults {
            *self.faults.entry(family.word()).or_default() += 1;
        }
    }

    /// The seeds of the runs that failed.
    pub(super) fn failed(&self) -> &[u64] {
        &self.failed
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { runs, kills, .. } = self;
        let failed = self.failed.len();
        write!(f, "{runs} runs, {failed} failed, {kills} kills, ")?;
        let (events, taken, requests) = (self.events, self.taken, self.requests);
        write!(
            f,
            "{taken} of {events} events taken in {requests} requests, "
        )?;
        let (calls, repeats, letters) = (self.calls, self.repeats, self.letters);
        write!(
            f,
            "{calls} calls arrived and {repeats} again, {letters} dead letters, "
        )?;
        write!(f, "faults {:?}", self.faults)
    }
}
