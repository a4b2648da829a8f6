//! What a journal lives through, and what it tells after each step.

use std::collections::BTreeSet;

use bytes::Bytes;
use journal::{
    Config, DeadLetterFilter, Draft, Entry, Journal, PutError, Setting, Settlement, Trace as Done,
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::chance::Chance;
use super::fuse::{Mounted, Trace};
use crate::support::*;

pub(crate) const CONNECTIONS: [&str; 2] = ["eu", "us"];
const SETTINGS: [&str; 2] = ["connections", "audit"];
/// Events come back after so many records.
const EVENTS: u64 = 5;

/// One thing that somebody does, with all that must become of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Append {
        bytes: usize,
    },
    /// Indexes so many records; each that bears event 4 is buried.
    Index {
        most: usize,
    },
    /// Settles through as many records behind the log's end, claiming, burying and
    /// tracing on the way.
    Settle {
        connection: usize,
        back: u64,
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
    Put {
        setting: usize,
        bytes: usize,
    },
    RemoveSetting {
        setting: usize,
    },
    RemoveNewestLetter,
    Trim,
    Rebuild,
    Reopen,
}

const ONE: Step = Step::Append { bytes: 30 };
/// As much as a segment takes.
const LARGE: Step = Step::Append { bytes: 3000 };
const INDEX: Step = Step::Index { most: 3 };

/// Workloads that are cut at every change.
pub(crate) const SMALL: [(&str, &[Step]); 3] = [
    (
        "settling",
        &[
            ONE,
            ONE,
            ONE,
            INDEX,
            Step::Settle {
                connection: 0,
                back: 1,
            },
            Step::Put {
                setting: 0,
                bytes: 20,
            },
            Step::Settle {
                connection: 1,
                back: 0,
            },
            Step::Settle {
                connection: 0,
                back: 0,
            },
            Step::RemoveNewestLetter,
            Step::Put {
                setting: 0,
                bytes: 9000,
            },
            Step::ResetClaims { connection: 0 },
            Step::RemoveSetting { setting: 0 },
            Step::Forget { connection: 1 },
        ],
    ),
    (
        "trimming",
        &[
            LARGE,
            LARGE,
            LARGE,
            LARGE,
            INDEX,
            INDEX,
            Step::Settle {
                connection: 0,
                back: 0,
            },
            Step::Trim,
            LARGE,
            INDEX,
            Step::Settle {
                connection: 0,
                back: 0,
            },
            Step::Trim,
        ],
    ),
    (
        "opening again",
        &[
            ONE,
            ONE,
            INDEX,
            Step::Settle {
                connection: 0,
                back: 0,
            },
            Step::Reopen,
            ONE,
            INDEX,
            Step::Settle {
                connection: 0,
                back: 0,
            },
            Step::Rebuild,
            INDEX,
            Step::Reopen,
        ],
    ),
];

impl Step {
    /// Any step.
    pub(crate) fn by(chance: &mut Chance) -> Step {
        let connection = chance.below(2);
        let setting = chance.below(2);
        let back = chance.below(3) as u64;
        match chance.below(22) {
            0..=4 => Step::Append {
                bytes: chance.below(3000),
            },
            5..=8 => Step::Index {
                most: 1 + chance.below(6),
            },
            9..=13 => Step::Settle { connection, back },
            14 => Step::PlaceCursor { connection, back },
            15 => Step::ResetClaims { connection },
            16 => Step::Forget { connection },
            17 => Step::Put {
                setting,
                bytes: chance.below(20_000),
            },
            18 => Step::RemoveSetting { setting },
            19 => Step::RemoveNewestLetter,
            20 => Step::Trim,
            _ => [Step::Rebuild, Step::Reopen][chance.below(2)],
        }
    }

    /// Whether it is made as a whole or not at all.
    pub(crate) fn is_whole(self) -> bool {
        match self {
            Step::Append { .. }
            | Step::Index { .. }
            | Step::Settle { .. }
            | Step::PlaceCursor { .. }
            | Step::Put { .. }
            | Step::RemoveSetting { .. }
            | Step::RemoveNewestLetter => true,
            Step::ResetClaims { .. }
            | Step::Forget { .. }
            | Step::Trim
            | Step::Rebuild
            | Step::Reopen => false,
        }
    }
}

/// What a journal tells of itself.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub(crate) records: Vec<String>,
    /// Everything that cannot be derived from them, piece by piece.
    pub(crate) kept: Vec<String>,
    /// The traces of both connections.
    pub(crate) traces: BTreeSet<String>,
}

