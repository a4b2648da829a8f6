//! Short words for what the tests do to a journal.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use jiff::{Timestamp, ToSpan as _};
use journal::{
    Affinity, Answer, ClaimKey, DeadLetterFilter, Draft, Entry, IndexEntry, Journal, NewDeadLetter,
    Partition, Place, ReadLimit, Record, Seq, Settlement, Stored, Tense, Term, TermKind, Verdict,
};
use tokio::time::{sleep, timeout};

pub(crate) use crate::engine::{Engine, Kind, Open, feed};

pub(crate) const P: Partition = Partition::ZERO;

pub(crate) fn seq(number: u64) -> Seq {
    Seq::new(number)
}

pub(crate) fn place(number: u64) -> Place {
    Place::new(P, seq(number))
}

pub(crate) fn noon() -> Timestamp {
    "2026-03-01T12:00:00.123456789Z".parse().unwrap()
}

pub(crate) fn days_later(days: i64) -> Timestamp {
    noon() + (24 * days).hours()
}

pub(crate) fn draft(body: impl Into<Bytes>) -> Draft {
    Draft {
        received_at: noon(),
        workspace: "shop".to_owned(),
        signed_by: Some("key-1".to_owned()),
        affinity: Affinity::default(),
        origin: None,
        tense: Tense::Live,
        body: body.into(),
    }
}

/// Where a record is, in an engine that numbers before it answers.
pub(crate) fn placed(stored: Stored) -> Place {
    stored.place.unwrap()
}

/// Appends a record and waits until it has its place, while nobody else appends.
pub(crate) async fn append(journal: &Journal, body: impl Into<Bytes>) -> Place {
    append_draft(journal, draft(body)).await
}

/// As [`append`], with everything that a draft says.
pub(crate) async fn append_draft(journal: &Journal, draft: Draft) -> Place {
    let before = journal.durable(P).borrow().unwrap_or(Seq::ZERO);
    let stored = journal.append(draft).unwrap().await.unwrap();
    let place = stored.place.unwrap_or(Place::new(P, before.next()));
    numbered(journal, place.seq).await;
    place
}

/// Waits until so many records have their places.
pub(crate) async fn numbered(journal: &Journal, last: Seq) {
    let mut durable = journal.durable(P);
    let numbered = durable.wait_for(|durable| *durable >= Some(last));
    soon(numbered).await.unwrap();
}

/// How long anything may take that happens by itself. A deadline, not a pause.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until it is so: for what nothing can be awaited of.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let asked = async {
        while !is_so() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, asked).await.is_ok(), "never: {what}");
}

/// What comes by itself, and long before this gives up.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    let done = timeout(PATIENCE, work).await;
    done.expect("it takes far less when it works")
}

/// Appends as many records of so many bytes each, one after another.
pub(crate) async fn append_many(journal: &Journal, records: u64, body_bytes: usize) {
    for number in 0..records {
        append(journal, body(number, body_bytes)).await;
    }
}

/// A body that no other number has.
pub(crate) fn body(number: u64, bytes: usize) -> Vec<u8> {
    let mut body = number.to_string().into_bytes();
    body.resize(bytes.max(body.len()), b'.');
    body
}

pub(crate) const ALL: ReadLimit = ReadLimit {
    records: usize::MAX,
    bytes: usize::MAX,
};

/// Everything from the beginning on.
pub(crate) async fn read_all(journal: &Journal) -> Vec<Entry> {
    journal.read(place(1), ALL).await.unwrap()
}

/// The records, where nothing is damaged.
pub(crate) fn records(entries: Vec<Entry>) -> Vec<Record> {
    let records = entries.into_iter().map(|entry| match entry {
        Entry::Record(record) => record,
        Entry::Erased(tombstone) => panic!("record {} was erased", tombstone.place),
        Entry::Damaged { first, last } => panic!("records {first} to {last} are damaged"),
    });
    records.collect()
}

pub(crate) fn key(byte: u8) -> ClaimKey {
    ClaimKey::new([byte; 16])
}

/// What the indexer says about a record that bears the event `byte`.
pub(crate) fn entry(number: u64, byte: u8) -> IndexEntry {
    IndexEntry {
        seq: seq(number),
        received_at: noon(),
        key: key(byte),
        terms: Vec::new(),
        burial: None,
    }
}

pub(crate) async fn index_one(journal: &Journal, entry: IndexEntry) -> Verdict {
    journal.index(P, vec![entry]).await.unwrap()[0]
}

pub(crate) fn person(value: &str) -> Term {
    Term {
        kind: TermKind::Person,
        value: value.to_owned(),
    }
}

pub(crate) fn letter(number: u64, connection: Option<&str>, reason: &str) -> NewDeadLetter {
    NewDeadLetter {
        place: place(number),
        connection: connection.map(str::to_owned),
        buried_at: noon(),
        reason: reason.to_owned(),
        event_name: None,
        call: None,
        answer: None,
        workspace: "shop".to_owned(),
        body: Bytes::from_static(b"{}"),
    }
}

/// A call that was answered 400.
pub(crate) fn refused(number: u64, connection: &str, reason: &str) -> NewDeadLetter {
    NewDeadLetter {
        event_name: Some("Email Sent".to_owned()),
        call: Some(Bytes::from_static(b"{}")),
        answer: Some(Answer {
            status: 400,
            body: Bytes::from_static(b"no"),
        }),
        ..letter(number, Some(connection), reason)
    }
}

pub(crate) fn settlement(connection: &str, through: u64) -> Settlement {
    Settlement {
        connection: connection.to_owned(),
        partition: P,
        through: seq(through),
        claims: Vec::new(),
        dead_letters: Vec::new(),
        traces: Vec::new(),
    }
}

/// The reasons of all dead letters, newest first.
pub(crate) async fn reasons(journal: &Journal) -> Vec<String> {
    let filter = DeadLetterFilter {
        connection: None,
        after: None,
        limit: usize::MAX,
    };
    let letters = journal.dead_letters(filter).await.unwrap();
    letters
        .into_iter()
        .map(|found| found.letter.reason)
        .collect()
}

/// Copies a journal's folder. Git keeps no empty folders, so fixtures have files
/// `.keep` in them, which are no part of the journal.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for found in fs::read_dir(from).unwrap() {
        let found = found.unwrap();
        let target = to.join(found.file_name());
        if found.file_type().unwrap().is_dir() {
            copy_folder(&found.path(), &target);
        } else if found.file_name() != ".keep" {
            fs::copy(found.path(), target).unwrap();
        }
    }
}
