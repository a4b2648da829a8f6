//! Random operations against a plain model in memory: whatever is done in
//! whatever order, and however often the journal is opened anew, both say the
//! same.

mod check;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use journal::{
    Config, DeadLetterFilter, Draft, IndexEntry, Journal, PutError, Revision, Seq, Settlement,
    Trace, Verdict,
};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

use crate::support::*;

/// Few, so that operations meet.
const CONNECTIONS: [&str; 3] = ["eu", "us", "eu-2"];
const KEYS: u8 = 6;
const SETTINGS: [&str; 2] = ["connections", "names"];

#[derive(Clone, Debug)]
enum Operation {
    Append {
        bytes: usize,
        event: u8,
    },
    AppendTogether {
        records: usize,
    },
    Index {
        most: usize,
    },
    Settle {
        connection: usize,
        back: u64,
        claims: Vec<u8>,
        letter: bool,
        /// How far before the settled record, and over how many.
        traces: Vec<(u64, u64)>,
    },
    PlaceCursor {
        connection: usize,
        back: u64,
    },
    ResetClaims {
        connection: usize,
    },
    Forget {
        connection: usize,
    },
    RemoveLetter {
        /// How many are newer.
        newer: usize,
    },
    Put {
        setting: usize,
        expecting: Expecting,
    },
    RemoveSetting {
        setting: usize,
        expecting: Expecting,
    },
    Trim {
        sparing: Sparing,
    },
    Rebuild,
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    let connection = 0..CONNECTIONS.len();
    prop_oneof![
        8 => (0..3000_usize, 0..KEYS).prop_map(|(bytes, event)| Operation::Append { bytes, event }),
        4 => (2..9_usize).prop_map(|records| Operation::AppendTogether { records }),
        8 => (1..9_usize).prop_map(|most| Operation::Index { most }),
        6 => (
            connection.clone(),
            0..5_u64,
            prop::collection::vec(0..KEYS, 0..4),
            any::<bool>(),
            prop::collection::vec((0..3_u64, 0..7_u64), 0..3),
        )
            .prop_map(|(connection, back, claims, letter, traces)| Operation::Settle {
                connection, back, claims, letter, traces,
            }),
        1 => (connection.clone(), 0..9_u64)
            .prop_map(|(connection, back)| Operation::PlaceCursor { connection, back }),
        1 => connection.clone().prop_map(|connection| Operation::ResetClaims { connection }),
        1 => connection.prop_map(|connection| Operation::Forget { connection }),
        1 => (0..3_usize).prop_map(|newer| Operation::RemoveLetter { newer }),
        2 => (0..SETTINGS.len(), expecting())
            .prop_map(|(setting, expecting)| Operation::Put { setting, expecting }),
        1 => (0..SETTINGS.len(), expecting())
            .prop_map(|(setting, expecting)| Operation::RemoveSetting { setting, expecting }),
        2 => prop_oneof![Just(Sparing::Unindexed), Just(Sparing::Unsettled)]
            .prop_map(|sparing| Operation::Trim { sparing }),
        1 => Just(Operation::Rebuild),
        2 => Just(Operation::Reopen),
    ]
}

fn expecting() -> impl Strategy<Value = Expecting> {
    prop_oneof![Just(Expecting::TheNewest), Just(Expecting::Another)]
}

/// Where a record was carried over from, if it was.
fn origin(number: u64) -> Option<Seq> {
    number.is_multiple_of(3).then(|| seq(number + 1000))
}

/// Which revision a setting is put over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expecting {
    TheNewest,
    Another,
}

/// What trimming must leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sparing {
    Unindexed,
    Unsettled,
}

/// What the journal should hold.
#[derive(Default)]
struct Model {
    /// The body and the event of every record that was ever appended.
    records: Vec<(Bytes, u8)>,
    first: u64,
    indexed: u64,
    holders: HashMap<u8, u64>,
    duplicates: BTreeMap<u64, u64>,
    cursors: HashMap<usize, u64>,
    claims: HashMap<(usize, u8), u64>,
    /// By connection and last record.
    traces: BTreeMap<(usize, u64), Trace>,
    /// Oldest first: the connection and the reason.
    letters: Vec<(Option<usize>, String)>,
    settings: HashMap<usize, (Bytes, Revision)>,
    buried_through: u64,
}

fn limits(config: &mut Config) {
    config.segment_bytes = 8000;
    config.max_bytes = 40_000;
}

impl Model {
    fn last(&self) -> u64 {
        self.records.len() as u64
    }

    fn new_body(&mut self, bytes: usize, event: u8) -> Bytes {
        let mut unique = vec![event];
        unique.extend(body(self.last(), bytes));
        let body = Bytes::from(unique);
        self.records.push((body.clone(), event));
        body
    }