/// The state after a step, and how many changes the disk had seen by then.
pub(crate) struct Mark {
    pub(crate) changes: usize,
    /// What led here.
    pub(crate) step: Option<Step>,
    pub(crate) told: Told,
}

/// A life, from before the journal was opened to after it was dropped.
pub(crate) struct Lived {
    pub(crate) trace: Trace,
    pub(crate) marks: Vec<Mark>,
}

pub(crate) fn config(dir: &std::path::Path) -> Config {
    Config {
        segment_bytes: 4000,
        max_bytes: 1_000_000,
        index_records_in_memory: 4,
        ..Config::for_tests(dir.join("journal"))
    }
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Lives through `steps` on `disk`.
pub(crate) fn live(disk: Mounted, steps: &[Step]) -> Lived {
    let runtime = runtime();
    let marks = runtime.block_on(walk(&config(&disk.path()), steps, &|| disk.n_changes()));
    drop(runtime);
    Lived {
        trace: disk.finish(),
        marks,
    }
}

async fn walk(config: &Config, steps: &[Step], n_changes: &dyn Fn() -> usize) -> Vec<Mark> {
    let mut journal = Journal::open(config.clone()).await.unwrap();
    let changes = n_changes();
    let told = tell(&journal).await;
    let mut marks = vec![Mark {
        changes,
        step: None,
        told,
    }];
    for step in steps {
        if *step == Step::Reopen {
            journal.close().await.unwrap();
            drop(journal);
            journal = Journal::open(config.clone()).await.unwrap();
        } else {
            take(&journal, *step).await;
        }
        let changes = n_changes();
        let told = tell(&journal).await;
        marks.push(Mark {
            changes,
            step: Some(*step),
            told,
        });
    }
    journal.close().await.unwrap();
    marks
}

/// Lives through `steps` in a folder, and opens a copy of it after each of them.
pub(crate) fn live_and_copy(steps: &[Step]) {
    let dir = TempDir::new().unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let journal = Journal::open(config(dir.path())).await.unwrap();
        for step in steps.iter().filter(|step| **step != Step::Reopen) {
            take(&journal, *step).await;
            let told = tell(&journal).await;
            let copy = TempDir::new().unwrap();
            copy_folder(dir.path(), copy.path());
            let again = Journal::open(config(copy.path())).await.unwrap();
            assert_eq!(tell(&again).await, told, "after {step:?}");
        }
    });
}

async fn take(journal: &Journal, step: Step) {
    match step {
        Step::Append { bytes } => {
            let last = last(journal);
            let draft = Draft {
                // Each record is a day younger, so that some are old enough to go.
                received_at: days_later(i64::try_from(last).unwrap()),
                ..draft(body(last + 1, bytes))
            };
            append_draft(journal, draft).await;
        }
        Step::Index { most } => index(journal, most).await,
        Step::Settle { connection, back } => settle(journal, connection, back).await,
        Step::PlaceCursor { connection, back } => {
            let settled = seq(last(journal).saturating_sub(back));
            journal
                .place_cursor(CONNECTIONS[connection], P, settled)
                .await
                .unwrap();
        }
        Step::ResetClaims { connection } => {
            journal.reset_claims(CONNECTIONS[connection]).await.unwrap();
        }
        Step::Forget { connection } => {
            journal
                .forget_connection(CONNECTIONS[connection])
                .await
                .unwrap();
        }
        Step::Put { setting, bytes } => put(journal, SETTINGS[setting], bytes).await,
        Step::RemoveSetting { setting } => {
            if let Some(Setting { revision, .. }) =
                journal.setting(SETTINGS[setting]).await.unwrap()
            {
                journal
                    .remove_setting(SETTINGS[setting], revision)
                    .await
                    .unwrap();
            }
        }
        Step::RemoveNewestLetter => {
            let newest = journal.dead_letters(letters(None)).await.unwrap();
            if let Some(newest) = newest.first() {
                journal.remove_dead_letter(newest.id).await.unwrap();
            }
        }
        Step::Trim => _ = journal.trim(days_later(1000), &[]).await.unwrap(),
        Step::Rebuild => journal.rebuild_index().await.unwrap(),
        Step::Reopen => panic!("whoever holds the journal opens it again"),
    }
}

pub(crate) fn last(journal: &Journal) -> u64 {
    journal.durable(P).borrow().map_or(0, journal::Seq::get)
}

