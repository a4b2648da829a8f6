//! One call, in Segment's words.
//!
//! Writes the envelope around the properties and names the call, so that Segment
//! can recognise it. It refuses to know about batches, `sentAt` and write keys:
//! those belong to the sending.

mod envelope;
mod message_id;
mod occurrence;
mod who;

use crate::rules::catalogue::Mapping;
use crate::rules::size::Content;

pub use message_id::message_id;
pub use occurrence::Occurrence;

pub(crate) use envelope::{Envelope, write};
pub(crate) use message_id::of_text as message_id_of_text;
pub(crate) use who::Who;

/// A Segment `track` call that is ready to be put into a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The event name, after any rename.
    pub name: String,
    /// The same for the same event on the same connection, whenever it is shaped.
    pub message_id: String,
    /// One line of compact JSON of at most [`MAX_CALL_BYTES`](crate::MAX_CALL_BYTES),
    /// without `sentAt`.
    pub json: String,
    /// Whether the name comes from Segment's side.
    pub mapping: Mapping,
    /// Whether the content had to be cut.
    pub content: Content,
    /// What the first occurrence claims; there only where first-only is asked for
    /// and the event is about a delivery.
    pub occurrence: Option<Occurrence>,
}
