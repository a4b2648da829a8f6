//! Which nodes are alive, and what they say to each other.
//!
//! None of this is stored, and nothing that must be right depends on it: a node
//! that is taken for dead and is not finds its writes refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::{HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{interval, timeout_at};

use super::join::fresh_id;
use super::names::Names;
use super::wire::{Wire, chain};
use crate::lock::lock;
use crate::peers::{Node, NodeId, Question};

const ID: &str = "Postmeter-Node";
const RUN: &str = "Postmeter-Run";
const NAME: &str = "Postmeter-Name";
const VERSION: &str = "Postmeter-Version";
const TOPIC: &str = "Postmeter-Topic";
const LEAVES: &str = "Postmeter-Leaves";

/// Questions that wait for this node; who asked more finds it silent.
const QUESTIONS: usize = 64;
/// How often a node says that it is alive, in a node's timeout.
const BEATS: u32 = 5;

/// The nodes of the journal. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Nodes {
    wire: Wire,
    names: Names,
    this: Node,
    /// Tells this run of the node from any other process that bears its id.
    run: String,
    timeout: Duration,
    shared: Arc<Shared>,
}

struct Shared {
    began: Instant,
    /// The others, and when each was heard last.
    heard: Mutex<BTreeMap<NodeId, (Node, Instant)>>,
    /// Grows when a node comes or goes.
    changes: watch::Sender<u64>,
    questions: mpsc::Sender<Question>,
    question_queue: tokio::sync::Mutex<mpsc::Receiver<Question>>,
}

