//! What trimming takes and what it spares. It takes whole pieces, and may leave
//! the last one: so a sentence says what must be gone of many, and what must not.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use journal::{Config, Draft, IndexEntry, Journal, Unavailable, Verdict};

use crate::support::*;

/// Pieces of three records at most, and room for less than forty.
fn small_pieces(config: &mut Config) {
    config.segment_bytes = 3300;
    config.max_bytes = 40_000;
}

/// Appends and indexes twelve records of 1000 bytes.
pub(crate) async fn fill(journal: &Journal) {
    append_many(journal, 12, 1000).await;
    let entries = (1..=12).map(|number| IndexEntry {
        terms: vec![person("ada")],
        ..entry(number, u8::try_from(number % 11).unwrap())
    });
    journal.index(P, entries.collect()).await.unwrap();
}

/// The first record that is kept, or the next one where there is none.
pub(crate) async fn first_kept(journal: &Journal) -> u64 {
    let read = records(read_all(journal).await);
    let first = read.first().map(|record| record.place.seq);
    assert_eq!(journal.stats().partitions[0].first, first);
    let next = journal.durable(P).borrow().unwrap().next();
    first.unwrap_or(next).get()
}

/// Appends until the journal is full, and tells how many records it holds then.
async fn fill_up(journal: &Journal, from: u64) -> u64 {
    let mut last = from;
    let refused = loop {
        match journal.append(draft(body(last, 1000))) {
            Ok(append) => append.await.map(drop).unwrap(),
            Err(refused) => break refused,
        }
        last += 1;
    };
    assert!(matches!(refused, Unavailable::Full { .. }), "{refused}");
    numbered(journal, seq(last)).await;
    last
}

pub(crate) async fn records_go_when_they_are_older_than_the_retention(kind: Kind) {
    let engine = Engine::of(kind).limits(small_pieces);
    let journal = engine.open().await;
    fill(&journal).await;
    let trimmed = journal.trim(days_later(29), &[]).await.unwrap();
    assert_eq!(trimmed.pieces, 0);
    assert_eq!(first_kept(&journal).await, 1);
    eventually("the stats tell all", || journal.stats().pieces >= 4).await;
    let (pieces, bytes) = (journal.stats().pieces, journal.stats().bytes);

    let trimmed = journal.trim(days_later(31), &[]).await.unwrap();

    assert!(trimmed.pieces > 0);
    let is_less = || journal.stats().pieces < pieces && journal.stats().bytes < bytes;
    eventually("the stats tell it", is_less).await;
    let first = first_kept(&journal).await;
    assert!(first > 9, "only those before record {first} went");
    assert_eq!(journal.record(place(9)).await.unwrap(), None);
    assert_eq!(journal.received_at(place(9)).await.unwrap(), None);
    let journal = engine.reopen(journal).await;
    assert_eq!(first_kept(&journal).await, first);
    assert_eq!(append(&journal, "one more").await, place(13));
}

pub(crate) async fn records_go_when_the_budget_runs_out_and_make_room(kind: Kind) {
    let engine = Engine::of(kind).limits(small_pieces);
    let journal = engine.open().await;
    fill(&journal).await;
    let last = fill_up(&journal, 12).await;

    journal.trim(noon(), &[]).await.unwrap();

    let first = first_kept(&journal).await;
    assert!((2..=13).contains(&first), "record {first} of {last}");
    append(&journal, body(0, 1000)).await;
}

pub(crate) async fn a_record_that_is_not_indexed_is_spared(kind: Kind) {
    let engine = Engine::of(kind).limits(small_pieces);
    let journal = engine.open().await;
    append_many(&journal, 12, 1000).await;
    let entries = (1..=5).map(|number| entry(number, u8::try_from(number).unwrap()));
    journal.index(P, entries.collect()).await.unwrap();
    journal.trim(days_later(99), &[]).await.unwrap();
    let first = first_kept(&journal).await;
    assert!((4..=6).contains(&first), "the first is {first}");
}

pub(crate) async fn a_record_that_is_kept_for_a_connection_is_spared(kind: Kind) {
    let engine = Engine::of(kind).limits(small_pieces);
    let journal = engine.open().await;
    fill(&journal).await;
    let keep = [(P, seq(11)), (P, seq(6))];
    journal.trim(days_later(99), &keep).await.unwrap();
    let first = first_kept(&journal).await;
    assert!((4..=6).contains(&first), "the first is {first}");
}

pub(crate) async fn a_record_that_is_not_old_enough_is_spared(kind: Kind) {
    let engine = Engine::of(kind).limits(small_pieces);
    let journal = engine.open().await;
    for number in 0..9 {
        let draft = Draft {
            received_at: days_later(i64::try_from(number).unwrap()),
            ..draft(body(number, 1000))
        };
        append_draft(&journal, draft).await;
    }
    for number in 1..=9_u8 {
        let entry = IndexEntry {
            received_at: days_later(i64::from(number) - 1),
            ..entry(number.into(), number)
        };
        index_one(&journal, entry).await;
    }
    let journal = engine.reopen(journal).await;
    let mut firsts = BTreeSet::new();
    for day in 28..40_i64 {
        let now: Timestamp = days_later(day) - SignedDuration::from_secs(1);
        journal.trim(now, &[]).await.unwrap();
        let first = first_kept(&journal).await;
        let expired = u64::try_from(day - 30).unwrap_or(0);
        assert!(first <= expired + 1, "{first} is first on day {day}");
        assert!(first + 3 > expired.min(9), "{first} is first on day {day}");
        firsts.insert(first);
    }
    assert!(firsts.len() > 2, "all went at once: {firsts:?}");
}

pub(crate) async fn what_was_derived_from_trimmed_records_is_not_found(kind: Kind) {
    let engine = Engine::of(kind).limits(small_pieces);
    let journal = engine.open().await;
    fill(&journal).await;
    journal.trim(days_later(31), &[(P, seq(11))]).await.unwrap();
    let first = first_kept(&journal).await;
    assert!((9..=11).contains(&first), "the first is {first}");
    let found = journal.look_up(&person("ada"), 99).await.unwrap();
    let kept: Vec<_> = (first..=12).rev().map(place).collect();
    assert_eq!(found, kept);
    assert_eq!(journal.verdict(place(first - 1)).await.unwrap(), None);
    let outlives_its_record = Some(Verdict::DuplicateOf(place(1)));
    assert_eq!(
        journal.verdict(place(12)).await.unwrap(),
        outlives_its_record
    );
}

pub(crate) async fn claims_outlive_the_trimming_of_their_records(kind: Kind) {
    let engine = Engine::of(kind).limits(small_pieces);
    let journal = engine.open().await;
    fill(&journal).await;
    fill_up(&journal, 12).await;
    let keep_nothing = [(P, seq(13))];
    journal.trim(days_later(6), &keep_nothing).await.unwrap();
    assert!(first_kept(&journal).await > 3);
    let late = IndexEntry {
        received_at: days_later(7),
        ..entry(13, 1)
    };
    let verdict = index_one(&journal, late).await;
    assert_eq!(verdict, Verdict::DuplicateOf(place(1)));
}
