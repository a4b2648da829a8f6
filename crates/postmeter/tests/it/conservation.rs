//! A conservation oracle: events go to a real server through a real wire, and from
//! there to a stand-in for Segment, while everything that can fail fails. Then all
//! is healed, and the oracle says what is lost, invented, repeated or broken.
//!
//! A run is decided by its seed. `POSTMETER_ORACLE_RUNS` makes it many,
//! `POSTMETER_ORACLE_FAULTS` chooses what happens in them (words of [`Family`], or
//! `all`), and `POSTMETER_ORACLE_SEED` repeats the first.

mod clock;
mod disk;
mod event;
mod fault;
mod load;
mod oracle;
mod stage;
mod totals;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::Builder;

use crate::harness::PATIENCE;
use crate::harness::chance::Chance;
use event::{Event, Kind, events, plain};
use fault::{Done, Family, heal};
use load::{Heard, Load};
use oracle::{Connection, faults};
use stage::{Needs, Stage};
use totals::Totals;

/// How many events a run has.
const EVENTS: usize = 300;
/// How many runs each test makes, unless it is told otherwise.
const RUNS: u64 = 6;
/// How many runs go on at a time.
const AT_ONCE: usize = 3;
/// How many events of a run are asked about one by one.
const ASKED_ABOUT: usize = 3;
/// What happens in the runs of the gate, besides kills.
const OTHERS: &str = "pause,sockets,answers,clock,disk";
const POLL: Duration = Duration::from_millis(10);

#[test]
fn no_kill_at_any_moment_loses_or_invents_an_event() {
    run_all(&[Family::Kill]);
}

#[test]
fn no_other_fault_loses_or_invents_an_event() {
    let words = std::env::var_os("POSTMETER_ORACLE_FAULTS");
    let words = words.map_or_else(|| OTHERS.to_owned(), |words| words.into_string().unwrap());
    let mut families = Family::named(&words);
    families.retain(|family| is_possible(*family));
    run_all(&families);
}

/// Says what cannot be done on this machine.
fn is_possible(family: Family) -> bool {
    let (is_possible, why) = match family {
        Family::Clock => (clock::library().is_some(), "faketime is not installed"),
        Family::Disk => (disk::is_possible(), "no disk can be mounted"),
        _ => (true, ""),
    };
    if !is_possible {
        println!("no run has the fault {:?}: {why}", family.word());
    }
    is_possible
}

/// Runs as often as it is asked for, with seeds that follow each other.
fn run_all(families: &[Family]) {
    let first = Chance::seed("POSTMETER_ORACLE_SEED");
    let asked = std::env::var_os("POSTMETER_ORACLE_RUNS");
    let n_runs: u64 = asked.map_or(RUNS, |runs| runs.to_str().unwrap().parse().unwrap());
    let (next, totals) = (AtomicU64::new(0), Mutex::new(Totals::default()));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::SeqCst);
            if index >= n_runs {
                return;
            }
            let (seed, begun) = (first + index, Instant::now());
            let ended = catch_unwind(AssertUnwindSafe(|| run(seed, families)));
            let mut totals = totals.lock().unwrap();
            totals.enter(seed, ended.ok());
            println!(
                "run {seed}: {:.1} s; {totals}",
                begun.elapsed().as_secs_f64()
            );
        }
    };
    std::thread::scope(|threads| {
        (0..AT_ONCE).for_each(|_| drop(threads.spawn(work)));
    });
    let totals = totals.into_inner().unwrap();
    let failed = totals.failed();
    assert!(
        failed.is_empty(),
        "these seeds failed: {failed:?}; {totals}"
    );
}

fn run(seed: u64, families: &[Family]) -> Ran {
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    // Whatever the run waits for, its senders and its Segment go on beside it.
    runtime.block_on(one_run(Chance::new(seed), families))
}

/// What a run was.
struct Ran {
    done: Done,
    heard: Vec<Heard>,
    calls: usize,
    repeats: u64,
    letters: usize,
}

