//! Who may open the folder of an embedded journal, and which folder is one.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use journal::{Journal, OpenError};

use crate::support::*;

/// Why the folder is not opened.
async fn refused(engine: &Engine) -> OpenError {
    Journal::open(engine.config()).await.err().unwrap()
}

#[tokio::test]
async fn a_journal_that_is_open_is_locked() {
    let engine = Engine::new();
    let journal = engine.open().await;
    let locked = refused(&engine).await;
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

    let error = refused(&engine).await;

    drop(other.stdin.take());
    other.wait().unwrap();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    engine.open().await;
}

#[tokio::test]
async fn a_journal_of_a_newer_format_is_refused_with_both_versions() {
    let engine = Engine::new();
    drop(engine.open().await);
    let format = engine.path().join("FORMAT");
    let text = fs::read_to_string(&format).unwrap();
    fs::write(&format, text.replace('1', "7")).unwrap();
    let error = refused(&engine).await;
    assert!(matches!(
        error,
        OpenError::NewerFormat {
            found: 7,
            known: 2,
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
    let error = refused(&engine).await;
    assert!(matches!(error, OpenError::UnknownFormat { .. }));
    fs::remove_file(&format).unwrap();
    let error = refused(&engine).await;
    assert!(matches!(error, OpenError::UnknownFormat { .. }));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_reported() {
    let engine = Engine::new();
    fs::write(engine.path(), "a file is in the way").unwrap();
    let error = refused(&engine).await;
    assert!(matches!(&error, OpenError::Folder { dir, .. } if dir == engine.path()));
}
