//! An index that is lost with its files, or with what was in memory only, comes
//! back the same: what the folder of an embedded journal can suffer.

use std::fs;

use journal::Seq;

use crate::contract::rebuilding::{RECORDS, answers, filled, index_all};
use crate::support::*;

#[tokio::test]
async fn an_index_that_was_deleted_comes_back_the_same() {
    let engine = Engine::new();
    let journal = filled(&engine).await;
    let before = answers(&journal).await;
    drop(journal);
    fs::remove_dir_all(engine.path().join("state/derived")).unwrap();
    let journal = engine.open().await;
    assert_eq!(*journal.indexed(P).borrow(), None);
    index_all(&journal).await;
    assert_eq!(answers(&journal).await, before);
}

#[tokio::test]
async fn an_index_that_cannot_be_opened_is_built_anew() {
    let engine = Engine::new();
    let journal = filled(&engine).await;
    let before = answers(&journal).await;
    drop(journal);
    fs::write(engine.path().join("state/derived/version"), "?").unwrap();
    let journal = engine.open().await;
    index_all(&journal).await;
    assert_eq!(answers(&journal).await, before);
}

/// What a kill leaves is what is in the files at that moment.
#[tokio::test]
async fn a_kill_takes_the_index_back_and_it_catches_up_the_same() {
    for records_in_memory in [1, 20, 1000] {
        let engine = Engine::with(|config| config.index_records_in_memory = records_in_memory);
        let journal = filled(&engine).await;
        let before = answers(&journal).await;
        let killed = Engine::with(|config| config.index_records_in_memory = records_in_memory);
        copy_folder(engine.path(), killed.path());

        let journal = killed.open().await;

        let indexed = journal.indexed(P).borrow().map_or(0, Seq::get);
        assert!(indexed < RECORDS, "nothing was in memory only");
        assert_eq!(reasons(&journal).await, before.buried);
        index_all(&journal).await;
        assert_eq!(answers(&journal).await, before);
        let journal = killed.reopen(journal).await;
        assert_eq!(answers(&journal).await, before);
    }
}

#[tokio::test]
async fn records_whose_index_is_in_memory_only_are_not_trimmed_away_from_a_kill() {
    let small = |config: &mut journal::Config| {
        config.segment_bytes = 4000;
        config.index_records_in_memory = 1000;
    };
    let engine = Engine::with(small);
    let journal = filled(&engine).await;
    journal.trim(days_later(31), &[]).await.unwrap();
    let before = answers(&journal).await;
    let killed = Engine::with(small);
    copy_folder(engine.path(), killed.path());
    let journal = killed.open().await;
    index_all(&journal).await;
    assert_eq!(answers(&journal).await, before);
}