impl Nodes {
    pub(crate) fn new(wire: Wire, names: Names, this: Node, timeout: Duration) -> Nodes {
        let (questions, question_queue) = mpsc::channel(QUESTIONS);
        let shared = Shared {
            began: Instant::now(),
            heard: Mutex::default(),
            changes: watch::Sender::new(0),
            questions,
            question_queue: tokio::sync::Mutex::new(question_queue),
        };
        Nodes {
            wire,
            names,
            this,
            run: fresh_id(),
            timeout,
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn this(&self) -> &NodeId {
        &self.this.id
    }

    /// Says that this node is alive, for ever.
    pub(crate) async fn beat(self) {
        let mut beats = interval(self.timeout / BEATS);
        loop {
            beats.tick().await;
            self.say("alive", self.headers(), Bytes::new()).await;
            self.forget_the_silent();
        }
    }

    /// Hears others say that they are alive, for ever.
    pub(crate) async fn hear(self) {
        let mut alive = self.subscribe("alive").await;
        // Who is there already answers within a beat; this tells them of us.
        self.say("alive", self.headers(), Bytes::new()).await;
        while let Some(message) = alive.next().await {
            self.note(&message);
        }
    }

    /// Takes questions of others, for ever.
    pub(crate) async fn hear_questions(self) {
        let mut asked = self.subscribe("asked").await;
        let mut answering = tokio::task::JoinSet::new();
        while let Some(message) = asked.next().await {
            while answering.try_join_next().is_some() {}
            let Some(id) = self.stranger(&message) else {
                continue;
            };
            let Some(reply_to) = message.reply.clone() else {
                continue;
            };
            let (reply, answered) = oneshot::channel();
            let question = Question {
                topic: text(&message, TOPIC).unwrap_or_default(),
                body: message.payload.clone(),
                reply,
            };
            if self.shared.questions.try_send(question).is_err() {
                tracing::debug!("a question of node {id} finds too many before it");
                continue;
            }
            let nodes = self.clone();
            answering.spawn(async move {
                if let Ok(body) = answered.await {
                    let client = &nodes.wire.client;
                    let sent = client.publish_with_headers(reply_to, nodes.headers(), body);
                    sent.await.ok();
                }
            });
        }
    }

    /// The next question of another node.
    pub(crate) async fn question(&self) -> Question {
        let mut queue = self.shared.question_queue.lock().await;
        let question = queue.recv().await;
        // The sender is beside the receiver and lives as long.
        question.expect("questions can be asked as long as they can be taken")
    }

    /// Asks every other node, and gathers what comes within `patience`.
    pub(crate) async fn ask(
        &self,
        topic: &str,
        body: Bytes,
        patience: Duration,
    ) -> Vec<(NodeId, Bytes)> {
        let expected = self.alive().len().saturating_sub(1);
        let mut answers = Vec::new();
        if expected == 0 {
            return answers;
        }
        let inbox = self.wire.client.new_inbox();
        let Ok(mut replies) = self.wire.client.subscribe(inbox.clone()).await else {
            return answers;
        };
        let mut headers = self.headers();
        headers.insert(TOPIC, topic);
        let subject = self.names.nodes("asked");
        let client = &self.wire.client;
        let asked = client.publish_with_reply_and_headers(subject, inbox, headers, body);
        if asked.await.is_err() {
            return answers;
        }
        let end = tokio::time::Instant::now() + patience;
        while answers.len() < expected {
            let Ok(Some(message)) = timeout_at(end, replies.next()).await else {
                break;
            };
            if let Some(id) = self.stranger(&message) {
                answers.push((id, message.payload));
            }
        }
        answers
    }

    /// The nodes that are alive, this one among them, in the order of their ids.
    pub(crate) fn alive(&self) -> Vec<Node> {
        let heard = lock(&self.shared.heard);
        let others = heard.values().map(|(node, _)| node.clone());
        let mut alive: Vec<Node> = others.chain([self.this.clone()]).collect();
        alive.sort_by(|left, right| left.id.cmp(&right.id));
        alive
    }

    /// Whether the node has been silent for so long that it must be dead, as far
    /// as this one can tell.
    pub(crate) fn is_dead(&self, id: &NodeId) -> bool {
        let known = lock(&self.shared.heard).contains_key(id);
        *id != self.this.id && !known && self.shared.began.elapsed() >= self.timeout
    }

    /// Follows who comes and goes.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Tells the others that this node goes, so that they need not find out.
    pub(crate) async fn leave(&self) {
        let mut headers = self.headers();
        headers.insert(LEAVES, "now");
        self.say("alive", headers, Bytes::new()).await;
        self.wire.client.flush().await.ok();
    }

    fn note(&self, message: &Message) {
        self.check_that_nobody_else_is_this(message);
        let Some(id) = self.stranger(message) else {
            return;
        };
        let leaves = text(message, LEAVES).is_some();
        let node = Node {
            id: id.clone(),
            name: text(message, NAME).unwrap_or_default(),
            version: text(message, VERSION).unwrap_or_default(),
            is_this: false,
        };
        let mut heard = lock(&self.shared.heard);
        let known = heard.contains_key(&id);
        if leaves {
            heard.remove(&id);
        } else {
            heard.insert(id, (node, Instant::now()));
        }
        drop(heard);
        if known == leaves {
            self.shared.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Two nodes of one id would each take the other's duties for its own.
    fn check_that_nobody_else_is_this(&self, message: &Message) {
        let is_this = text(message, ID).is_some_and(|id| id == self.this.id.0);
        if is_this && text(message, RUN).is_some_and(|run| run != self.run) {
            tracing::error!(
                "another process says that it is node {}: its folder is a copy of this node's; \
                 stop it, and remove node/ID from its folder",
                self.this.id
            );
        }
    }

    fn forget_the_silent(&self) {
        let mut heard = lock(&self.shared.heard);
        let before = heard.len();
        heard.retain(|_, (_, at)| at.elapsed() < self.timeout);
        let changed = heard.len() != before;
        drop(heard);
        if changed {
            self.shared.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Who sent it, if it was another.
    fn stranger(&self, message: &Message) -> Option<NodeId> {
        text(message, ID)
            .map(NodeId)
            .filter(|id| *id != self.this.id)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ID, self.this.id.0.as_str());
        headers.insert(RUN, self.run.as_str());
        headers.insert(NAME, self.this.name.as_str());
        headers.insert(VERSION, self.this.version.as_str());
        headers
    }

    async fn say(&self, what: &str, headers: HeaderMap, body: Bytes) {
        let subject = self.names.nodes(what);
        let said = self
            .wire
            .client
            .publish_with_headers(subject, headers, body);
        if let Err(error) = said.await {
            tracing::debug!("cannot speak to the other nodes: {}", chain(&error));
        }
    }

    async fn subscribe(&self, what: &str) -> Subscriber {
        loop {
            match self.wire.client.subscribe(self.names.nodes(what)).await {
                Ok(subscriber) => return subscriber,
                Err(error) => {
                    tracing::debug!("cannot hear the other nodes: {}", chain(&error));
                    tokio::time::sleep(self.timeout / BEATS).await;
                }
            }
        }
    }
}

fn text(message: &Message, name: &str) -> Option<String> {
    let value = message.headers.as_ref()?.get(name)?;
    Some(value.as_str().to_owned())
}
