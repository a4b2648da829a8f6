//! Every format that was ever released has a folder here, and today's code opens
//! it and finds everything.
//!
//! `fixtures/v1` is the folder of a journal that [`fill`] has filled, after it
//! was opened and closed once more. See [`copy_folder`] for its files `.keep`.

use std::path::Path;

use bytes::Bytes;
use journal::{
    Answer, Config, DeadLetterFilter, Draft, IndexEntry, Journal, NewDeadLetter, Settlement,
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
    let refused = NewDeadLetter {
        event_name: Some("Email Sent".to_owned()),
        call: Some(Bytes::from_static(b"{}")),
        answer: Some(Answer {
            status: 400,
            body: Bytes::from_static(b"no"),
        }),
        ..letter(2, Some("eu"), "refused")
    };
    let settlement = Settlement {
        claims: vec![(key(b'x'), place(1))],
        dead_letters: vec![refused],
        ..settlement("eu", 2)
    };
    journal.settle(settlement).await.unwrap();
    let value = Bytes::from_static(b"[[connection]]");
    journal
        .put_setting("connections", value, None)
        .await
        .unwrap();
}

/// Everything that [`fill`] put there, in words.
async fn told(journal: &Journal) -> Vec<String> {
    let letters = DeadLetterFilter {
        connection: None,
        after: None,
        limit: 9,
    };
    vec![
        format!("{:?}", read_all(journal).await),
        format!("{:?}", journal.read_indexed(place(1), ALL).await.unwrap()),
        format!("{:?}", journal.look_up(&person("ada"), 9).await.unwrap()),
        format!("{:?}", journal.cursor("eu", P).await.unwrap()),
        format!("{:?}", journal.first_claims("eu", P, &[key(b'x')]).await),
        format!("{:?}", journal.traces("eu", place(1), 9).await.unwrap()),
        format!("{:?}", journal.dead_letters(letters).await.unwrap()),
        format!("{:?}", journal.dead_letter_count().await.unwrap()),
        format!("{:?}", journal.setting("connections").await.unwrap()),
    ]
}

#[tokio::test]
async fn a_journal_of_format_1_opens_with_everything_in_it() {
    let today = Engine::new();
    let filled = today.open().await;
    fill(&filled).await;
    let expected = told(&filled).await;

    let dir = TempDir::new().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/v1");
    copy_folder(&fixture, dir.path());
    let old = Journal::open(Config::for_tests(dir.path())).await.unwrap();

    assert_eq!(told(&old).await, expected);
    assert_eq!(append(&old, "one more").await, place(5));
}
