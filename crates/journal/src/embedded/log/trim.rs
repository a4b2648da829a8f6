//! Gives disk space back, whole segments at a time, oldest first.

use std::io;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use jiff::Timestamp;
use tracing::info;

use super::Log;
use super::segments::{Holding, segment_name};
use crate::append::Order;
use crate::lock::lock;
use crate::place::Seq;

/// The part of the byte budget that trimming keeps free, so that intake need
/// not wait for it: one in this many.
const FREE_SHARE: u64 = 8;

/// What may go.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// The time it is.
    pub now: Timestamp,
    /// How long records are kept.
    pub retention: Duration,
    /// The first record that must stay, whatever its age and however full it is.
    pub keep_from: Seq,
}

/// What went.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Trimmed {
    /// How many pieces of the log went: segments that were unlinked, or packs.
    pub pieces: u64,
    /// How many bytes they took.
    pub bytes: u64,
}

impl Log {
    /// Unlinks segments that are older than the retention, or as many as leave a
    /// part of the byte budget free and enough of the disk. The last one stays,
    /// if only as an empty one, and so does every record from `keep_from` on.
    ///
    /// # Errors
    ///
    /// The disk would not let a segment go; those before it are gone.
    pub fn trim(&self, expiry: &Expiry) -> io::Result<Trimmed> {
        let _alone = lock(&self.trimming);
        let mut trimmed = Trimmed::default();
        self.shared.space.look();
        if self.holds_up_the_disk(expiry) {
            self.begin_segment();
        }
        let segments = self.shared.segments.all();
        let mut rest = segments.as_slice();
        while let Some((oldest, above)) = rest.split_first() {
            if !self.may_go(above, expiry)? {
                break;
            }
            trimmed.pieces += 1;
            trimmed.bytes += self.unlink(oldest)?;
            if self.shared.room.shortage().is_some() {
                self.shared.space.look();
            }
            rest = above;
        }
        if trimmed.pieces > 0 {
            let first = self.first();
            lock(&self.shared.damage).trim(first);
            self.shared.aside.remove(|_, last| last < first)?;
            info!(
                trimmed.pieces,
                trimmed.bytes, "trimmed the journal up to record {first}"
            );
        }
        Ok(trimmed)
    }

    /// Whether trimming would unlink anything.
    pub(crate) fn has_expired(&self, expiry: &Expiry) -> io::Result<bool> {
        if self.holds_up_the_disk(expiry) {
            return Ok(true);
        }
        let segments = self.shared.segments.all();
        let above = segments.split_first().map(|(_, above)| above);
        above.map_or(Ok(false), |above| self.may_go(above, expiry))
    }

    /// Whether the last segment, which stays, is all that is left to give to a
    /// disk that has too little room.
    fn holds_up_the_disk(&self, expiry: &Expiry) -> bool {
        let last = self.shared.segments.last();
        self.shared.room.shortage().is_some()
            && expiry.keep_from > self.durable_seq()
            && last.is_some_and(|last| last <= self.durable_seq())
    }

    /// Has an empty segment begun; waits until that was tried, unless everything is
    /// done by hand.
    fn begin_segment(&self) {
        let (done, tried) = sync_channel(1);
        let asked = lock(&self.queue)
            .as_ref()
            .is_some_and(|queue| queue.try_send(Order::BeginSegment(done)).is_ok());
        if asked && lock(&self.committer).is_some() {
            // An error is a thread that has ended: the log is closed.
            tried.recv().ok();
        }
    }

    /// Whether the oldest segment may go, given all that are above it.
    fn may_go(&self, above: &[Holding], expiry: &Expiry) -> io::Result<bool> {
        let next = above.first().map(|next| next.segment.first);
        if next.is_none_or(|next| next > expiry.keep_from) {
            return Ok(false);
        }
        let crowded = self.shared.room.shortage().is_some()
            || self.shared.room.disk_bytes() > self.trim_above_bytes();
        Ok(crowded || self.is_expired(above, expiry)?)
    }

    /// Above this many bytes on disk the oldest segments go.
    fn trim_above_bytes(&self) -> u64 {
        let budget = self.shared.max_bytes;
        budget - budget / FREE_SHARE
    }

    /// A segment has expired once the record that begins the next one has.
    fn is_expired(&self, above: &[Holding], expiry: &Expiry) -> io::Result<bool> {
        for next in above {
            let Some(begun_at) = self.begun_at(next)? else {
                continue; // all of it is damaged: the one after it will tell
            };
            let age = Duration::try_from(expiry.now.duration_since(begun_at));
            return Ok(age.is_ok_and(|age| age > expiry.retention));
        }
        Ok(false)
    }

    /// Each unlink is synced on its own: a power cut never leaves a hole below
    /// what it leaves.
    fn unlink(&self, holding: &Holding) -> io::Result<u64> {
        let first = holding.segment.first;
        self.shared.storage.unlink(&segment_name(first))?;
        self.shared.segments.remove(first);
        let bytes = holding.segment.bytes();
        self.shared.room.freed(bytes);
        self.shared.storage.sync_dir()?;
        Ok(bytes)
    }
}