    async fn append(&mut self, journal: &Journal, sizes: &[(usize, u8)]) {
        let mut answers = Vec::new();
        for (bytes, event) in sizes {
            let Ok(permit) = journal.reserve(bytes + 30) else {
                break;
            };
            let body = self.new_body(*bytes, *event);
            let draft = Draft {
                origin: origin(self.last()),
                ..draft(body)
            };
            answers.push((self.last(), permit.append(draft)));
        }
        for (number, answer) in answers {
            let stored = answer.await.unwrap();
            assert!(stored.place.is_none_or(|there| there == place(number)));
        }
        if self.last() > 0 {
            numbered(journal, seq(self.last())).await;
        }
    }

    async fn index(&mut self, journal: &Journal, most: usize) {
        let from = self.indexed.max(self.first.saturating_sub(1)) + 1;
        let numbers = (from..=self.last()).take(most);
        let entries: Vec<_> = numbers.map(|number| self.entry(number)).collect();
        let expected: Vec<_> = entries.iter().map(|entry| self.index_one(entry)).collect();
        let verdicts = journal.index(P, entries).await.unwrap();
        assert_eq!(verdicts, expected);
    }

    fn entry(&self, number: u64) -> IndexEntry {
        let event = self.event(number);
        let burial = (event == 0).then(|| letter(number, None, &format!("of {number}")));
        IndexEntry {
            terms: vec![person(&event.to_string())],
            burial,
            ..entry(number, event)
        }
    }

    fn event(&self, number: u64) -> u8 {
        self.records[usize::try_from(number - 1).unwrap()].1
    }

    fn index_one(&mut self, entry: &IndexEntry) -> Verdict {
        let number = entry.seq.get();
        let event = self.event(number);
        self.indexed = number;
        let holder = *self.holders.entry(event).or_insert(number);
        if holder != number {
            self.duplicates.insert(number, holder);
            return Verdict::DuplicateOf(place(holder));
        }
        if entry.burial.is_some() && number > self.buried_through {
            self.buried_through = number;
            self.letters.push((None, format!("of {number}")));
        }
        Verdict::First
    }

    async fn settle(&mut self, journal: &Journal, operation: &Operation) {
        let Operation::Settle {
            connection,
            back,
            claims,
            letter: bury,
            traces,
        } = operation
        else {
            return;
        };
        let through = self.indexed.saturating_sub(*back);
        if through == 0 {
            return; // no record, no claim
        }
        let name = CONNECTIONS[*connection];
        let mut settlement = Settlement {
            claims: claims
                .iter()
                .map(|byte| (key(*byte), place(through)))
                .collect(),
            ..settlement(name, through)
        };
        if *bury {
            let reason = format!("{name} {}", self.letters.len());
            settlement.dead_letters = vec![letter(through, Some(name), &reason)];
            self.letters.push((Some(*connection), reason));
        }
        for (before, over) in traces {
            let last = through.saturating_sub(*before).max(1);
            let trace = Trace {
                first: seq(last.saturating_sub(*over)),
                through: seq(last),
                value: Bytes::from(format!("{} of {last}", self.traces.len())),
            };
            self.traces.insert((*connection, last), trace.clone());
            settlement.traces.push(trace);
        }
        journal.settle(settlement).await.unwrap();
        let cursor = self.cursors.entry(*connection).or_insert(through);
        *cursor = through.max(*cursor);
        for byte in claims {
            self.claims.entry((*connection, *byte)).or_insert(through);
        }
    }

    async fn put(&mut self, journal: &Journal, setting: usize, expecting: Expecting) {
        let value = Bytes::from(self.last().to_string());
        let known = self.settings.get(&setting).map(|(_, revision)| *revision);
        let wrong = known.map_or(Some(Revision::new(9999)), |_| None);
        let expected = match expecting {
            Expecting::TheNewest => known,
            Expecting::Another => wrong,
        };
        let put = journal.put_setting(SETTINGS[setting], value.clone(), expected);
        match put.await {
            Ok(revision) => {
                assert_eq!(expecting, Expecting::TheNewest);
                self.settings.insert(setting, (value, revision));
            }
            Err(PutError::Conflict { found }) => {
                assert_eq!(expecting, Expecting::Another);
                assert_eq!(found, known);
            }
            Err(PutError::State(error)) => panic!("{error}"),
        }
    }

    async fn remove_setting(&mut self, journal: &Journal, setting: usize, expecting: Expecting) {
        let known = self.settings.get(&setting).map(|(_, revision)| *revision);
        let expected = match (expecting, known) {
            (Expecting::TheNewest, Some(revision)) => revision,
            (Expecting::TheNewest, None) => return,
            (Expecting::Another, _) => Revision::new(9999),
        };
        match journal.remove_setting(SETTINGS[setting], expected).await {
            Ok(()) => {
                assert_eq!(expecting, Expecting::TheNewest);
                self.settings.remove(&setting);
            }
            Err(PutError::Conflict { found }) => {
                assert_eq!(expecting, Expecting::Another);
                assert_eq!(found, known);
            }
            Err(PutError::State(error)) => panic!("{error}"),
        }
    }

