//! The handle that everybody else holds: it hides which engine is behind it and
//! keeps whatever blocks off the runtime's threads.

mod connections;
mod erasing;
mod indexing;
mod keeping;
mod records;
mod together;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::spawn_blocking;

pub use erasing::{EraseError, Leavings};
pub use keeping::PutError;
pub use records::ReadError;

use crate::config::Config;
use crate::embedded::log::{Commits, DiskStats, Storage};
use crate::embedded::{Embedded, OpenError};
use crate::jetstream::{ClusterConfig, Durability, JoinError, Member};
use crate::place::{Partition, Seq};
use crate::room::Health;
use crate::settle::NewDeadLetter;
use crate::state::Fault;

/// Why the state could not be read or changed. No change was made in part; after
/// [`StateError::Storage`] it may have been made as a whole.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The journal has no such partition.
    #[error("the journal has no partition {0}")]
    UnknownPartition(Partition),
    /// A connection's name or a setting's key is too long: refuse it.
    #[error("a name of {bytes} bytes is more than the journal keeps")]
    NameTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A trace says more than is kept: refuse it.
    #[error("a trace of {bytes} bytes is more than the journal keeps")]
    TraceTooLong {
        /// The length of its value.
        bytes: usize,
    },
    /// The records to index do not begin where the index ends, or leave some out.
    #[error("record {found} does not follow the index, which expects {expected}")]
    NotContiguous {
        /// The record that is expected next.
        expected: Seq,
        /// The record that was given.
        found: Seq,
    },
    /// The record is not on stable storage yet, so nothing may depend on it.
    #[error("record {seq} is not on stable storage yet")]
    NotDurable {
        /// The record.
        seq: Seq,
    },
    /// The database failed. No change was made. Where [`Fault::may_pass`] says so
    /// the same may be tried again; otherwise only reading may help, and the
    /// journal must be opened anew.
    #[error("cannot use the journal's state")]
    Storage(#[source] Fault),
    /// Another node does this work now: leave it, what was meant to be written was
    /// not.
    #[error("another node has taken this work over")]
    Superseded,
    /// The cluster did not answer, or refused. A change may have been made as a
    /// whole.
    #[error("the cluster did not do as it was asked: {cause}")]
    Cluster {
        /// What came back, in words.
        cause: String,
    },
    /// The log would not give a segment up.
    #[error("cannot trim the journal's log")]
    Trim(#[source] std::io::Error),
    /// The runtime is shutting down.
    #[error("the journal's state was not used because the process is stopping")]
    Stopping,
}

/// What the journal holds, in numbers. Taking them is cheap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Each partition, in order.
    pub partitions: Vec<PartitionStats>,
    /// Bytes of records on disk.
    pub bytes: u64,
    /// The most there may be.
    pub max_bytes: u64,
    /// How many pieces they are in: segments, or packs.
    pub pieces: u64,
    /// Records that were found to be damaged since the journal was opened.
    pub damaged: u64,
    /// What is known of the disk; none where there is none, as on a cluster.
    pub disk: Option<DiskStats>,
    /// How the journal is.
    pub health: Health,
}

/// What one partition holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionStats {
    /// Which partition.
    pub partition: Partition,
    /// The first record that is kept; none when there is none.
    pub first: Option<Seq>,
    /// The last record on stable storage; none when nothing was ever appended.
    pub last: Option<Seq>,
    /// The last record that is indexed.
    pub indexed: Option<Seq>,
}

/// A journal that is open. Clones are the same journal.
///
/// Appending, reading and looking up may go on from any number of tasks at once.
/// When the last clone of an embedded journal is dropped it is closed, as by
/// [`Journal::close`], and its folder is free. A node of a cluster that is dropped
/// leaves without a word: the others find out after its timeout.
#[derive(Clone)]
pub struct Journal {
    engine: Engine,
}

/// What is behind a journal.
#[derive(Clone)]
enum Engine {
    /// One process with a folder.
    Embedded(Arc<Embedded>),
    /// A node of a cluster.
    Cluster(Arc<Member>),
}

/// Does the same with whichever engine it is.
macro_rules! on_engine {
    ($journal:ident, $engine:ident => $work:expr) => {
        match &$journal.engine {
            Engine::Embedded($engine) => $work,
            Engine::Cluster($engine) => $work,
        }
    };
}
use on_engine;

/// Opening, closing and what is true of the whole.
impl Journal {
    /// The longest name of a connection, and the longest key of a setting.
    pub const MAX_NAME_BYTES: usize = 255;

