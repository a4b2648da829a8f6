//! One process takes the place of another on the same folder, without a connection
//! being refused or reset in between.
//!
//! ```text
//! new                                   old, in its folder's `takeover.sock`
//!  | Ask  ----------------------------->  |
//!  | <--------- Sockets (both listeners)  |
//!  | Take ----------------------------->  |  finishes its attempts, receives on
//!  | <--------------------------- Accept  |  accepts no more
//!  | <--------------- Connection, idle *  |  finishes the requests in hand
//!  | accepts; requests wait               |  closes the journal
//!  | <--------------------------- Closed  |  waits
//!  | opens the journal, serves            |
//!  | Ready ---------------------------->  |  ends
//! ```
//!
//! The listening sockets and the idle connections are passed as they are, so their
//! queues and whatever has arrived on them go along. Should the new process end before
//! it is ready, for whatever reason, the old one opens the journal again and goes on;
//! should the old one end, the new one finds the folder free.

mod predecessor;
mod successor;
mod wire;

pub(crate) use self::predecessor::{Predecessor, Taken};
pub(crate) use self::successor::{Invitation, Successor};

/// The socket's name in the journal's folder.
const SOCKET: &str = "takeover.sock";
