//! Cuts the power at every call that the log makes of its disk, and holds the
//! log to its promise:
//!
//! - every record that was acknowledged is there, byte for byte, in order;
//! - no place is acknowledged twice, nor read as two different records;
//! - nothing is there that was never appended;
//! - appending goes on.

mod large;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use journal::log::{Expiry, Log, Storage};
use journal::{AppendError, Config, Entry, Health, Seq, Stored, Unavailable};
use tokio::runtime::{Builder, Runtime};

use crate::disk::{Disk, Entries, Fault, OUTCOMES, Unsynced};
use crate::support::*;

/// A part of a workload.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// One record, waited for.
    Alone(usize),
    /// As many records committed by one sync, after one that is alone.
    Group(u64, usize),
    /// Everything but the last segment goes.
    Trim,
}

const WORKLOADS: [&[Step]; 5] = [
    &[Step::Alone(10), Step::Alone(5000), Step::Alone(0)],
    &[Step::Alone(10), Step::Group(3, 100)],
    &[Step::Group(3, 700), Step::Alone(20), Step::Group(4, 300)],
    // Segments are 4000 bytes: these roll.
    &[
        Step::Alone(3000),
        Step::Group(2, 1500),
        Step::Alone(3000),
        Step::Alone(100),
    ],
    &[
        Step::Alone(3000),
        Step::Alone(3000),
        Step::Alone(3000),
        Step::Trim,
        Step::Alone(3000),
        Step::Trim,
        Step::Alone(10),
    ],
];

/// One outcome of each kind, where all of them would be too many.
const FEW_OUTCOMES: [(Unsynced, Entries); 3] = [
    (Unsynced::Lost, Entries::AsSynced),
    (Unsynced::Kept, Entries::AsSeen),
    (Unsynced::HoleFirst, Entries::AsSeen),
];

/// What may be expected of the log, over all its lives.
#[derive(Clone, Default)]
struct Oracle {
    appended: BTreeMap<Bytes, u64>,
    acknowledged: BTreeMap<Seq, Bytes>,
    /// What was read once reads the same for ever.
    seen: BTreeMap<Seq, Bytes>,
    /// Records below may have been trimmed.
    trimmed: u64,
}

type Answer = Pin<Box<dyn Future<Output = Result<Stored, AppendError>>>>;

/// An append on its way; refused when there is no answer to wait for.
struct Pending {
    body: Bytes,
    answer: Option<Answer>,
}

fn config() -> Config {
    Config {
        segment_bytes: 4000,
        max_bytes: 1_000_000,
        ..Config::for_tests("nowhere")
    }
}

fn open(disk: &Disk) -> Option<Log> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    Log::open(storage, &config(), Seq::ZERO).ok()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

impl Oracle {
    fn new_body(&mut self, bytes: usize) -> Bytes {
        let number = self.appended.len() as u64;
        let body = Bytes::from(body(number, bytes));
        self.appended.insert(body.clone(), number);
        body
    }

    /// Runs a workload to its end, whatever fails on the way.
    fn run(&mut self, log: &Log, disk: &Disk, steps: &[Step]) {
        for step in steps {
            match *step {
                Step::Alone(bytes) => self.append(log, &[bytes]),
                Step::Group(records, bytes) => {
                    disk.hold();
                    let mut sizes = vec![bytes];
                    sizes.resize(usize::try_from(records).unwrap() + 1, bytes);
                    self.append_held(log, disk, &sizes);
                }
                Step::Trim => self.trim(log),
            }
        }
    }

    fn append(&mut self, log: &Log, sizes: &[usize]) {
        let answers: Vec<_> = sizes.iter().map(|bytes| self.start(log, *bytes)).collect();
        for answer in answers {
            self.finish(answer);
        }
    }

