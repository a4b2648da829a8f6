//! The proof that the index is derived: whatever way it is lost, reading the log
//! again brings back the very same.

use std::fs;

use journal::{Entry, IndexEntry, Journal, Place, Record, Seq, Term, TermKind, Verdict};

use crate::support::*;

const RECORDS: u64 = 60;
const EVENTS: u64 = 23;

/// What an indexer makes of a record: the same for the same record, always.
fn index_entry(record: &Record) -> IndexEntry {
    let number: u64 = std::str::from_utf8(&record.body)
        .unwrap()
        .trim_end_matches('.')
        .parse()
        .unwrap();
    let event = number * number % EVENTS;
    let unusable = event.is_multiple_of(5);
    IndexEntry {
        seq: record.place.seq,
        received_at: record.received_at,
        key: key(u8::try_from(event).unwrap()),
        terms: terms(number),
        burial: unusable.then(|| letter(record.place.seq.get(), None, &number.to_string())),
    }
}

fn terms(number: u64) -> Vec<Term> {
    let term = |kind, value: String| Term { kind, value };
    vec![
        term(TermKind::EventId, format!("event-{}", number % EVENTS)),
        term(TermKind::Delivery, format!("delivery-{}", number % 7)),
        term(TermKind::Person, format!("person-{}", number % 4)),
    ]
}

/// Indexes all that is there, a few records at a time.
async fn index_all(journal: &Journal) {
    loop {
        let indexed = journal.indexed(P).borrow().unwrap_or(Seq::ZERO);
        let from = Place::new(P, indexed.next());
        let limit = journal::ReadLimit {
            records: 7,
            bytes: usize::MAX,
        };
        let entries = journal.read(from, limit).await.unwrap();
        if entries.is_empty() {
            return;
        }
        let records = entries.iter().filter_map(|entry| match entry {
            Entry::Record(record) => Some(index_entry(record)),
            Entry::Damaged { .. } => None,
        });
        journal.index(P, records.collect()).await.unwrap();
    }
}

/// Everything that the index can be asked.
#[derive(PartialEq, Eq, Debug)]
struct Answers {
    verdicts: Vec<Option<Verdict>>,
    found: Vec<Vec<Place>>,
    indexed: Option<Seq>,
    buried: Vec<String>,
}

async fn answers(journal: &Journal) -> Answers {
    let mut verdicts = Vec::new();
    for number in 1..=RECORDS + 1 {
        verdicts.push(journal.verdict(place(number)).await.unwrap());
    }
    let mut found = Vec::new();
    for term in (0..EVENTS).flat_map(terms) {
        found.push(journal.look_up(&term, 99).await.unwrap());
    }
    Answers {
        verdicts,
        found,
        indexed: *journal.indexed(P).borrow(),
        buried: reasons(journal).await,
    }
}

async fn filled(engine: &Engine) -> Journal {
    let journal = engine.open().await;
    for number in 0..RECORDS {
        append(&journal, body(number, 500)).await;
    }
    index_all(&journal).await;
    journal
}

#[tokio::test]
async fn a_rebuilt_index_answers_as_the_one_before() {
    let engine = Engine::new();
    let journal = filled(&engine).await;
    let before = answers(&journal).await;
    let duplicates = before.verdicts.iter().flatten();
    let duplicates = duplicates.filter(|verdict| **verdict != Verdict::First);
    assert!(duplicates.count() > 20, "the records do repeat events");
    assert!(!before.buried.is_empty());

    journal.rebuild_index().await.unwrap();
    assert_eq!(*journal.indexed(P).borrow(), None);
    assert_eq!(journal.verdict(place(1)).await.unwrap(), None);
    assert!(journal.look_up(&terms(1)[0], 9).await.unwrap().is_empty());

    index_all(&journal).await;
    assert_eq!(answers(&journal).await, before);
    let journal = engine.reopen(journal).await;
    assert_eq!(answers(&journal).await, before);
}

