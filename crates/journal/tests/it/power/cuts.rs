//! What is left of a life after a power cut at any change of it, and whether that is
//! what was promised.

use std::collections::HashMap;

use journal::Journal;
use tempfile::TempDir;

use super::chance::Chance;
use super::steps::{self, Lived, Mark, Told};
use super::tree::{Disk, Entries, Tree, Unsynced};

/// What a power cut does to files, and to folders.
pub(crate) type Outcome = (Unsynced, Entries);

/// One outcome of each kind.
pub(crate) const FEW_OUTCOMES: [Outcome; 4] = [
    (Unsynced::Lost, Entries::AsSynced),
    (Unsynced::Kept, Entries::AsSeen),
    (Unsynced::HoleFirst, Entries::AsSeen),
    (Unsynced::AnyPages, Entries::Any),
];

/// Everything that may happen at a power cut.
pub(crate) const ALL_OUTCOMES: [Outcome; 18] = [
    (Unsynced::Lost, Entries::AsSynced),
    (Unsynced::Lost, Entries::AsSeen),
    (Unsynced::Lost, Entries::OnlyTheLast),
    (Unsynced::Kept, Entries::AsSynced),
    (Unsynced::Kept, Entries::AsSeen),
    (Unsynced::Kept, Entries::OnlyTheLast),
    (Unsynced::CutAt(1), Entries::AsSeen),
    (Unsynced::CutAt(30), Entries::AsSeen),
    (Unsynced::CutAt(60), Entries::AsSynced),
    (Unsynced::CutAt(99), Entries::AsSeen),
    (Unsynced::HoleFirst, Entries::AsSynced),
    (Unsynced::HoleFirst, Entries::AsSeen),
    (Unsynced::RubbishLast, Entries::AsSynced),
    (Unsynced::RubbishLast, Entries::AsSeen),
    (Unsynced::AnyPages, Entries::AsSeen),
    (Unsynced::AnyPages, Entries::Any),
    (Unsynced::Kept, Entries::Any),
    (Unsynced::Lost, Entries::Any),
];

/// Which outcomes a moment is tried with.
#[derive(Clone, Copy)]
pub(crate) enum Outcomes {
    /// Each moment with another one, in turn.
    InTurn,
    /// Each moment with all of these.
    Each(&'static [Outcome]),
}

impl Outcomes {
    fn at(self, moment: usize) -> &'static [Outcome] {
        match self {
            Outcomes::InTurn => ALL_OUTCOMES
                .get(moment % ALL_OUTCOMES.len()..)
                .and_then(|rest| rest.get(..1))
                .unwrap(),
            Outcomes::Each(outcomes) => outcomes,
        }
    }
}

/// How much was tried.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Checked {
    /// Moments, times what may be left of each.
    pub(crate) cuts: usize,
    /// How many different disks that made.
    pub(crate) disks: usize,
}

impl Checked {
    pub(crate) fn add(&mut self, more: Checked) {
        self.cuts += more.cuts;
        self.disks += more.disks;
    }
}

/// What is left after a cut, and what may be expected of it.
pub(crate) struct Left<'l> {
    pub(crate) tree: Tree,
    /// After how many changes the power went, and how.
    at: usize,
    outcome: Outcome,
    before: &'l Told,
    /// The step that was under way, and what would have come of it.
    under_way: Option<&'l Mark>,
}

/// Every moment of a life from after so many changes on, with its outcomes.
pub(crate) fn all<'l>(
    lived: &'l Lived,
    from: usize,
    outcomes: Outcomes,
    chance: &'l mut Chance,
) -> impl Iterator<Item = Left<'l>> {
    let mut disk = Disk::of(&lived.trace.first);
    (0..=lived.trace.changes.len()).flat_map(move |at| {
        if let Some(change) = at.checked_sub(1).map(|last| &lived.trace.changes[last]) {
            disk.apply(change);
        }
        let outcomes = if at < from { &[] } else { outcomes.at(at) };
        let trees = outcomes
            .iter()
            .map(|outcome| (*outcome, disk.after_cut(*outcome, chance)));
        let trees: Vec<_> = trees.collect();
        trees
            .into_iter()
            .map(move |(outcome, tree)| left(lived, at, outcome, tree))
    })
}

