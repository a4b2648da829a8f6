//! Sharing the work among the journal's nodes, and hearing from them.

use std::time::Duration;

use bytes::Bytes;

use super::{Engine, Journal, StateError};
use crate::peers::{Duty, Node, NodeId, Question, Tenure};

/// Nodes and their duties. A journal of one process has one node, which holds
/// every duty and hears nobody.
impl Journal {
    /// Waits until this node is the one to do `duty`, and takes it. What the
    /// node before has done and claimed is known when this returns.
    pub async fn take(&self, duty: &Duty) -> Result<Tenure, StateError> {
        match &self.engine {
            Engine::Embedded(_) => Ok(Tenure::for_life()),
            Engine::Cluster(engine) => engine.take(duty).await,
        }
    }

    /// The nodes that are alive, this one among them; none where there are no
    /// others to tell it from.
    pub fn nodes(&self) -> Vec<Node> {
        match &self.engine {
            Engine::Embedded(_) => Vec::new(),
            Engine::Cluster(engine) => engine.nodes.alive(),
        }
    }

    /// Asks every other node, and gathers what is answered within `patience`.
    pub async fn ask(&self, topic: &str, body: Bytes, patience: Duration) -> Vec<(NodeId, Bytes)> {
        match &self.engine {
            Engine::Embedded(_) => Vec::new(),
            Engine::Cluster(engine) => engine.nodes.ask(topic, body, patience).await,
        }
    }

    /// Waits for the next question of another node. For one task at a time.
    pub async fn question(&self) -> Question {
        match &self.engine {
            Engine::Embedded(_) => std::future::pending().await,
            Engine::Cluster(engine) => engine.nodes.question().await,
        }
    }
}
