//! The engine for one process on one machine: a log of our own for the records,
//! fjall for everything else, in one folder.
//!
//! ```text
//! LOCK            held while the journal is open
//! FORMAT          the version of all this
//! log/            segments of records
//! state/kept/     cursors, first-only claims, traces, dead letters, settings
//! state/derived/  the index: can be deleted while the journal is closed
//! ```
//!
//! Everything here blocks; the handle in front of it keeps that off the runtime,
//! except where a simulation does everything by hand, in one order.

mod engine;
mod erase;
pub(crate) mod folder;
pub(crate) mod log;

use std::io;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use tracing::error;

use self::folder::Folder;
use self::log::{Commits, Disk, Log, Storage, make_folder, make_way};
use crate::config::Config;
use crate::journal::{PartitionStats, Stats};
use crate::place::{Partition, Seq};
use crate::room::Health;
use crate::state::{self, Derived, DerivedLimits, Fault, Kept};
pub use folder::OpenError;

pub(crate) use engine::finished;

const LOG_FOLDER: &str = "log";
const STATE_FOLDER: &str = "state";

/// A journal of the embedded engine that is open. Fields are dropped in order:
/// the folder is free for others only when all else is done.
pub(crate) struct Embedded {
    pub(crate) log: Log,
    pub(crate) derived: Derived,
    pub(crate) kept: Kept,
    pub(crate) config: Config,
    work: Work,
    _folder: Folder,
}

/// Where what blocks is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// On threads that may block.
    OnThreads,
    /// Where it is asked for: one thing after the other, always in the same order.
    InPlace,
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if self.work == Work::InPlace {
            return; // it was closed, or its process was killed
        }
        if let Err(error) = self.close() {
            error!("cannot bring the journal's state onto the disk: {error:?}");
        }
    }
}

impl Embedded {
    /// What the journal holds.
    pub(crate) fn stats(&self) -> Stats {
        let log = self.log.stats();
        let failed = self.kept.failed().or(self.derived.failed());
        Stats {
            partitions: vec![PartitionStats {
                partition: Partition::ZERO,
                first: log.first,
                last: log.last,
                indexed: *self.derived.watch().borrow(),
            }],
            bytes: log.bytes,
            max_bytes: self.config.max_bytes,
            pieces: log.segments as u64,
            damaged: log.damaged,
            disk: log.disk,
            health: match failed {
                Some(cause) => Health::Poisoned {
                    cause: cause.to_owned(),
                },
                None => log.health,
            },
        }
    }

    /// Commits what was appended, and writes out what is in memory only.
    pub(crate) fn close(&self) -> Result<(), Fault> {
        self.log.close();
        self.derived.flush(&|first| self.log.bytes_from(first))?;
        self.derived.sync()?;
        self.kept.sync()
    }

    /// Opens the journal that `config` describes, with its log in its own folder.
    pub(crate) fn open(config: Config) -> Result<Embedded, OpenError> {
        Self::open_with(
            config,
            |log_dir| Ok(Arc::new(Disk::open(log_dir)?)),
            threads,
        )
    }

    /// Opens the journal that `config` describes, with its log in `storage`.
    pub(crate) fn open_on(
        config: Config,
        storage: Arc<dyn Storage>,
    ) -> Result<Embedded, OpenError> {
        Self::open_with(config, |_| Ok(storage), threads)
    }

    /// Opens the journal that `config` describes, with its log in `storage`, and
    /// without threads.
    pub(crate) fn open_by_hand(
        config: Config,
        storage: Arc<dyn Storage>,
    ) -> Result<(Embedded, Commits), OpenError> {
        let mut commits = None;
        let opened = Self::open_with(
            config,
            |_| Ok(storage),
            |storage, config, floor| {
                let (log, by_hand) = Log::open_by_hand(storage, config, floor)?;
                commits = Some(by_hand);
                Ok((log, Work::InPlace))
            },
        )?;
        let commits = commits.expect("what is open has a log, and that came with its commits");
        Ok((opened, commits))
    }

    fn open_with(
        config: Config,
        storage: impl FnOnce(&Path) -> io::Result<Arc<dyn Storage>>,
        log: impl FnOnce(Arc<dyn Storage>, &Config, Seq) -> io::Result<(Log, Work)>,
    ) -> Result<Embedded, OpenError> {
        config.check().map_err(|what| OpenError::Config { what })?;
        let dir = config.dir.clone();
        let folder = Folder::open(&dir)?;
        let at_state = |source| OpenError::State {
            dir: dir.clone(),
            source,
        };
        let at_log = |source| OpenError::Log {
            dir: dir.clone(),
            source,
        };
        let storage = storage(&dir.join(LOG_FOLDER)).map_err(at_log)?;
        make_way(&*storage, &config).map_err(at_log)?;
        let (kept, derived) = open_state(&dir.join(STATE_FOLDER), &config).map_err(at_state)?;
        // Whatever the state knows of was on stable storage once.
        let floor = kept.floor().map_err(at_state)?.max(derived.watermark());
        let (log, work) = log(storage, &config, floor).map_err(at_log)?;
        Ok(Embedded {
            log,
            derived,
            kept,
            config,
            work,
            _folder: folder,
        })
    }
}

/// A log that commits on a thread of its own.
fn threads(storage: Arc<dyn Storage>, config: &Config, floor: Seq) -> io::Result<(Log, Work)> {
    Ok((Log::open(storage, config, floor)?, Work::OnThreads))
}

/// Opens both halves of the state at once: each replays what it wrote last.
fn open_state(dir: &Path, config: &Config) -> Result<(Kept, Derived), Fault> {
    let (kept_dir, derived_dir) = (dir.join("kept"), dir.join("derived"));
    for made in [dir, &kept_dir, &derived_dir] {
        make_folder(made)?;
    }
    let limits = DerivedLimits {
        duplicate_claims: config.duplicate_claims,
        log_bytes: config.max_bytes,
        young_records: config.index_records_in_memory,
        partition: Partition::ZERO,
    };
    thread::scope(|scope| {
        let derived = scope.spawn(|| Derived::open(&derived_dir, limits));
        let kept = Kept::open(&kept_dir, config.first_claims, state::Commits::Synced);
        let derived = derived.join();
        let derived = derived.unwrap_or_else(|panic| resume_unwind(panic));
        Ok((kept?, derived?))
    })
}
