//! What nodes say to each other.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::{Node, Shared};
use crate::support::*;

#[tokio::test]
async fn the_nodes_that_are_alive_know_of_each_other() {
    let shared = Shared::start();
    let [a, b] = shared.pair().await;
    let ids = |node: &Node| -> BTreeSet<_> {
        let nodes = node.journal.nodes();
        nodes.into_iter().map(|node| node.id).collect()
    };
    assert_eq!(ids(&a), ids(&b));
    for (node, name) in [(&a, "a"), (&b, "b")] {
        let nodes = node.journal.nodes();
        let this: Vec<_> = nodes.iter().filter(|node| node.is_this).collect();
        assert_eq!(this.len(), 1);
        assert_eq!(
            (this[0].name.as_str(), this[0].version.as_str()),
            (name, "1.2.3")
        );
        assert!(nodes.iter().any(|node| !node.is_this && node.name != name));
    }
    b.journal.close().await.unwrap();
    eventually("the one that left is gone", || a.journal.nodes().len() == 1).await;
}

#[tokio::test]
async fn a_question_gathers_what_the_others_answer_in_time() {
    let shared = Shared::start();
    let [a, b] = shared.pair().await;
    let silent = shared.join("silent");
    eventually("all are alive", || {
        [&a, &b].iter().all(|node| node.journal.nodes().len() == 3)
    })
    .await;
    let answering = async {
        let question = b.journal.question().await;
        let topic = question.topic.clone();
        assert_eq!(
            (topic.as_str(), &*question.body),
            ("counters", &b"of eu"[..])
        );
        question.answer(Bytes::from_static(b"42"));
    };
    let patience = Duration::from_millis(500);
    let asking = a
        .journal
        .ask("counters", Bytes::from_static(b"of eu"), patience);
    let (answers, ()) = soon(async { tokio::join!(asking, answering) }).await;
    let nodes = b.journal.nodes();
    let b_itself = nodes.into_iter().find(|node| node.is_this).unwrap();
    assert_eq!(answers, [(b_itself.id, Bytes::from_static(b"42"))]);
    drop(silent);
}
