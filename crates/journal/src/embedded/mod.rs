//! The engine for one process on one machine: a log of our own for the records,
//! fjall for everything else, in one folder.
//!
//! ```text
//! LOCK            held while the journal is open
//! FORMAT          the version of all this
//! log/            segments of records; ballast; what is damaged, set aside
//! state/kept/     cursors, first-only claims, traces, dead letters, settings
//! state/derived/  the index: can be deleted while the journal is closed
//! state/spare     a copy of cursors and some settings, for when kept/ does not open
//! ```
//!
//! Everything here blocks; the handle in front of it keeps that off the runtime,
//! except where a simulation does everything by hand, in one order.

mod engine;
mod erase;
pub(crate) mod folder;
mod halves;
pub(crate) mod log;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use tokio::sync::watch;
use tracing::error;

use self::folder::Folder;
use self::halves::{Halves, Opened, State, Trouble, open_state};
use self::log::{Commits, Disk, Log, Storage, make_way};
use crate::config::Config;
use crate::journal::{PartitionStats, Stats};
use crate::place::{Partition, Seq};
use crate::room::Health;
use crate::state::Fault;
pub use folder::OpenError;

pub(crate) use engine::finished;

const LOG_FOLDER: &str = "log";
const STATE_FOLDER: &str = "state";

/// A journal of the embedded engine that is open. Fields are dropped in order:
/// the folder is free for others only when all else is done.
pub(crate) struct Embedded {
    halves: RwLock<Halves>,
    /// Follows the last indexed record, and how often settings were changed,
    /// whether or not the state is open.
    indexed: watch::Sender<Option<Seq>>,
    settings: watch::Sender<u64>,
    log: Arc<Log>,
    config: Config,
    work: Work,
    /// Whether cursors were lost when it was opened.
    pub(crate) is_lost: bool,
    /// When what nobody could go on without was copied.
    copied_at: Mutex<Option<Instant>>,
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
        Stats {
            partitions: vec![PartitionStats {
                partition: Partition::ZERO,
                first: log.first,
                last: log.last,
                indexed: *self.indexed.borrow(),
            }],
            bytes: log.bytes,
            max_bytes: self.config.max_bytes,
            pieces: log.segments as u64,
            damaged: log.damaged,
            disk: log.disk,
            health: self.health(log.health),
        }
    }

    /// The state's health, unless the log's is what to look at.
    fn health(&self, log: Health) -> Health {
        let trouble = match self.halves.try_read().as_deref() {
            Ok(halves) => halves.trouble(),
            // Who holds it otherwise is opening it anew.
            Err(_) => Some(Trouble::Passing(Fault::Reopening.to_string())),
        };
        match (log, trouble) {
            (Health::Poisoned { cause }, _) | (_, Some(Trouble::Lasting(cause))) => {
                Health::Poisoned { cause }
            }
            (_, Some(Trouble::Passing(cause))) => Health::Failing { cause },
            (log, None) => log,
        }
    }

    /// What could not be read and lies beside, in words.
    pub(crate) fn set_aside(&self) -> Vec<String> {
        let mut told = halves::set_aside(&self.config);
        told.extend(self.log.set_aside());
        told
    }

    /// Commits what was appended, and writes out what is in memory only.
    pub(crate) fn close(&self) -> Result<(), Fault> {
        self.log.close();
        self.copy_spare_now();
        self.with_state(|state| {
            let State {
                log, derived, kept, ..
            } = state;
            derived.flush(&|first| log.bytes_from(first))?;
            derived.sync()?;
            kept.sync()
        })?
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
        let opened = open_state(&config).map_err(at_state)?;
        let Opened {
            kept,
            derived,
            is_lost,
        } = opened;
        // Whatever the state knows of was on stable storage once.
        let floor = kept.floor().map_err(at_state)?.max(derived.watermark());
        let (log, work) = log(storage, &config, floor).map_err(at_log)?;
        let log = Arc::new(log);
        Ok(Embedded {
            indexed: derived.sender(),
            settings: kept.sender(),
            halves: RwLock::new(Halves::Open(Box::new(State {
                log: Arc::clone(&log),
                derived,
                kept,
                config: config.clone(),
            }))),
            log,
            config,
            work,
            is_lost,
            copied_at: Mutex::default(),
            _folder: folder,
        })
    }
}

/// A log that commits on a thread of its own.
fn threads(storage: Arc<dyn Storage>, config: &Config, floor: Seq) -> io::Result<(Log, Work)> {
    Ok((Log::open(storage, config, floor)?, Work::OnThreads))
}
