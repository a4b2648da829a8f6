//! One sequential reader of a partition's log, which says what each record is.
//!
//! For each record it gives the journal the event's key, so that the first record
//! that bears it claims it and later ones are duplicates, and the words by which
//! people search. An event that nothing can be made of is buried here, once,
//! whatever the number of connections. Everything it writes can be thrown away
//! and comes back by reading the log again.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use journal::{Duty, Entry, IndexEntry, Journal, NewDeadLetter, Partition, Place, ReadLimit};
use journal::{Record, Seq, Term, TermKind, Tombstone, Verdict};
use shape::{Event, EventKey};
use tokio_util::sync::CancellationToken;

use super::keys;
use crate::duties::Work;
use crate::history::{Seen, event_code_of};
use crate::observe::Observer;

/// What is indexed in one write.
const PAGE: ReadLimit = ReadLimit {
    records: 1_000,
    bytes: 4 * 1024 * 1024,
};

/// How long records gather before they are indexed. Under load a group is
/// committed every fraction of a millisecond, and a write for each would cost
/// more in wake-ups than in work.
const GATHER: Duration = Duration::from_millis(2);

/// Follows one partition of the log.
pub(crate) struct Indexer {
    pub(crate) journal: Journal,
    pub(crate) observer: Observer,
    pub(crate) partition: Partition,
}

impl Work for Indexer {
    fn duty(&self) -> Duty {
        Duty::Index(self.partition)
    }

    fn name(&self) -> String {
        self.duty().to_string()
    }

    /// Indexes until `stop`.
    async fn run(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut durable = self.journal.durable(self.partition);
        loop {
            durable.borrow_and_update();
            while !stop.is_cancelled() && self.index_page().await? {}
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                changed = durable.changed() => changed.context("the journal is closed")?,
            }
            tokio::time::sleep(GATHER).await;
        }
    }
}

impl Indexer {
    /// Indexes a page, and says whether there was one.
    async fn index_page(&self) -> anyhow::Result<bool> {
        let indexed = *self.journal.indexed(self.partition).borrow();
        let next = indexed.map_or(Seq::FIRST, Seq::next);
        let from = Place {
            partition: self.partition,
            seq: next,
        };
        let entries = self
            .journal
            .read(from, PAGE)
            .await
            .context("cannot read the log")?;
        if entries.is_empty() {
            return Ok(false);
        }
        let (mut seen, mut told) = (Vec::new(), Vec::with_capacity(entries.len()));
        for entry in entries {
            let (workspace, (code, index_entry)) = match entry {
                Entry::Record(record) => {
                    let entry = index_entry(&record);
                    (record.workspace, entry)
                }
                Entry::Erased(tombstone) => {
                    let entry = index_entry_of(&tombstone);
                    (tombstone.workspace, entry)
                }
                Entry::Damaged { first, last } => {
                    // The journal has told of it, and set it aside.
                    self.observer.damaged(last.get() - first.get() + 1);
                    continue;
                }
            };
            seen.push((workspace, code, index_entry.seq, index_entry.received_at));
            told.push(index_entry);
        }
        let verdicts = self.journal.index(self.partition, told).await;
        let verdicts = verdicts.context("cannot write the index")?;
        let page = seen.iter().zip(verdicts);
        let page = page.map(|((workspace, code, seq, received_at), verdict)| Seen {
            seq: *seq,
            received_at: *received_at,
            workspace,
            code: *code,
            is_repeat: matches!(verdict, Verdict::DuplicateOf(_)),
        });
        let page: Vec<Seen<'_>> = page.collect();
        self.observer.indexed(self.partition, &page);
        Ok(true)
    }
}

/// What a record is counted as, and what the index is told of it.
fn index_entry(record: &Record) -> (u8, IndexEntry) {
    let parsed = Event::parse(&record.body);
    let kind = parsed.as_ref().ok().and_then(Event::kind);
    let code = event_code_of(kind);
    let (key, terms, burial) = match parsed {
        Ok(event) => (event.key(), terms(&event), None),
        Err(unusable) => {
            let burial = bury(record, None, unusable.to_string());
            (EventKey::of_body(&record.body), Vec::new(), Some(burial))
        }
    };
    let entry = IndexEntry {
        seq: record.place.seq,
        received_at: record.received_at,
        key: keys::of_event(&record.workspace, &key),
        terms,
        burial,
    };
    (code, entry)
}

/// The same of a record that was erased: a repetition of its event is still one.
fn index_entry_of(tombstone: &Tombstone) -> (u8, IndexEntry) {
    let entry = IndexEntry {
        seq: tombstone.place.seq,
        received_at: tombstone.received_at,
        key: tombstone.key,
        terms: Vec::new(),
        burial: None,
    };
    (event_code_of(None), entry)
}

fn terms(event: &Event<'_>) -> Vec<Term> {
    let (person, delivery_id) = (event.person(), event.delivery_id());
    let words = [
        (TermKind::EventId, event.event_id()),
        (TermKind::Delivery, delivery_id.as_deref()),
        (TermKind::Person, person.id.as_deref()),
        (TermKind::Person, person.email.as_deref()),
        (TermKind::Person, person.cio_id.as_deref()),
    ];
    let said = words
        .into_iter()
        .filter_map(|(kind, value)| Some((kind, value?)));
    said.map(|(kind, value)| Term {
        kind,
        value: value.to_owned(),
    })
    .collect()
}

/// The dead letter of an event that never became a call.
pub(super) fn bury(record: &Record, connection: Option<&str>, reason: String) -> NewDeadLetter {
    NewDeadLetter {
        place: record.place,
        connection: connection.map(str::to_owned),
        buried_at: Timestamp::now(),
        reason,
        event_name: None,
        call: None,
        answer: None,
        workspace: record.workspace.clone(),
        body: record.body.clone(),
    }
}