async fn one_run(mut chance: Chance, families: &[Family]) -> Ran {
    let n_faults = 1 + chance.below(3);
    let plan: Vec<Family> = (0..n_faults).map(|_| *chance.pick(families)).collect();
    let needs = Needs {
        disk: plan.contains(&Family::Disk),
        clock: plan.contains(&Family::Clock),
    };
    let mut done = Done::default();
    let events = Arc::new(events(EVENTS, &mut chance));
    // Small segments begin anew and end again within a run.
    let journal = ["", "max_bytes = 16000000"][chance.below(2)];
    let mut stage = Stage::start(needs, journal).await;
    if plan.iter().all(|family| *family == Family::Kill) && chance.one_in(2) {
        // A kill finds more to do where not everything works.
        let everything = (&mut chance, &mut done);
        let (idle, _) = Load::start(Arc::default(), stage.door.address());
        Family::Answers.happen(&mut stage, &idle, everything).await;
    }
    let (load, senders) = Load::start(Arc::clone(&events), stage.door.address());
    let share = EVENTS / (n_faults + 1);
    for (index, family) in plan.iter().enumerate() {
        load.done(index * share + chance.below(share)).await;
        let everything = (&mut chance, &mut done);
        family.happen(&mut stage, &load, everything).await;
    }
    let ended = tokio::time::timeout(PATIENCE, senders.join_all());
    ended.await.expect("every sender ends");
    heal(&stage);
    stage.caught_up().await;
    judge(&mut stage, &events, (load.heard(), done, chance)).await
}

/// Asks the oracle, and whether all goes on.
async fn judge(
    stage: &mut Stage,
    events: &[Event],
    (heard, done, mut chance): (Vec<Heard>, Done, Chance),
) -> Ran {
    let mut outcome = stage.outcome().await;
    outcome.refusals = done.refusals;
    let found = faults(events, &heard, &outcome);
    assert!(found.is_empty(), "{done:?}: {found:#?}");
    let stats = stage.segment.stats();
    assert!(stats.discards.is_empty(), "{done:?}: {stats:?}");
    stage.assert_sound();
    for _ in 0..ASKED_ABOUT {
        let event = chance.pick(events);
        // A disk that was full has made the journal forget early what was settled.
        let is_kept = stage.disk.is_none() && heard[event.n].taken > 0;
        if event.kind == Kind::Plain && is_kept {
            assert_explained(stage, event, &done).await;
        }
    }
    assert_goes_on(stage, events.len()).await;
    assert_eq!(stage.outcome().await.letters.len(), outcome.letters.len());
    Ran {
        done,
        heard,
        calls: outcome.calls.len(),
        repeats: stats.duplicates,
        letters: outcome.letters.len(),
    }
}

/// The folder opens again, and what comes now is sent, and nothing else.
async fn assert_goes_on(stage: &mut Stage, n: usize) {
    stage.stop();
    let n_before = stage.segment.calls().len();
    stage.restart();
    let (load, senders) = Load::start(Arc::new(vec![fresh(n)]), stage.door.address());
    load.done(1).await;
    senders.join_all().await;
    let expected = n_before + Connection::ALL.len();
    let begun = Instant::now();
    while stage.segment.calls().len() < expected {
        assert!(begun.elapsed() < PATIENCE, "a fresh event does not flow");
        tokio::time::sleep(POLL).await;
    }
    stage.caught_up().await;
    assert_eq!(stage.segment.calls().len(), expected, "old calls came anew");
}

fn fresh(n: usize) -> Event {
    Event { n: 0, ..plain(n) }
}

/// The server tells of an event what the oracle knows.
async fn assert_explained(stage: &Stage, event: &Event, done: &Done) {
    let server = stage.server();
    let id = format!("01ORACLE{:018}", event.n);
    let found = server.api(&format!("/api/find?q={id}")).await;
    let rows = found["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["kind"]["word"] == "event");
    let row = row.unwrap_or_else(|| panic!("{id} is not found: {found}"));
    let place = row["place"].as_str().unwrap();
    let told = server.api(&format!("/api/events/{place}")).await;
    assert_eq!(told["body"], *event.body, "{told}");
    for each in told["told"].as_array().unwrap() {
        let word = each["outcome"]["word"].as_str().unwrap();
        let fits: &[&str] = match each["connection"].as_str().unwrap() {
            "every" => &["accepted"],
            "first" => &["accepted", "skipped"],
            _ if Connection::Old.sends(event) => &["accepted"],
            _ => &["skipped"],
        };
        let is_refused = done.refusals && word == "buried";
        assert!(is_refused || fits.contains(&word), "{}: {each:#}", event.n);
    }
    let is_called = |each: &&Value| each["connection"] == "every";
    let every = told["told"].as_array().unwrap().iter().find(is_called);
    let name = &every.unwrap()["call"]["event"];
    assert_eq!(*name, *event.name);
}
