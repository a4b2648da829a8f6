//! A simulation of the whole path, from Customer.io's line to Segment's sources, in
//! which everything that happens follows from one number.
//!
//! ```text
//!  sender --> network --> [ receive --> journal --> indexer, feeds --> dispatch ] --> segment
//!                                         |
//!                                       disk            world: what breaks, and when
//! ```
//!
//! What stands in brackets is the real code, on one thread, over tokio's paused clock:
//! the next thing happens only once all that the last one caused has come to rest, so
//! hours pass in milliseconds and the same seed gives the same run. Around it are a
//! sender with one line per workspace, a network that delays, cuts and delivers late,
//! a disk that loses what was not synced, Segments that take calls and do not say so,
//! and an operator. At the end all is healed and the oracle settles accounts.
//!
//! What it cannot see: threads racing each other, real sockets and TLS, and what a
//! power cut does to the files of the state's database.

mod chance;
mod clock;
mod disk;
mod network;
mod oracle;
mod process;
mod segment;
mod sender;
mod trace;
mod world;

use self::trace::{Line, Trace};
use self::world::{Counts, World};

/// How many seeds the gate goes through.
const ROUNDS: u64 = 24;

/// One run: its trace, and what it came to.
fn run(seed: u64) -> (Trace, Result<Counts, String>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        clock::begin();
        let trace = Trace::default();
        let ended = World::new(seed, &trace).run().await;
        (trace, ended)
    })
}

/// A number out of the environment, which only tests read.
fn named(variable: &str) -> Option<u64> {
    let named = std::env::var_os(variable)?;
    Some(named.to_str().unwrap().parse().unwrap())
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let lines = |seed| {
        let (trace, ended) = run(seed);
        ended.unwrap_or_else(|wrong| panic!("POSTMETER_SIM_SEED={seed}: {wrong}"));
        trace.lines()
    };
    for seed in 1..=3 {
        let (once, again) = (lines(seed), lines(seed));
        let differ = once.iter().zip(&again).find(|(one, other)| one != other);
        assert_eq!(differ, None::<(&Line, &Line)>, "with seed {seed}");
        assert_eq!(once.len(), again.len(), "with seed {seed}");
        assert!(once.len() > 100, "hardly anything happens with seed {seed}");
    }
    assert_ne!(lines(1), lines(2));
}

#[test]
fn whatever_breaks_nothing_acknowledged_is_lost_or_invented() {
    let first = named("POSTMETER_SIM_SEED").unwrap_or(1_000);
    let rounds = named("POSTMETER_SIM_ROUNDS").unwrap_or(ROUNDS);
    let mut sum = Counts::default();
    for seed in first..first + rounds {
        println!("POSTMETER_SIM_SEED={seed}");
        let (trace, ended) = run(seed);
        match ended {
            Ok(counts) => sum.add(counts),
            Err(wrong) => panic!(
                "{}\nPOSTMETER_SIM_SEED={seed} POSTMETER_SIM_ROUNDS=1: {wrong}",
                trace.text()
            ),
        }
    }
    println!("{rounds} seeds: {sum:?}");
    assert!(sum.kills > 0 && sum.power_cuts > 0 && sum.failed_requests > 0);
}
