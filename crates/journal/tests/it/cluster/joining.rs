//! Who joins, and what it finds.

use bytes::Bytes;
use journal::{ClusterConfig, Journal, Settlement, Trace};

use super::{INDEX, Shared, all_letters, bodies, indexed, until_count};
use crate::nats::{PASSWORD, USER};
use crate::support::*;

/// Everything of a journal that a node can be asked, in words.
async fn told(journal: &Journal) -> Vec<String> {
    let keys = [key(b'x'), key(b'y')];
    vec![
        format!("{:?}", read_all(journal).await),
        format!("{:?}", journal.read_indexed(place(1), ALL).await.unwrap()),
        format!("{:?}", journal.look_up(&person("ada"), 9).await.unwrap()),
        format!("{:?}", journal.verdict(place(3)).await.unwrap()),
        format!("{:?}", journal.cursor("eu", P).await.unwrap()),
        format!("{:?}", journal.first_claims("eu", P, &keys).await),
        format!("{:?}", journal.traces("eu", place(2), 9).await.unwrap()),
        format!("{:?}", journal.dead_letters(all_letters()).await.unwrap()),
        format!("{:?}", journal.dead_letter_count().await.unwrap()),
        format!("{:?}", journal.setting("connections").await.unwrap()),
    ]
}

/// Puts something of everything into a journal, by the only node that is there.
async fn fill(journal: &Journal) {
    let _indexer = soon(journal.take(&INDEX)).await.unwrap();
    let _feeder = soon(journal.take(&feed("eu"))).await.unwrap();
    append_many(journal, 4, 20).await;
    let mut entries = vec![entry(1, b'a'), entry(2, b'b'), entry(3, b'a')];
    entries[0].terms = vec![person("ada")];
    entries[1].burial = Some(letter(2, None, "not JSON"));
    journal.index(P, entries).await.unwrap();
    let settlement = Settlement {
        claims: vec![(key(b'x'), place(1))],
        dead_letters: vec![letter(3, Some("eu"), "refused")],
        traces: vec![Trace {
            first: seq(1),
            through: seq(3),
            value: Bytes::from_static(b"refused"),
        }],
        ..settlement("eu", 3)
    };
    journal.settle(settlement).await.unwrap();
    let value = Bytes::from_static(b"[[connection]]");
    journal
        .put_setting("connections", value, None)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_node_that_joins_with_an_empty_folder_knows_all_that_the_others_know() {
    let shared = Shared::start();
    let a = shared.join("a");
    fill(&a.journal).await;
    let b = shared.join("b");
    numbered(&b.journal, seq(4)).await;
    indexed(&b.journal, 3).await;
    until_count(&b.journal, 2).await;
    assert_eq!(told(&b.journal).await, told(&a.journal).await);
    assert_eq!(append(&b.journal, "one more").await, place(5));
}

#[tokio::test]
async fn what_was_answered_outlives_the_death_of_every_server_and_node() {
    let mut shared = Shared::start();
    let mut a = shared.join("a");
    fill(&a.journal).await;
    let before = told(&a.journal).await;
    a.kill();
    for server in 0..3 {
        shared.servers.kill(server);
    }
    drop(a);
    for server in 0..3 {
        shared.servers.restart(server);
    }
    shared.servers.wait_ready();
    for name in ["a", "with an empty folder"] {
        let node = shared.join(name);
        numbered(&node.journal, seq(4)).await;
        indexed(&node.journal, 3).await;
        until_count(&node.journal, 2).await;
        assert_eq!(told(&node.journal).await, before, "of {name}");
    }
}

#[tokio::test]
async fn a_journal_cannot_be_joined_with_another_number_of_partitions() {
    let shared = Shared::start();
    let a = shared.join("a");
    append(&a.journal, "a").await;
    let other = ClusterConfig {
        partitions: 3,
        ..shared.config("b")
    };
    let refused = soon(Box::pin(Journal::join(other))).await.err().unwrap();
    let words = refused.to_string();
    assert!(words.contains("partition"), "{words}");
    assert_eq!(bodies(&a.journal).await, ["a"]);
}

#[tokio::test]
async fn two_journals_on_one_cluster_keep_apart() {
    let shared = Shared::start();
    let a = shared.join("a");
    append(&a.journal, "a").await;
    let b = shared.join_with("b", |config| config.prefix = "other-2".to_owned());
    assert_eq!(append(&b.journal, "b").await, place(1));
    assert_eq!(bodies(&a.journal).await, ["a"]);
    assert_eq!(bodies(&b.journal).await, ["b"]);
    assert_eq!(a.journal.nodes().len(), 1);
}

/// Lets go of the first entries of the state, as the servers do with time.
async fn forget_state_below(shared: &Shared, sequence: u64) {
    let options = async_nats::ConnectOptions::with_user_and_password(USER.into(), PASSWORD.into());
    let client = options.connect(shared.servers.server(0)).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let stream = context.get_stream("pm-state-0").await.unwrap();
    stream.purge().sequence(sequence).await.unwrap();
}

// A connection that waits for longer than the state keeps its pages leaves records
// in the log that no page names. A node that joined then took them for lost.
#[tokio::test]
async fn a_node_that_joins_late_reads_records_whose_pages_are_gone() {
    let shared = Shared::start();
    let a = shared.join("a");
    append_many(&a.journal, 6, 20).await;
    for pair in [[1, 2], [3, 4], [5, 6]] {
        let entries = pair.map(|number| entry(number, u8::try_from(number).unwrap()));
        a.journal.index(P, entries.to_vec()).await.unwrap();
    }
    // Each page was one entry; the last one is left.
    forget_state_below(&shared, 3).await;
    let late = shared.join("late");
    indexed(&late.journal, 6).await;
    let read = late.journal.read_indexed(place(1), ALL).await.unwrap();
    assert_eq!(read, a.journal.read_indexed(place(1), ALL).await.unwrap());
    assert_eq!(read.len(), 6);
    let oldest = late.journal.record(place(2)).await.unwrap().unwrap();
    assert_eq!(oldest.place, place(2));
}