    async fn remove_letter(&mut self, journal: &Journal, newer: usize) {
        let filter = DeadLetterFilter {
            connection: None,
            after: None,
            limit: newer + 1,
        };
        let newest = journal.dead_letters(filter).await.unwrap();
        let Some(doomed) = newest.get(newer) else {
            return;
        };
        let found = journal.dead_letter(doomed.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(doomed));
        assert!(journal.remove_dead_letter(doomed.id).await.unwrap());
        assert!(!journal.remove_dead_letter(doomed.id).await.unwrap());
        assert_eq!(journal.dead_letter(doomed.id).await.unwrap(), None);
        self.letters.remove(self.letters.len() - 1 - newer);
    }

    async fn trim(&mut self, journal: &Journal, sparing: Sparing) {
        let mut keep_from = self.indexed + 1;
        let mut keep = Vec::new();
        for cursor in self
            .cursors
            .values()
            .filter(|_| sparing == Sparing::Unsettled)
        {
            keep.push((P, seq(cursor + 1)));
            keep_from = keep_from.min(cursor + 1);
        }
        journal.trim(noon(), &keep).await.unwrap();
        let nothing_left = self.last() + 1;
        let first = journal.stats().partitions[0].first;
        let first = first.map_or(nothing_left, Seq::get);
        assert!(first >= self.first);
        assert!(first == self.first || first <= keep_from);
        self.first = first;
    }

    async fn apply(&mut self, journal: &Journal, operation: &Operation) {
        match operation {
            Operation::Append { bytes, event } => self.append(journal, &[(*bytes, *event)]).await,
            Operation::AppendTogether { records } => {
                let events = (0..KEYS).cycle().take(*records);
                let sizes: Vec<_> = events
                    .map(|event| (usize::from(event) * 200, event))
                    .collect();
                self.append(journal, &sizes).await;
            }
            Operation::Index { most } => self.index(journal, *most).await,
            Operation::Settle { .. } => self.settle(journal, operation).await,
            Operation::PlaceCursor { connection, back } => {
                let settled = self.last().saturating_sub(*back);
                let name = CONNECTIONS[*connection];
                journal.place_cursor(name, P, seq(settled)).await.unwrap();
                self.cursors.insert(*connection, settled);
            }
            Operation::ResetClaims { connection } => {
                journal
                    .reset_claims(CONNECTIONS[*connection])
                    .await
                    .unwrap();
                self.claims.retain(|(holder, _), _| holder != connection);
            }
            Operation::Forget { connection } => {
                journal
                    .forget_connection(CONNECTIONS[*connection])
                    .await
                    .unwrap();
                self.claims.retain(|(holder, _), _| holder != connection);
                self.cursors.remove(connection);
                self.traces.retain(|(of, _), _| of != connection);
            }
            Operation::RemoveLetter { newer } => self.remove_letter(journal, *newer).await,
            Operation::Put { setting, expecting } => self.put(journal, *setting, *expecting).await,
            Operation::RemoveSetting { setting, expecting } => {
                self.remove_setting(journal, *setting, *expecting).await;
            }
            Operation::Trim { sparing } => self.trim(journal, *sparing).await,
            Operation::Rebuild => {
                journal.rebuild_index().await.unwrap();
                self.indexed = 0;
                self.holders.clear();
                self.duplicates.clear();
            }
            Operation::Reopen => (),
        }
    }
}

async fn live(kind: Kind, operations: Vec<Operation>) {
    let engine = Engine::of(kind).limits(limits).feeding(&CONNECTIONS);
    let mut journal = engine.open().await;
    let mut model = Model::default();
    for operation in operations {
        model.apply(&journal, &operation).await;
        if let Operation::Reopen = operation {
            journal = engine.reopen(journal).await;
            model.check(&journal).await;
        }
    }
    model.check(&journal).await;
    drop(journal);
    let journal = engine.open().await;
    model.check(&journal).await;
}

fn say_the_same(kind: Kind, cases: u32) {
    let cases = Cases {
        cases,
        failure_persistence: None,
        max_shrink_iters: 12 * cases, // as long as the cases take
        ..Cases::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let operations = prop::collection::vec(operation(), 10..70);
    TestRunner::new(cases)
        .run(&operations, |operations| {
            runtime.block_on(live(kind, operations));
            Ok(())
        })
        .unwrap();
}

mod embedded {
    #[test]
    fn the_journal_and_a_plain_model_say_the_same() {
        super::say_the_same(super::Kind::Embedded, 16);
    }
}

mod jetstream {
    #[test]
    fn the_journal_and_a_plain_model_say_the_same() {
        super::say_the_same(super::Kind::JetStream, 3);
    }
}
