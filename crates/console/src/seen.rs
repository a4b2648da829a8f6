//! What there is to see, as plain values: the pages show them, and the API
//! answers the same.
//!
//! Everything here is a snapshot. Whoever makes one has read a clock and the
//! journal; whoever shows one reads neither. Texts out of events are as they came
//! and hostile: only a template that escapes may show them.

mod change;
mod difference;
mod event;
pub mod filter;
mod history;
mod letter;
mod overview;
mod replay;

pub use change::{AuditLine, Changed, Enabling, Origin};
pub use difference::{Difference, differences};
pub use event::{
    AttemptSeen, CallSeen, Came, Channel, Explained, Lookup, Outcome, Preview, Row, RowEnd,
    RowKind, Told, Watched,
};
pub use filter::Filter;
pub use history::{ChannelFunnel, History, Latency, Series, Span};
pub use letter::{
    Ahead, Discarded, Foreseen, LetterGroup, LetterList, LetterSeen, Letters, Retried,
};
pub use overview::{
    Assurance, ConnectionSeen, JournalSeen, KeySeen, LineState, NamesSeen, NodeSeen, Overview,
    WorkspaceSeen, WorkspaceState,
};
pub use replay::{
    ReplayAsked, ReplayCounts, ReplayPreview, ReplaySample, ReplaySeen, ReplayState, Steer,
};
