//! Who may open a journal, and which.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use journal::{Config, OpenError};

use crate::support::*;

#[tokio::test]
async fn a_journal_that_is_open_is_locked() {
    let engine = Engine::new();
    let journal = engine.open().await;
    let locked = engine.try_open().await.err().unwrap();
    assert!(matches!(&locked, OpenError::Locked { dir } if dir == engine.path()));
    assert!(locked.to_string().contains("stop the other process"));
    drop(journal);
    engine.open().await;
}

#[tokio::test]
async fn a_journal_that_another_process_holds_is_locked() {
    let engine = Engine::new();
    drop(engine.open().await);
    let mut other = Command::new("flock")
        .arg(engine.path().join("LOCK"))
        .args(["sh", "-c", "echo held; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stdout = BufReader::new(other.stdout.take().unwrap());
    stdout.read_line(&mut said).unwrap();
    assert_eq!(said, "held\n");

    let refused = engine.try_open().await.err();

    drop(other.stdin.take());
    other.wait().unwrap();
    assert!(
        matches!(refused, Some(OpenError::Locked { .. })),
        "{refused:?}"
    );
    engine.open().await;
}

#[tokio::test]
async fn a_journal_of_a_newer_format_is_refused_with_both_versions() {
    let engine = Engine::new();
    drop(engine.open().await);
    let format = engine.path().join("FORMAT");
    let text = fs::read_to_string(&format).unwrap();
    fs::write(&format, text.replace('1', "7")).unwrap();
    let refused = engine.try_open().await.err().unwrap();
    assert!(matches!(
        refused,
        OpenError::NewerFormat {
            found: 7,
            known: 1,
            ..
        }
    ));
}

#[tokio::test]
async fn a_journal_without_a_readable_format_is_refused() {
    let engine = Engine::new();
    drop(engine.open().await);
    let format = engine.path().join("FORMAT");
    fs::write(&format, "something else\n").unwrap();
    let refused = engine.try_open().await.err().unwrap();
    assert!(matches!(refused, OpenError::UnknownFormat { .. }));
    fs::remove_file(&format).unwrap();
    let refused = engine.try_open().await.err().unwrap();
    assert!(matches!(refused, OpenError::UnknownFormat { .. }));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_reported() {
    let engine = Engine::new();
    fs::write(engine.path(), "a file is in the way").unwrap();
    let refused = engine.try_open().await.err().unwrap();
    assert!(matches!(&refused, OpenError::Folder { dir, .. } if dir == engine.path()));
}

#[tokio::test]
async fn limits_that_break_a_promise_are_refused() {
    let changes: [fn(&mut Config); 4] = [
        |config| config.max_bytes = config.segment_bytes,
        |config| config.duplicate_claims /= 2,
        |config| config.first_claims /= 31,
        |config| config.queue_records = 0,
    ];
    for change in changes {
        let engine = Engine::with(change);
        let refused = engine.try_open().await.err().unwrap();
        assert!(matches!(refused, OpenError::Config { .. }));
        assert!(!engine.path().exists(), "it was created all the same");
    }
}
