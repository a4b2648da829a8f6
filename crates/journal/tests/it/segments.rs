//! Trimming to the record, where it is known which records share a segment.

use journal::{Config, Draft};

use crate::contract::trimming::{fill, first_kept};
use crate::support::*;

/// Segments of three records of 1000 bytes.
fn small_segments(config: &mut Config) {
    config.segment_bytes = 3300;
    config.max_bytes = 40_000;
}

#[tokio::test]
async fn whole_segments_go_and_the_last_one_stays() {
    let engine = Engine::with(small_segments);
    let journal = engine.open().await;
    fill(&journal).await;
    let bytes = journal.stats().bytes;

    let trimmed = journal.trim(days_later(31), &[]).await.unwrap();

    assert_eq!(trimmed.pieces, 3);
    assert_eq!(journal.stats().bytes, bytes - trimmed.bytes);
    assert_eq!(first_kept(&journal).await, 10);
    let journal = engine.reopen(journal).await;
    assert_eq!(first_kept(&journal).await, 10);
}

#[tokio::test]
async fn a_segment_with_a_record_to_spare_stays_whole() {
    let engine = Engine::with(small_segments);
    let journal = engine.open().await;
    fill(&journal).await;
    let keep = [(P, seq(11)), (P, seq(6))];
    journal.trim(days_later(99), &keep).await.unwrap();
    assert_eq!(first_kept(&journal).await, 4);
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
        append_draft(&journal, draft).await;
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
