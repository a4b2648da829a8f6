//! Is what the cluster acknowledges durable? Nobody says so unasked: a server
//! that syncs every two minutes acknowledges like one that syncs at once.
//!
//! ```text
//! streams: file storage, enough replicas, no asynchronous persistence
//! servers: every one that holds a replica says of itself that it syncs always
//! ```
//!
//! [`examine()`] asks, [`Report::judge`] decides. What is not proven counts as
//! refuted: a server that does not answer has proven nothing. The one exception
//! is a server that is away by its own streams' leaders while the journal runs:
//! it can acknowledge nothing, and is asked again when it returns.
//!
//! This module changes nothing on any server, and cannot see whether a disk
//! keeps what it was told to sync.

use std::time::Duration;

mod examine;
mod find;
mod judge;
mod loss;

pub use examine::{ExamineError, examine};
pub use judge::{Judgement, Moment};
pub use loss::{About, Finding, Loss, ParseLossError};

/// What the streams and the servers say, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// In the order in which they were asked for.
    pub streams: Vec<StreamReport>,
    /// Every server that holds a replica, and every other that answered; by name.
    pub servers: Vec<ServerReport>,
    /// How many servers the cluster has, by its own word.
    pub cluster_size: Option<usize>,
    /// Everything that speaks against durability; [`Report::judge`] weighs it.
    pub findings: Vec<Finding>,
}

/// What a stream's leader says about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamReport {
    /// Its name.
    pub name: String,
    /// Where its messages are kept.
    pub storage: Storage,
    /// How many servers shall hold it.
    pub replicas: usize,
    /// Whether it is acknowledged before it is written.
    pub persist_async: bool,
    /// The cluster that it is in, where servers form one.
    pub cluster: Option<String>,
    /// The server that leads it.
    pub leader: Option<String>,
    /// The servers that hold it, the leader first.
    pub peers: Vec<Peer>,
}

/// Where a stream's messages are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storage {
    /// In files.
    File,
    /// In memory: gone with the servers' processes.
    Memory,
}

/// A server that holds a replica, as the stream's leader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The server's name.
    pub name: String,
    /// Whether the leader has not heard of it for so long that it takes no part.
    pub is_away: bool,
}

/// What a server says about itself, or that it says nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerReport {
    /// Its name.
    pub name: String,
    /// The cluster that it is in.
    pub cluster: Option<String>,
    /// The version that it runs, if it answered.
    pub version: Option<String>,
    /// Whether it syncs before it acknowledges, if it answered. A server that
    /// does not mention it does not.
    pub sync_always: Option<bool>,
    /// How often it syncs otherwise.
    pub sync_interval: Option<Duration>,
    /// What its answer is worth.
    pub standing: Standing,
}

/// What a server's answer is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It syncs before it acknowledges.
    Proven,
    /// It does not, by its own word, or its version is known not to.
    Refuted,
    /// It does not answer, and its streams' leaders do not hear of it either.
    Away,
    /// It does not answer, although it takes part.
    Silent,
}
