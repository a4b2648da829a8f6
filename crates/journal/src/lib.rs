//! All durable state of Postmeter, behind one seam.
//!
//! A journal takes events as bytes and gives them back as records, in order, at
//! places that never change. Beside the records it keeps what is derived from
//! them (which are duplicates, what they are found by) and what is not (how far
//! each connection has settled, what it claimed, dead letters, settings).
//!
//! **The promise:** what [`Permit::append`] has answered with a place is there
//! after kill -9, a power cut or a full disk, byte for byte, at that place, until
//! it is trimmed; and what [`Journal::settle`] and its like have returned from
//! is there as a whole. This holds as far as the disk keeps what it has synced; on
//! a cluster, as far as the disks of a majority of its servers do.
//!
//! The seam is async, speaks of partitions, and assumes no single process. Two
//! engines are behind it: one for a process with a folder, which has one partition,
//! and one for any number of nodes on a NATS `JetStream` cluster. It knows neither
//! what an event says nor where it goes: that is told by others or not at all.

mod append;
mod config;
mod embedded;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod index;
mod jetstream;
mod journal;
mod lock;
mod peers;
mod place;
mod record;
mod room;
mod settle;
mod state;

pub use append::{AppendError, Permit, Stored};
pub use config::Config;
pub use embedded::OpenError;
pub use embedded::log::{DiskStats, Trimmed};
pub use index::{ClaimKey, IndexEntry, Term, TermKind};
pub use jetstream::{
    Access, ClusterConfig, Durability, JoinError, Placement, StreamError, Tls, check, durability,
};
pub use journal::{EraseError, Leavings};
pub use journal::{Journal, PartitionStats, PutError, ReadError, StateError, Stats};
pub use peers::{Duty, Node, NodeId, Question, Tenure};
pub use place::{ParsePlaceError, Partition, Place, Seq};
pub use record::{Affinity, Draft, Entry, Indexed, ReadLimit, Record, Tense, Tombstone, Verdict};
pub use room::{Health, Unavailable};
pub use settle::{
    Answer, DeadLetter, DeadLetterFilter, DeadLetterId, NewDeadLetter, Revision, Setting,
    Settlement, Trace,
};

pub use state::Fault;

/// The log on its own, on storage of one's own: for tests that cut the power.
pub mod log {
    pub use crate::embedded::log::{
        Capacity, Commits, Expiry, Listed, Log, LogStats, Storage, StoredFile,
    };
}
