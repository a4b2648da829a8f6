//! What a connection did with records, found by each of them.

use bytes::Bytes;
use journal::{Settlement, StateError, Trace};

use super::trimming::{fill, first_kept};
use crate::support::*;

/// Settles through a record with traces of these ranges, each saying its range.
async fn settle(journal: &Open, connection: &str, through: u64, ranges: &[(u64, u64)]) {
    let traces = ranges.iter().map(|(first, last)| trace(*first, *last));
    let settlement = Settlement {
        traces: traces.collect(),
        ..settlement(connection, through)
    };
    journal.settle(settlement).await.unwrap();
}

fn trace(first: u64, through: u64) -> Trace {
    Trace {
        first: seq(first),
        through: seq(through),
        value: format!("{first} to {through}").into(),
    }
}

/// What is told of the record, as ranges.
async fn told(journal: &Open, connection: &str, number: u64) -> Vec<(u64, u64)> {
    let traces = journal.traces(connection, place(number), 99).await;
    let ranges = traces.unwrap().into_iter().map(|told| {
        let (first, through) = (told.first.get(), told.through.get());
        assert_eq!(told, trace(first, through));
        (first, through)
    });
    ranges.collect()
}

pub(crate) async fn a_trace_is_found_by_every_record_that_it_covers(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu", "eu-2"]);
    let journal = engine.open().await;
    append_many(&journal, 9, 10).await;
    settle(&journal, "eu", 3, &[(1, 3), (6, 9)]).await;
    settle(&journal, "eu-2", 2, &[(2, 2)]).await;
    settle(&journal, "eu", 9, &[(3, 5), (2, 7)]).await;
    let journal = engine.reopen(journal).await;
    for (number, expected) in [
        (1, [(1, 3)].as_slice()),
        (2, &[(2, 7), (1, 3)]),
        (3, &[(2, 7), (3, 5), (1, 3)]),
        (5, &[(2, 7), (3, 5)]),
        (7, &[(6, 9), (2, 7)]),
        (8, &[(6, 9)]),
        (10, &[]),
    ] {
        assert_eq!(told(&journal, "eu", number).await, expected, "of {number}");
    }
    assert_eq!(told(&journal, "eu-2", 2).await, [(2, 2)]);
    assert_eq!(told(&journal, "eu-2", 3).await, []);
    assert_eq!(told(&journal, "e", 2).await, []);
    let newest = journal.traces("eu", place(3), 1).await.unwrap();
    assert_eq!(newest, [trace(2, 7)]);
}

pub(crate) async fn a_trace_through_the_same_record_takes_the_place_of_the_one_before(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu"]);
    let journal = engine.open().await;
    append_many(&journal, 4, 10).await;
    settle(&journal, "eu", 4, &[(1, 4), (2, 3)]).await;
    settle(&journal, "eu", 4, &[(3, 4)]).await;
    let journal = engine.reopen(journal).await;
    assert_eq!(told(&journal, "eu", 1).await, []);
    assert_eq!(told(&journal, "eu", 3).await, [(3, 4), (2, 3)]);
}

pub(crate) async fn a_trace_behind_too_many_others_is_not_looked_for(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu"]);
    let journal = engine.open().await;
    let looked_at = u64::try_from(Trace::MAX_LOOKED_AT).unwrap();
    append_many(&journal, looked_at + 2, 10).await;
    let mut ranges: Vec<_> = (2..=looked_at).map(|number| (number, number)).collect();
    ranges.extend([(1, looked_at + 1), (1, looked_at + 2)]);
    settle(&journal, "eu", 1, &ranges).await;
    assert_eq!(told(&journal, "eu", 1).await, [(1, looked_at + 1)]);
    let both = [(1, looked_at + 2), (1, looked_at + 1), (3, 3)];
    assert_eq!(told(&journal, "eu", 3).await, both);
}

pub(crate) async fn a_settlement_with_a_trace_that_is_too_long_is_refused_whole(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu"]);
    let journal = engine.open().await;
    append_many(&journal, 2, 10).await;
    let of_length = |bytes| Settlement {
        claims: vec![(key(b'a'), place(1))],
        traces: vec![
            trace(1, 1),
            Trace {
                value: Bytes::from(vec![7; bytes]),
                ..trace(1, 2)
            },
        ],
        ..settlement("eu", 2)
    };
    let refused = journal.settle(of_length(Trace::MAX_VALUE_BYTES + 1)).await;
    assert!(matches!(
        refused,
        Err(StateError::TraceTooLong { bytes: 16_385 })
    ));
    assert_eq!(journal.cursor("eu", P).await.unwrap(), None);
    assert_eq!(told(&journal, "eu", 1).await, []);
    let holders = journal.first_claims("eu", P, &[key(b'a')]).await.unwrap();
    assert_eq!(holders, [None]);
    let longest = journal.settle(of_length(Trace::MAX_VALUE_BYTES)).await;
    longest.unwrap();
    let found = journal.traces("eu", place(2), 1).await.unwrap();
    assert_eq!(found[0].value.len(), Trace::MAX_VALUE_BYTES);
}

