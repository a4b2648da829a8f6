//! Watches how much of the disk is free, and decides what to do about it.
//!
//! Two marks, from the top down. Below the first, `min_free`, no events are taken
//! and what is settled goes early. Below the second, half of the ballast, the
//! ballast goes: a file that held room back for those who make room - settling,
//! indexing, trimming - which the log must not use up again. Nothing is taken
//! until the ballast is there anew.
//!
//! ```text
//! free  ==========|=========|====================|============|=======>
//!             ballast/2  min_free         min_free * 9/8   2 * ballast
//!             ballast    nothing is       taken again,     ballast
//!             goes       taken            with ballast     comes back
//! ```
//!
//! Free space is looked at once a second, after so many bytes were written, and
//! after a write has failed: never for an event.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{info, warn};

use super::storage::{Capacity, Storage};
use crate::config::Config;
use crate::lock::lock;
use crate::room::{Room, Shortage};

/// The name of the file that holds room back.
const BALLAST: &str = "ballast";
/// After so many bytes written somebody looks.
const LOOK_EVERY_BYTES: u64 = 4 * 1024 * 1024;
/// What the ballast may take of a disk that is small: one part in so many.
const BALLAST_SHARE: u64 = 32;
/// How much more must be free for an end than for a beginning: one part in so many.
const HYSTERESIS_SHARE: u64 = 8;

/// What is known of the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskStats {
    /// How large it is.
    pub total_bytes: u64,
    /// What was free when somebody looked.
    pub free_bytes: u64,
    /// Below this nothing is taken.
    pub min_free_bytes: u64,
    /// What the ballast holds back; zero while it is let go.
    pub ballast_bytes: u64,
}

/// The marks of one disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Marks {
    min_free: u64,
    ballast: u64,
}

impl Marks {
    fn of(config: &Config, disk: Capacity) -> Marks {
        Marks {
            min_free: config.min_free_of(disk.total_bytes),
            ballast: config.ballast_bytes.min(disk.total_bytes / BALLAST_SHARE),
        }
    }

    /// Whether the ballast has to go.
    fn sinks(self, free: u64) -> bool {
        free < self.ballast / 2
    }

    /// Whether there is room for the ballast.
    fn floats(self, free: u64) -> bool {
        free >= 2 * self.ballast
    }

    /// What is missing, given what the ballast holds back and what was missing
    /// before.
    fn shortage(self, disk: Capacity, held: u64, before: Option<Shortage>) -> Option<Shortage> {
        let enough = match before {
            Some(_) => self.enough(),
            None => self.min_free,
        };
        let is_short = disk.free_bytes < enough || held < self.ballast.min(1);
        is_short.then(|| Shortage {
            free_bytes: disk.free_bytes,
            needed_bytes: self.needed(held),
        })
    }

    /// What must be free, beside the ballast, for events to be taken again.
    fn enough(self) -> u64 {
        self.min_free + self.min_free / HYSTERESIS_SHARE
    }

    /// What must be free for events to be taken again.
    fn needed(self, held: u64) -> u64 {
        if held >= self.ballast.min(1) {
            self.enough()
        } else {
            (self.enough() + self.ballast).max(2 * self.ballast)
        }
    }
}

/// Who watches.
pub(super) struct Space {
    storage: Arc<dyn Storage>,
    config: Config,
    room: Arc<Room>,
    /// Bytes written since somebody looked.
    unseen_bytes: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    /// What the ballast holds back; zero while it is let go.
    ballast_bytes: u64,
    stats: Option<DiskStats>,
    /// The last look failed, which was said.
    is_blind: bool,
}

impl Space {
    /// Begins to watch. Whatever the disk is like, a log can be opened on it.
    pub(super) fn open(storage: Arc<dyn Storage>, config: &Config, room: Arc<Room>) -> Space {
        let space = Space {
            storage,
            config: config.clone(),
            room,
            unseen_bytes: AtomicU64::new(0),
            seen: Mutex::default(),
        };
        lock(&space.seen).ballast_bytes = ballast_bytes(&space.storage);
        space.look();
        space
    }

    /// What was seen last; none where the disk does not say.
    pub(super) fn stats(&self) -> Option<DiskStats> {
        lock(&self.seen).stats
    }

    /// Counts bytes that were written, and looks when they are many.
    pub(super) fn wrote(&self, bytes: u64) {
        let before = self.unseen_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes >= LOOK_EVERY_BYTES {
            self.look();
        }
    }

    /// Looks at the disk, and lets the ballast go, makes it anew, or turns events
    /// away or takes them again.
    pub(super) fn look(&self) {
        self.unseen_bytes.store(0, Ordering::Relaxed);
        let mut seen = lock(&self.seen);
        match self.try_look(&mut seen) {
            Ok(()) => seen.is_blind = false,
            Err(error) if !seen.is_blind => {
                seen.is_blind = true;
                warn!("cannot see how much of the journal's disk is free: {error}");
            }
            Err(_) => {}
        }
    }

