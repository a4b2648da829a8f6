//! Who does what. A duty has a row that names its holder; a node takes a duty
//! when the duty is its own by turn and nobody alive holds it, and gives it back
//! when the turn is another's.
//!
//! The row only spares the nodes from doing the same work twice. What makes a
//! stale holder harmless is the fence: taking a duty writes to the subject that
//! its work is written to, and what the holder before writes behind that is
//! refused.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};
use xxhash_rust::xxh3::xxh3_64;

use super::kept::Kept;
use super::names::KeptKey;
use super::nodes::Nodes;
use super::wire::WireError;
use crate::peers::{Duty, NodeId};

/// How often a node looks at its turns although nothing has changed: it may be
/// that time has made a silent node a dead one.
const LOOK: Duration = Duration::from_millis(500);

/// A duty that this node has taken.
pub(crate) struct Taken {
    pub(crate) duty: Duty,
    /// The message that put this node's name on it.
    pub(crate) revision: u64,
    /// Says when it is over.
    pub(crate) over: watch::Sender<bool>,
    /// Says when the holder drops it.
    pub(crate) dropped: oneshot::Receiver<()>,
}

/// The duties of one node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Duties {
    kept: Kept,
    nodes: Nodes,
}

impl Duties {
    pub(crate) fn new(kept: Kept, nodes: Nodes) -> Duties {
        Duties { kept, nodes }
    }

    /// Waits for this node's turn, and puts its name on the duty. Tells the
    /// message that did: what the holder before has kept lies before it.
    pub(crate) async fn take(&self, duty: &Duty) -> u64 {
        let key = KeptKey::Duty(duty.clone());
        let mut rows = self.kept.watch();
        let mut nodes = self.nodes.watch();
        loop {
            rows.borrow_and_update();
            nodes.borrow_and_update();
            if self.is_mine(duty) && self.is_free(&key) {
                let expected = self.kept.revision(&key);
                let name = Bytes::copy_from_slice(self.nodes.this().0.as_bytes());
                match self.kept.put(&key, name, Some(expected)).await {
                    Ok(revision) => return revision,
                    // Somebody was faster, or there is no majority.
                    Err(WireError::Overtaken) => {}
                    Err(error) => tracing::debug!("cannot take {duty} yet: {error}"),
                }
            }
            self.disown(duty, &key).await;
            tokio::select! {
                _ = rows.changed() => {}
                _ = nodes.changed() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Watches over a duty, and says when it is over. When its holder drops it, it is given back.
    pub(crate) async fn watch_over(self, taken: Taken) {
        let Taken {
            duty,
            revision,
            over,
            mut dropped,
        } = taken;
        let key = KeptKey::Duty(duty.clone());
        let mut rows = self.kept.watch();
        let mut nodes = self.nodes.watch();
        loop {
            rows.borrow_and_update();
            nodes.borrow_and_update();
            if !self.is_mine(&duty) || self.kept.revision(&key) != revision {
                over.send_replace(true);
            }
            tokio::select! {
                _ = &mut dropped => break,
                _ = rows.changed() => {}
                _ = nodes.changed() => {}
            }
        }
        self.give_back(&key, revision).await;
    }

    /// Gives back what bears this node's name although it is another's turn and
    /// nobody here does it: giving it back has failed, or this node was killed
    /// and is back before anybody missed it. Nobody else could ever take it.
    async fn disown(&self, duty: &Duty, key: &KeptKey) {
        let row = self.kept.get(key);
        let name = self.nodes.this().0.as_bytes();
        if let Some(row) = row.filter(|row| row.value == name)
            && !self.is_mine(duty)
        {
            self.give_back(key, row.revision).await;
        }
    }

    /// Takes this node's name off a duty. Where that fails the others find out
    /// when this node is silent, or this node when it asks for the duty again.
    async fn give_back(&self, key: &KeptKey, revision: u64) {
        for _ in 0..3 {
            if self.kept.revision(key) != revision {
                return;
            }
            let given = self.kept.put(key, Bytes::new(), Some(revision)).await;
            if !matches!(
                given,
                Err(WireError::NoAnswer(_) | WireError::Unavailable(_) | WireError::UnderWay)
            ) {
                return;
            }
        }
    }

    /// Whether it is this node's turn: duties go round, so that the partitions of
    /// one connection are divided among the nodes.
    fn is_mine(&self, duty: &Duty) -> bool {
        let (name, partition) = match duty {
            Duty::Index(partition) => ("", partition),
            Duty::Feed {
                connection,
                partition,
            } => (connection.as_str(), partition),
        };
        let alive = self.nodes.alive();
        let turn = xxh3_64(name.as_bytes()).wrapping_add(u64::from(partition.get()));
        let turn = turn % u64::try_from(alive.len()).unwrap_or(1).max(1);
        let holder = usize::try_from(turn).ok().and_then(|turn| alive.get(turn));
        holder.is_some_and(|holder| holder.is_this)
    }

    fn is_free(&self, key: &KeptKey) -> bool {
        let Some(row) = self.kept.get(key) else {
            return true;
        };
        let holder = NodeId(String::from_utf8_lossy(&row.value).into_owned());
        holder == *self.nodes.this() || self.nodes.is_dead(&holder)
    }

    /// Gives back what this node still holds, as far as there is time.
    pub(crate) async fn give_all_back(&self, patience: Duration) {
        let name = self.nodes.this().0.as_bytes();
        let held = self.kept.keys(|key| matches!(key, KeptKey::Duty(_)));
        let give = async {
            for key in held {
                if let Some(row) = self.kept.get(&key).filter(|row| row.value == name) {
                    self.give_back(&key, row.revision).await;
                }
            }
        };
        timeout(patience, give).await.ok();
    }
}
