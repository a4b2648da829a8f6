//! Every format that was ever released has a folder here, and today's code opens
//! it and finds everything.
//!
//! `fixtures/v1` is the folder of a journal that [`fill`] has filled, written by the
//! first build; `fixtures/v1-traces` one that [`fill_more`] has filled, written by the
//! first that keeps traces and origins; `fixtures/v2` one from which [`erase`] has taken
//! something besides, written by the first that erases. All were opened and closed once
//! more. See [`copy_folder`] for their files `.keep`. CONTRIBUTING.md says how one is
//! written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use journal::{
    Config, DeadLetterFilter, Draft, IndexEntry, Journal, Leavings, Settlement, Tense, Trace,
};
use tempfile::TempDir;

use crate::support::*;

/// Puts something of everything into an empty journal.
async fn fill(journal: &Journal) {
    append_many(journal, 3, 20).await;
    let unsigned = Draft {
        signed_by: None,
        ..draft(vec![0, 255, 10])
    };
    journal.append(unsigned).unwrap().await.unwrap();
    let buried = IndexEntry {
        burial: Some(letter(4, None, "not JSON")),
        ..entry(4, b'c')
    };
    let found = IndexEntry {
        terms: vec![person("ada")],
        ..entry(1, b'a')
    };
    let entries = vec![found, entry(2, b'b'), entry(3, b'a'), buried];
    journal.index(P, entries).await.unwrap();
    let settlement = Settlement {
        claims: vec![(key(b'x'), place(1))],
        dead_letters: vec![refused(2, "eu", "refused")],
        ..settlement("eu", 2)
    };
    journal.settle(settlement).await.unwrap();
    let value = Bytes::from_static(b"[[connection]]");
    journal
        .put_setting("connections", value, None)
        .await
        .unwrap();
}

/// How many records [`fill_more`] appends: several segments.
const MORE: u64 = 12;

/// Puts something of everything that there is by now into an empty journal.
async fn fill_more(journal: &Journal) {
    for number in 1..=MORE {
        let carried = Draft {
            origin: number.is_multiple_of(3).then(|| seq(number + 4000)),
            tense: if number.is_multiple_of(4) {
                Tense::Historical
            } else {
                Tense::Live
            },
            signed_by: (number > 2).then(|| "key-2".to_owned()),
            ..draft(body(number, 600))
        };
        append_draft(journal, carried).await;
    }
    let entries = (1..=MORE).map(|number| IndexEntry {
        terms: vec![person(&format!("person-{}", number % 4))],
        burial: (number == 5).then(|| letter(5, None, "not JSON")),
        ..entry(number, u8::try_from(number % 7).unwrap())
    });
    journal.index(P, entries.collect()).await.unwrap();
    for (connection, through) in [("eu", 4), ("us", 11), ("eu", 9)] {
        settle(journal, connection, through).await;
    }
    let newest = journal.dead_letters(letters()).await.unwrap();
    journal.remove_dead_letter(newest[0].id).await.unwrap();
    journal.reset_claims("us").await.unwrap();
    for (key, value) in [
        ("connections", "[[connection]]"),
        ("gone", "x"),
        ("audit", "[]"),
    ] {
        let value = Bytes::from_static(value.as_bytes());
        let revision = journal.put_setting(key, value.clone(), None).await.unwrap();
        let again = journal.put_setting(key, value, Some(revision));
        let revision = again.await.unwrap();
        if key == "gone" {
            journal.remove_setting(key, revision).await.unwrap();
        }
    }
}

async fn settle(journal: &Journal, connection: &str, through: u64) {
    let settlement = Settlement {
        claims: (1..=through)
            .map(|number| (key(byte(number)), place(number)))
            .collect(),
        dead_letters: vec![refused(through, connection, "refused")],
        traces: vec![Trace {
            first: seq(through - 3),
            through: seq(through),
            value: Bytes::from(body(through, 80)),
        }],
        ..settlement(connection, through)
    };
    journal.settle(settlement).await.unwrap();
}

/// Erases one record of [`fill_more`], with a letter and a trace that tell of it.
async fn erase(journal: &Journal) {
    let records = BTreeMap::from([(place(6), key(6))]);
    assert_eq!(journal.erase(records, days_later(1)).await.unwrap(), 1);
    let all = journal.dead_letters(letters()).await.unwrap();
    let leavings = Leavings {
        letters: vec![all[0].id],
        traces: vec![("eu".to_owned(), place(9))],
    };
    assert_eq!(journal.scrub(leavings).await.unwrap(), 1);
}

