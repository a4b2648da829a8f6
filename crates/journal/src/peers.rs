//! How the nodes of one journal share the work and speak with each other. A
//! journal of one process has one node, which does everything and is alone.

use std::fmt;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use crate::place::Partition;

/// A piece of work that one node at a time does.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Duty {
    /// Indexing a partition, and trimming it.
    Index(Partition),
    /// Moving a connection's records of one partition on.
    Feed {
        /// Whose records.
        connection: String,
        /// Of which partition.
        partition: Partition,
    },
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duty::Index(partition) => write!(f, "the index of partition {partition}"),
            Duty::Feed {
                connection,
                partition,
            } => write!(f, "connection {connection} in partition {partition}"),
        }
    }
}

/// A duty that this node holds. Dropping it gives the duty back.
///
/// Two nodes may believe for a while that they hold the same duty, but only the
/// later one's settlements and index entries are taken: the earlier one's fail
/// with [`StateError::Superseded`](crate::StateError::Superseded).
#[must_use = "a duty is given back when its tenure is dropped"]
#[derive(Debug)]
pub struct Tenure {
    over: watch::Receiver<bool>,
    /// Dropped with the tenure, which tells the engine.
    _held: Option<oneshot::Sender<()>>,
}

impl Tenure {
    /// One that lasts as long as the process.
    pub(crate) fn for_life() -> Tenure {
        Tenure {
            over: watch::Sender::new(false).subscribe(),
            _held: None,
        }
    }

    /// One that is over when `over` says so, and that tells when it is dropped.
    pub(crate) fn until(over: watch::Receiver<bool>) -> (Tenure, oneshot::Receiver<()>) {
        let (held, dropped) = oneshot::channel();
        let tenure = Tenure {
            over,
            _held: Some(held),
        };
        (tenure, dropped)
    }

    /// Waits until another node should have the duty, or has it. Finish what is
    /// in hand and drop the tenure.
    pub async fn over(&mut self) {
        if self.over.wait_for(|over| *over).await.is_err() {
            // Nobody can end it any more.
            std::future::pending::<()>().await;
        }
    }
}

/// Names one run of one node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub(crate) String);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node that is alive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Which node.
    pub id: NodeId,
    /// What people call it.
    pub name: String,
    /// The build that it runs.
    pub version: String,
    /// Whether it is the node that says so.
    pub is_this: bool,
}

/// What another node wants to know.
#[derive(Debug)]
pub struct Question {
    /// What kind of question.
    pub topic: String,
    /// The question itself.
    pub body: Bytes,
    pub(crate) reply: oneshot::Sender<Bytes>,
}

impl Question {
    /// Answers it. Who asked may have stopped waiting.
    pub fn answer(self, body: Bytes) {
        self.reply.send(body).ok();
    }
}
