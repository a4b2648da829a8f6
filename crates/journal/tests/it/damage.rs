//! What damaged bytes cost: exactly the records that they held. Damage is never
//! a reason not to open.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use journal::log::{Expiry, Log, Storage};
use journal::{Config, Entry, Indexed, Journal, ReadError, Seq, Settlement, Trace, Verdict};

use crate::disk::Disk;
use crate::support::*;

const RECORDS: u64 = 9;
const BODY_BYTES: usize = 1000;

fn config() -> Config {
    Config {
        segment_bytes: 4000,
        ..Config::for_tests("nowhere")
    }
}

/// A disk with three segments of three records each, every record a group.
async fn filled() -> Disk {
    let disk = Disk::new();
    let log = open(&disk);
    for number in 0..RECORDS {
        let permit = log.reserve(BODY_BYTES).unwrap();
        permit
            .append(draft(body(number, BODY_BYTES)))
            .await
            .unwrap();
    }
    drop(log);
    assert_eq!(disk.names().len(), 3);
    disk
}

fn open(disk: &Disk) -> Log {
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    Log::open(storage, &config(), Seq::ZERO).unwrap()
}

/// The places of intact records, and the ranges that are damaged.
fn summary(log: &Log) -> (Vec<u64>, Vec<(u64, u64)>) {
    let (mut intact, mut damaged) = (Vec::new(), Vec::new());
    for entry in log.read(Seq::FIRST, Seq::new(u64::MAX), ALL).unwrap() {
        match entry {
            Entry::Record(record) => {
                let number = record.place.seq.get();
                assert_eq!(record.body, body(number - 1, BODY_BYTES));
                intact.push(number);
            }
            Entry::Erased(_) => panic!("nothing was erased"),
            Entry::Damaged { first, last } => damaged.push((first.get(), last.get())),
        }
    }
    (intact, damaged)
}

/// Where the `index`th record of a segment begins.
fn start(index: usize) -> usize {
    index * (48 + "shop".len() + "key-1".len() + BODY_BYTES)
}

#[tokio::test]
async fn a_damaged_body_costs_one_record() {
    for (segment, index) in [(0, 0), (0, 2), (1, 1), (2, 0), (2, 1)] {
        let disk = filled().await;
        let name = &disk.names()[segment];
        disk.corrupt(name, |bytes| bytes[start(index) + 500] ^= 1);
        let log = open(&disk);
        let lost = (segment * 3 + index + 1) as u64;
        let (intact, damaged) = summary(&log);
        assert_eq!(damaged, [(lost, lost)]);
        let others: Vec<u64> = (1..=RECORDS).filter(|number| *number != lost).collect();
        assert_eq!(intact, others);
        assert_eq!(log.stats().damaged, 1);
    }
}

#[tokio::test]
async fn a_damaged_header_costs_one_record() {
    for (segment, index) in [(0, 0), (1, 1), (1, 2), (2, 1)] {
        for at in [0, 5, 9, 38] {
            let disk = filled().await;
            let name = &disk.names()[segment];
            disk.corrupt(name, |bytes| bytes[start(index) + at] ^= 0x10);
            let lost = (segment * 3 + index + 1) as u64;
            assert_eq!(summary(&open(&disk)).1, [(lost, lost)]);
        }
    }
}

