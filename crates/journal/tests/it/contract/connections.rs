//! Cursors and first-only claims.

use journal::{Settlement, StateError};

use crate::support::*;

pub(crate) async fn a_cursor_that_was_never_placed_is_none(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    assert_eq!(journal.cursor("eu", P).await.unwrap(), None);
    journal.place_cursor("eu", P, seq(0)).await.unwrap();
    assert_eq!(journal.cursor("eu", P).await.unwrap(), Some(seq(0)));
    assert_eq!(journal.cursor("e", P).await.unwrap(), None);
}

pub(crate) async fn a_settle_never_moves_a_cursor_back(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu"]);
    let journal = engine.open().await;
    append_many(&journal, 9, 10).await;
    for (through, expected) in [(4, 4), (2, 4), (9, 9)] {
        journal.settle(settlement("eu", through)).await.unwrap();
        let cursor = journal.cursor("eu", P).await.unwrap();
        assert_eq!(cursor, Some(seq(expected)));
    }
    let journal = engine.reopen(journal).await;
    assert_eq!(journal.cursor("eu", P).await.unwrap(), Some(seq(9)));
    journal.place_cursor("eu", P, seq(3)).await.unwrap();
    let journal = engine.reopen(journal).await;
    assert_eq!(journal.cursor("eu", P).await.unwrap(), Some(seq(3)));
}

pub(crate) async fn nothing_is_settled_that_is_not_durable(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu"]);
    let journal = engine.open().await;
    append(&journal, "a").await;
    let refused = journal.settle(settlement("eu", 2)).await;
    assert!(matches!(refused, Err(StateError::NotDurable { .. })));
    let refused = journal.place_cursor("eu", P, seq(2)).await;
    assert!(matches!(refused, Err(StateError::NotDurable { .. })));
    assert_eq!(journal.cursor("eu", P).await.unwrap(), None);
}

pub(crate) async fn a_claim_stays_with_its_holder(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu"]);
    let journal = engine.open().await;
    append_many(&journal, 9, 10).await;
    let claims = |through, claims: &[(u8, u64)]| Settlement {
        claims: claims
            .iter()
            .map(|(byte, number)| (key(*byte), place(*number)))
            .collect(),
        ..settlement("eu", through)
    };
    let first = claims(2, &[(b'a', 1), (b'b', 2), (b'a', 2)]);
    journal.settle(first).await.unwrap();
    let second = claims(4, &[(b'a', 3), (b'c', 4)]);
    journal.settle(second).await.unwrap();
    let journal = engine.reopen(journal).await;
    let keys = [key(b'a'), key(b'b'), key(b'c'), key(b'd')];
    let holders = journal.first_claims("eu", P, &keys).await.unwrap();
    let expected = [Some(place(1)), Some(place(2)), Some(place(4)), None];
    assert_eq!(holders, expected);
    let others = journal.first_claims("us", P, &keys).await.unwrap();
    assert_eq!(others, [None; 4]);
}

pub(crate) async fn claims_that_are_reset_can_be_made_again(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu", "us"]);
    let journal = engine.open().await;
    append_many(&journal, 9, 10).await;
    for connection in ["eu", "us"] {
        let settlement = Settlement {
            claims: vec![(key(b'a'), place(1))],
            ..settlement(connection, 1)
        };
        journal.settle(settlement).await.unwrap();
    }
    journal.reset_claims("eu").await.unwrap();
    let holder = async |connection| {
        let holders = journal.first_claims(connection, P, &[key(b'a')]).await;
        holders.unwrap()[0]
    };
    assert_eq!(holder("eu").await, None);
    assert_eq!(holder("us").await, Some(place(1)));
    assert_eq!(journal.cursor("eu", P).await.unwrap(), Some(seq(1)));
    let again = Settlement {
        claims: vec![(key(b'a'), place(5))],
        ..settlement("eu", 5)
    };
    journal.settle(again).await.unwrap();
    assert_eq!(holder("eu").await, Some(place(5)));
}

pub(crate) async fn a_forgotten_connection_has_neither_cursor_nor_claims(kind: Kind) {
    let engine = Engine::of(kind).feeding(&["eu", "eu-2"]);
    let journal = engine.open().await;
    append(&journal, "a").await;
    for connection in ["eu", "eu-2"] {
        let settlement = Settlement {
            claims: vec![(key(b'a'), place(1))],
            dead_letters: vec![letter(1, Some(connection), connection)],
            ..settlement(connection, 1)
        };
        journal.settle(settlement).await.unwrap();
    }
    journal.forget_connection("eu").await.unwrap();
    let journal = engine.reopen(journal).await;
    assert_eq!(journal.cursor("eu", P).await.unwrap(), None);
    let holders = journal.first_claims("eu", P, &[key(b'a')]).await.unwrap();
    assert_eq!(holders, [None]);
    assert_eq!(journal.cursor("eu-2", P).await.unwrap(), Some(seq(1)));
    assert_eq!(reasons(&journal).await, ["eu-2", "eu"]);
}

pub(crate) async fn a_name_that_is_too_long_is_refused(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    let refused = journal.cursor(&"c".repeat(256), P).await;
    assert!(matches!(
        refused,
        Err(StateError::NameTooLong { bytes: 256 })
    ));
    journal
        .place_cursor(&"c".repeat(255), P, seq(0))
        .await
        .unwrap();
}