#[tokio::test]
async fn an_index_that_was_deleted_comes_back_the_same() {
    let engine = Engine::new();
    let journal = filled(&engine).await;
    let before = answers(&journal).await;
    drop(journal);
    fs::remove_dir_all(engine.path().join("state/derived")).unwrap();
    let journal = engine.open().await;
    assert_eq!(*journal.indexed(P).borrow(), None);
    index_all(&journal).await;
    assert_eq!(answers(&journal).await, before);
}

#[tokio::test]
async fn an_index_that_cannot_be_opened_is_built_anew() {
    let engine = Engine::new();
    let journal = filled(&engine).await;
    let before = answers(&journal).await;
    drop(journal);
    fs::write(engine.path().join("state/derived/version"), "?").unwrap();
    let journal = engine.open().await;
    index_all(&journal).await;
    assert_eq!(answers(&journal).await, before);
}

#[tokio::test]
async fn a_rebuild_that_is_interrupted_ends_up_the_same() {
    let engine = Engine::new();
    let journal = filled(&engine).await;
    let before = answers(&journal).await;
    journal.rebuild_index().await.unwrap();
    let records = records(journal.read(place(1), ALL).await.unwrap());
    let entries = records.iter().take(20).map(index_entry);
    journal.index(P, entries.collect()).await.unwrap();
    let journal = engine.reopen(journal).await;
    assert_eq!(*journal.indexed(P).borrow(), Some(seq(20)));
    index_all(&journal).await;
    assert_eq!(answers(&journal).await, before);
}

/// What a kill leaves is what is in the files at that moment.
#[tokio::test]
async fn a_kill_takes_the_index_back_and_it_catches_up_the_same() {
    for records_in_memory in [1, 20, 1000] {
        let engine = Engine::with(|config| config.index_records_in_memory = records_in_memory);
        let journal = filled(&engine).await;
        let before = answers(&journal).await;
        let killed = Engine::with(|config| config.index_records_in_memory = records_in_memory);
        copy_folder(engine.path(), killed.path());

        let journal = killed.open().await;

        let indexed = journal.indexed(P).borrow().map_or(0, Seq::get);
        assert!(indexed < RECORDS, "nothing was in memory only");
        assert_eq!(reasons(&journal).await, before.buried);
        index_all(&journal).await;
        assert_eq!(answers(&journal).await, before);
        let journal = killed.reopen(journal).await;
        assert_eq!(answers(&journal).await, before);
    }
}

#[tokio::test]
async fn records_whose_index_is_in_memory_only_are_not_trimmed_away_from_a_kill() {
    let small = |config: &mut journal::Config| {
        config.segment_bytes = 4000;
        config.index_records_in_memory = 1000;
    };
    let engine = Engine::with(small);
    let journal = filled(&engine).await;
    journal.trim(days_later(31), &[]).await.unwrap();
    let before = answers(&journal).await;
    let killed = Engine::with(small);
    copy_folder(engine.path(), killed.path());
    let journal = killed.open().await;
    index_all(&journal).await;
    assert_eq!(answers(&journal).await, before);
}

#[tokio::test]
async fn a_dead_letter_that_was_removed_does_not_come_back() {
    let engine = Engine::new();
    let journal = filled(&engine).await;
    let filter = journal::DeadLetterFilter {
        connection: None,
        after: None,
        limit: 1,
    };
    let newest = journal.dead_letters(filter).await.unwrap()[0].id;
    journal.remove_dead_letter(newest).await.unwrap();
    let before = reasons(&journal).await;
    journal.rebuild_index().await.unwrap();
    index_all(&journal).await;
    assert_eq!(reasons(&journal).await, before);
}

#[tokio::test]
async fn a_rebuild_begins_at_the_first_record_that_is_kept() {
    let engine = Engine::with(|config| config.segment_bytes = 4000);
    let journal = filled(&engine).await;
    journal.trim(days_later(31), &[]).await.unwrap();
    let first = journal.stats().partitions[0].first.unwrap();
    assert!(first > seq(50));
    journal.rebuild_index().await.unwrap();
    index_all(&journal).await;
    let last = Some(seq(RECORDS));
    assert_eq!(*journal.indexed(P).borrow(), last);
    let found = journal.look_up(&terms(59)[2], 99).await.unwrap();
    assert!(found.iter().all(|place| place.seq >= first) && !found.is_empty());
}