    /// Opens the journal that `config` describes, and makes it when it is
    /// missing. Takes no longer for a long log than for a short one.
    pub async fn open(config: Config) -> Result<Journal, OpenError> {
        Self::opened(move || Embedded::open(config)).await
    }

    /// As [`Journal::open`], with the log in `storage` instead of a folder: for
    /// tests that let the disk fail.
    pub async fn open_on(config: Config, storage: Arc<dyn Storage>) -> Result<Journal, OpenError> {
        Self::opened(move || Embedded::open_on(config, storage)).await
    }

    /// As [`Journal::open_on`], without a thread: what blocks is done where it is
    /// asked for, and what was appended is committed by hand. For simulations, whose
    /// every step must follow from the one before.
    ///
    /// Such a journal that is dropped without [`Journal::close`] is left as by a kill:
    /// nothing more is committed or written out.
    pub fn open_by_hand(
        config: Config,
        storage: Arc<dyn Storage>,
    ) -> Result<(Journal, Commits), OpenError> {
        let (engine, commits) = Embedded::open_by_hand(config, storage)?;
        let engine = Engine::Embedded(Arc::new(engine));
        Ok((Journal { engine }, commits))
    }

    /// Joins the journal on a cluster that `config` describes, and makes it when
    /// it is missing. Waits for a cluster that has no majority, and until this
    /// node knows all that the others know.
    pub async fn join(config: ClusterConfig) -> Result<Journal, JoinError> {
        let member = Member::join(config).await?;
        Ok(Journal {
            engine: Engine::Cluster(Arc::new(member)),
        })
    }

    async fn opened(
        open: impl FnOnce() -> Result<Embedded, OpenError> + Send + 'static,
    ) -> Result<Journal, OpenError> {
        let opened = spawn_blocking(open)
            .await
            .map_err(|_| OpenError::Stopping)?;
        opened.map(|engine| Journal {
            engine: Engine::Embedded(Arc::new(engine)),
        })
    }

    /// The journal's partitions, fixed for its life.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        let n_partitions = match &self.engine {
            Engine::Embedded(_) => 1,
            Engine::Cluster(engine) => engine.config.partitions,
        };
        (0..n_partitions).map(Partition::new)
    }

    /// What the journal holds.
    pub fn stats(&self) -> Stats {
        on_engine!(self, engine => engine.stats())
    }

    /// What could not be read and was set aside, in words for a person: where it
    /// was, why, and what that means. Reads the state's folder.
    pub fn set_aside(&self) -> Vec<String> {
        match &self.engine {
            Engine::Embedded(engine) => engine.set_aside(),
            Engine::Cluster(_) => Vec::new(),
        }
    }

    /// Whether the state did not open this time, and no copy of the cursors was
    /// there: nobody knows how far any connection had settled.
    pub fn has_lost_cursors(&self) -> bool {
        match &self.engine {
            Engine::Embedded(engine) => engine.is_lost,
            Engine::Cluster(_) => false,
        }
    }

    /// Looks after the disk of a journal in a folder: turns events away while too
    /// little of it is free and takes them again when there is more; and opens the
    /// state anew, once there is room, after a write to it had failed. To be called
    /// about every second. What it finds is in [`Journal::stats`].
    pub async fn tend(&self) {
        match &self.engine {
            Engine::Embedded(engine) => engine.look_after().await,
            Engine::Cluster(_) => {}
        }
    }

    /// Follows what is known about how the cluster keeps what it acknowledges;
    /// none where there is no cluster.
    pub fn durability(&self) -> Option<watch::Receiver<Arc<Durability>>> {
        match &self.engine {
            Engine::Embedded(_) => None,
            Engine::Cluster(engine) => Some(engine.durability()),
        }
    }

    /// Gives no more permits, commits what was appended, and brings the state
    /// onto stable storage. The folder is free once every clone is dropped.
    pub async fn close(&self) -> Result<(), StateError> {
        on_engine!(self, engine => engine.shut().await)
    }

    /// The partition as its own error, unless the journal has it.
    fn known(&self, partition: Partition) -> Result<(), Partition> {
        let known = self.partitions().any(|there| there == partition);
        known.then_some(()).ok_or(partition)
    }
}

fn name(name: &str) -> Result<String, StateError> {
    let bytes = name.len();
    if bytes > Journal::MAX_NAME_BYTES {
        return Err(StateError::NameTooLong { bytes });
    }
    Ok(name.to_owned())
}

/// A letter is found by its connection, so that must fit into a key.
fn check_letter(letter: &NewDeadLetter) -> Result<(), StateError> {
    name(letter.connection.as_deref().unwrap_or_default()).map(drop)
}
