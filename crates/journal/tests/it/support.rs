//! What the tests have in common: a journal in a folder of its own, and short
//! words for what they do to it.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use jiff::{Timestamp, ToSpan as _};
use journal::{
    Affinity, ClaimKey, Config, DeadLetterFilter, Draft, Entry, IndexEntry, Journal, NewDeadLetter,
    OpenError, Partition, Place, ReadLimit, Record, Seq, Settlement, Stored, Term, TermKind,
    Verdict,
};
use tempfile::TempDir;

pub(crate) const P: Partition = Partition::ZERO;

/// An engine to test: every promise is asked of what `open` returns.
pub(crate) struct Engine {
    dir: TempDir,
    config: Config,
}

impl Engine {
    pub(crate) fn new() -> Engine {
        Engine::with(|_| ())
    }

    /// An engine with other limits than the tests' own.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Engine {
        let dir = TempDir::new().unwrap();
        let mut config = Config::for_tests(dir.path().join("journal"));
        change(&mut config);
        Engine { dir, config }
    }

    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.config.dir
    }

    pub(crate) async fn try_open(&self) -> Result<Journal, OpenError> {
        assert!(self.dir.path().exists());
        Journal::open(self.config()).await
    }

    pub(crate) async fn open(&self) -> Journal {
        self.try_open().await.unwrap()
    }

    /// Closes `journal` and opens it anew.
    pub(crate) async fn reopen(&self, journal: Journal) -> Journal {
        journal.close().await.unwrap();
        drop(journal);
        self.open().await
    }
}

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
        body: body.into(),
    }
}

/// Where a record is, in an engine that numbers before it answers.
pub(crate) fn placed(stored: Stored) -> Place {
    stored.place.unwrap()
}

pub(crate) async fn append(journal: &Journal, body: impl Into<Bytes>) -> Place {
    placed(journal.append(draft(body)).unwrap().await.unwrap())
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

pub(crate) fn settlement(connection: &str, through: u64) -> Settlement {
    Settlement {
        connection: connection.to_owned(),
        partition: P,
        through: seq(through),
        claims: Vec::new(),
        dead_letters: Vec::new(),
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
