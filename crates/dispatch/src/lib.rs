//! Gets batches of Segment calls to Segment, however long that takes.
//!
//! The stage after `shape`: a [`Batch`] of serialised calls goes in, an
//! [`Outcome`] comes out, and in between an [`Outbox`] retries for as long as
//! the destination is at fault. Nothing is given up because of the destination;
//! a call is refused only when Segment says, of that call alone, that it is wrong.
//!
//! ```text
//! Batch --> bisect: the next piece --> gate: may it leave now? --> post: one attempt
//!              ^                         ^                                |
//!              |                         '-- closed for all <-- verdict --'
//!              '-- accepted, refused, halved, again <-------------'
//! ```
//!
//! This is the only HTTP client towards a destination, and `verdict` the only
//! place that knows what an answer means. The crate knows neither the journal nor
//! what is inside a call: it never parses one, and it serialises nothing twice.

mod backoff;
mod batch;
mod bisect;
mod destination;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gate;
mod line;
mod outbox;
mod outcome;
mod policy;
mod post;
mod reach;
mod retry_after;
mod verdict;

pub use batch::{Batch, Call, PushError, Stamp};
pub use destination::{Destination, Endpoint, EndpointError, WriteKey, write_key_warning};
pub use gate::Condition;
pub use line::OutboxError;
pub use outbox::{Outbox, Outside, RECENT_ATTEMPTS};
pub use outcome::{Attempt, AttemptResult, OUTCOME_ATTEMPTS, Outcome, Refused};
pub use policy::{Policy, Proxies};
pub use post::{Answer, Parcel, Post, Posting};
pub use reach::{Obstacle, Reached, Unreached, reach};
