//! Who changed what.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Through what a change came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A page of the console.
    Console,
    /// The API, or a command that uses it.
    Api,
    /// The file that `serve` was started with.
    Start,
}

/// One change, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// When.
    pub at: Timestamp,
    /// Through what.
    pub origin: Origin,
    /// What, in words: never a secret, never anything out of an event.
    pub what: String,
}

/// Where a connection that becomes enabled begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enabling {
    /// With the next event.
    Now,
    /// Where it stopped.
    Backlog,
}

/// What a change changed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Changed {
    /// Line by line; empty where everything was so already.
    pub changes: Vec<String>,
    /// What works and still deserves a look.
    pub warnings: Vec<String>,
}