    fn try_look(&self, seen: &mut Seen) -> io::Result<()> {
        let mut disk = self.storage.capacity()?;
        let marks = Marks::of(&self.config, disk);
        if seen.ballast_bytes > 0 && marks.sinks(disk.free_bytes) {
            self.let_go(seen, disk.free_bytes)?;
            disk = self.storage.capacity()?;
        } else if seen.ballast_bytes == 0 && marks.ballast > 0 && marks.floats(disk.free_bytes) {
            self.make(seen, marks.ballast);
            disk = self.storage.capacity()?;
        }
        let before = self.room.shortage();
        let shortage = marks.shortage(disk, seen.ballast_bytes, before);
        tell(before, shortage, disk);
        self.room.set_shortage(shortage);
        seen.stats = Some(DiskStats {
            total_bytes: disk.total_bytes,
            free_bytes: disk.free_bytes,
            min_free_bytes: marks.min_free,
            ballast_bytes: seen.ballast_bytes,
        });
        Ok(())
    }

    fn let_go(&self, seen: &mut Seen, free_bytes: u64) -> io::Result<()> {
        self.storage.unlink(BALLAST)?;
        warn!(
            journal.ballast_bytes = seen.ballast_bytes,
            disk.free_bytes = free_bytes,
            "the journal's disk is full: the ballast is let go, so that settling and trimming go on"
        );
        seen.ballast_bytes = 0;
        // Some file systems give the room back only when the folder is synced.
        self.storage.sync_dir()
    }

    fn make(&self, seen: &mut Seen, bytes: u64) {
        // What is left of one that was not made whole is no ballast.
        self.storage.unlink(BALLAST).ok();
        match self.storage.set_aside(BALLAST, bytes) {
            Ok(()) => {
                info!(
                    journal.ballast_bytes = bytes,
                    "the journal's disk has room: ballast is made"
                );
                seen.ballast_bytes = bytes;
            }
            Err(error) => warn!(
                "there is no room for the journal's ballast of {bytes} bytes, so no events are taken: {error}"
            ),
        }
    }
}

/// Lets the ballast go when the disk is so full that the state may not open.
pub(crate) fn make_way(storage: &dyn Storage, config: &Config) -> io::Result<()> {
    let disk = storage.capacity()?;
    let is_there = storage.list()?.iter().any(|file| file.name == BALLAST);
    if is_there && Marks::of(config, disk).sinks(disk.free_bytes) {
        storage.unlink(BALLAST)?;
        storage.sync_dir()?;
        warn!("the journal's disk is full: the ballast is let go, so that the journal opens");
    }
    Ok(())
}

/// What the ballast in this folder holds back; zero when there is none.
fn ballast_bytes(storage: &Arc<dyn Storage>) -> u64 {
    let files = storage.list().unwrap_or_default();
    let ballast = files.into_iter().find(|file| file.name == BALLAST);
    ballast.map_or(0, |file| file.bytes)
}

/// Says that events are turned away, and that they are taken again.
fn tell(before: Option<Shortage>, shortage: Option<Shortage>, disk: Capacity) {
    match shortage {
        Some(shortage) if before.is_none() => warn!(
            disk.free_bytes = shortage.free_bytes,
            disk.needed_bytes = shortage.needed_bytes,
            "too little of the journal's disk is free: events are answered 503 until there is more"
        ),
        None if before.is_some() => info!(
            disk.free_bytes = disk.free_bytes,
            "the journal's disk has room: events are taken again"
        ),
        Some(_) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn marks(min_free_bytes: Option<u64>, total_mib: u64) -> Marks {
        let config = Config {
            min_free_bytes,
            ..Config::new("nowhere")
        };
        let disk = Capacity {
            total_bytes: total_mib * MIB,
            free_bytes: 0,
        };
        Marks::of(&config, disk)
    }

    #[test]
    fn a_small_disk_keeps_less_free_than_a_large_one() {
        for (total_mib, min_free, ballast) in [(1 << 20, 256, 32), (4096, 256, 32), (160, 10, 5)] {
            let expected = Marks {
                min_free: min_free * MIB,
                ballast: ballast * MIB,
            };
            assert_eq!(marks(None, total_mib), expected, "of {total_mib} MiB");
        }
        assert_eq!(marks(Some(0), 4096).min_free, 0);
        assert_eq!(marks(Some(5), 4096).min_free, 5);
    }

    #[test]
    fn events_are_taken_again_only_when_an_eighth_more_is_free() {
        let marks = marks(None, 4096);
        let short = Shortage {
            free_bytes: 0,
            needed_bytes: 0,
        };
        let is_short = |mib: u64, held: u64, before| {
            let disk = Capacity {
                total_bytes: 4096 * MIB,
                free_bytes: mib * MIB,
            };
            marks.shortage(disk, held, before).is_some()
        };
        assert!(!is_short(256, 1, None));
        assert!(is_short(255, 1, None));
        assert!(is_short(287, 1, Some(short)));
        assert!(!is_short(288, 1, Some(short)));
        assert!(is_short(4000, 0, None), "without ballast");
    }

    #[test]
    fn ballast_that_was_just_made_is_not_let_go() {
        for total_mib in [40, 160, 4096] {
            let marks = marks(Some(0), total_mib);
            assert!(marks.floats(2 * marks.ballast));
            assert!(!marks.sinks(2 * marks.ballast - marks.ballast));
        }
    }
}
