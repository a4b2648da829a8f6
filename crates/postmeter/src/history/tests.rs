//! The counts of all nodes, on a real journal.

use std::sync::Arc;

use bytes::Bytes;
use console::seen::WorkspaceState;
use journal::{Config, Partition, Seq};
use receive::{Answer, Receipt, Refusal};
use tempfile::TempDir;

use super::format::Slot;
use super::*;
use crate::observe::End;

const NOW: &str = "2026-03-14T15:26:53Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() + seconds).unwrap()
}

async fn journal(dir: &TempDir) -> Journal {
    Journal::open(Config::new(dir.path())).await.unwrap()
}

/// A node of this name, which goes on where it was.
async fn node(journal: &Journal, name: &str) -> History {
    let shared = Shared {
        node: name.to_owned(),
        stored: Mutex::default(),
        writer: tokio::sync::Mutex::default(),
    };
    let history = History {
        journal: journal.clone(),
        live: Arc::default(),
        shared: Arc::new(shared),
    };
    history.go_on(now()).await;
    history
}

fn receipt(answer: Answer) -> Receipt {
    Receipt {
        workspace: Some("acme".into()),
        answer,
    }
}

fn taken() -> Receipt {
    receipt(Answer::Journaled {
        place: None,
        signed_by: None,
    })
}

fn refused() -> Receipt {
    receipt(Answer::Refused(Refusal::Mismatch))
}

impl History {
    /// An email is opened: received, indexed and accepted.
    fn opened(&self, seq: u64, at: Timestamp) {
        self.live.answered(&taken(), at);
        let kind = shape::Kind {
            object_type: Some("email"),
            metric: "opened",
        };
        let seen = Seen {
            seq: Seq::new(seq),
            received_at: at,
            workspace: "acme",
            code: event_code_of(Some(kind)),
            is_repeat: false,
        };
        self.live.indexed(Partition::ZERO, &[seen], at);
        let id: Arc<str> = "c1".into();
        self.live.ended(&id, &[(at, End::Accepted)], at);
        self.live.attempted(&id, &[Some(200)], at);
    }

    async fn total(&self, span: Span, now: Timestamp) -> u64 {
        let history = self.over(span, now).await.unwrap();
        let counts = history.channels.iter().flat_map(|line| &line.counts);
        counts.sum()
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart_and_counts_go_on() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let before = node(&journal, "this").await;
    for seq in 1..=5 {
        before.opened(seq, now());
    }
    assert_eq!(before.total(Span::Hour, now()).await, 5, "not written yet");
    before.flush(now()).await.unwrap();
    assert_eq!(
        before.total(Span::Hour, now()).await,
        5,
        "not counted twice"
    );
    before.opened(6, now());
    assert_eq!(before.total(Span::Hour, now()).await, 6);

    // Killed: the sixth was not written, and the indexer reads from the third on.
    let after = node(&journal, "this").await;
    for seq in 3..=7 {
        after.opened(seq, later(30));
    }
    for span in Span::ALL {
        assert_eq!(after.total(span, later(30)).await, 7, "{span:?}");
    }
    after.flush(later(30)).await.unwrap();
    assert_eq!(after.total(Span::Day, later(30)).await, 7);
    let day = after.day("acme", later(30)).await.unwrap();
    assert_eq!((day.received, day.duplicates, day.refused), (10, 0, 0));
    let hour = after.hour("c1", later(30)).await.unwrap();
    assert_eq!(hour.len(), 60);
    assert_eq!(hour[58..], [5, 5]);
    let history = after.over(Span::Hour, later(30)).await.unwrap();
    assert_eq!(history.answers[0].name, "200");
    assert_eq!(history.latency.p99_s[59], Some(0.001));
    assert_eq!(history.latency.p50_s[0], None);
    assert_eq!(history.funnels[0].steps[2], ("opened".to_owned(), 10 - 3));
    journal.close().await.unwrap();
}

#[tokio::test]
async fn every_node_shows_what_all_of_them_counted() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let (a, b) = (node(&journal, "a").await, node(&journal, "b").await);
    a.opened(1, now());
    b.opened(2, now());
    b.opened(3, now());
    b.live.answered(&refused(), later(1));
    assert_eq!(a.total(Span::Hour, now()).await, 1);
    for each in [&a, &b, &a] {
        each.flush(later(2)).await.unwrap();
    }
    for each in [&a, &b] {
        assert_eq!(each.total(Span::Hour, later(2)).await, 3);
        assert_eq!(each.total(Span::Month, later(2)).await, 3);
        assert_eq!(each.day("acme", later(2)).await.unwrap().refused, 1);
        let intake = each.intake(later(2)).await.unwrap();
        let state = intake.feed("acme").unwrap().state();
        assert!(matches!(state, WorkspaceState::Holding { status: 401, .. }));
    }
    b.opened(4, later(3));
    b.flush(later(3)).await.unwrap();
    assert_eq!(a.total(Span::Day, later(3)).await, 4, "it looked again");
    let rate = a.rate("acme", later(60)).await.unwrap();
    assert!(
        (rate - 3.0 / 60.0).abs() < 1e-9,
        "the other's last minute: {rate}"
    );
    let rate = a.accepted_rate("c1", later(60)).await.unwrap();
    assert!((rate - 3.0 / 60.0).abs() < 1e-9, "{rate}");
    journal.close().await.unwrap();
}

