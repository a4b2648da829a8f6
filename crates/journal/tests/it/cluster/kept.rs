//! Settings, dead letters, cursors and claims: one state, whichever node changes it.

use bytes::Bytes;
use journal::{PutError, Settlement, Verdict};

use super::{INDEX, Shared, all_letters, taken, until_count};
use crate::support::*;

#[tokio::test]
async fn a_setting_put_on_one_node_is_seen_by_the_watch_of_the_other() {
    let shared = Shared::start();
    let [a, b] = shared.pair().await;
    let mut changes = b.journal.watch_settings();
    changes.mark_unchanged();
    let value = Bytes::from_static(b"[[connection]]");
    let put = a.journal.put_setting("connections", value.clone(), None);
    let revision = put.await.unwrap();
    soon(changes.changed()).await.unwrap();
    let seen = b.journal.setting("connections").await.unwrap().unwrap();
    assert_eq!((seen.value, seen.revision), (value, revision));
}

#[tokio::test]
async fn a_setting_removed_on_one_node_can_be_put_anew_on_the_other() {
    let shared = Shared::start();
    let [a, b] = shared.pair().await;
    let mut changes = b.journal.watch_settings();
    let value = Bytes::from_static(b"secret");
    let put = a.journal.put_setting("key", value.clone(), None);
    let revision = put.await.unwrap();
    a.journal.remove_setting("key", revision).await.unwrap();
    let removed = changes.wait_for(|last| *last > revision.get());
    soon(removed).await.unwrap();
    assert_eq!(b.journal.setting("key").await.unwrap(), None);
    let again = b.journal.put_setting("key", value.clone(), None);
    assert!(again.await.unwrap() > revision);
    let late = shared.join("late");
    let seen = late.journal.setting("key").await.unwrap();
    assert_eq!(seen.unwrap().value, value);
}

#[tokio::test]
async fn only_one_of_two_nodes_can_put_over_the_same_revision() {
    let shared = Shared::start();
    let [a, b] = shared.pair().await;
    let mut revision = None;
    for _ in 0..5 {
        let (of_a, of_b) = tokio::join!(
            a.journal
                .put_setting("names", Bytes::from_static(b"a"), revision),
            b.journal
                .put_setting("names", Bytes::from_static(b"b"), revision),
        );
        let (value, won, lost) = match (of_a, of_b) {
            (Ok(won), Err(lost)) => ("a", won, lost),
            (Err(lost), Ok(won)) => ("b", won, lost),
            both => panic!("not one of two: {both:?}"),
        };
        assert!(matches!(lost, PutError::Conflict { .. }), "{lost:?}");
        assert!(Some(won) > revision);
        revision = Some(won);
        for node in [&a, &b] {
            let mut changes = node.journal.watch_settings();
            let seen = loop {
                changes.mark_unchanged();
                let seen = node.journal.setting("names").await.unwrap();
                match seen {
                    Some(seen) if seen.revision == won => break seen,
                    _ => soon(changes.changed()).await.unwrap(),
                }
            };
            assert_eq!(seen.value, value);
        }
    }
}

#[tokio::test]
async fn dead_letters_of_one_node_are_listed_and_removed_by_another() {
    let shared = Shared::start();
    let (feeder, _tenure, other) = taken(shared.pair().await, &feed("eu")).await;
    append_many(&feeder.journal, 2, 10).await;
    let settlement = Settlement {
        dead_letters: vec![letter(1, Some("eu"), "1"), letter(2, Some("eu"), "2")],
        ..settlement("eu", 2)
    };
    feeder.journal.settle(settlement).await.unwrap();

    until_count(&other.journal, 2).await;
    let of_feeder = feeder.journal.dead_letters(all_letters()).await.unwrap();
    let listed = other.journal.dead_letters(all_letters()).await.unwrap();
    assert_eq!(listed, of_feeder);
    assert_eq!(reasons(&other.journal).await, ["2", "1"]);
    let newest = listed[0].id;
    let found = other.journal.dead_letter(newest).await.unwrap();
    assert_eq!(found.as_ref(), listed.first());

    assert!(other.journal.remove_dead_letter(newest).await.unwrap());

    until_count(&feeder.journal, 1).await;
    assert_eq!(feeder.journal.dead_letter(newest).await.unwrap(), None);
    assert!(!feeder.journal.remove_dead_letter(newest).await.unwrap());
    assert_eq!(reasons(&feeder.journal).await, ["1"]);
}

#[tokio::test]
async fn what_was_settled_is_known_to_the_next_node_that_takes_the_duty() {
    let shared = Shared::start();
    let (first, tenure, next) = taken(shared.pair().await, &feed("eu")).await;
    append_many(&first.journal, 3, 10).await;
    for (number, byte) in [(1, 1), (2, 2), (3, 3)] {
        let settlement = Settlement {
            claims: vec![(key(b'a'), place(number)), (key(byte), place(number))],
            ..settlement("eu", number)
        };
        first.journal.settle(settlement).await.unwrap();
    }
    drop(tenure);
    first.journal.close().await.unwrap();

    let _tenure = soon(next.journal.take(&feed("eu"))).await.unwrap();

    let cursor = next.journal.cursor("eu", P).await.unwrap();
    assert_eq!(cursor, Some(seq(3)));
    let keys = [key(b'a'), key(1), key(2), key(3), key(4)];
    let holders = next.journal.first_claims("eu", P, &keys).await.unwrap();
    let expected = [
        Some(place(1)),
        Some(place(1)),
        Some(place(2)),
        Some(place(3)),
        None,
    ];
    assert_eq!(holders, expected);
    next.journal.settle(settlement("eu", 3)).await.unwrap();
}

#[tokio::test]
async fn what_was_indexed_is_known_to_the_next_node_that_takes_the_duty() {
    let shared = Shared::start();
    let (first, tenure, next) = taken(shared.pair().await, &INDEX).await;
    append_many(&first.journal, 3, 10).await;
    let entries = vec![entry(1, b'a'), entry(2, b'b')];
    first.journal.index(P, entries).await.unwrap();
    drop(tenure);
    first.journal.close().await.unwrap();

    let _tenure = soon(next.journal.take(&INDEX)).await.unwrap();

    assert_eq!(*next.journal.indexed(P).borrow(), Some(seq(2)));
    let verdict = index_one(&next.journal, entry(3, b'b')).await;
    assert_eq!(verdict, Verdict::DuplicateOf(place(2)));
}
