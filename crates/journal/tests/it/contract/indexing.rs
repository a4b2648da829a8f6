//! Claims of events, verdicts, terms, and the watermark that they stand behind.

use journal::{IndexEntry, Indexed, Place, StateError, Verdict};

use crate::support::*;

pub(crate) async fn the_first_record_to_bear_an_event_wins(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    append_many(&journal, 5, 10).await;
    let verdicts = journal
        .index(P, vec![entry(1, b'a'), entry(2, b'b'), entry(3, b'a')])
        .await
        .unwrap();
    let of_first = Verdict::DuplicateOf(place(1));
    assert_eq!(verdicts, [Verdict::First, Verdict::First, of_first]);
    assert_eq!(index_one(&journal, entry(4, b'a')).await, of_first);

    let journal = engine.reopen(journal).await;
    assert_eq!(index_one(&journal, entry(5, b'a')).await, of_first);
    for (number, verdict) in [
        (1, Some(Verdict::First)),
        (2, Some(Verdict::First)),
        (3, Some(of_first)),
        (4, Some(of_first)),
        (5, Some(of_first)),
        (6, None),
    ] {
        assert_eq!(journal.verdict(place(number)).await.unwrap(), verdict);
    }
}

pub(crate) async fn an_event_is_known_for_eight_days_and_forgotten_after_sixteen(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    append_many(&journal, 40, 10).await;
    let mut number = 0;
    for offset in 0..10 {
        let bears = |days: i64, number| IndexEntry {
            received_at: days_later(100 * offset + offset + days),
            ..entry(number, b'a')
        };
        let first = number + 1;
        for (days, expected) in [
            (0, Verdict::First),
            (7, Verdict::DuplicateOf(place(first))),
            (8, Verdict::DuplicateOf(place(first))),
            (17, Verdict::First),
        ] {
            number += 1;
            let verdict = index_one(&journal, bears(days, number)).await;
            assert_eq!(verdict, expected, "{days} days after day {offset}");
        }
    }
}

pub(crate) async fn entries_that_leave_a_record_out_are_refused(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    append_many(&journal, 4, 10).await;
    for entries in [
        vec![entry(2, b'b')],
        vec![entry(1, b'a'), entry(3, b'c')],
        vec![entry(1, b'a'), entry(1, b'a')],
    ] {
        let refused = journal.index(P, entries).await;
        assert!(matches!(refused, Err(StateError::NotContiguous { .. })));
        assert_eq!(*journal.indexed(P).borrow(), None);
    }
}

pub(crate) async fn a_record_that_is_not_durable_cannot_be_indexed(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    append(&journal, "a").await;
    let refused = journal.index(P, vec![entry(1, b'a'), entry(2, b'b')]).await;
    assert!(matches!(refused, Err(StateError::NotDurable { seq: found }) if found == seq(2)));
    assert_eq!(journal.verdict(place(1)).await.unwrap(), None);
}

pub(crate) async fn reading_indexed_ends_at_the_watermark_and_tells_the_verdicts(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    append_many(&journal, 4, 10).await;
    assert!(
        journal
            .read_indexed(place(1), ALL)
            .await
            .unwrap()
            .is_empty()
    );
    let entries = vec![entry(1, b'a'), entry(2, b'a'), entry(3, b'c')];
    journal.index(P, entries).await.unwrap();
    assert_eq!(*journal.indexed(P).borrow(), Some(seq(3)));

    let read = journal.read_indexed(place(2), ALL).await.unwrap();

    let found: Vec<(Place, Verdict)> = read
        .into_iter()
        .map(|indexed| match indexed {
            Indexed::Record { record, verdict } => (record.place, verdict),
            Indexed::Erased(_) | Indexed::Damaged { .. } => panic!("nothing is damaged"),
        })
        .collect();
    let expected = [
        (place(2), Verdict::DuplicateOf(place(1))),
        (place(3), Verdict::First),
    ];
    assert_eq!(found, expected);
}

pub(crate) async fn records_are_found_by_their_terms_newest_first(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    append_many(&journal, 6, 10).await;
    for number in 1..=6 {
        let who = if number % 2 == 0 { "ada" } else { "ada-2" };
        let terms = vec![person(who), person("everybody")];
        let entry = IndexEntry {
            terms,
            ..entry(number, u8::try_from(number).unwrap())
        };
        index_one(&journal, entry).await;
    }
    let journal = engine.reopen(journal).await;
    let found = async |who, limit| journal.look_up(&person(who), limit).await.unwrap();
    assert_eq!(found("ada", 9).await, [place(6), place(4), place(2)]);
    assert_eq!(found("ada-2", 2).await, [place(5), place(3)]);
    assert_eq!(found("everybody", 9).await.len(), 6);
    assert!(found("ad", 9).await.is_empty());
    let other_kind = journal::Term {
        kind: journal::TermKind::EventId,
        value: "ada".to_owned(),
    };
    assert!(journal.look_up(&other_kind, 9).await.unwrap().is_empty());
}

pub(crate) async fn the_indexed_watch_moves_with_each_step(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    append_many(&journal, 2, 10).await;
    let mut indexed = journal.indexed(P);
    index_one(&journal, entry(1, b'a')).await;
    assert!(indexed.has_changed().unwrap());
    assert_eq!(*indexed.borrow_and_update(), Some(seq(1)));
    assert!(journal.index(P, Vec::new()).await.unwrap().is_empty());
    assert!(!indexed.has_changed().unwrap());
    let journal = engine.reopen(journal).await;
    assert_eq!(*journal.indexed(P).borrow(), Some(seq(1)));
}

pub(crate) async fn a_burial_is_kept_for_the_first_record_only(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    append_many(&journal, 2, 10).await;
    for number in 1..=2 {
        let entry = IndexEntry {
            burial: Some(letter(number, None, "not JSON")),
            ..entry(number, b'a')
        };
        index_one(&journal, entry).await;
    }
    assert_eq!(reasons(&journal).await, ["not JSON"]);
    assert_eq!(journal.dead_letter_count().await.unwrap(), 1);
}
