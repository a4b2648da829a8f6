//! Replays: records that are kept are sent again, to the same connection or to one
//! that never had them.
//!
//! ```text
//! asked --> running <--> paused
//!              | '-----> cancelled   (resume goes on where it was)
//!              '-------> done, failed
//! ```
//!
//! A replay is a few settings of the journal: what was asked for, and how far each
//! partition has come. It reads from where its time begins to the last record there
//! was when it was asked for; it never runs after its own tail. Whoever feeds a
//! partition of the connection replays that partition too ([`run`]), one partition
//! after the other and one replay of a connection after the other, so that its rate
//! holds for the whole of it. Live events go first: a replay waits while its feed
//! is behind, and has one small batch in flight.
//!
//! Progress is stored behind each batch. A crash, or a node that takes over, repeats
//! one batch at most, under the same message ids.

mod job;
mod look;
mod preview;
mod run;
mod send;
mod span;
mod store;

pub(crate) use self::job::{Kept, traced_as};
pub(crate) use self::preview::Asked;
pub(crate) use self::run::Replayer;
pub(crate) use self::store::{Replays, StartError, SteerError, oversee};