    /// The first is held by the disk until the others wait behind it.
    fn append_held(&mut self, log: &Log, disk: &Disk, sizes: &[usize]) {
        let first = self.start(log, sizes[0]);
        if first.answer.is_some() {
            disk.wait_until_held();
        }
        let others: Vec<_> = sizes[1..]
            .iter()
            .map(|bytes| self.start(log, *bytes))
            .collect();
        disk.release();
        self.finish(first);
        for answer in others {
            self.finish(answer);
        }
    }

    fn start(&mut self, log: &Log, bytes: usize) -> Pending {
        let body = self.new_body(bytes);
        let answer = log.reserve(body.len()).ok().map(|permit| {
            let answer = permit.append(draft(body.clone()));
            Box::pin(answer) as Answer
        });
        Pending { body, answer }
    }

    fn finish(&mut self, Pending { body, answer }: Pending) {
        let Some(Ok(stored)) = answer.map(wait) else {
            return;
        };
        let place = placed(stored);
        let before = self.acknowledged.insert(place.seq, body.clone());
        assert_eq!(before, None, "place {place} was acknowledged twice");
        let seen = self.seen.insert(place.seq, body);
        assert_eq!(seen, None, "place {place} held another record before");
    }

    fn trim(&mut self, log: &Log) {
        let keep_from = Seq::new(u64::MAX);
        let expiry = Expiry {
            now: days_later(99),
            retention: config().retention,
            keep_from,
        };
        log.trim(&expiry).ok();
        // A trim that failed half-way may still have unlinked for good.
        let newest = self.acknowledged.keys().next_back();
        self.trimmed = newest.map_or(0, |seq| seq.get());
    }

    /// Everything that is promised of a log that has just been opened.
    fn check(&mut self, log: &Log) {
        let entries = log.read(Seq::FIRST, Seq::new(u64::MAX), ALL).unwrap();
        let mut read = BTreeMap::new();
        for record in records(entries) {
            if let Some((last, _)) = read.last_key_value() {
                assert_eq!(record.place.seq, Seq::next(*last), "a gap or a step back");
            }
            assert!(
                self.appended.contains_key(&record.body),
                "record {} was never appended",
                record.place
            );
            read.insert(record.place.seq, record.body);
        }
        for (seq, body) in &self.acknowledged {
            let kept = read.get(seq);
            if kept.is_some() || seq.get() >= self.trimmed {
                assert_eq!(kept, Some(body), "acknowledged record {seq}");
            }
        }
        for (seq, body) in read {
            let before = self.seen.entry(seq).or_insert_with(|| body.clone());
            assert_eq!(*before, body, "record {seq} was another one before");
        }
    }

    /// A life after a crash: all promises hold, and appending goes on.
    fn live_again(&mut self, disk: &Disk) {
        let log = open(disk).expect("nothing is wrong with the disk any more");
        self.check(&log);
        let before = self.acknowledged.len();
        self.run(&log, disk, &[Step::Alone(50), Step::Group(2, 1500)]);
        assert_eq!(self.acknowledged.len(), before + 4, "appending goes on");
        self.check(&log);
    }
}

/// How many changing calls a workload makes of a healthy disk.
fn calls(steps: &[Step], disk: &Disk) -> usize {
    let before = disk.calls();
    let log = open(disk).unwrap();
    Oracle::default().run(&log, disk, steps);
    drop(log);
    disk.calls() - before
}

/// Runs a workload on `disk` until the power goes at `call`, and drops the log.
fn run_until_cut(oracle: &mut Oracle, disk: Disk, steps: &[Step], call: usize) -> Disk {
    let disk = disk.with_fault(Fault::PowerCut { call });
    if let Some(log) = open(&disk) {
        oracle.run(&log, &disk, steps);
    }
    disk
}

#[test]
fn a_power_cut_at_any_call_takes_nothing_that_was_acknowledged() {
    for steps in WORKLOADS {
        for call in 0..calls(steps, &Disk::new()) {
            let mut oracle = Oracle::default();
            let disk = run_until_cut(&mut oracle, Disk::new(), steps, call);
            for (unsynced, entries) in OUTCOMES {
                let left = disk.after_power_cut(unsynced, entries);
                oracle.clone().live_again(&left);
            }
        }
    }
}

