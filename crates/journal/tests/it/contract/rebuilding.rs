//! The proof that the index is derived: thrown away, it comes back from the log
//! the very same.

use journal::{Entry, IndexEntry, Journal, Place, Record, Seq, Term, TermKind, Verdict};

use crate::support::*;

pub(crate) const RECORDS: u64 = 60;
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
pub(crate) async fn index_all(journal: &Journal) {
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
            Entry::Erased(_) | Entry::Damaged { .. } => None,
        });
        journal.index(P, records.collect()).await.unwrap();
    }
}

/// Everything that the index can be asked.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Answers {
    verdicts: Vec<Option<Verdict>>,
    found: Vec<Vec<Place>>,
    indexed: Option<Seq>,
    pub(crate) buried: Vec<String>,
}

pub(crate) async fn answers(journal: &Journal) -> Answers {
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

pub(crate) async fn filled(engine: &Engine) -> Open {
    let journal = engine.open().await;
    for number in 0..RECORDS {
        append(&journal, body(number, 500)).await;
    }
    index_all(&journal).await;
    journal
}

pub(crate) async fn a_rebuilt_index_answers_as_the_one_before(kind: Kind) {
    let engine = Engine::of(kind);
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

pub(crate) async fn a_rebuild_that_is_interrupted_ends_up_the_same(kind: Kind) {
    let engine = Engine::of(kind);
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

pub(crate) async fn a_dead_letter_that_was_removed_does_not_come_back(kind: Kind) {
    let engine = Engine::of(kind);
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

pub(crate) async fn a_rebuild_begins_at_the_first_record_that_is_kept(kind: Kind) {
    let engine = Engine::of(kind).limits(|config| config.segment_bytes = 4000);
    let journal = filled(&engine).await;
    let keep = [(P, seq(RECORDS - 2))];
    journal.trim(days_later(31), &keep).await.unwrap();
    let first = journal.stats().partitions[0].first.unwrap();
    assert!(first > seq(50));
    journal.rebuild_index().await.unwrap();
    index_all(&journal).await;
    let last = Some(seq(RECORDS));
    assert_eq!(*journal.indexed(P).borrow(), last);
    let found = journal.look_up(&terms(59)[2], 99).await.unwrap();
    assert!(found.iter().all(|place| place.seq >= first) && !found.is_empty());
}
