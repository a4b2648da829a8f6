//! Gives disk space back, whole segments at a time, oldest first.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use tracing::info;

use super::Log;
use super::segments::{Holding, segment_name};
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
    /// part of the byte budget free. The last one stays, and so does every
    /// record from `keep_from` on.
    ///
    /// # Errors
    ///
    /// The disk would not let a segment go; those before it are gone.
    pub fn trim(&self, expiry: &Expiry) -> io::Result<Trimmed> {
        let _alone = lock(&self.trimming);
        let mut trimmed = Trimmed::default();
        let segments = self.shared.segments.all();
        let mut rest = segments.as_slice();
        while let Some((oldest, above)) = rest.split_first() {
            if !self.may_go(above, expiry)? {
                break;
            }
            trimmed.pieces += 1;
            trimmed.bytes += self.unlink(oldest)?;
            rest = above;
        }
        if trimmed.pieces > 0 {
            let first = self.first();
            lock(&self.shared.damage).trim(first);
            info!(
                trimmed.pieces,
                trimmed.bytes, "trimmed the journal up to record {first}"
            );
        }
        Ok(trimmed)
    }

    /// Whether trimming would unlink anything.
    pub(crate) fn has_expired(&self, expiry: &Expiry) -> io::Result<bool> {
        let segments = self.shared.segments.all();
        let above = segments.split_first().map(|(_, above)| above);
        above.map_or(Ok(false), |above| self.may_go(above, expiry))
    }

    /// Whether the oldest segment may go, given all that are above it.
    fn may_go(&self, above: &[Holding], expiry: &Expiry) -> io::Result<bool> {
        let next = above.first().map(|next| next.segment.first);
        if next.is_none_or(|next| next > expiry.keep_from) {
            return Ok(false);
        }
        let crowded = self.shared.room.disk_bytes() > self.trim_above_bytes();
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