#[test]
fn a_second_power_cut_at_any_call_takes_nothing_either() {
    let again: &[Step] = &[Step::Alone(40), Step::Group(2, 1500)];
    for steps in WORKLOADS {
        for call in 0..calls(steps, &Disk::new()) {
            let mut oracle = Oracle::default();
            let disk = run_until_cut(&mut oracle, Disk::new(), steps, call);
            for (unsynced, entries) in FEW_OUTCOMES {
                let left = disk.after_power_cut(unsynced, entries);
                for call in 0..calls(again, &left.after_restart()) {
                    let mut oracle = oracle.clone();
                    // What this life reads, the next must read, too.
                    oracle.check(&open(&left.after_restart()).unwrap());
                    let disk = left.after_restart();
                    let disk = run_until_cut(&mut oracle, disk, again, call);
                    for (unsynced, entries) in FEW_OUTCOMES {
                        let left = disk.after_power_cut(unsynced, entries);
                        oracle.clone().live_again(&left);
                    }
                }
            }
        }
    }
}

/// Killed, not cut off: what was not synced can still be read, and may still be
/// lost.
#[test]
fn a_power_cut_after_a_kill_takes_nothing_that_was_read_in_between() {
    for steps in WORKLOADS {
        for call in 0..calls(steps, &Disk::new()) {
            let mut oracle = Oracle::default();
            let disk = run_until_cut(&mut oracle, Disk::new(), steps, call);
            let restarted = disk.after_restart();
            let log = open(&restarted).unwrap();
            oracle.check(&log);
            let read: Vec<Seq> = oracle.seen.keys().copied().collect();
            drop(log);
            for (unsynced, entries) in OUTCOMES {
                let left = restarted.after_power_cut(unsynced, entries);
                let log = open(&left).unwrap();
                oracle.clone().check(&log);
                let last = log.stats().last;
                assert!(read.last() <= last.as_ref(), "{read:?}, then {last:?}");
            }
        }
    }
}

#[test]
fn a_group_is_on_the_disk_when_its_first_record_is_answered() {
    let disk = Disk::new();
    let log = open(&disk).unwrap();
    let mut oracle = Oracle::default();
    oracle.run(&log, &disk, &[Step::Group(5, 100)]);
    assert_eq!(oracle.acknowledged.len(), 6);
    assert_eq!(disk.syncs(), 2, "one for the first, one for all others");
    assert_eq!(disk.dir_syncs(), 1, "one for the segment");
}

#[test]
fn a_failed_append_costs_its_group_and_no_other() {
    for steps in WORKLOADS {
        let healthy = Disk::new();
        calls(steps, &healthy);
        for append in 0..healthy.appends() {
            let disk = Disk::new().with_fault(Fault::FailedAppend { append });
            let log = open(&disk).unwrap();
            let mut oracle = Oracle::default();
            oracle.run(&log, &disk, steps);
            oracle.check(&log);
            let before = oracle.acknowledged.len();
            oracle.run(&log, &disk, &[Step::Alone(10)]);
            assert_eq!(oracle.acknowledged.len(), before + 1);
            assert_eq!(log.stats().health, Health::Healthy);
            drop(log);
            for (unsynced, entries) in OUTCOMES {
                let left = disk.after_power_cut(unsynced, entries);
                oracle.clone().live_again(&left);
            }
            oracle.live_again(&disk.after_restart());
        }
    }
}

#[test]
fn a_disk_that_fails_to_write_shows_until_it_writes_again() {
    let disk = Disk::new().with_fault(Fault::FailedAppend { append: 1 });
    let log = open(&disk).unwrap();
    let append = |bytes: usize| {
        let permit = log.reserve(bytes).unwrap();
        wait(permit.append(draft(body(0, bytes))))
    };
    append(10).unwrap();
    assert!(matches!(append(10), Err(AppendError::Write(_))));
    assert!(matches!(log.stats().health, Health::Failing { .. }));
    append(10).unwrap();
    assert_eq!(log.stats().health, Health::Healthy);
}

