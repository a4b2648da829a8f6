//! A disk that gets full: events are turned away before it is, what is settled
//! makes room, and events are taken again by themselves.

use std::sync::Arc;

use journal::log::{Expiry, Log, Storage};
use journal::{AppendError, Config, Entry, Health, Seq, Unavailable};

use crate::disk::{Disk, Fault, OUTCOMES};
use crate::support::*;

const KIB: u64 = 1024;
const BALLAST: &str = "ballast";

/// A log that stops at 64 KiB of free space, on a disk of half a MiB.
fn marked() -> Config {
    Config {
        min_free_bytes: Some(64 * KIB),
        segment_bytes: 64 * KIB,
        ..Config::for_tests("nowhere")
    }
}

/// A log that may fill its disk, but for the ballast.
fn ballasted() -> Config {
    Config {
        ballast_bytes: 16 * KIB,
        ..marked_off()
    }
}

fn marked_off() -> Config {
    Config {
        min_free_bytes: Some(0),
        ..marked()
    }
}

fn open(disk: &Disk, config: &Config) -> Log {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    Log::open(storage, config, Seq::ZERO).unwrap()
}

/// Appends records of a KiB until one is turned away, looking after each as the
/// journal does every second; tells how many were acknowledged.
async fn fill(log: &Log) -> u64 {
    let mut acknowledged = 0;
    loop {
        log.look();
        let Ok(permit) = log.reserve(1000) else {
            return acknowledged;
        };
        match permit.append(draft(body(acknowledged, 1000))).await {
            Ok(_) => acknowledged += 1,
            Err(AppendError::Write(_)) => return acknowledged,
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn is_short(log: &Log) -> bool {
    matches!(log.reserve(1), Err(Unavailable::NoSpace { .. }))
}

/// Everything from the first kept record on; the bodies are numbered from zero.
fn kept(log: &Log) -> Vec<u64> {
    let entries = log.read(Seq::FIRST, Seq::new(u64::MAX), ALL).unwrap();
    let numbers = entries.iter().map(|entry| match entry {
        Entry::Record(record) => {
            let seq = record.place.seq.get();
            assert_eq!(record.body, body(seq - 1, 1000));
            seq
        }
        other => panic!("{other:?} where records should be"),
    });
    numbers.collect()
}

/// All that is settled through `settled` may go, for its age none.
fn settled(settled: u64) -> Expiry {
    Expiry {
        now: noon(),
        retention: Config::new("nowhere").retention,
        keep_from: seq(settled + 1),
    }
}

#[tokio::test]
async fn events_are_turned_away_before_the_disk_is_full() {
    let disk = Disk::of_bytes(512 * KIB);
    let log = open(&disk, &marked());
    let last = fill(&log).await;
    let free = log.stats().disk.unwrap().free_bytes;
    assert!(
        (60 * KIB..64 * KIB).contains(&free),
        "{free} bytes are free"
    );
    let Health::NoSpace {
        free_bytes,
        needed_bytes,
    } = log.stats().health
    else {
        panic!("{:?}", log.stats().health);
    };
    assert_eq!((free_bytes, needed_bytes), (free, 72 * KIB));
    assert_eq!(kept(&log), (1..=last).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_settled_makes_room_on_a_full_disk_and_what_is_not_stays() {
    let disk = Disk::of_bytes(512 * KIB);
    let log = open(&disk, &marked());
    let last = fill(&log).await;
    assert_eq!(log.trim(&settled(0)).unwrap().pieces, 0);
    assert!(is_short(&log));

    log.trim(&settled(last / 2)).unwrap();

    assert!(!is_short(&log));
    assert_eq!(log.stats().health, Health::Healthy);
    let first = log.stats().first.unwrap().get();
    assert!(first > 1 && first <= last / 2 + 1, "the first is {first}");
    assert_eq!(kept(&log), (first..=last).collect::<Vec<_>>());
    assert!(
        first < last / 3,
        "no more than needed went, but {first} records"
    );
}

/// A single segment may be all that there is room for.
#[tokio::test]
async fn a_disk_of_one_segment_is_empty_again_once_all_is_settled() {
    let disk = Disk::of_bytes(160 * KIB);
    let config = Config {
        segment_bytes: 1024 * KIB,
        ..marked()
    };
    let log = open(&disk, &config);
    for round in 0..3 {
        let before = log.stats().last.map_or(0, Seq::get);
        let n_records = fill_from(&log, before).await;
        assert!(n_records > 50, "{n_records} in round {round}");
        let last = before + n_records;
        log.trim(&settled(last - 1)).unwrap();
        assert!(is_short(&log), "the last record is not settled");
        log.trim(&settled(last)).unwrap();
        assert!(!is_short(&log));
        assert_eq!(log.stats().first, None);
    }
    let last = log.stats().last;
    drop(log);
    let log = open(&disk.after_restart(), &config);
    assert_eq!(log.stats().last, last, "places are not given out twice");
}

async fn fill_from(log: &Log, before: u64) -> u64 {
    let mut n_records = 0;
    while let Ok(permit) = log.reserve(1000) {
        let number = before + n_records;
        permit.append(draft(body(number, 1000))).await.unwrap();
        n_records += 1;
        log.look();
    }
    n_records
}

#[tokio::test]
async fn the_ballast_goes_when_a_write_finds_the_disk_full_and_comes_back() {
    let disk = Disk::of_bytes(512 * KIB);
    let log = open(&disk, &ballasted());
    assert!(disk.names().iter().any(|name| name == BALLAST));
    let last = fill(&log).await;
    assert!(!disk.names().iter().any(|name| name == BALLAST));
    assert!(is_short(&log), "the log must not use the ballast's room up");
    let free = log.stats().disk.unwrap().free_bytes;
    assert!(free >= 16 * KIB, "{free} bytes are left to the state");
    assert_eq!(kept(&log), (1..=last).collect::<Vec<_>>());

    log.trim(&settled(last)).unwrap();

    assert!(disk.names().iter().any(|name| name == BALLAST));
    assert!(!is_short(&log));
    assert_eq!(log.stats().disk.unwrap().ballast_bytes, 16 * KIB);
}

#[tokio::test]
async fn a_disk_that_another_fills_takes_events_again_when_that_one_is_gone() {
    let disk = Disk::of_bytes(512 * KIB);
    let log = open(&disk, &ballasted());
    for number in 0..3 {
        let permit = log.reserve(1000).unwrap();
        permit.append(draft(body(number, 1000))).await.unwrap();
    }
    disk.occupy(495 * KIB);
    log.look();
    assert!(is_short(&log));
    disk.occupy(485 * KIB);
    log.look();
    assert!(is_short(&log), "there is no room for the ballast yet");
    disk.occupy(400 * KIB);
    log.look();
    assert!(fill_from(&log, 3).await > 10);
}

#[tokio::test]
async fn a_log_opens_on_a_full_disk_and_lets_the_ballast_go_first() {
    let disk = Disk::of_bytes(512 * KIB);
    let log = open(&disk, &ballasted());
    let permit = log.reserve(1000).unwrap();
    permit.append(draft(body(0, 1000))).await.unwrap();
    drop(log);
    disk.occupy(512 * KIB);
    let log = open(&disk, &ballasted());
    assert!(!disk.names().iter().any(|name| name == BALLAST));
    assert!(is_short(&log));
    assert_eq!(kept(&log), [1]);
}

/// What a failed write leaves behind takes up no room that others need.
#[tokio::test]
async fn a_disk_that_stays_full_is_not_filled_with_what_was_never_acknowledged() {
    let disk = Disk::of_bytes(32 * KIB);
    let log = open(&disk, &marked_off());
    let last = fill(&log).await;
    let used = |disk: &Disk| {
        disk.names()
            .iter()
            .map(|name| disk.bytes(name).len())
            .sum::<usize>()
    };
    let before = used(&disk);
    for _ in 0..20 {
        let permit = log.reserve(1000).unwrap();
        let refused = permit.append(draft(body(last, 1000))).await;
        assert!(matches!(refused, Err(AppendError::Write(_))), "{refused:?}");
    }
    assert_eq!(used(&disk), before);
    disk.occupy(0);
    log.trim(&settled(0)).unwrap();
    assert_eq!(kept(&log), (1..=last).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_folder_that_fails_to_sync_before_all_is_trimmed_poisons_the_log_and_loses_nothing() {
    let disk = Disk::of_bytes(160 * KIB).with_fault(Fault::FailedDirSync { sync: 1 });
    let config = Config {
        segment_bytes: 1024 * KIB,
        ..marked()
    };
    let log = open(&disk, &config);
    let last = fill(&log).await;
    assert_eq!(log.trim(&settled(last)).unwrap().pieces, 0);
    let refused = log.reserve(1).map(drop);
    assert!(
        matches!(refused, Err(Unavailable::Poisoned { .. })),
        "{refused:?}"
    );
    drop(log);
    for (unsynced, entries) in OUTCOMES {
        let log = open(&disk.after_power_cut(unsynced, entries), &marked_off());
        assert_eq!(kept(&log), (1..=last).collect::<Vec<_>>());
    }
}
