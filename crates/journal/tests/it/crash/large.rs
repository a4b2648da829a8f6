//! Workloads of chance, larger than could be cut at every call: cut at some of them,
//! several times in a row, each life going on where the one before was cut.

use super::*;
use crate::power::chance::Chance;
use crate::power::{self, asked};

/// How many workloads there are, where the environment does not say.
const ROUNDS: u64 = 4;

fn step(chance: &mut Chance) -> Step {
    match chance.below(10) {
        0..=4 => Step::Alone(chance.below(3000)),
        5..=7 => Step::Group(1 + chance.below(6) as u64, chance.below(1200)),
        _ => Step::Trim,
    }
}

#[test]
fn power_cuts_in_large_workloads_of_chance_take_nothing_that_was_acknowledged() {
    let first = asked(power::SEED).unwrap_or(4711);
    let rounds = asked(power::ROUNDS).unwrap_or(ROUNDS);
    let mut cuts = 0;
    for seed in first..first + rounds {
        println!("seed {seed}");
        let mut chance = Chance::of(seed);
        let mut oracle = Oracle::default();
        let mut left = Disk::new();
        for _ in 0..25 {
            let steps: Vec<Step> = (0..30).map(|_| step(&mut chance)).collect();
            let before = left.after_restart();
            let calls = calls(&steps, &before);
            let disk = run_until_cut(&mut oracle, left, &steps, chance.below(calls));
            let (unsynced, entries) = OUTCOMES[chance.below(OUTCOMES.len())];
            left = disk.after_power_cut(unsynced, entries);
            let log = open(&left).expect("nothing is wrong with the disk any more");
            oracle.check(&log);
            oracle.run(&log, &left, &[Step::Alone(20)]);
            cuts += 1;
        }
        assert!(oracle.acknowledged.len() > 100, "it got on");
    }
    println!("{cuts} power cuts");
}
