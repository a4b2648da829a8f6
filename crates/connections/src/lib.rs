//! What the operator decided: workspaces and connections that are valid, or do
//! not exist.
//!
//! One TOML document describes them all. It is read as a whole, every mistake is
//! reported at once with its line, and only a document without any becomes a
//! [`Connections`]. The same document is what the journal's settings keep, what
//! `export` prints and what `apply` takes, so the three always agree.
//!
//! Secrets are named, never held: the document says `env:NAME`, `file:PATH` or
//! `kept:ID`, and [`Connections::unlock`] reads them when they are needed. This crate knows
//! nothing of HTTP and nothing of where the document came from.

mod connection;
mod diff;
mod document;
mod edit;
mod export;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod id;
mod mistakes;
mod parse;
mod secret;
mod store;
mod unlock;

pub use connection::{AppApi, AppApiTarget, Connection, Connections, NewConnection, Options};
pub use connection::{Signature, Target, Workspace};
pub use diff::Change;
// What a target and a write key are made of, for whoever takes them from a person.
pub use dispatch::{Endpoint, EndpointError, write_key_warning};
pub use document::{Document, Fields};
pub use edit::Edit;
pub use id::{ConnectionId, Name};
pub use mistakes::{Mistake, Mistakes};
pub use parse::Written;
pub use secret::{Environment, Secret, SecretError, SecretRef, Secrets};
pub use store::{Confirmation, LoadError, SaveError, Settings};
pub use unlock::{Unlocked, UnlockedAppApi, UnlockedConnection, UnlockedWorkspace};
