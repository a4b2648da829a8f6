//! Decides, when a log is opened, how far its last segment can be trusted.
//!
//! Only the last segment is read: whatever was written to an earlier one was on
//! stable storage before the next was begun.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::storage::StoredFile;
use super::walk::{Span, Walk};
use crate::place::Seq;

/// The most bytes of the last segment held in memory while it is read, unless
/// one record alone is larger.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What is left of the last segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tail {
    /// The last place that may be read; everything above it was never
    /// acknowledged and is cut. Below the segment's first when nothing is left.
    pub(super) last: Seq,
    /// When the last intact record arrived.
    pub(super) received_at: Option<Timestamp>,
}

/// Reads the segment that begins with `first`, of which everything up to `floor`
/// is known to have been acknowledged.
///
/// A group is written only after the one before it is on stable storage, and
/// each record names the first of its group. So all below the highest of these
/// was durable: what is missing there is damage, and stays a hole. From there on
/// is the last group, acknowledged or not: it is kept up to its first flaw.
pub(super) fn recover_tail(file: &Arc<dyn StoredFile>, first: Seq, floor: Seq) -> io::Result<Tail> {
    let span = Span {
        offset: 0,
        from: first,
        end: Seq::new(u64::MAX),
    };
    let mut walk = Walk::new(Arc::clone(file), span, CHUNK_BYTES);
    let mut tail = Tail {
        last: first.previous().max(floor),
        received_at: None,
    };
    let mut durable_below = tail.last.next();
    while let Some(found) = walk.step()? {
        if walk.entry(&found)?.is_none() {
            continue;
        }
        if found.header.group > durable_below {
            durable_below = found.header.group;
            tail.last = durable_below.previous();
        }
        if found.header.seq == tail.last.next() {
            tail.last = found.header.seq;
        }
        if found.header.seq <= tail.last {
            tail.received_at = Some(found.header.received_at);
        }
    }
    Ok(tail)
}
