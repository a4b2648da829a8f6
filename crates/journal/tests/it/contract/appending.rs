//! Appending and reading back.

use journal::{AppendError, Draft, Health, Place, ReadError, ReadLimit, Tense, Unavailable};

use crate::support::*;

pub(crate) async fn a_record_reads_back_byte_for_byte(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    let drafts = [
        draft(vec![0, 255, b'{', b'\n']),
        Draft {
            signed_by: None,
            workspace: String::new(),
            ..draft("")
        },
        Draft {
            signed_by: Some(String::new()),
            tense: Tense::Historical,
            ..draft(body(3, 300_000))
        },
    ];
    for draft in drafts {
        let place = append_draft(&journal, draft.clone()).await;
        let record = journal.record(place).await.unwrap().unwrap();
        assert_eq!(record.place, place);
        assert_eq!(record.received_at, draft.received_at);
        assert_eq!(record.workspace, draft.workspace);
        assert_eq!(record.signed_by, draft.signed_by);
        assert_eq!(record.tense, draft.tense);
        assert_eq!(record.body, draft.body);
        assert_eq!(
            journal.received_at(place).await.unwrap(),
            Some(draft.received_at)
        );
    }
}

pub(crate) async fn places_grow_in_the_order_of_appending(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    assert_eq!(append(&journal, "a").await, place(1));
    let second = journal.append(draft("b")).unwrap();
    let third = journal.append(draft("c")).unwrap();
    for (stored, number) in [(third.await.unwrap(), 3), (second.await.unwrap(), 2)] {
        assert!(stored.place.is_none_or(|there| there == place(number)));
    }
    numbered(&journal, seq(3)).await;
    let bodies = records(read_all(&journal).await);
    let bodies: Vec<_> = bodies.iter().map(|record| record.body.clone()).collect();
    assert_eq!(bodies, ["a", "b", "c"]);
}

pub(crate) async fn records_are_read_in_order_across_pieces(kind: Kind) {
    let engine = Engine::of(kind).limits(|config| config.segment_bytes = 2000);
    let journal = engine.open().await;
    append_many(&journal, 50, 300).await;
    eventually("the stats tell them", || journal.stats().pieces > 5).await;

    let mut read = Vec::new();
    let limit = ReadLimit {
        records: 7,
        bytes: usize::MAX,
    };
    loop {
        let from = place(read.len() as u64 + 1);
        let more = records(journal.read(from, limit).await.unwrap());
        if more.is_empty() {
            break;
        }
        assert!(more.len() <= 7);
        read.extend(more);
    }

    assert_eq!(read.len(), 50);
    for (number, record) in (0..).zip(&read) {
        assert_eq!(record.place, place(number + 1));
        assert_eq!(record.body, body(number, 300));
    }
}

pub(crate) async fn a_read_stops_at_its_bytes_but_brings_at_least_one(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    append_many(&journal, 4, 1000).await;
    for (bytes, expected) in [(0, 1), (1500, 1), (2100, 2), (100_000, 4)] {
        let limit = ReadLimit { records: 9, bytes };
        let read = journal.read(place(1), limit).await.unwrap();
        assert_eq!(read.len(), expected, "with {bytes} bytes");
    }
}

pub(crate) async fn a_record_that_is_not_there_is_none(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    append(&journal, "a").await;
    assert_eq!(journal.record(place(0)).await.unwrap(), None);
    assert_eq!(journal.record(place(2)).await.unwrap(), None);
    assert!(journal.read(place(2), ALL).await.unwrap().is_empty());
}

pub(crate) async fn a_partition_that_is_not_there_is_refused(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    let nowhere: Place = "p700/1".parse().unwrap();
    assert!(matches!(
        journal.record(nowhere).await,
        Err(ReadError::UnknownPartition(_))
    ));
    assert!(journal.durable(nowhere.partition).borrow().is_none());
    assert!(!journal.partitions().any(|there| there == nowhere.partition));
}

pub(crate) async fn single_records_are_found_anywhere_in_a_large_piece(kind: Kind) {
    let engine = Engine::of(kind).limits(|config| config.segment_bytes = 8_000_000);
    let journal = engine.open().await;
    let appended: Vec<_> = (0..400)
        .map(|number| journal.append(draft(body(number, 2000))).unwrap())
        .collect();
    for append in appended {
        append.await.unwrap();
    }
    let journal = engine.reopen(journal).await;
    assert_eq!(*journal.durable(P).borrow(), Some(seq(400)));
    for number in [399, 0, 250, 33, 398, 251] {
        let record = journal.record(place(number + 1)).await.unwrap().unwrap();
        assert_eq!(record.body, body(number, 2000));
    }
}

pub(crate) async fn the_durable_watch_comes_to_every_record_that_was_answered(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    let mut durable = journal.durable(P);
    assert_eq!(*durable.borrow_and_update(), None);
    let stored = journal.append(draft("a")).unwrap().await.unwrap();
    if let Some(place) = stored.place {
        assert_eq!(*durable.borrow(), Some(place.seq), "it was answered");
    }
    soon(durable.changed()).await.unwrap();
    assert_eq!(*durable.borrow_and_update(), Some(seq(1)));
    let journal = engine.reopen(journal).await;
    assert_eq!(*journal.durable(P).borrow(), Some(seq(1)));
}