#[tokio::test]
async fn two_processes_of_one_name_lose_no_count_of_each_other() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let (one, other) = (node(&journal, "a").await, node(&journal, "a").await);
    for round in 0..3 {
        one.opened(2 * round + 1, now());
        one.flush(now()).await.unwrap();
        other.opened(2 * round + 2, now());
        other.flush(now()).await.unwrap();
    }
    assert_eq!(other.total(Span::Hour, now()).await, 6);
    journal.close().await.unwrap();
}

#[tokio::test]
async fn an_hour_takes_the_place_of_the_one_30_days_before() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let history = node(&journal, "this").await;
    history.opened(1, now());
    history.flush(now()).await.unwrap();
    let month = later(30 * 24 * 3_600);
    assert_eq!(
        slot_key("this", Minute::of(now()).hour()),
        slot_key("this", Minute::of(month).hour())
    );
    history.opened(2, month);
    history.flush(month).await.unwrap();
    for each in [&history, &node(&journal, "this").await] {
        assert_eq!(each.total(Span::Month, month).await, 1);
    }
    // The clock was wrong and is put right: the place is taken again.
    history.opened(3, now());
    history.flush(now()).await.unwrap();
    assert_eq!(
        node(&journal, "this").await.total(Span::Month, now()).await,
        1
    );
    journal.close().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_understood_is_left_out_and_written_over() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let garbage = Bytes::from_static(b"\x01 of a newer build");
    let hour = Minute::of(now()).hour();
    for key in [slot_key("this", hour), intake_key("this"), NODES.to_owned()] {
        journal
            .put_setting(&key, garbage.clone(), None)
            .await
            .unwrap();
    }
    let history = node(&journal, "this").await;
    assert_eq!(history.total(Span::Month, now()).await, 0);
    history.opened(1, now());
    history.flush(now()).await.unwrap();
    let after = node(&journal, "this").await;
    assert_eq!(after.total(Span::Month, now()).await, 1);
    assert!(after.intake(now()).await.unwrap().feed("acme").is_some());
    assert_eq!(after.listed().await.unwrap(), ["this"]);
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_counted_twice() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    let history = node(&journal, "this").await;
    history.opened(1, now());
    let waiting = history.live.waiting(now());
    let (hour, counts) = waiting.hours.first_key_value().unwrap();
    let slot = Slot {
        hour: *hour,
        marks: waiting.marks.clone(),
        counts: counts.clone(),
    };
    // It was written, and nobody was told.
    let value = slot.encode();
    let key = slot_key("this", *hour);
    journal
        .put_setting(&key, value.clone(), None)
        .await
        .unwrap();
    history
        .shared
        .writer
        .lock()
        .await
        .lost(*hour, value, &waiting);
    history.opened(2, now());
    history.flush(now()).await.unwrap();
    assert_eq!(history.total(Span::Hour, now()).await, 2);
    assert_eq!(
        node(&journal, "this").await.total(Span::Hour, now()).await,
        2
    );
    journal.close().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_written_waits() {
    let dir = TempDir::new().unwrap();
    let journal = journal(&dir).await;
    // No setting takes a key of this length.
    let history = node(&journal, &"n".repeat(300)).await;
    history.opened(1, now());
    for _ in 0..2 {
        history.flush(now()).await.unwrap_err();
    }
    let waiting = history.live.waiting(now());
    let counts = waiting.hours.values().next().unwrap();
    let accepted = What::Ended(Ending::Accepted);
    let accepted = counts.get(&Series::new(accepted, &"c1".into())).unwrap();
    assert_eq!(accepted.iter().sum::<u32>(), 1);
    assert!((history.live.rate("acme", now()) - 1.0 / 60.0).abs() < 1e-9);
    journal.close().await.unwrap();
}
