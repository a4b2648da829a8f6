//! What trimming takes and what it spares.

use journal::{Config, Draft, IndexEntry, Journal, Unavailable, Verdict};

use crate::support::*;

/// Segments of three records.
fn small_segments(config: &mut Config) {
    config.segment_bytes = 3300;
    config.max_bytes = 40_000;
}

/// Appends and indexes twelve records of 1000 bytes.
async fn fill(journal: &Journal) {
    append_many(journal, 12, 1000).await;
    let entries = (1..=12).map(|number| IndexEntry {
        terms: vec![person("ada")],
        ..entry(number, u8::try_from(number % 11).unwrap())
    });
    journal.index(P, entries.collect()).await.unwrap();
}

async fn first_kept(journal: &Journal) -> u64 {
    records(read_all(journal).await)[0].place.seq.get()
}

#[tokio::test]
async fn records_go_when_they_are_older_than_the_retention() {
    let engine = Engine::with(small_segments);
    let journal = engine.open().await;
    fill(&journal).await;
    let trimmed = journal.trim(days_later(29), &[]).await.unwrap();
    assert_eq!(trimmed.pieces, 0);
    let bytes = journal.stats().bytes;

    let trimmed = journal.trim(days_later(31), &[]).await.unwrap();

    assert_eq!(trimmed.pieces, 3);
    assert_eq!(journal.stats().bytes, bytes - trimmed.bytes);
    assert_eq!(first_kept(&journal).await, 10);
    assert_eq!(journal.stats().partitions[0].first, Some(seq(10)));
    assert_eq!(journal.record(place(9)).await.unwrap(), None);
    assert_eq!(journal.received_at(place(9)).await.unwrap(), None);
    let journal = engine.reopen(journal).await;
    assert_eq!(first_kept(&journal).await, 10);
}

#[tokio::test]
async fn records_go_when_the_budget_runs_out_and_make_room() {
    let engine = Engine::with(small_segments);
    let journal = engine.open().await;
    fill(&journal).await;
    let mut number = 12;
    while let Ok(append) = journal.append(draft(body(number, 1000))) {
        append.await.unwrap();
        number += 1;
    }
    let refused = journal.append(draft(body(0, 1000))).map(drop);
    assert!(matches!(refused, Err(Unavailable::Full { .. })));

    journal.trim(noon(), &[]).await.unwrap();

    assert!(first_kept(&journal).await > 1);
    append(&journal, body(0, 1000)).await;
}

#[tokio::test]
async fn a_record_that_is_not_indexed_is_spared() {
    let engine = Engine::with(small_segments);
    let journal = engine.open().await;
    append_many(&journal, 12, 1000).await;
    let entries = (1..=5).map(|number| entry(number, u8::try_from(number).unwrap()));
    journal.index(P, entries.collect()).await.unwrap();
    journal.trim(days_later(99), &[]).await.unwrap();
    assert_eq!(first_kept(&journal).await, 4);
}

#[tokio::test]
async fn a_record_that_is_kept_for_a_connection_is_spared() {
    let engine = Engine::with(small_segments);
    let journal = engine.open().await;
    fill(&journal).await;
    let keep = [(P, seq(11)), (P, seq(6))];
    journal.trim(days_later(99), &keep).await.unwrap();
    assert_eq!(first_kept(&journal).await, 4);
}

#[tokio::test]
async fn what_was_derived_from_trimmed_records_is_not_found() {
    let engine = Engine::with(small_segments);
    let journal = engine.open().await;
    fill(&journal).await;
    journal.trim(days_later(31), &[]).await.unwrap();
    let found = journal.look_up(&person("ada"), 99).await.unwrap();
    assert_eq!(found, [place(12), place(11), place(10)]);
    assert_eq!(journal.verdict(place(9)).await.unwrap(), None);
    let outlives_its_record = Some(Verdict::DuplicateOf(place(1)));
    assert_eq!(
        journal.verdict(place(12)).await.unwrap(),
        outlives_its_record
    );
}

#[tokio::test]
async fn claims_outlive_the_trimming_of_their_records() {
    let engine = Engine::with(small_segments);
    let journal = engine.open().await;
    fill(&journal).await;
    let keep_nothing = [(P, seq(13))];
    journal.trim(days_later(6), &keep_nothing).await.unwrap();
    while let Ok(append) = journal.append(draft(body(0, 1000))) {
        append.await.unwrap();
    }
    journal.trim(days_later(6), &keep_nothing).await.unwrap();
    assert!(first_kept(&journal).await > 3);
    let late = IndexEntry {
        received_at: days_later(7),
        ..entry(13, 1)
    };
    let verdict = index_one(&journal, late).await;
    assert_eq!(verdict, Verdict::DuplicateOf(place(1)));
}

#[tokio::test]
async fn segments_are_trimmed_by_the_age_of_what_follows_them() {
    let engine = Engine::with(small_segments);
    let journal = engine.open().await;
    for number in 0..9 {
        let draft = Draft {
            received_at: days_later(i64::try_from(number).unwrap()),
            ..draft(body(number, 1000))
        };
        journal.append(draft).unwrap().await.unwrap();
    }
    let entries = (1..=9).map(|number| entry(number, u8::try_from(number).unwrap()));
    journal.index(P, entries.collect()).await.unwrap();
    let journal = engine.reopen(journal).await;
    for (day, expected) in [(33, 1), (34, 4), (36, 4), (37, 7), (99, 7)] {
        let day = days_later(day).checked_sub(jiff::SignedDuration::from_secs(1));
        journal.trim(day.unwrap(), &[]).await.unwrap();
        assert_eq!(first_kept(&journal).await, expected);
    }
}