pub(crate) async fn names_that_are_too_long_are_refused(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    let long = Draft {
        workspace: "w".repeat(256),
        ..draft("a")
    };
    let refused = journal.append(long).unwrap().await;
    assert!(matches!(
        refused,
        Err(AppendError::WorkspaceTooLong { bytes: 256 })
    ));
    let long = Draft {
        signed_by: Some("k".repeat(300)),
        ..draft("a")
    };
    let refused = journal.append(long).unwrap().await;
    assert!(matches!(
        refused,
        Err(AppendError::SignerTooLong { bytes: 300 })
    ));
    let longest = Draft {
        workspace: "w".repeat(255),
        signed_by: Some("k".repeat(255)),
        ..draft("a")
    };
    let place = append_draft(&journal, longest).await;
    let record = journal.record(place).await.unwrap().unwrap();
    assert_eq!(record.workspace.len(), 255);
}

pub(crate) async fn a_permit_is_good_for_the_bytes_it_was_given_for(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    let refused = journal.reserve(3).unwrap().append(draft("four")).await;
    assert!(matches!(
        refused,
        Err(AppendError::BodyTooLarge {
            bytes: 4,
            reserved: 3
        })
    ));
    journal
        .reserve(3)
        .unwrap()
        .append(draft("two"))
        .await
        .unwrap();
    assert!(matches!(
        journal.reserve(usize::MAX).map(drop),
        Err(Unavailable::TooLarge { .. })
    ));
}

pub(crate) async fn more_permits_than_may_wait_are_refused_until_one_is_dropped(kind: Kind) {
    let engine = Engine::of(kind).limits(|config| config.queue_records = 2);
    let journal = engine.open().await;
    let first = journal.reserve(10).unwrap();
    let second = journal.reserve(10).unwrap();
    assert_eq!(journal.reserve(10).map(drop), Err(Unavailable::Busy));
    drop(first);
    let third = journal.reserve(10).unwrap();
    second.append(draft("a")).await.unwrap();
    third.append(draft("b")).await.unwrap();
    journal
        .reserve(10)
        .unwrap()
        .append(draft("c"))
        .await
        .unwrap();
}

pub(crate) async fn more_bytes_than_may_wait_are_refused_unless_they_are_alone(kind: Kind) {
    let engine = Engine::of(kind).limits(|config| config.queue_bytes = 10_000);
    let journal = engine.open().await;
    let large = journal.reserve(20_000).unwrap();
    assert_eq!(journal.reserve(1).map(drop), Err(Unavailable::Busy));
    large.append(draft(body(1, 20_000))).await.unwrap();
    journal.reserve(1).map(drop).unwrap();
}

pub(crate) async fn a_full_journal_refuses_and_says_so(kind: Kind) {
    let engine = Engine::of(kind).limits(|config| {
        config.max_bytes = 20_000;
        config.segment_bytes = 4000;
    });
    let journal = engine.open().await;
    assert_eq!(journal.stats().health, Health::Healthy);
    let mut appended = 0;
    let refused = loop {
        match journal.append(draft(body(appended, 1000))) {
            Ok(append) => append.await.map(drop).unwrap(),
            Err(refused) => break refused,
        }
        appended += 1;
        assert!(appended < 20, "20 000 bytes hold no 20 records of 1000");
    };
    assert_eq!(refused, Unavailable::Full { max_bytes: 20_000 });
    assert!(appended > 10, "only {appended} records in 20 000 bytes");
    assert_eq!(journal.stats().health, Health::Full);
    numbered(&journal, seq(appended)).await;
    assert_eq!(read_all(&journal).await.len() as u64, appended);
}

pub(crate) async fn a_closed_journal_gives_no_permits_and_keeps_what_was_appended(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    let waiting = journal.append(draft("a")).unwrap();
    let held = journal.reserve(1).unwrap();
    soon(journal.close()).await.unwrap();
    let stored = waiting.await.unwrap();
    assert!(stored.place.is_none_or(|there| there == place(1)));
    assert_eq!(journal.reserve(1).map(drop), Err(Unavailable::Closing));
    assert!(matches!(
        held.append(draft("b")).await,
        Err(AppendError::Closed)
    ));
    drop(journal);
    let journal = engine.open().await;
    assert_eq!(read_all(&journal).await.len(), 1);
}

pub(crate) async fn an_append_nobody_waits_for_is_journaled_all_the_same(kind: Kind) {
    let engine = Engine::of(kind);
    let journal = engine.open().await;
    drop(journal.append(draft("a")).unwrap());
    let mut durable = journal.durable(P);
    soon(durable.wait_for(Option::is_some)).await.unwrap();
    assert_eq!(records(read_all(&journal).await)[0].body, "a");
}

pub(crate) async fn everything_is_there_after_the_last_handle_is_dropped(kind: Kind) {
    let engine = Engine::of(kind);
    for life in 0..4_u64 {
        let journal = engine.open().await;
        let read = records(read_all(&journal).await);
        assert_eq!(read.len() as u64, life * 3);
        for (number, record) in (0..).zip(&read) {
            assert_eq!(record.body, body(number, 10));
        }
        for number in life * 3..life * 3 + 3 {
            append(&journal, body(number, 10)).await;
        }
    }
}
