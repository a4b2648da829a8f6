//! Erasing: what is to go goes from every file, at a power cut too, and nothing
//! else changes by a byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use journal::log::{Log, Storage};
use journal::{
    ClaimKey, Config, DeadLetterId, Entry, IndexEntry, Indexed, Journal, Leavings, OpenError,
    ReadError, Seq, Trace, Verdict,
};

use tokio::task::JoinSet;

use crate::disk::{Disk, Fault, OUTCOMES};
use crate::support::*;

const RECORDS: u64 = 9;
const BODY_BYTES: usize = 1000;
/// Of the three segments of three records one loses nothing, one some, one all.
const DOOMED: [u64; 4] = [2, 7, 8, 9];

fn config() -> Config {
    Config {
        segment_bytes: 4000,
        ..Config::for_tests("nowhere")
    }
}

fn open(disk: &Disk) -> std::io::Result<Log> {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    Log::open(storage, &config(), Seq::ZERO)
}

fn doomed() -> BTreeMap<Seq, ClaimKey> {
    DOOMED
        .into_iter()
        .map(|number| (seq(number), key(9)))
        .collect()
}

fn body_of(number: u64) -> Bytes {
    Bytes::from(body(number, BODY_BYTES))
}

async fn fill(log: &Log) {
    for number in 1..=RECORDS {
        let permit = log.reserve(BODY_BYTES).unwrap();
        permit.append(draft(body_of(number))).await.unwrap();
    }
}

/// Which records are gone; the others must be as they were.
fn gone(log: &Log, records: u64) -> Vec<u64> {
    let entries = log.read(Seq::FIRST, Seq::new(u64::MAX), ALL).unwrap();
    let (mut gone, mut next) = (Vec::new(), 1);
    for entry in entries {
        let number = match entry {
            Entry::Record(record) => {
                let number = record.place.seq.get();
                assert_eq!(record.body, body_of(number));
                assert_eq!(record.received_at, noon());
                number
            }
            Entry::Erased(tombstone) => {
                assert_eq!(tombstone.key, key(9));
                assert_eq!(tombstone.received_at, noon());
                assert_eq!(tombstone.erased_at, days_later(1));
                assert_eq!(tombstone.workspace, "shop");
                gone.push(tombstone.place.seq.get());
                tombstone.place.seq.get()
            }
            Entry::Damaged { first, last } => panic!("{first} to {last} are damaged"),
        };
        assert_eq!(number, next, "a gap or a step back");
        next += 1;
    }
    assert_eq!(next, records + 1);
    gone
}

/// Whether any file of the disk has the body of a doomed record.
fn remains(disk: &Disk) -> bool {
    let held = |name: &String| {
        let bytes = disk.bytes(name);
        DOOMED
            .into_iter()
            .any(|number| holds(&bytes, &body_of(number)))
    };
    disk.names().iter().any(held)
}

fn holds(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}

#[tokio::test]
async fn erased_bodies_are_in_no_file_and_all_else_is_as_it_was() {
    let disk = Disk::new();
    let log = open(&disk).unwrap();
    fill(&log).await;
    let before = log.stats().bytes;
    assert_eq!(log.erase(&doomed(), days_later(1)).unwrap(), 4);
    assert_eq!(gone(&log, RECORDS), DOOMED);
    assert!(!remains(&disk));
    let freed = before - log.stats().bytes;
    assert!(freed > 4 * 900, "{freed} bytes of the budget came back");
    assert_eq!(
        log.erase(&doomed(), days_later(1)).unwrap(),
        0,
        "once is enough"
    );
    // The segment that was written to was among them; appending goes on behind it.
    let permit = log.reserve(BODY_BYTES).unwrap();
    let place = placed(permit.append(draft(body_of(10))).await.unwrap());
    assert_eq!(place.seq, seq(10));
    drop(log);
    let log = open(&disk).unwrap();
    assert_eq!(gone(&log, RECORDS + 1), DOOMED);
    let written = disk
        .names()
        .iter()
        .map(|name| disk.bytes(name).len() as u64)
        .sum::<u64>();
    assert_eq!(
        log.stats().bytes,
        written,
        "the budget counts what is there"
    );
}

#[tokio::test]
async fn a_power_cut_at_any_call_leaves_each_segment_old_or_new_and_whole() {
    let calls = {
        let disk = Disk::new();
        let log = open(&disk).unwrap();
        fill(&log).await;
        let before = disk.calls();
        log.erase(&doomed(), days_later(1)).unwrap();
        before..disk.calls()
    };
    assert!(calls.len() > 10, "{calls:?}");
    for call in calls {
        let disk = Disk::new();
        let log = open(&disk).unwrap();
        fill(&log).await;
        let disk = disk.with_fault(Fault::PowerCut { call });
        assert!(log.erase(&doomed(), days_later(1)).is_err());
        drop(log);
        for (unsynced, entries) in OUTCOMES {
            let left = disk.after_power_cut(unsynced, entries);
            let log = open(&left).unwrap();
            let first = gone(&log, RECORDS);
            assert!(
                first.iter().all(|number| DOOMED.contains(number)),
                "{first:?}"
            );
            log.erase(&doomed(), days_later(1)).unwrap();
            assert_eq!(gone(&log, RECORDS), DOOMED, "after call {call}");
            assert!(
                !remains(&left),
                "after call {call}, {unsynced:?}, {entries:?}"
            );
            let permit = log.reserve(BODY_BYTES).unwrap();
            let place = placed(permit.append(draft(body_of(10))).await.unwrap());
            assert_eq!(place.seq, seq(10), "appending goes on");
        }
    }
}