/// Tells the index of the records that follow it.
pub(crate) async fn index(journal: &Journal, most: usize) {
    let indexed = journal.indexed(P).borrow().map_or(0, journal::Seq::get);
    let first = journal.stats().partitions[0]
        .first
        .map_or(1, journal::Seq::get);
    let next = first.max(indexed + 1);
    let entries = (next..=last(journal)).take(most).map(|number| {
        let event = number % EVENTS;
        let mut entry = entry(number, u8::try_from(event).unwrap());
        entry.terms = vec![person(&event.to_string())];
        entry.burial = (event == 4).then(|| letter(number, None, &format!("buried {number}")));
        entry
    });
    let entries: Vec<_> = entries.collect();
    if !entries.is_empty() {
        journal.index(P, entries).await.unwrap();
    }
}

async fn settle(journal: &Journal, connection: usize, back: u64) {
    let name = CONNECTIONS[connection];
    let through = last(journal).saturating_sub(back);
    let before = journal
        .cursor(name, P)
        .await
        .unwrap()
        .map_or(0, journal::Seq::get);
    if through == 0 {
        return;
    }
    let on_the_way = before + 1..=through;
    let buried = on_the_way
        .clone()
        .filter(|number| number.is_multiple_of(2))
        .map(|number| refused(number, name, &format!("refused {number}")));
    let claims = on_the_way
        .clone()
        .map(|number| (key(u8::try_from(number % 7).unwrap()), place(number)));
    let trace = Done {
        first: seq(before.min(through - 1) + 1),
        through: seq(through),
        value: Bytes::from(body(through, 100)),
    };
    let settlement = Settlement {
        claims: claims.collect(),
        dead_letters: buried.collect(),
        traces: vec![trace],
        ..settlement(name, through)
    };
    journal.settle(settlement).await.unwrap();
}

async fn put(journal: &Journal, name: &str, bytes: usize) {
    let there = journal
        .setting(name)
        .await
        .unwrap()
        .map(|there| there.revision);
    let value = Bytes::from(body(last(journal), bytes));
    journal
        .put_setting(name, value.clone(), there)
        .await
        .unwrap();
    let stale = journal.put_setting(name, value, there).await;
    assert!(matches!(stale, Err(PutError::Conflict { .. })));
}

fn letters(connection: Option<&str>) -> DeadLetterFilter {
    DeadLetterFilter {
        connection: connection.map(str::to_owned),
        after: None,
        limit: 999,
    }
}

/// Everything that can be asked and cannot be derived.
pub(crate) async fn tell(journal: &Journal) -> Told {
    let records = read_all(journal)
        .await
        .into_iter()
        .map(|entry| match entry {
            Entry::Record(record) => format!("{record:?}"),
            Entry::Erased(tombstone) => panic!("{tombstone:?} was never erased"),
            Entry::Damaged { first, last } => panic!("records {first} to {last} are damaged"),
        });
    let records: Vec<String> = records.collect();
    let mut kept = vec![
        format!(
            "all letters: {:?}",
            journal.dead_letters(letters(None)).await.unwrap()
        ),
        format!("letters: {}", journal.dead_letter_count().await.unwrap()),
    ];
    let keys: Vec<_> = (0..7).map(key).collect();
    let mut traces = BTreeSet::new();
    for name in CONNECTIONS {
        let cursor = journal.cursor(name, P).await.unwrap();
        let claims = journal.first_claims(name, P, &keys).await.unwrap();
        let own = journal.dead_letters(letters(Some(name))).await.unwrap();
        for number in 1..=last(journal) {
            for trace in journal.traces(name, place(number), 99).await.unwrap() {
                traces.insert(format!("{name}: {trace:?}"));
            }
        }
        kept.push(format!("cursor of {name}: {cursor:?}"));
        let claims = claims.iter().enumerate();
        kept.extend(claims.map(|(key, claim)| format!("claim {key} of {name}: {claim:?}")));
        kept.push(format!("letters of {name}: {own:?}"));
    }
    for name in SETTINGS {
        let setting = journal.setting(name).await.unwrap();
        kept.push(format!("setting {name}: {setting:?}"));
    }
    Told {
        records,
        kept,
        traces,
    }
}

/// What is derived agrees with the records, once the index has caught up.
pub(crate) async fn check_derived(journal: &Journal) {
    index(journal, usize::MAX).await;
    let (first, last) = (journal.stats().partitions[0].first, last(journal));
    let first = first.map_or(last + 1, journal::Seq::get);
    for event in 0..EVENTS {
        let bearers = (first..=last)
            .rev()
            .filter(|number| number % EVENTS == event);
        let bearers: Vec<_> = bearers.map(place).collect();
        let found = journal
            .look_up(&person(&event.to_string()), 999)
            .await
            .unwrap();
        assert_eq!(found, bearers, "who bears {event}");
    }
}
