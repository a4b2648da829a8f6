//! What the nodes of one journal say to each other, so that one console shows all.
//!
//! Each node answers the others' questions about itself with what it knows at
//! once, and asks them when somebody looks. A journal of one process has no other
//! nodes; everything here then speaks of this one alone. Nothing that is said
//! holds a body, an address of a person or a secret.

mod merge;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use journal::{Duty, Node, Question};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub(crate) use self::merge::{Holder, Status, statuses};
use self::wire::{LineReport, budgeted};
pub(crate) use self::wire::{NodeReport, Waiting};
use crate::api::{attempt, health};
use crate::observe::Observer;
use crate::operator::Operator;

/// How long the other nodes may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The question how a node's connections are doing.
const CONNECTIONS: &str = "connections";
/// The question how a node is doing.
const NODE: &str = "node";

/// What the nodes said that were asked.
pub(crate) struct Gathered<T> {
    /// Each node that answered, this one first.
    pub(crate) answers: Vec<(Member, T)>,
    /// The names of those that did not.
    pub(crate) unanswered: Vec<String>,
}

/// A node, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    /// Names one run of it; none where there are no others to tell it from.
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) is_this: bool,
}

impl Member {
    fn of(node: &Node) -> Member {
        Member {
            id: Some(node.id.to_string()),
            name: node.name.clone(),
            version: node.version.clone(),
            is_this: node.is_this,
        }
    }

    /// The one node of a journal that has no others.
    fn alone() -> Member {
        Member {
            id: None,
            name: "this server".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            is_this: true,
        }
    }
}

/// How every node is doing.
pub(crate) async fn nodes(operator: &Operator, observer: &Observer) -> Gathered<NodeReport> {
    gather(operator, NODE, node_report(operator, observer)).await
}

/// How every node's lines are doing.
async fn lines(operator: &Operator) -> Gathered<Vec<LineReport>> {
    gather(operator, CONNECTIONS, line_reports(operator)).await
}

/// Answers the other nodes' questions, until `stop`.
pub(crate) async fn answer(operator: Operator, observer: Observer, stop: CancellationToken) {
    while let Some(question) = stop.run_until_cancelled(operator.journal.question()).await {
        reply(&operator, &observer, question);
    }
}

fn reply(operator: &Operator, observer: &Observer, question: Question) {
    let answer = match question.topic.as_str() {
        CONNECTIONS => encode(&budgeted(line_reports(operator))),
        NODE => encode(&node_report(operator, observer)),
        // Of a newer build, which sees that this one does not answer.
        topic => return debug!("another node asks for {topic:?}, which this build does not know"),
    };
    question.answer(answer);
}

fn encode(answer: &impl Serialize) -> Bytes {
    let json = serde_json::to_vec(answer).expect("reports have text for keys, so they are JSON");
    json.into()
}

/// Asks every other node, and puts their answers behind this node's own.
async fn gather<T: DeserializeOwned>(operator: &Operator, topic: &str, own: T) -> Gathered<T> {
    let nodes = operator.journal.nodes();
    let this = nodes.iter().find(|node| node.is_this).map(Member::of);
    let mut gathered = Gathered {
        answers: vec![(this.unwrap_or_else(Member::alone), own)],
        unanswered: Vec::new(),
    };
    if nodes.iter().all(|node| node.is_this) {
        return gathered;
    }
    let answers = operator.journal.ask(topic, Bytes::new(), PATIENCE).await;
    for node in nodes.iter().filter(|node| !node.is_this) {
        let answer = answers.iter().find(|(id, _)| *id == node.id);
        let read = answer.and_then(|(_, body)| serde_json::from_slice(body).ok());
        match read {
            Some(read) => gathered.answers.push((Member::of(node), read)),
            None => gathered.unanswered.push(node.name.clone()),
        }
    }
    gathered
}

fn node_report(operator: &Operator, observer: &Observer) -> NodeReport {
    let (state, reason) = health(&operator.journal.stats().health);
    let mut report = NodeReport {
        health: state.to_owned(),
        reason,
        warnings: operator.warnings(),
        counts: observer.counts(),
        ..NodeReport::default()
    };
    for duty in operator.duties.held() {
        match duty {
            Duty::Index(partition) => report.indexes.push(partition.get()),
            Duty::Feed {
                connection,
                partition,
            } => {
                let name = operator.name_of(&connection);
                report.feeds.entry(name).or_default().push(partition.get());
            }
        }
    }
    report
}

fn line_reports(operator: &Operator) -> Vec<LineReport> {
    let held = operator.duties.held();
    let mut reports = Vec::new();
    for connection in operator.connections() {
        let Some(line) = operator.running.line(&connection.id) else {
            continue;
        };
        let id = connection.id.as_str();
        let partitions = held.iter().filter_map(|duty| match duty {
            Duty::Feed {
                connection,
                partition,
            } if connection == id => Some(partition.get()),
            Duty::Feed { .. } | Duty::Index(_) => None,
        });
        reports.push(LineReport {
            id: id.to_owned(),
            partitions: partitions.collect(),
            waiting: Waiting::of(&line.outbox.condition().borrow()),
            attempts: line.outbox.recent_attempts().iter().map(attempt).collect(),
        });
    }
    reports
}
