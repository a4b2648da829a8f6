//! How large a journal may grow and how long it keeps things. Every default of
//! the journal is in this file; where they come from is the caller's business.

use std::path::PathBuf;
use std::time::Duration;

const MIB: u64 = 1024 * 1024;
const DAY: Duration = Duration::from_hours(24);

/// The limits of one journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The folder that holds everything. It is created when it is missing.
    pub dir: PathBuf,
    /// The most bytes of records on disk, those on their way included. Above
    /// it nothing is taken any more until trimming makes room. At least twice
    /// `segment_bytes`.
    pub max_bytes: u64,
    /// How much of the disk must stay free. Below it nothing is taken any more,
    /// and what every connection has settled goes early, until there is an
    /// eighth more than that. None: [`Config::MIN_FREE_BYTES`], but no more than
    /// a sixteenth of the disk. Zero: the disk may be filled.
    pub min_free_bytes: Option<u64>,
    /// The file that holds room back for the state, for when the disk is full
    /// all the same: no more than one part in 32 of the disk. Zero: none.
    pub ballast_bytes: u64,
    /// A segment is finished once it would grow beyond this; space is given back
    /// in whole segments.
    pub segment_bytes: u64,
    /// How long records are kept after they arrived.
    pub retention: Duration,
    /// How long at least an event is known as seen; at most twice as long. No
    /// less than [`Config::MIN_DUPLICATE_CLAIMS`].
    pub duplicate_claims: Duration,
    /// How long at least a connection's first-only claim is kept; at most twice
    /// as long. No less than a day.
    pub first_claims: Duration,
    /// How many records' index may be in memory only. A crash makes the indexer
    /// go through so many once more; at least one.
    pub index_records_in_memory: usize,
    /// Heads of the settings' keys of which a copy is kept beside the state, for
    /// when it does not open.
    pub precious_settings: Vec<String>,
    /// The most permits held or appends waiting at a time; beyond it the journal
    /// is busy.
    pub queue_records: usize,
    /// The most bytes of bodies that those may hold together; a single larger
    /// one is let through when it is alone.
    pub queue_bytes: usize,
}

impl Config {
    /// The source repeats an event for seven days, so eight are the least.
    pub const MIN_DUPLICATE_CLAIMS: Duration = Duration::from_hours(8 * 24);

    /// How much of a large disk must stay free.
    pub const MIN_FREE_BYTES: u64 = 256 * MIB;

    /// What is left to the mark of a disk that is small: one part in so many.
    const MIN_FREE_SHARE: u64 = 16;

    /// Below how much free space nothing is taken, on a disk that is so large.
    pub fn min_free_of(&self, total_bytes: u64) -> u64 {
        let usual = Self::MIN_FREE_BYTES.min(total_bytes / Self::MIN_FREE_SHARE);
        self.min_free_bytes.unwrap_or(usual)
    }

    /// The product's defaults for a journal in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Config {
        Config {
            dir: dir.into(),
            max_bytes: 20 * 1024 * MIB,
            min_free_bytes: None,
            ballast_bytes: 32 * MIB,
            segment_bytes: 64 * MIB,
            retention: 30 * DAY,
            duplicate_claims: Self::MIN_DUPLICATE_CLAIMS,
            first_claims: 30 * DAY,
            index_records_in_memory: 64 * 1024,
            precious_settings: Vec::new(),
            queue_records: 16 * 1024,
            queue_bytes: 64 * 1024 * 1024,
        }
    }

    /// Limits so small that tests reach them.
    pub fn for_tests(dir: impl Into<PathBuf>) -> Config {
        Config {
            max_bytes: 16 * MIB,
            min_free_bytes: Some(0),
            ballast_bytes: 0,
            segment_bytes: 64 * 1024,
            index_records_in_memory: 16,
            queue_records: 1024,
            queue_bytes: 4 * 1024 * 1024,
            ..Config::new(dir)
        }
    }

    /// Names the first limit that makes no sense.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.segment_bytes == 0 || self.max_bytes / 2 < self.segment_bytes {
            return Err("max_bytes must have room for two segments of segment_bytes each");
        }
        if self.duplicate_claims < Self::MIN_DUPLICATE_CLAIMS {
            return Err("duplicate_claims must be at least eight days");
        }
        if self.first_claims < DAY {
            return Err("first_claims must be at least one day");
        }
        if self.queue_records == 0 {
            return Err("queue_records must be at least one");
        }
        if self.index_records_in_memory == 0 {
            return Err("index_records_in_memory must be at least one");
        }
        Ok(())
    }
}
