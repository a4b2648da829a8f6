//! Records: one log, whichever node appends.

use std::collections::BTreeMap;

use bytes::Bytes;
use journal::{Affinity, Draft, Partition, Place, Seq, Verdict};

use super::{INDEX, Shared, bodies, indexed, taken};
use crate::support::*;

#[tokio::test]
async fn what_one_node_appends_another_reads_at_the_same_place() {
    let shared = Shared::start();
    let [a, b] = shared.pair().await;
    let drafts = [draft("of a"), draft("")];
    for (number, draft) in (1..).zip(drafts) {
        let there = append_draft(&a.journal, draft.clone()).await;
        assert_eq!(there, place(number));
        numbered(&b.journal, there.seq).await;
        let of_a = a.journal.record(there).await.unwrap().unwrap();
        let of_b = b.journal.record(there).await.unwrap().unwrap();
        assert_eq!(of_b, of_a);
        assert_eq!(of_b.body, draft.body);
    }
    assert_eq!(append(&b.journal, "of b").await, place(3));
    numbered(&a.journal, seq(3)).await;
    assert_eq!(bodies(&a.journal).await, ["of a", "", "of b"]);
}

#[tokio::test]
async fn two_nodes_that_append_at_once_read_one_log_without_gaps() {
    const EACH: u64 = 200;
    let shared = Shared::start();
    let nodes = shared.pair().await;
    let mut answers = Vec::new();
    for number in 0..EACH {
        for (node, name) in nodes.iter().zip(["a", "b"]) {
            let body = format!("{name}{number}");
            answers.push((body.clone(), node.journal.append(draft(body)).unwrap()));
        }
    }
    let mut places = BTreeMap::new();
    for (body, answer) in answers {
        if let Some(place) = answer.await.unwrap().place {
            places.insert(Bytes::from(body), place);
        }
    }
    let mut logs = Vec::new();
    for node in &nodes {
        numbered(&node.journal, seq(2 * EACH)).await;
        logs.push(records(read_all(&node.journal).await));
    }
    assert_eq!(logs[0], logs[1]);
    let mut next_of = BTreeMap::from([('a', 0), ('b', 0)]);
    for (number, record) in (1..).zip(&logs[0]) {
        assert_eq!(record.place, place(number));
        let told = places.get(&record.body).copied();
        assert!(told.is_none_or(|told| told == record.place), "{told:?}");
        let text = str::from_utf8(&record.body).unwrap();
        let name = text.chars().next().unwrap();
        let next = next_of.get_mut(&name).unwrap();
        assert_eq!(text, format!("{name}{next}"));
        *next += 1;
    }
    assert_eq!(next_of, BTreeMap::from([('a', EACH), ('b', EACH)]));
}

#[tokio::test]
async fn a_duplicate_is_found_whichever_node_received_it() {
    let shared = Shared::start();
    let (indexer, _tenure, other) = taken(shared.pair().await, &INDEX).await;
    append(&indexer.journal, "first").await;
    numbered(&other.journal, seq(1)).await;
    append(&other.journal, "again").await;
    numbered(&indexer.journal, seq(2)).await;
    let mut entries = vec![entry(1, b'a'), entry(2, b'a')];
    for entry in &mut entries {
        entry.terms = vec![person("ada")];
    }

    let verdicts = indexer.journal.index(P, entries).await.unwrap();

    let again = Verdict::DuplicateOf(place(1));
    assert_eq!(verdicts, [Verdict::First, again]);
    for node in [&indexer, &other] {
        indexed(&node.journal, 2).await;
        let journal = &node.journal;
        assert_eq!(
            journal.verdict(place(1)).await.unwrap(),
            Some(Verdict::First)
        );
        assert_eq!(journal.verdict(place(2)).await.unwrap(), Some(again));
        let found = journal.look_up(&person("ada"), 9).await.unwrap();
        assert_eq!(found, [place(2), place(1)]);
    }
}

#[tokio::test]
async fn drafts_of_one_affinity_stay_together_in_their_order() {
    const RECORDS: u64 = 60;
    let shared = Shared::start();
    let a = shared.join_with("a", |config| config.partitions = 3);
    let mut answers = Vec::new();
    for number in 0..RECORDS {
        let draft = Draft {
            affinity: Affinity::new(number % 7),
            ..draft(number.to_string())
        };
        answers.push(a.journal.append(draft).unwrap());
    }
    for answer in answers {
        answer.await.unwrap();
    }
    let partitions: Vec<_> = a.journal.partitions().collect();
    assert_eq!(partitions, [0, 1, 2].map(Partition::new));
    let durable = || -> u64 {
        let durable = partitions
            .iter()
            .map(|each| *a.journal.durable(*each).borrow());
        durable.map(|last| last.map_or(0, Seq::get)).sum()
    };
    eventually("all have places", || durable() == RECORDS).await;
    let mut last_of = BTreeMap::new();
    let mut found = 0;
    for partition in &partitions {
        let from = Place::new(*partition, seq(1));
        let read = records(a.journal.read(from, ALL).await.unwrap());
        assert!(!read.is_empty(), "nothing is in partition {partition}");
        for record in read {
            let number: u64 = str::from_utf8(&record.body).unwrap().parse().unwrap();
            let before = last_of.insert(number % 7, (*partition, number));
            assert!(before.is_none_or(|before| before < (*partition, number)));
            assert!(before.is_none_or(|(there, _)| there == *partition));
            found += 1;
        }
    }
    assert_eq!(found, RECORDS);
}

#[tokio::test]
async fn a_body_larger_than_a_message_may_be_goes_through() {
    let shared = Shared::start();
    let [a, b] = shared.pair().await;
    let large: Vec<u8> = (0..=250).cycle().take(3 * 1024 * 1024).collect();
    append(&a.journal, "before").await;
    let there = append(&a.journal, large.clone()).await;
    append(&a.journal, "behind").await;
    assert_eq!(there, place(2));
    numbered(&b.journal, seq(3)).await;
    let read = bodies(&b.journal).await;
    assert_eq!((&*read[0], &*read[2]), (&b"before"[..], &b"behind"[..]));
    assert!(read[1] == large, "it was changed on its way");
}