#[tokio::test]
async fn what_erase_has_returned_from_is_gone_after_any_power_cut() {
    let disk = Disk::new();
    let log = open(&disk).unwrap();
    fill(&log).await;
    log.erase(&doomed(), days_later(1)).unwrap();
    drop(log);
    for (unsynced, entries) in OUTCOMES {
        let left = disk.after_power_cut(unsynced, entries);
        assert!(!remains(&left), "{unsynced:?}, {entries:?}");
        assert_eq!(gone(&open(&left).unwrap(), RECORDS), DOOMED);
    }
}

#[tokio::test]
async fn a_record_that_is_damaged_goes_with_its_bytes() {
    for offset in [10, 500] {
        let disk = Disk::new();
        let log = open(&disk).unwrap();
        fill(&log).await;
        drop(log);
        // The second record of the first segment: its header, or its body.
        let start = 48 + "shop".len() + "key-1".len() + BODY_BYTES;
        disk.corrupt("00000000000000000001.log", |bytes| {
            bytes[start + offset] ^= 1;
        });
        let log = open(&disk).unwrap();
        assert_eq!(
            log.erase(&BTreeMap::from([(seq(2), key(9))]), days_later(1))
                .unwrap(),
            1
        );
        let bytes = disk.bytes("00000000000000000001.log");
        assert!(!holds(&bytes, &body_of(2)[..400]), "{offset}");
        let entries = log.read(seq(1), seq(3), ALL).unwrap();
        assert!(matches!(entries[1], Entry::Erased(_)), "{entries:?}");
        assert!(matches!(&entries[2], Entry::Record(record) if record.body == body_of(3)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_append_and_read_meanwhile_notice_nothing() {
    let disk = Disk::new();
    let log = Arc::new(open(&disk).unwrap());
    fill(&log).await;
    let (mut writers, writing) = (JoinSet::new(), Arc::clone(&log));
    writers.spawn(async move {
        for number in RECORDS + 1..200 {
            let permit = writing.reserve(BODY_BYTES).unwrap();
            let place = placed(permit.append(draft(body_of(number))).await.unwrap());
            assert_eq!(place.seq, seq(number));
        }
    });
    let (mut erased, mut written) = (Vec::new(), None);
    while written.is_none() {
        let last = log.stats().last.unwrap();
        log.erase(&BTreeMap::from([(last, key(9))]), days_later(1))
            .unwrap();
        erased.push(last.get());
        let entries = log.read(seq(1), last, ALL).unwrap();
        assert_eq!(
            entries.len() as u64,
            last.get(),
            "nothing is missing or damaged"
        );
        tokio::task::yield_now().await;
        written = writers.try_join_next();
    }
    written.unwrap().unwrap();
    erased.dedup();
    assert_eq!(gone(&log, 199), erased);
}

/// Every file below a folder that holds these words.
fn files_with(dir: &Path, words: &str) -> Vec<String> {
    let mut grep = Command::new("grep");
    grep.args(["-rlaF", "--", words]).arg(dir);
    let found = grep.output().unwrap();
    assert!(found.status.code() < Some(2), "{found:?}");
    let found = String::from_utf8(found.stdout).unwrap();
    found.lines().map(str::to_owned).collect()
}

/// The second of three people, with what everybody else must not notice.
async fn three_people(journal: &Journal) {
    for number in 1..=3 {
        let said = format!("{{\"email\":\"person-{number}@example.com\"}}");
        append(journal, said.clone()).await;
        let entry = IndexEntry {
            terms: vec![person(&format!("person-{number}@example.com"))],
            ..entry(number, u8::try_from(number).unwrap())
        };
        index_one(journal, entry).await;
        let mut settled = settlement("acme", number);
        settled.claims = vec![(key(u8::try_from(100 + number).unwrap()), place(number))];
        settled.dead_letters = vec![journal::NewDeadLetter {
            body: Bytes::from(said.clone()),
            call: Some(Bytes::from(format!("call {said}"))),
            ..letter(number, Some("acme"), &format!("reason {number}"))
        }];
        settled.traces = vec![Trace {
            first: seq(number),
            through: seq(number),
            value: Bytes::from(format!("no such user {said}")),
        }];
        journal.settle(settled).await.unwrap();
    }
}

/// Erases the second of the three people; says how many records and letters went.
async fn erase_the_second(journal: &Journal) -> (u64, u64) {
    let records = BTreeMap::from([(place(2), key(2))]);
    let records = journal.erase(records, days_later(1)).await.unwrap();
    let leavings = Leavings {
        letters: vec![DeadLetterId::new(2)],
        traces: vec![("acme".to_owned(), place(2))],
    };
    (records, journal.scrub(leavings).await.unwrap())
}

/// What is promised once the second of the three people is erased.
async fn second_is_gone(journal: &Journal) {
    let entries = read_all(journal).await;
    assert!(
        matches!(&entries[0], Entry::Record(record) if record.body.ends_with(b"person-1@example.com\"}"))
    );
    assert!(matches!(&entries[1], Entry::Erased(_)));
    assert!(
        matches!(&entries[2], Entry::Record(record) if record.body.ends_with(b"person-3@example.com\"}"))
    );
    assert!(matches!(
        journal.record(place(2)).await,
        Err(ReadError::Erased { .. })
    ));
    let found = |number| {
        let term = person(&format!("person-{number}@example.com"));
        async move { journal.look_up(&term, 9).await.unwrap() }
    };
    assert_eq!(
        [found(1).await, found(2).await, found(3).await],
        [vec![place(1)], vec![], vec![place(3)]]
    );
    assert_eq!(reasons(journal).await, ["reason 3", "reason 1"]);
    assert_eq!(journal.dead_letter_count().await.unwrap(), 2);
    assert_eq!(journal.traces("acme", place(2), 9).await.unwrap(), []);
    assert_eq!(journal.traces("acme", place(3), 9).await.unwrap().len(), 1);
    assert_eq!(journal.cursor("acme", P).await.unwrap(), Some(seq(3)));
    let claims = [101, 102, 103].map(key);
    let holders = journal.first_claims("acme", P, &claims).await.unwrap();
    assert_eq!(holders, [1, 2, 3].map(|number| Some(place(number))));
    assert_eq!(
        journal.verdict(place(2)).await.unwrap(),
        Some(Verdict::First)
    );
}

#[tokio::test]
async fn a_person_is_in_no_file_of_the_journal_before_and_after_a_restart() {
    for restart_first in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::for_tests(folder.path());
        let mut journal = Journal::open(config.clone()).await.unwrap();
        three_people(&journal).await;
        if restart_first {
            // What was in memory is in tables now.
            journal.close().await.unwrap();
            drop(journal);
            journal = Journal::open(config.clone()).await.unwrap();
        }
        assert_eq!(erase_the_second(&journal).await, (1, 1));
        second_is_gone(&journal).await;
        assert_eq!(files_with(folder.path(), "person-2"), [""; 0]);
        journal.close().await.unwrap();
        drop(journal);
        assert_eq!(files_with(folder.path(), "person-2"), [""; 0]);
        assert_ne!(files_with(folder.path(), "person-1"), [""; 0]);
        let journal = Journal::open(config).await.unwrap();
        second_is_gone(&journal).await;
        assert_eq!(files_with(folder.path(), "person-2"), [""; 0]);
    }
}

#[tokio::test]
async fn a_repetition_of_an_erased_event_is_one_even_after_the_index_is_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(Config::for_tests(folder.path()))
        .await
        .unwrap();
    three_people(&journal).await;
    erase_the_second(&journal).await;
    journal.rebuild_index().await.unwrap();
    for found in read_all(&journal).await {
        let entry = match found {
            Entry::Record(record) => entry(
                record.place.seq.get(),
                u8::try_from(record.place.seq.get()).unwrap(),
            ),
            Entry::Erased(tombstone) => IndexEntry {
                key: tombstone.key,
                ..entry(tombstone.place.seq.get(), 0)
            },
            Entry::Damaged { .. } => panic!("nothing is damaged"),
        };
        index_one(&journal, entry).await;
    }
    append(&journal, "again").await;
    assert_eq!(
        index_one(&journal, entry(4, 2)).await,
        Verdict::DuplicateOf(place(2))
    );
    let read = journal.read_indexed(place(1), ALL).await.unwrap();
    assert!(matches!(&read[1], Indexed::Erased(_)));
}

#[tokio::test]
async fn what_is_not_indexed_is_not_erased() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(Config::for_tests(folder.path()))
        .await
        .unwrap();
    append(&journal, "fresh").await;
    let fresh = BTreeMap::from([(place(1), key(1))]);
    let refused = journal.erase(fresh, noon()).await.unwrap_err();
    assert!(refused.to_string().contains("not indexed yet"), "{refused}");
    assert_eq!(records(read_all(&journal).await).len(), 1);
}

/// A build that knows nothing of tombstones reads an erased record as an empty one.
#[tokio::test]
async fn a_folder_with_erased_records_says_so_to_older_builds() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::for_tests(folder.path());
    let journal = Journal::open(config.clone()).await.unwrap();
    let format = || fs::read_to_string(folder.path().join("FORMAT")).unwrap();
    assert!(format().ends_with("format 1\n"));
    three_people(&journal).await;
    erase_the_second(&journal).await;
    assert!(format().ends_with("format 2\n"));
    drop(journal);
    let opened: Result<Journal, OpenError> = Journal::open(config).await;
    assert!(opened.is_ok());
}