fn byte(number: u64) -> u8 {
    u8::try_from(number % 5).unwrap()
}

fn letters() -> DeadLetterFilter {
    DeadLetterFilter {
        connection: None,
        after: None,
        limit: 99,
    }
}

/// Everything that was put there, in words.
async fn told(journal: &Journal) -> Vec<String> {
    let mut told = vec![
        format!("{:?}", read_all(journal).await),
        format!("{:?}", journal.read_indexed(place(1), ALL).await.unwrap()),
        format!("{:?}", journal.look_up(&person("ada"), 9).await.unwrap()),
        format!("{:?}", journal.dead_letters(letters()).await.unwrap()),
        format!("{:?}", journal.dead_letter_count().await.unwrap()),
    ];
    for number in 0..4 {
        let person = person(&format!("person-{number}"));
        told.push(format!("{:?}", journal.look_up(&person, 99).await.unwrap()));
    }
    let keys: Vec<_> = (0..5).map(key).chain([key(b'x')]).collect();
    for connection in ["eu", "us"] {
        told.push(format!(
            "{:?}",
            journal.cursor(connection, P).await.unwrap()
        ));
        told.push(format!(
            "{:?}",
            journal.first_claims(connection, P, &keys).await
        ));
        for number in 1..=MORE {
            let traces = journal.traces(connection, place(number), 9).await.unwrap();
            told.push(format!("{traces:?}"));
        }
    }
    for setting in ["connections", "gone", "audit"] {
        told.push(format!("{:?}", journal.setting(setting).await.unwrap()));
    }
    told
}

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures");
    fixtures.join(name)
}

/// Where a new fixture is to be written, where the environment says so.
#[expect(clippy::disallowed_methods, reason = "a fixture is asked for by hand")]
fn asked_for() -> Option<PathBuf> {
    std::env::var("POSTMETER_WRITE_FIXTURE")
        .ok()
        .map(PathBuf::from)
}

/// Copies a journal's folder so that Git keeps it.
fn keep_folder(from: &Path, to: &Path) {
    copy_folder(from, to);
    let mut folders = vec![to.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries: Vec<_> = fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
        if entries.is_empty() {
            fs::write(folder.join(".keep"), "").unwrap();
        }
        let paths = entries.into_iter().map(|entry| entry.path());
        folders.extend(paths.filter(|path| path.is_dir()));
    }
}

/// What today's build tells of `name`, and what it tells of itself.
async fn opened(name: &str, filled: &Journal) -> Open {
    let expected = told(filled).await;
    let dir = TempDir::new().unwrap();
    copy_folder(&fixture(name), dir.path());
    let old = Journal::open(Config::for_tests(dir.path())).await.unwrap();
    assert_eq!(told(&old).await, expected);
    Open { old, _dir: dir }
}

/// A journal of an older build, in a copy of its folder.
struct Open {
    old: Journal,
    _dir: TempDir,
}

#[tokio::test]
async fn a_journal_of_format_1_opens_with_everything_in_it() {
    let today = Engine::new();
    let filled = today.open().await;
    fill(&filled).await;
    let opened = opened("v1", &filled).await;
    assert_eq!(append(&opened.old, "one more").await, place(5));
}

#[tokio::test]
async fn a_journal_with_traces_and_origins_opens_with_everything_in_it() {
    let today = Engine::with(|config| config.segment_bytes = 2000);
    let filled = today.open().await;
    fill_more(&filled).await;
    assert!(filled.stats().pieces > 3, "several segments");
    let opened = opened("v1-traces", &filled).await;
    assert_eq!(append(&opened.old, "one more").await, place(MORE + 1));
}

#[tokio::test]
async fn a_journal_of_format_2_opens_with_all_that_was_not_erased() {
    let today = Engine::with(|config| config.segment_bytes = 2000);
    let filled = today.open().await;
    fill_more(&filled).await;
    erase(&filled).await;
    if let Some(dir) = asked_for() {
        let again = Engine::with(|config| config.segment_bytes = 2000);
        let journal = again.open().await;
        fill_more(&journal).await;
        erase(&journal).await;
        let journal = again.reopen(journal).await;
        journal.close().await.unwrap();
        drop(journal);
        keep_folder(again.path(), &dir);
    }
    let opened = opened("v2", &filled).await;
    assert_eq!(append(&opened.old, "one more").await, place(MORE + 1));
}
