//! Everything durable that is not the log, in two databases that share nothing.
//! The embedded engine keeps it here; a node of a cluster has a view of it here.
//!
//! [`Kept`] is what would be lost for good: each of its transactions is synced
//! before it counts. [`Derived`] is what reading the log again brings back: it is
//! written out now and then, and what cannot be opened of it is thrown away. Two
//! databases, so that a settle does not wait for what the indexer writes, and so
//! that nothing the indexer writes can endanger what is kept.

mod burials;
mod database;
mod derived;
mod erase;
mod fault;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod generations;
mod kept;
pub(crate) mod letters;
mod opening;
mod rows;
mod settings;
pub(crate) mod spare;
mod tables;
mod torn;
mod traces;
mod young;

pub use fault::Fault;

pub(crate) use database::{Commits, Ended};
pub(crate) use derived::{Decided, DecidedPage, Derived, DerivedLimits, InMemory, IndexFault};
pub(crate) use kept::Kept;
pub(crate) use settings::Put;
