//! What the operator decided: workspaces and connections that are valid, or do
//! not exist.
//!
//! One TOML document describes them all. It is read as a whole, every mistake is
//! reported at once with its line, and only a document without any becomes a
//! [`Connections`]. The same document is what the journal's settings keep, what
//! `export` prints and what `apply` takes, so the three always agree.
//!
//! Secrets are named, never held: the document says `env:NAME` or `file:PATH`,
//! and [`Connections::unlock`] reads them when they are needed. This crate knows
//! nothing of HTTP and nothing of where the document came from.

mod connection;
mod diff;
mod document;
mod export;
mod id;
mod mistakes;
mod parse;
mod secret;
mod store;
mod unlock;

pub use connection::{Connection, Connections, Signature, Target, Workspace};
pub use diff::Change;
pub use document::{Document, Fields};
pub use id::{ConnectionId, Name};
pub use mistakes::{Mistake, Mistakes};
pub use parse::Written;
pub use secret::{Environment, Secret, SecretError, SecretRef};
pub use store::{Confirmation, LoadError, SaveError, Settings};
pub use unlock::{Unlocked, UnlockedConnection, UnlockedWorkspace};