/// What a failed sync leaves in memory no later sync brings onto the disk. It was
/// read back after a restart all the same; an event that was sent again was taken for
/// the repetition of such a record, and the next power cut took the record away.
#[test]
fn what_can_be_read_after_a_failed_sync_and_a_restart_outlives_a_power_cut() {
    let records = |disk: &Disk| {
        let log = open(disk).unwrap();
        let read = log.read(Seq::FIRST, Seq::new(u64::MAX), ALL).unwrap();
        read.into_iter()
            .filter(|entry| matches!(entry, Entry::Record(_)))
            .collect::<Vec<_>>()
    };
    for steps in WORKLOADS {
        let healthy = Disk::new();
        calls(steps, &healthy);
        for sync in 0..healthy.syncs() {
            let disk = Disk::new().with_fault(Fault::FailedSync { sync });
            let log = open(&disk).unwrap();
            Oracle::default().run(&log, &disk, steps);
            drop(log);
            let restarted = disk.after_restart();
            let before = records(&restarted);
            for (unsynced, entries) in OUTCOMES {
                let left = records(&restarted.after_power_cut(unsynced, entries));
                assert_eq!(left, before, "after sync {sync} failed in {steps:?}");
            }
        }
    }
}

/// Whatever a failed sync leaves in memory, nothing that was acknowledged
/// depends on it.
#[test]
fn a_failed_sync_poisons_the_log_until_it_is_opened_anew() {
    for steps in WORKLOADS {
        let healthy = Disk::new();
        calls(steps, &healthy);
        let syncs = (0..healthy.syncs()).map(|sync| Fault::FailedSync { sync });
        // The first syncs of the folder are those of new segments; trimming
        // syncs it too and has nothing to lose by failing.
        let dir_syncs = (0..1).map(|sync| Fault::FailedDirSync { sync });
        for fault in syncs.chain(dir_syncs) {
            let disk = Disk::new().with_fault(fault);
            let log = open(&disk).unwrap();
            let mut oracle = Oracle::default();
            oracle.run(&log, &disk, steps);
            let refused = log.reserve(1).map(drop);
            assert!(
                matches!(refused, Err(Unavailable::Poisoned { .. })),
                "{refused:?} after {fault:?} in {steps:?}"
            );
            assert!(matches!(log.stats().health, Health::Poisoned { .. }));
            drop(log);

            for (unsynced, entries) in OUTCOMES {
                let left = disk.after_power_cut(unsynced, entries);
                oracle.clone().live_again(&left);
            }
            let restarted = disk.after_restart();
            oracle.live_again(&restarted);
            for (unsynced, entries) in OUTCOMES {
                let left = restarted.after_power_cut(unsynced, entries);
                let log = open(&left).unwrap();
                let read = log.read(Seq::FIRST, Seq::new(u64::MAX), ALL).unwrap();
                let read: Vec<_> = read
                    .iter()
                    .filter_map(|entry| match entry {
                        Entry::Record(record) => Some((record.place.seq, &record.body)),
                        Entry::Erased(_) | Entry::Damaged { .. } => None,
                    })
                    .collect();
                let kept = oracle.acknowledged.range(seq(oracle.trimmed)..);
                for acknowledged in kept.map(|(seq, body)| (*seq, body)) {
                    assert!(read.contains(&acknowledged), "{acknowledged:?}");
                }
            }
        }
    }
}

#[test]
fn nothing_is_given_a_place_that_the_state_knows_already() {
    let disk = Disk::new();
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let log = Log::open(storage, &config(), Seq::new(41)).unwrap();
    let permit = log.reserve(10).unwrap();
    let place = placed(wait(permit.append(draft("a"))).unwrap());
    assert_eq!(place.seq, Seq::new(42));
    assert_eq!(disk.names(), ["00000000000000000042.log"]);
}
