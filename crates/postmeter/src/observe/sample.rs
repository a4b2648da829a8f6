//! One record's end, as whoever watches sees it. Never anything out of an event.

use std::sync::Arc;

use jiff::Timestamp;

/// One record that a connection is done with.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// When its event was received.
    pub(crate) received_at: Timestamp,
    /// When it ended.
    pub(crate) ended_at: Timestamp,
    /// The connection's name.
    pub(crate) connection: Arc<str>,
    /// How it ended.
    pub(crate) end: End,
    /// Where it ended.
    pub(crate) node: SampleNode,
}

/// On which node a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SampleNode {
    This,
    Another,
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
            End::Buried => "buried",
        }
    }

    /// The end of this label; none where it is of a newer build.
    pub(crate) fn labelled(label: &str) -> Option<End> {
        End::ALL.into_iter().find(|end| end.label() == label)
    }

    const ALL: [End; 7] = [
        End::Accepted,
        End::Skipped(SkipCause::Duplicate),
        End::Skipped(SkipCause::Options),
        End::Skipped(SkipCause::NotFirst),
        End::Skipped(SkipCause::Unusable),
        End::Skipped(SkipCause::Settled),
        End::Buried,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_known_by_its_label() {
        for end in End::ALL {
            assert_eq!(End::labelled(end.label()), Some(end));
        }
        assert_eq!(End::labelled("of a newer build"), None);
    }
}
