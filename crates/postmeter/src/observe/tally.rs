//! Counts that one node hands to another: what a scraper adds up by itself,
//! added up for whoever looks at one console.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::End;

/// What a node has counted since it was started, or several nodes together.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Requests to a webhook, by what they were answered.
    #[serde(default)]
    pub(crate) received: BTreeMap<String, u64>,
    /// Events that had been received before.
    #[serde(default)]
    pub(crate) duplicates: u64,
    /// Records that a connection is done with, by its name and how they ended.
    #[serde(default)]
    pub(crate) ended: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Counts {
    /// Adds what another node has counted.
    pub(crate) fn add(&mut self, other: &Counts) {
        add_each(&mut self.received, &other.received);
        self.duplicates += other.duplicates;
        for (connection, ends) in &other.ended {
            let sum = self.ended.entry(connection.clone()).or_default();
            add_each(sum, ends);
        }
    }
}

fn add_each(sums: &mut BTreeMap<String, u64>, counts: &BTreeMap<String, u64>) {
    for (what, count) in counts {
        *sums.entry(what.clone()).or_default() += count;
    }
}

/// Counts as it goes.
#[derive(Default)]
pub(super) struct Tally {
    counting: Mutex<Counting>,
}

#[derive(Default)]
struct Counting {
    received: HashMap<&'static str, u64>,
    duplicates: u64,
    ended: HashMap<Arc<str>, HashMap<End, u64>>,
}

impl Tally {
    pub(super) fn received(&self, answer: &'static str) {
        *self.lock().received.entry(answer).or_default() += 1;
    }

    pub(super) fn duplicates_came(&self, n: u64) {
        self.lock().duplicates += n;
    }

    pub(super) fn duplicates(&self) -> u64 {
        self.lock().duplicates
    }

    pub(super) fn ended(&self, connection: &Arc<str>, sums: &HashMap<End, u64>) {
        let mut counting = self.lock();
        let ends = counting.ended.entry(Arc::clone(connection)).or_default();
        for (end, n) in sums {
            *ends.entry(*end).or_default() += n;
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let counting = self.lock();
        let received = counting.received.iter();
        let ended = counting.ended.iter().map(|(connection, ends)| {
            let ends = ends.iter();
            let ends = ends.map(|(end, count)| (end.label().to_owned(), *count));
            (connection.to_string(), ends.collect())
        });
        Counts {
            received: received
                .map(|(what, count)| ((*what).to_owned(), *count))
                .collect(),
            duplicates: counting.duplicates,
            ended: ended.collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counting> {
        // Counts are whole whatever their last holder died of.
        self.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::SkipCause;

    #[test]
    fn the_counts_of_two_nodes_add_up() {
        let (one, other) = (Tally::default(), Tally::default());
        let (eu, us): (Arc<str>, Arc<str>) = ("eu".into(), "us".into());
        for tally in [&one, &other] {
            tally.received("journaled");
            tally.ended(&eu, &HashMap::from([(End::Accepted, 1)]));
        }
        other.duplicates_came(1);
        other.ended(&us, &HashMap::from([(End::Skipped(SkipCause::Options), 1)]));
        let mut sum = one.counts();
        sum.add(&other.counts());
        assert_eq!(sum.received["journaled"], 2);
        assert_eq!(sum.duplicates, 1);
        assert_eq!(sum.ended["eu"]["accepted"], 2);
        assert_eq!(sum.ended["us"]["skipped_options"], 1);
    }
}