#[tokio::test]
async fn damage_over_several_records_is_one_range() {
    let disk = filled().await;
    let names = disk.names();
    disk.corrupt(&names[0], |bytes| bytes[start(2) - 10..].fill(0));
    disk.corrupt(&names[1], |bytes| bytes[..start(1)].fill(0xFF));
    let (intact, damaged) = summary(&open(&disk));
    assert_eq!(damaged, [(2, 4)]);
    assert_eq!(intact, [1, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn a_segment_that_is_gone_is_one_range() {
    let disk = filled().await;
    disk.unlink(&disk.names()[1]).unwrap();
    assert_eq!(summary(&open(&disk)).1, [(4, 6)]);
}

#[tokio::test]
async fn a_flaw_in_the_last_group_is_a_torn_tail_and_no_damage() {
    let disk = filled().await;
    let name = &disk.names()[2];
    disk.corrupt(name, |bytes| bytes[start(2) + 500] ^= 1);
    let log = open(&disk);
    assert_eq!(summary(&log), ((1..RECORDS).collect(), Vec::new()));
    assert_eq!(log.stats().last, Some(Seq::new(8)));
}

#[tokio::test]
async fn a_flaw_in_the_last_group_is_damage_when_the_group_is_known_to_have_been_durable() {
    let disk = filled().await;
    let name = &disk.names()[2];
    disk.corrupt(name, |bytes| bytes[start(2) + 500] ^= 1);
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let log = Log::open(storage, &config(), Seq::new(9)).unwrap();
    assert_eq!(summary(&log), ((1..RECORDS).collect(), vec![(9, 9)]));
}

/// Bytes that look like a record inside of another one's body are not taken for
/// one, not even after damage in front of them.
#[tokio::test]
async fn a_record_inside_of_a_body_is_not_found() {
    let other = filled().await;
    let forged = other.bytes(&other.names()[0]);
    let disk = Disk::new();
    let log = open(&disk);
    for body in [&b"first"[..], &forged[start(2)..], b"third"] {
        let permit = log.reserve(body.len()).unwrap();
        permit
            .append(draft(Bytes::copy_from_slice(body)))
            .await
            .unwrap();
    }
    drop(log);
    let log = open(&disk);
    let read = records(log.read(Seq::FIRST, Seq::new(9), ALL).unwrap());
    assert_eq!(read[2].body, "third");
}

async fn journal_with_damage(engine: &Engine) -> (Journal, Disk) {
    let disk = filled().await;
    let names = disk.names();
    disk.corrupt(&names[1], |bytes| bytes.fill(0));
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let journal = Journal::open_on(engine.config(), storage).await.unwrap();
    (journal, disk)
}

#[tokio::test]
async fn the_indexer_steps_over_damage_that_it_has_read() {
    let engine = Engine::new();
    let (journal, _disk) = journal_with_damage(&engine).await;
    let before: Vec<_> = (1..=3).map(|number| entry(number, 1)).collect();
    journal.index(P, before).await.unwrap();
    assert_eq!(*journal.indexed(P).borrow(), Some(seq(3)));

    let entries = journal.read(place(4), ALL).await.unwrap();
    let damaged = Entry::Damaged {
        first: seq(4),
        last: seq(6),
    };
    assert_eq!(entries[0], damaged);
    assert!(journal.index(P, Vec::new()).await.unwrap().is_empty());
    assert_eq!(*journal.indexed(P).borrow(), Some(seq(6)));
    let verdict = index_one(&journal, entry(7, 1)).await;
    assert_eq!(verdict, Verdict::DuplicateOf(place(1)));

    let read = journal.read_indexed(place(3), ALL).await.unwrap();
    assert_eq!(read.len(), 3);
    assert!(matches!(
        read[1],
        Indexed::Damaged { first, last } if (first, last) == (seq(4), seq(6))
    ));
    assert_eq!(journal.stats().damaged, 3);
}

#[tokio::test]
async fn a_damaged_record_is_told_from_one_that_is_not_there() {
    let engine = Engine::new();
    let (journal, _disk) = journal_with_damage(&engine).await;
    let damaged = journal.record(place(5)).await;
    assert!(matches!(damaged, Err(ReadError::Damaged(at)) if at == place(5)));
    assert_eq!(journal.record(place(10)).await.unwrap(), None);
    assert!(journal.record(place(7)).await.unwrap().is_some());
}

/// A power cut may lose the middle of what was written last and keep its end.
#[tokio::test]
async fn a_torn_transaction_of_the_state_is_cut_off_and_no_other() {
    let engine = Engine::new();
    let journal = engine.open().await;
    let small = Bytes::from_static(b"small");
    journal.put_setting("early", small, None).await.unwrap();
    let large = Bytes::from(vec![7; 40_000]);
    journal.put_setting("late", large, None).await.unwrap();
    drop(journal);
    let path = engine.path().join("state/kept/0.jnl");
    let mut bytes = fs::read(&path).unwrap();
    let begin = bytes.windows(100).position(|run| run == [7; 100]).unwrap();
    bytes[begin + 8192..begin + 12_288].fill(0);
    fs::write(&path, bytes).unwrap();

    let journal = engine.open().await;

    let early = journal.setting("early").await.unwrap().unwrap();
    assert_eq!(early.value, "small");
    assert_eq!(journal.setting("late").await.unwrap(), None);
    let large = Bytes::from(vec![8; 40_000]);
    journal
        .put_setting("late", large.clone(), None)
        .await
        .unwrap();
    let journal = engine.reopen(journal).await;
    let late = journal.setting("late").await.unwrap().unwrap();
    assert_eq!(late.value, large);
}

#[tokio::test]
async fn a_torn_settlement_is_cut_off_with_its_cursor_and_its_traces() {
    let engine = Engine::new();
    let journal = engine.open().await;
    append_many(&journal, 4, 10).await;
    let settle = async |journal: &Journal, through: u64, of_byte: u8| {
        let traces = [through - 1, through].map(|last| Trace {
            first: seq(last),
            through: seq(last),
            value: Bytes::from(vec![of_byte; Trace::MAX_VALUE_BYTES]),
        });
        let settlement = Settlement {
            traces: traces.to_vec(),
            ..settlement("eu", through)
        };
        journal.settle(settlement).await.unwrap();
    };
    let told = async |journal: &Journal| {
        let mut told = Vec::new();
        for number in 1..=4 {
            let found = journal.traces("eu", place(number), 9).await.unwrap();
            told.extend(found.iter().map(|trace| (number, trace.value[0])));
        }
        (journal.cursor("eu", P).await.unwrap(), told)
    };
    settle(&journal, 2, 6).await;
    settle(&journal, 4, 7).await;
    let whole = told(&journal).await;
    assert_eq!(whole, (Some(seq(4)), vec![(1, 6), (2, 6), (3, 7), (4, 7)]));
    drop(journal);
    let path = engine.path().join("state/kept/0.jnl");
    let mut bytes = fs::read(&path).unwrap();
    let begin = bytes.windows(100).position(|run| run == [7; 100]).unwrap();
    bytes[begin + 4096..begin + 8192].fill(0);
    fs::write(&path, bytes).unwrap();

    let journal = engine.open().await;

    let before = (Some(seq(2)), vec![(1, 6), (2, 6)]);
    assert_eq!(told(&journal).await, before);
    settle(&journal, 4, 7).await;
    let journal = engine.reopen(journal).await;
    assert_eq!(told(&journal).await, whole);
}

/// The file that a damage was set aside in: its first line, and the bytes after it.
fn set_aside(disk: &Disk, name: &str) -> (String, Vec<u8>) {
    let bytes = disk.bytes(name);
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let line = String::from_utf8(bytes[..end].to_vec()).unwrap();
    (line, bytes[end + 1..].to_vec())
}

fn aside_name(first: u64, last: u64) -> String {
    format!("{first:020}-{last:020}.damaged")
}

#[tokio::test]
async fn what_cannot_be_read_is_set_aside_with_its_bytes_and_a_reason_once() {
    let disk = filled().await;
    let names = disk.names();
    disk.corrupt(&names[0], |bytes| bytes[start(1) + 500] ^= 1);
    disk.corrupt(&names[1], |bytes| bytes[start(0)..start(1)].fill(0xEE));
    let before: Vec<Vec<u8>> = names.iter().map(|name| disk.bytes(name)).collect();
    let log = open(&disk);
    for _ in 0..2 {
        assert_eq!(summary(&log).1, [(2, 2), (4, 4)]);
    }
    let (line, bytes) = set_aside(&disk, &aside_name(2, 2));
    assert!(line.contains("records 2 to 2: the checksum"), "{line}");
    assert!(line.contains(&format!("from byte {} of {}", start(1), names[0])));
    assert!(bytes == before[0][start(1)..start(2)]);
    let (line, bytes) = set_aside(&disk, &aside_name(4, 4));
    assert!(line.contains("no header where one was written"), "{line}");
    assert!(bytes == before[1][..start(1)]);
    let told = log.set_aside();
    assert_eq!(told.len(), 2, "{told:?}");
    drop(log);

    let log = open(&disk.after_restart());
    assert_eq!(log.set_aside(), told, "a restart does not forget it");
}

#[tokio::test]
async fn a_segment_that_was_cut_short_or_is_gone_says_so() {
    let disk = filled().await;
    let names = disk.names();
    disk.corrupt(&names[0], |bytes| bytes.truncate(start(1) + 20));
    disk.unlink(&names[1]).unwrap();
    let log = open(&disk);
    assert_eq!(summary(&log), (vec![1, 7, 8, 9], vec![(2, 6)]));
    let (line, bytes) = set_aside(&disk, &aside_name(2, 6));
    assert!(line.contains("ends without them, 20 bytes"), "{line}");
    assert_eq!(bytes.len(), 20);
}

#[tokio::test]
async fn what_was_set_aside_goes_with_the_records_around_it() {
    let disk = filled().await;
    disk.corrupt(&disk.names()[0], |bytes| bytes[start(1) + 500] ^= 1);
    let log = open(&disk);
    assert_eq!(summary(&log).1, [(2, 2)]);
    let expiry = Expiry {
        now: days_later(99),
        retention: Duration::from_hours(24),
        keep_from: Seq::new(10),
    };
    log.trim(&expiry).unwrap();
    assert_eq!(log.set_aside(), Vec::<String>::new());
    assert!(!disk.names().contains(&aside_name(2, 2)));
}

/// Nothing that lies in the folder is a reason not to start.
#[tokio::test]
async fn a_log_opens_whatever_is_in_its_segments() {
    for change in [
        |bytes: &mut Vec<u8>| bytes.clear(),
        |bytes: &mut Vec<u8>| bytes.fill(0),
        |bytes: &mut Vec<u8>| bytes.fill(0xFF),
        |bytes: &mut Vec<u8>| bytes.truncate(30),
        |bytes: &mut Vec<u8>| drop(bytes.splice(0..0, [7; 13])),
    ] {
        for segment in 0..3 {
            let disk = filled().await;
            disk.corrupt(&disk.names()[segment], change);
            let log = open(&disk);
            summary(&log);
            let permit = log.reserve(8).unwrap();
            permit.append(draft("one more")).await.unwrap();
        }
    }
}

/// Makes the state's kept half unreadable in one way after another.
fn break_kept(engine: &Engine, how: usize) {
    let kept = engine.path().join("state/kept");
    let table_dir = kept.join("keyspaces/0");
    match how {
        0 => fs::write(kept.join("version"), "?").unwrap(),
        1 => {
            fs::remove_dir_all(&kept).unwrap();
            fs::write(&kept, "no folder").unwrap();
            fs::remove_file(&kept).unwrap();
            fs::create_dir_all(kept.join("keyspaces/not-a-number")).unwrap();
            fs::write(kept.join("version"), "FJL\u{3}").unwrap();
            fs::write(kept.join("lock"), "").unwrap();
        }
        _ => {
            for found in fs::read_dir(table_dir).unwrap() {
                let path = found.unwrap().path();
                if path.is_file() {
                    fs::write(path, [0xA5; 64]).unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn a_state_that_does_not_open_is_set_aside_and_cursors_come_from_the_copy() {
    for how in 0..3 {
        let engine = Engine::with(|config| config.precious_settings = vec!["precious".to_owned()]);
        let journal = engine.open().await;
        append_many(&journal, 4, 10).await;
        let value = Bytes::from_static(b"value");
        for key in ["precious/1", "other"] {
            journal.put_setting(key, value.clone(), None).await.unwrap();
        }
        journal.settle(settlement("eu", 3)).await.unwrap();
        journal.close().await.unwrap();
        drop(journal);
        break_kept(&engine, how);

        let journal = engine.open().await;

        assert_eq!(
            journal.cursor("eu", P).await.unwrap(),
            Some(seq(3)),
            "{how}"
        );
        let precious = journal.setting("precious/1").await.unwrap().unwrap();
        assert_eq!(precious.value, value);
        assert_eq!(journal.setting("other").await.unwrap(), None);
        assert!(!journal.has_lost_cursors());
        assert!(engine.path().join("state/kept-broken-1").exists());
        assert!(journal.set_aside()[0].contains("kept-broken-1"));
        assert_eq!(append(&journal, "one more").await, place(5));
        journal.settle(settlement("eu", 5)).await.unwrap();
        let journal = engine.reopen(journal).await;
        assert_eq!(journal.cursor("eu", P).await.unwrap(), Some(seq(5)));
    }
}

#[tokio::test]
async fn cursors_that_are_lost_without_a_copy_are_not_lost_silently() {
    let engine = Engine::new();
    let journal = engine.open().await;
    append_many(&journal, 4, 10).await;
    journal.settle(settlement("eu", 3)).await.unwrap();
    journal.close().await.unwrap();
    drop(journal);
    break_kept(&engine, 0);
    fs::write(engine.path().join("state/spare"), "postmeter spare 1\n?").unwrap();

    let journal = engine.open().await;

    assert!(journal.has_lost_cursors());
    assert_eq!(journal.cursor("eu", P).await.unwrap(), None);
    assert_eq!(records(read_all(&journal).await).len(), 4);
}
