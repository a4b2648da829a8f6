//! The two databases of the state while the journal is open: who uses them, and
//! how they are opened anew in the same process after a write has failed.
//!
//! A full disk makes fjall refuse every further change of a database until it is
//! opened anew. So that settling goes on by itself, that is done here once there
//! is room: what the failed write left behind is taken back, what is in memory
//! only stays, and those who follow the journal notice nothing but the pause. A
//! write that failed for another reason is not trusted again before a restart.

use std::fs;
use std::mem;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{error, info, warn};

use super::log::{Log, make_folder};
use super::{Embedded, STATE_FOLDER};
use crate::config::Config;
use crate::lock::{lock, read, write};
use crate::place::Partition;
use crate::state::{Commits, Derived, DerivedLimits, Ended, Fault, InMemory, Kept, spare};

const KEPT: &str = "kept";
const DERIVED: &str = "derived";
/// What is kept and did not open, with a number.
const BROKEN: &str = "kept-broken-";
/// The copy of what nobody could go on without.
const SPARE: &str = "spare";
/// How often it is made.
const COPY_EVERY: Duration = Duration::from_secs(30);
/// What must be free of the disk for opening the state anew to be tried.
const REOPEN_BYTES: u64 = 1024 * 1024;

/// The state while it is open, with what is needed beside it.
pub(super) struct State {
    pub(super) derived: Derived,
    pub(super) kept: Kept,
    pub(super) log: Arc<Log>,
    pub(super) config: Config,
}

/// Whether the state is open.
pub(super) enum Halves {
    Open(Box<State>),
    /// It was ended, and could not be opened anew yet.
    Ended(Option<Box<Rest>>),
}

/// What outlives the state.
pub(super) struct Rest {
    derived: Ended<InMemory>,
    kept: Ended<watch::Sender<u64>>,
}

/// What is wrong with the state.
pub(super) enum Trouble {
    /// It goes away when there is room.
    Passing(String),
    /// Only a restart helps.
    Lasting(String),
}

impl Halves {
    pub(super) fn trouble(&self) -> Option<Trouble> {
        match self {
            Halves::Open(state) => state.trouble(),
            Halves::Ended(_) => Some(Trouble::Passing(Fault::Reopening.to_string())),
        }
    }
}

impl State {
    fn trouble(&self) -> Option<Trouble> {
        let halves = [
            (self.kept.failed(), self.kept.may_recover()),
            (self.derived.failed(), self.derived.may_recover()),
        ];
        let failed = |(cause, may_recover): (Option<&str>, bool)| {
            let cause = cause?.to_owned();
            Some(if may_recover {
                Trouble::Passing(cause)
            } else {
                Trouble::Lasting(cause)
            })
        };
        let mut troubles: Vec<_> = halves.into_iter().filter_map(failed).collect();
        let lasting = |trouble: &Trouble| matches!(trouble, Trouble::Lasting(_));
        let worst = troubles.iter().position(lasting).unwrap_or(0);
        (worst < troubles.len()).then(|| troubles.swap_remove(worst))
    }

    fn end(self) -> Rest {
        Rest {
            derived: self.derived.end(),
            kept: self.kept.end(),
        }
    }
}

impl Embedded {
    /// Looks after the disk: whether events are taken, and whether the state can be
    /// opened anew. To be called about every second.
    pub(crate) fn tend(&self) {
        self.log.look();
        let trouble = read(&self.halves).trouble();
        match trouble {
            None => self.copy_spare(),
            Some(Trouble::Lasting(cause)) => self.log.poison(&cause),
            Some(Trouble::Passing(_)) => self.open_anew(),
        }
    }

    /// Does something with the state, unless it is being opened anew.
    pub(super) fn with_state<T>(&self, work: impl FnOnce(&State) -> T) -> Result<T, Fault> {
        match &*read(&self.halves) {
            Halves::Open(state) => Ok(work(state)),
            Halves::Ended(_) => Err(Fault::Reopening),
        }
    }

    fn open_anew(&self) {
        let free_bytes = self.log.stats().disk.map(|disk| disk.free_bytes);
        if free_bytes.is_some_and(|free| free < REOPEN_BYTES) {
            return; // to be read from at least
        }
        let mut halves = write(&self.halves);
        let rest = match mem::replace(&mut *halves, Halves::Ended(None)) {
            Halves::Open(state) => Box::new(state.end()),
            Halves::Ended(Some(rest)) => rest,
            Halves::Ended(None) => return, // a panic ended it in between
        };
        let opened = open_both(
            || Kept::open_anew(&self.in_state(KEPT), self.config.first_claims, &rest.kept),
            || Derived::open_anew(&self.in_state(DERIVED), limits(&self.config), &rest.derived),
        );
        *halves = match opened {
            (Ok(kept), Ok(derived)) => {
                info!("the journal's state is open again");
                Halves::Open(Box::new(State {
                    derived,
                    kept,
                    log: Arc::clone(&self.log),
                    config: self.config.clone(),
                }))
            }
            (kept, derived) => {
                let faults = [kept.as_ref().err(), derived.as_ref().err()];
                for fault in faults.into_iter().flatten() {
                    warn!("the journal's state cannot be opened anew yet: {fault:?}");
                }
                Halves::Ended(Some(Box::new(Rest {
                    kept: kept.map_or(rest.kept, Kept::end),
                    derived: derived.map_or(rest.derived, Derived::end),
                })))
            }
        };
    }

