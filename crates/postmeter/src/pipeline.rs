//! Where the stages meet: journal to shape, shape to dispatch, dispatch to journal.
//!
//! ```text
//! log --> Indexer --> index, verdicts          one per partition
//!  '--> Feed: read, shape, claim, pack, dispatch, settle     one per connection and partition
//! ```
//!
//! An [`indexer::Indexer`] follows the log and says of each record whether its
//! event was seen before. A [`feed::Feed`] follows a moment behind, makes calls of
//! the records that its connection wants, and settles what has ended, the lowest
//! contiguous first. Both start from what the journal holds, so being killed at
//! any point costs a repetition under the same message ids and nothing else.

mod carried;
pub(crate) mod feed;
mod hand;
pub(crate) mod indexer;
pub(crate) mod keys;
mod ledger;
mod naming;
pub(crate) mod shelf;
pub(crate) mod trace;