pub(crate) async fn nothing_is_traced_that_is_not_durable(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu"]);
    let journal = engine.open().await;
    append(&journal, "a").await;
    let ahead = Settlement {
        traces: vec![trace(1, 2)],
        ..settlement("eu", 1)
    };
    let refused = journal.settle(ahead).await;
    assert!(matches!(refused, Err(StateError::NotDurable { .. })));
    assert_eq!(journal.cursor("eu", P).await.unwrap(), None);
    assert_eq!(told(&journal, "eu", 1).await, []);
}

pub(crate) async fn a_settlement_has_more_traces_than_one_message_takes(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu"]);
    let journal = engine.open().await;
    append_many(&journal, 70, 10).await;
    let traces = (1..=70).map(|number| Trace {
        value: Bytes::from(vec![u8::try_from(number).unwrap(); Trace::MAX_VALUE_BYTES]),
        ..trace(number, number)
    });
    let settlement = Settlement {
        claims: vec![(key(b'a'), place(1))],
        traces: traces.collect(),
        ..settlement("eu", 70)
    };
    journal.settle(settlement.clone()).await.unwrap();
    let journal = engine.reopen(journal).await;
    for expected in &settlement.traces {
        let there = place(expected.through.get());
        let found = journal.traces("eu", there, 9).await.unwrap();
        assert_eq!(found.as_slice(), std::slice::from_ref(expected));
    }
    let holders = journal.first_claims("eu", P, &[key(b'a')]).await.unwrap();
    assert_eq!(holders, [Some(place(1))]);
}

pub(crate) async fn traces_go_with_the_last_record_that_they_cover(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu", "us"]).limits(|config| {
        config.segment_bytes = 3300;
        config.max_bytes = 40_000;
    });
    let journal = engine.open().await;
    fill(&journal).await;
    for connection in ["eu", "us"] {
        let ranges: Vec<_> = (1..=12).map(|last| (last.max(2) - 1, last)).collect();
        settle(&journal, connection, 12, &ranges).await;
    }
    journal.trim(days_later(31), &[(P, seq(11))]).await.unwrap();
    let first = first_kept(&journal).await;
    assert!((4..=11).contains(&first), "the first is {first}");
    settle(&journal, "eu", 12, &[(1, first - 1)]).await;
    let journal = engine.reopen(journal).await;
    for connection in ["eu", "us"] {
        for number in 1..first - 1 {
            assert_eq!(told(&journal, connection, number).await, [], "of {number}");
        }
        assert_eq!(
            told(&journal, connection, first - 1).await,
            [(first - 1, first)]
        );
        for number in first..12 {
            let both = [(number, number + 1), (number - 1, number)];
            assert_eq!(told(&journal, connection, number).await, both);
        }
    }
}

pub(crate) async fn a_forgotten_connection_has_no_traces(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu", "eu-2"]);
    let journal = engine.open().await;
    append_many(&journal, 3, 10).await;
    for connection in ["eu", "eu-2"] {
        settle(&journal, connection, 3, &[(1, 1), (2, 3)]).await;
    }
    journal.reset_claims("eu").await.unwrap();
    assert_eq!(told(&journal, "eu", 2).await, [(2, 3)]);
    journal.forget_connection("eu").await.unwrap();
    let journal = engine.reopen(journal).await;
    assert_eq!(told(&journal, "eu", 1).await, []);
    assert_eq!(told(&journal, "eu", 2).await, []);
    assert_eq!(told(&journal, "eu-2", 2).await, [(2, 3)]);
}

pub(crate) async fn traces_stay_when_the_index_is_rebuilt(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu"]);
    let journal = engine.open().await;
    append_many(&journal, 2, 10).await;
    let entries = vec![entry(1, b'a'), entry(2, b'b')];
    journal.index(P, entries).await.unwrap();
    settle(&journal, "eu", 2, &[(1, 2)]).await;
    journal.rebuild_index().await.unwrap();
    assert_eq!(told(&journal, "eu", 1).await, [(1, 2)]);
    let journal = engine.reopen(journal).await;
    assert_eq!(told(&journal, "eu", 1).await, [(1, 2)]);
}
