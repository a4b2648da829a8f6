//! Taking records back: the one thing that changes what the log holds.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Engine, Journal, StateError};
use crate::index::ClaimKey;
use crate::place::Place;
use crate::settle::DeadLetterId;

/// What is to go of what connections left behind.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Leavings {
    /// Dead letters.
    pub letters: Vec<DeadLetterId>,
    /// Traces: whose, and the record that each ends with.
    pub traces: Vec<(String, Place)>,
}

/// Why something was not erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// Several records share a message there, on several servers' disks.
    #[error("a journal on a cluster cannot erase single records, and nothing was erased")]
    OnACluster,
    /// A record is not indexed yet: what it is found by would come back.
    #[error("record {0} is not indexed yet, and nothing was erased")]
    NotIndexed(Place),
    /// The folder could not be marked as one that older builds refuse.
    #[error("cannot write the journal's format, and nothing was erased")]
    Format(#[source] std::io::Error),
    /// The log could not be rewritten; doing it again does the rest.
    #[error("cannot rewrite the journal's log")]
    Log(#[source] std::io::Error),
    /// The state could not be changed; doing it again does the rest.
    #[error("cannot erase from the journal's state")]
    State(#[source] StateError),
}

/// Erasing.
impl Journal {
    /// Takes records out of the log and its index, and out of their files, for good:
    /// neither a body nor what it was found by is in any of them when this returns. A
    /// tombstone stays in each record's place, with the time of its receipt, its
    /// workspace and its event's key; cursors, claims and verdicts stay. Says how many
    /// records had none yet.
    ///
    /// Doing the same again does what an error or a crash left undone. Builds that know
    /// nothing of tombstones refuse the folder from then on.
    pub async fn erase(
        &self,
        records: BTreeMap<Place, ClaimKey>,
        now: Timestamp,
    ) -> Result<u64, EraseError> {
        match &self.engine {
            Engine::Embedded(engine) => engine.erase(records, now).await,
            Engine::Cluster(_) => Err(EraseError::OnACluster),
        }
    }

    /// Takes dead letters and traces away, and all that was removed before out of the
    /// files. Says how many letters there were.
    pub async fn scrub(&self, leavings: Leavings) -> Result<u64, EraseError> {
        match &self.engine {
            Engine::Embedded(engine) => engine.scrub(leavings).await,
            Engine::Cluster(_) => Err(EraseError::OnACluster),
        }
    }

    /// Whether single records can be erased here.
    pub fn can_erase(&self) -> bool {
        match &self.engine {
            Engine::Embedded(_) => true,
            Engine::Cluster(_) => false,
        }
    }
}
