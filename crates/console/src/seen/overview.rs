//! How everything is doing at one moment.

use jiff::Timestamp;
use serde::Serialize;

use super::event::AttemptSeen;

/// The whole, at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// The moment.
    pub at: Timestamp,
    /// The version of the server that was asked.
    pub version: String,
    /// The durable state.
    pub journal: JournalSeen,
    /// Every workspace, in the document's order.
    pub workspaces: Vec<WorkspaceSeen>,
    /// Every connection, in the document's order.
    pub connections: Vec<ConnectionSeen>,
    /// How many dead letters there are.
    pub dead_letters: u64,
    /// What works and still deserves a look, a sentence each.
    pub warnings: Vec<String>,
    /// The nodes of the cluster; one where there is none.
    pub nodes: Vec<NodeSeen>,
    /// Names of nodes that did not answer.
    pub unanswered: Vec<String>,
    /// What is known of the cluster's durability; none without a cluster.
    pub assurance: Option<Assurance>,
}

/// The journal's level and health.
#[derive(Clone, Debug, Serialize)]
pub struct JournalSeen {
    /// `healthy`, `full`, `no space`, `failing`, `unproven` or `poisoned`.
    pub health: String,
    /// What that means for events; none while healthy.
    pub reason: Option<String>,
    /// Bytes of records on disk.
    pub bytes: u64,
    /// The most there may be.
    pub max_bytes: u64,
    /// How long records are kept, in days.
    pub retention_days: u64,
    /// Records that are kept.
    pub records: u64,
}

/// One workspace.
#[derive(Clone, Debug, Serialize)]
pub struct WorkspaceSeen {
    /// Its name, the last part of its webhook path.
    pub name: String,
    /// Whether Customer.io's feed flows.
    pub state: WorkspaceState,
    /// When the last event was journaled.
    pub last_event_at: Option<Timestamp>,
    /// Events per second over the last minute.
    pub rate_per_s: f64,
    /// Events journaled in the last 24 hours.
    pub received_day: u64,
    /// Repeats among them.
    pub duplicates_day: u64,
    /// Requests answered 401 in the last 24 hours.
    pub refused_day: u64,
    /// Why the last of them was refused.
    pub last_refusal: Option<String>,
    /// Whether signatures are checked.
    pub signed: bool,
    /// Its signing keys, in the document's order.
    pub keys: Vec<KeySeen>,
    /// Its names directory; none where it has no App API key.
    pub names: Option<NamesSeen>,
}

/// Whether Customer.io's feed flows, as far as its requests tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum WorkspaceState {
    /// No request has ever come.
    Silent,
    /// The last request was answered 200.
    Sending,
    /// The last request was answered otherwise: Customer.io keeps everything back
    /// and tries that one event again.
    Holding {
        /// The first of these answers without a 200 in between.
        since: Timestamp,
        /// The last of them.
        status: u16,
        /// When Customer.io gives the event up: seven days after it began.
        drops_at: Timestamp,
    },
}

/// A signing key, without the key.
#[derive(Clone, Debug, Serialize)]
pub struct KeySeen {
    /// Eight digits that name it, as records do.
    pub id: String,
    /// Where it is written down, such as `env:NAME`.
    pub written: String,
    /// Its last characters.
    pub ends_with: String,
    /// When it last verified a request.
    pub matched_at: Option<Timestamp>,
}

/// A workspace's names directory.
#[derive(Clone, Debug, Serialize)]
pub struct NamesSeen {
    /// How many names are known.
    pub names: u64,
    /// When they were last read anew.
    pub refreshed_at: Option<Timestamp>,
    /// Why the last reading failed.
    pub last_error: Option<String>,
    /// Where the App API key is written down.
    pub written: String,
    /// Its last characters.
    pub ends_with: String,
}

/// One connection.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionSeen {
    /// What people call it.
    pub name: String,
    /// What message ids hang on.
    pub id: String,
    /// A free text beside the name.
    pub label: Option<String>,
    /// Where its events come from.
    pub workspace: String,
    /// `US`, `EU`, or the host of another endpoint.
    pub region: String,
    /// The base URL it sends to.
    pub endpoint: String,
    /// The write key's last characters.
    pub write_key_ends_with: String,
    /// Such as `2.0.0`.
    pub payload_version: String,
    /// How it is doing.
    pub state: LineState,
    /// Why, in words; none where the state says it all.
    pub reason: Option<String>,
    /// Since when it waits; none while it does not.
    pub waiting_since: Option<Timestamp>,
    /// When it tries again; none while it does not wait.
    pub retry_at: Option<Timestamp>,
    /// When a person saw a test event arrive.
    pub confirmed_at: Option<Timestamp>,
    /// Records that it has not settled.
    pub lag_records: u64,
    /// The age of the oldest of them, in seconds.
    pub oldest_s: f64,
    /// Calls accepted per second over the last minute.
    pub rate_per_s: f64,
    /// Calls accepted in each minute of the last hour, oldest first.
    pub hour: Vec<u64>,
    /// The last attempts, newest first.
    pub attempts: Vec<AttemptSeen>,
}

/// How a connection is doing, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    /// Everything is settled.
    UpToDate,
    /// It sends, and has more to send.
    CatchingUp,
    /// The destination is at fault; it tries again by itself.
    Waiting,
    /// Nobody has seen a test event arrive yet.
    Unconfirmed,
    /// The operator holds it; it keeps its place.
    Paused,
    /// Nothing is sent.
    Disabled,
    /// It was just taken up.
    Starting,
    /// A node that may run it does not answer.
    Unknown,
}

/// A node of the cluster.
#[derive(Clone, Debug, Serialize)]
pub struct NodeSeen {
    /// What it calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it is the one that was asked.
    pub is_this: bool,
    /// Its journal's health in a word.
    pub health: String,
    /// What that means.
    pub reason: Option<String>,
    /// The partitions that it indexes.
    pub indexes: Vec<u16>,
    /// The feeds that it runs, such as `acme-production: 0, 2`.
    pub feeds: Vec<String>,
}

/// What is known of how a cluster keeps what it acknowledges.
#[derive(Clone, Debug, Serialize)]
pub struct Assurance {
    /// Whether it is proven.
    pub durable: bool,
    /// What speaks against it, a sentence each.
    pub findings: Vec<String>,
    /// What the operator has accepted to lose, a sentence each, shown for ever.
    pub accepted: Vec<String>,
    /// When the servers were last asked.
    pub checked_at: Timestamp,
}
