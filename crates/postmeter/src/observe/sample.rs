//! One record's end, as whoever watches sees it. Never anything out of an event.

use jiff::Timestamp;

/// One record that a connection is done with.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// When its event was received.
    pub(crate) received_at: Timestamp,
    /// When it ended.
    pub(crate) ended_at: Timestamp,
    /// How it ended.
    pub(crate) end: End,
}

/// How a record ended for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    /// Segment took the call.
    Accepted,
    /// It was not to be sent.
    Skipped(SkipCause),
    /// It can never be delivered as it is.
    Buried,
}

/// Why a record was not to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SkipCause {
    /// Another record with this event came before.
    Duplicate,
    /// The connection's options leave it out.
    Options,
    /// Not the first occurrence, and the connection sends only those.
    NotFirst,
    /// Nothing can be made of it, which its own dead letter says.
    Unusable,
    /// It was settled before it was carried over from another journal.
    Settled,
    /// It was erased, before or after it was sent.
    Erased,
}

impl End {
    pub(crate) fn label(self) -> &'static str {
        match self {
            End::Accepted => "accepted",
            End::Skipped(SkipCause::Duplicate) => "skipped_duplicate",
            End::Skipped(SkipCause::Options) => "skipped_options",
            End::Skipped(SkipCause::NotFirst) => "skipped_not_first",
            End::Skipped(SkipCause::Unusable) => "skipped_unusable",
            End::Skipped(SkipCause::Settled) => "skipped_settled",
            End::Skipped(SkipCause::Erased) => "skipped_erased",
            End::Buried => "buried",
        }
    }
}