fn left(lived: &Lived, at: usize, outcome: Outcome, tree: Tree) -> Left<'_> {
    let next = lived.marks.partition_point(|mark| mark.changes <= at);
    // Before it was open for the first time there was nothing to tell of.
    let before = &lived.marks[next.saturating_sub(1)].told;
    Left {
        tree,
        at,
        outcome,
        before,
        under_way: lived.marks.get(next),
    }
}

/// Opens what every cut leaves; each disk once.
pub(crate) fn check(
    lived: &Lived,
    from: usize,
    outcomes: Outcomes,
    chance: &mut Chance,
) -> Checked {
    let mut known = HashMap::new();
    let mut cuts = 0;
    for left in all(lived, from, outcomes, chance) {
        cuts += 1;
        let told = known.entry(left.tree.fingerprint());
        left.judge(told.or_insert_with(|| left.open()));
    }
    Checked {
        cuts,
        disks: known.len(),
    }
}

/// Opens what so many cuts leave, that chance chooses.
pub(crate) fn check_some(lived: &Lived, samples: usize, chance: &mut Chance) -> Checked {
    let n_changes = lived.trace.changes.len();
    let mut moments: Vec<usize> = (0..samples).map(|_| chance.below(n_changes + 1)).collect();
    moments.sort_unstable();
    let mut disk = Disk::of(&lived.trace.first);
    let mut applied = 0;
    for at in &moments {
        lived.trace.changes[applied..*at]
            .iter()
            .for_each(|change| disk.apply(change));
        applied = *at;
        let outcome = ALL_OUTCOMES[chance.below(ALL_OUTCOMES.len())];
        let left = left(lived, *at, outcome, disk.after_cut(outcome, chance));
        left.judge(&left.open());
    }
    Checked {
        cuts: samples,
        disks: samples,
    }
}

/// As [`check`], for a life that began with what a cut had left: it may end up as
/// either life may, and not fall back behind what it has told.
pub(crate) fn check_again(
    first: &Left<'_>,
    again: &Lived,
    outcomes: Outcomes,
    chance: &mut Chance,
) -> Checked {
    let opened = &again.marks[0];
    first.judge(&opened.told);
    let mut known = HashMap::new();
    let mut cuts = 0;
    for left in all(again, 0, outcomes, chance) {
        cuts += 1;
        let told = known.entry(left.tree.fingerprint());
        let told = told.or_insert_with(|| left.open());
        if left.at >= opened.changes {
            assert_eq!(*told, opened.told, "what was told is gone: {}", left.says());
        } else {
            first.judge(told);
        }
    }
    Checked {
        cuts,
        disks: known.len(),
    }
}

/// A folder where syncing costs nothing: what is left of a cut is not cut again.
fn in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

impl Left<'_> {
    /// Puts it into a folder, opens it, and goes on there.
    fn open(&self) -> Told {
        let dir = in_memory();
        self.tree.put_into(dir.path());
        steps::runtime().block_on(async {
            let opened = Journal::open(steps::config(dir.path())).await;
            let journal = opened.unwrap_or_else(|error| panic!("{error:?} {}", self.says()));
            let told = steps::tell(&journal).await;
            steps::check_derived(&journal).await;
            told
        })
    }

    fn says(&self) -> String {
        let step = self.under_way.and_then(|mark| mark.step);
        format!("after {} changes, {:?}, in {step:?}", self.at, self.outcome)
    }

    fn judge(&self, told: &Told) {
        let after = self.under_way.map_or(self.before, |mark| &mark.told);
        let step = self.under_way.and_then(|mark| mark.step);
        if step.is_none_or(steps::Step::is_whole) {
            let is_one = told == self.before || told == after;
            assert!(
                is_one,
                "{}\nfound {told:#?}\nbefore {:#?}\nafter {after:#?}",
                self.says(),
                self.before
            );
            return;
        }
        let (before, says) = (self.before, self.says());
        let fits =
            before.records.ends_with(&told.records) && told.records.ends_with(&after.records);
        assert!(fits, "{says}\nfound {:#?}", told.records);
        let fits = told.traces.is_subset(&before.traces) && told.traces.is_superset(&after.traces);
        assert!(fits, "{says}\nfound {:#?}", told.traces);
        for ((found, before), after) in told.kept.iter().zip(&before.kept).zip(&after.kept) {
            assert!(
                found == before || found == after,
                "{says}\nfound {found}\nbefore {before}\nafter {after}"
            );
        }
    }
}
