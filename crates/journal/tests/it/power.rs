//! Cuts the power at every change that a whole journal makes of its disk, its state
//! included, and holds it to its promise:
//!
//! - it opens, whatever is left;
//! - all that had returned is there: records, cursors, claims, letters, traces, settings;
//! - what was under way is there as a whole or not at all;
//! - nothing is there that was never done.
//!
//! The journal runs once on a file system that notes what is done to it. Each moment
//! of that, with each thing that a power cut may leave of it, becomes a folder, and a
//! journal is opened there. Where no file system can be mounted, a journal is opened
//! on copies of the folder instead, one after each step, as if the process had been
//! killed: that proves less, and says so.

pub(crate) mod chance;
mod cuts;
mod fuse;
mod steps;
mod tree;

use std::io::Write as _;
use std::panic;
use std::sync::Once;
use std::thread;

use self::chance::Chance;
use self::cuts::{ALL_OUTCOMES, Checked, FEW_OUTCOMES, Outcome, Outcomes};
use self::fuse::Mounted;
use self::steps::{Lived, SMALL, Step};
use self::tree::Tree;

/// How many large workloads of chance there are, where the environment asks for them.
pub(crate) const ROUNDS: &str = "POSTMETER_POWER_ROUNDS";
/// What the first of them begins with.
pub(crate) const SEED: &str = "POSTMETER_POWER_SEED";

/// A number that the environment gives a longer run.
#[expect(
    clippy::disallowed_methods,
    reason = "a longer run is asked for by hand"
)]
pub(crate) fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}").ok();
}

/// Lives through `steps` on a disk that holds `tree`, and notes what it does to it;
/// none where there is no such disk.
fn live(tree: Tree, steps: &[Step]) -> Option<Lived> {
    quiet_about_fjall();
    match Mounted::of(tree) {
        Ok(disk) => Some(steps::live(disk, steps)),
        Err(cause) => {
            say(&format!(
                "no file system can be mounted here ({cause}): only kills are tried"
            ));
            steps::live_and_copy(steps);
            None
        }
    }
}

/// Some of what a cut leaves makes fjall panic, which the journal expects; a trace of
/// the calls for each takes longer than all the rest. Tests run on threads with names.
fn quiet_about_fjall() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |found| {
            if thread::current().name().is_some() {
                usual(found);
            }
        }));
    });
}

fn outcomes(more: &'static [Outcome]) -> Outcomes {
    match asked(ROUNDS) {
        Some(_) => Outcomes::Each(more),
        None => Outcomes::InTurn,
    }
}

fn tell(name: &str, changes: usize, checked: Checked) {
    let Checked { cuts, disks } = checked;
    say(&format!(
        "{name}: {changes} changes, {cuts} power cuts, {disks} different disks"
    ));
}

#[test]
fn a_power_cut_at_any_change_takes_nothing_that_was_settled() {
    let mut from = 0;
    for (name, steps) in SMALL {
        let Some(lived) = live(Tree::new(), steps) else {
            continue;
        };
        let outcomes = outcomes(&ALL_OUTCOMES);
        let checked = cuts::check(&lived, from, outcomes, &mut Chance::of(1));
        let changes = lived.trace.changes.len() - from;
        tell(name, changes, checked);
        assert!(checked.cuts > changes, "every change was cut at");
        // All of them are made in the same way: once is enough.
        from = lived.marks[0].changes;
    }
}

#[test]
fn a_second_power_cut_while_it_recovers_takes_nothing_either() {
    let (_, steps) = SMALL[0];
    let Some(lived) = live(Tree::new(), steps) else {
        return;
    };
    let every = if asked(ROUNDS).is_some() { 50 } else { 300 };
    let (mut total, mut changes) = (Checked::default(), 0);
    let mut chance = Chance::of(2);
    let lefts = cuts::all(&lived, 0, outcomes(&FEW_OUTCOMES), &mut chance);
    for left in lefts.skip(every / 2).step_by(every) {
        let again = live(left.tree.clone(), &[]).unwrap();
        changes += again.trace.changes.len();
        let outcomes = outcomes(&FEW_OUTCOMES);
        total.add(cuts::check_again(
            &left,
            &again,
            outcomes,
            &mut Chance::of(3),
        ));
    }
    tell("recovery", changes, total);
    assert!(total.cuts > changes, "every change was cut at");
}

#[test]
fn a_power_cut_in_large_workloads_of_chance_takes_nothing() {
    let rounds = asked(ROUNDS).unwrap_or(1);
    let first = asked(SEED).unwrap_or(4711);
    for seed in first..first + rounds {
        let mut chance = Chance::of(seed);
        let length = if asked(ROUNDS).is_some() { 120 } else { 25 };
        let steps: Vec<Step> = (0..length).map(|_| Step::by(&mut chance)).collect();
        let Some(lived) = live(Tree::new(), &steps) else {
            return;
        };
        let samples = if asked(ROUNDS).is_some() { 400 } else { 30 };
        let checked = cuts::check_some(&lived, samples, &mut chance);
        say(&format!(
            "seed {seed}: {} changes, {} power cuts",
            lived.trace.changes.len(),
            checked.cuts
        ));
    }
}