    fn in_state(&self, name: &str) -> PathBuf {
        self.config.dir.join(STATE_FOLDER).join(name)
    }

    /// Copies what nobody could go on without, now and then.
    fn copy_spare(&self) {
        let mut copied_at = lock(&self.copied_at);
        if copied_at.is_some_and(|at| at.elapsed() < COPY_EVERY) {
            return;
        }
        *copied_at = Some(Instant::now());
        drop(copied_at);
        self.copy_spare_now();
    }

    pub(super) fn copy_spare_now(&self) {
        let precious = &self.config.precious_settings;
        let spare = self.with_state(|state| state.kept.spare(precious));
        let copied = spare.flatten().map_err(|fault| fault.to_string());
        let copied = copied.and_then(|spare| {
            spare::write(&self.in_state(SPARE), &spare).map_err(|error| error.to_string())
        });
        if let Err(cause) = copied {
            warn!("the copy of cursors and connections is not written this time: {cause}");
        }
    }
}

/// What was found when the state was opened.
pub(super) struct Opened {
    pub(super) kept: Kept,
    pub(super) derived: Derived,
    /// Whether cursors were lost, and no copy of them was there.
    pub(super) is_lost: bool,
}

/// Opens both halves of the state, and makes what is missing. What is kept and
/// does not open is set aside, and a copy takes its place.
pub(super) fn open_state(config: &Config) -> Result<Opened, Fault> {
    let dir = config.dir.join(STATE_FOLDER);
    let (kept_dir, derived_dir) = (dir.join(KEPT), dir.join(DERIVED));
    for made in [&dir, &kept_dir, &derived_dir] {
        make_folder(made)?;
    }
    let (kept, derived) = open_both(
        || open_kept(&kept_dir, config),
        || Derived::open(&derived_dir, limits(config)),
    );
    let derived = derived?;
    let (kept, is_lost) = match kept {
        Err(fault) if fault.is_damage() => replace_kept(&kept_dir, config, &fault)?,
        kept => (kept?, false),
    };
    Ok(Opened {
        kept,
        derived,
        is_lost,
    })
}

fn open_kept(dir: &Path, config: &Config) -> Result<Kept, Fault> {
    let kept = Kept::open(dir, config.first_claims, Commits::Synced)?;
    // What cannot be read is found now, and not when somebody depends on it.
    kept.floor()?;
    Ok(kept)
}

/// Sets the folder aside that does not open, makes a new one, and fills it from
/// the copy; says whether there was none.
fn replace_kept(dir: &Path, config: &Config, fault: &Fault) -> Result<(Kept, bool), Fault> {
    let aside = (1..).map(|number| dir.with_file_name(format!("{BROKEN}{number}")));
    let aside = aside.into_iter().find(|path| !path.exists());
    let aside = aside.expect("numbers do not run out before folders do");
    fs::rename(dir, &aside)?;
    make_folder(dir)?;
    let kept = open_kept(dir, config)?;
    let spare = spare::read(&dir.with_file_name(SPARE));
    if let Some(spare) = &spare {
        kept.restore(spare)?;
    }
    let consequence = match spare {
        Some(_) => {
            "cursors and connections are those of a copy, so some calls are repeated under their message ids"
        }
        None => "there is no copy of cursors and connections: they must be set again",
    };
    error!(
        "the journal's state does not open and was set aside in {}: {consequence}. Dead letters \
         and first-only claims are in there and nowhere else. Why: {fault:?}",
        aside.display()
    );
    Ok((kept, spare.is_none()))
}

/// What was set aside of the state, in words.
pub(super) fn set_aside(config: &Config) -> Vec<String> {
    let found = fs::read_dir(config.dir.join(STATE_FOLDER));
    let names = found
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    let names = names.filter_map(|name| name.into_string().ok());
    let mut broken: Vec<_> = names.filter(|name| name.starts_with(BROKEN)).collect();
    broken.sort();
    let told = broken.into_iter().map(|name| {
        format!(
            "the journal's state did not open once and is set aside in {STATE_FOLDER}/{name}, with \
             its dead letters and first-only claims; remove it when nobody wants to look at it"
        )
    });
    told.collect()
}

/// Opens both at once: each replays what it wrote last.
fn open_both(
    kept: impl FnOnce() -> Result<Kept, Fault>,
    derived: impl FnOnce() -> Result<Derived, Fault> + Send,
) -> (Result<Kept, Fault>, Result<Derived, Fault>) {
    thread::scope(|scope| {
        let derived = scope.spawn(derived);
        let kept = kept();
        let derived = derived.join();
        (kept, derived.unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

fn limits(config: &Config) -> DerivedLimits {
    DerivedLimits {
        duplicate_claims: config.duplicate_claims,
        log_bytes: config.max_bytes,
        young_records: config.index_records_in_memory,
        partition: Partition::ZERO,
    }
}
