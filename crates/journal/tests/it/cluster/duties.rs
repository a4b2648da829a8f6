//! Duties: one node at a time does a piece of work, and one that believes it
//! still does changes nothing.

use std::time::Instant;

use bytes::Bytes;
use journal::{Settlement, StateError, Verdict};

use super::{INDEX, Shared, indexed, taken};
use crate::support::*;

#[tokio::test]
async fn nobody_takes_a_duty_that_another_holds() {
    let shared = Shared::start();
    let (holder, tenure, other) = taken(shared.pair().await, &INDEX).await;
    let mut revision = None;
    let mut meanwhile = 0;
    let rounds = async {
        // Each is a round through the servers; the take has as many.
        while meanwhile < 50 {
            let put = other.journal.put_setting("names", Bytes::new(), revision);
            revision = Some(put.await.unwrap());
            meanwhile += 1;
        }
    };
    tokio::select! {
        _ = other.journal.take(&INDEX) => panic!("two hold one duty"),
        () = soon(rounds) => (),
    }
    drop(tenure);
    holder.journal.close().await.unwrap();
    let _tenure = soon(other.journal.take(&INDEX)).await.unwrap();
}

#[tokio::test]
async fn a_duty_moves_within_the_timeout_when_its_holder_is_killed() {
    let shared = Shared::start();
    let (mut holder, _tenure, other) = taken(shared.pair().await, &feed("eu")).await;
    let patience = shared.config("any").node_timeout;

    holder.kill();

    let begun = Instant::now();
    let _tenure = soon(other.journal.take(&feed("eu"))).await.unwrap();
    let took = begun.elapsed();
    assert!(took < 2 * patience, "it took {took:?}");
    assert_eq!(other.journal.nodes().len(), 1);
}

#[tokio::test]
async fn the_settlements_of_a_holder_that_was_superseded_are_refused() {
    let shared = Shared::start();
    let (holder, mut tenure, other) = taken(shared.pair().await, &feed("eu")).await;
    append_many(&holder.journal, 3, 10).await;
    numbered(&other.journal, seq(3)).await;
    let claiming = |byte, number| Settlement {
        claims: vec![(key(byte), place(number))],
        ..settlement("eu", number)
    };
    holder.journal.settle(claiming(b'a', 1)).await.unwrap();
    holder.cut_off();
    let _tenure = soon(other.journal.take(&feed("eu"))).await.unwrap();
    other.journal.settle(claiming(b'b', 2)).await.unwrap();
    holder.reconnect();

    let late = Settlement {
        dead_letters: vec![letter(3, Some("eu"), "late")],
        ..claiming(b'b', 3)
    };
    let refused = soon(holder.journal.settle(late)).await;

    assert!(
        matches!(refused, Err(StateError::Superseded)),
        "{refused:?}"
    );
    soon(tenure.over()).await;
    let cursor = other.journal.cursor("eu", P).await.unwrap();
    assert_eq!(cursor, Some(seq(2)));
    let keys = [key(b'a'), key(b'b')];
    let holders = other.journal.first_claims("eu", P, &keys).await.unwrap();
    assert_eq!(holders, [Some(place(1)), Some(place(2))]);
    assert!(reasons(&other.journal).await.is_empty());
}

#[tokio::test]
async fn the_entries_of_an_indexer_that_was_superseded_are_refused() {
    let shared = Shared::start();
    let (holder, mut tenure, other) = taken(shared.pair().await, &INDEX).await;
    append_many(&holder.journal, 3, 10).await;
    numbered(&other.journal, seq(3)).await;
    index_one(&holder.journal, entry(1, b'a')).await;
    holder.cut_off();
    let _tenure = soon(other.journal.take(&INDEX)).await.unwrap();
    index_one(&other.journal, entry(2, b'b')).await;
    holder.reconnect();

    let refused = soon(holder.journal.index(P, vec![entry(2, b'c')])).await;

    assert!(
        matches!(refused, Err(StateError::Superseded)),
        "{refused:?}"
    );
    soon(tenure.over()).await;
    let verdict = index_one(&other.journal, entry(3, b'b')).await;
    assert_eq!(verdict, Verdict::DuplicateOf(place(2)));
    indexed(&holder.journal, 3).await;
    let seen = holder.journal.verdict(place(3)).await.unwrap();
    assert_eq!(seen, Some(verdict));
}
