//! The folder of a journal: that nobody else has it, and that this build
//! understands what is in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::log::{make_folder, sync_folder};

/// The newest version of everything in the folder. A build opens this one and no newer.
///
/// A folder has the version that its contents need. The second knows tombstones: a build
/// of the first would take one for an event, so it has to refuse the folder.
const FORMAT: u32 = 2;
/// What a folder begins with.
const FIRST_FORMAT: u32 = 1;

const LOCK_FILE: &str = "LOCK";
const FORMAT_FILE: &str = "FORMAT";
const NEW_FORMAT_FILE: &str = "FORMAT.new";
/// What stands before the version.
const FORMAT_PREFIX: &str = "postmeter journal, format ";

/// Why a journal did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The limits contradict each other or a promise.
    #[error("the journal's limits make no sense: {what}")]
    Config {
        /// What is wrong, in words.
        what: &'static str,
    },
    /// The folder cannot be made or written to.
    #[error("cannot create or write the journal folder {dir}")]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Another process, or another part of this one, has the journal open.
    #[error("the journal in {dir} is in use: stop the other process, or choose another folder")]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// A newer build wrote the journal.
    #[error("the journal in {dir} has format {found}, this build knows up to {known}")]
    NewerFormat {
        /// The folder.
        dir: PathBuf,
        /// The format of the folder.
        found: u32,
        /// The newest format that this build opens.
        known: u32,
    },
    /// The folder is not a journal, or its format file is lost.
    #[error("the file {path} does not say which format the journal has")]
    UnknownFormat {
        /// The format file.
        path: PathBuf,
    },
    /// The log cannot be opened.
    #[error("cannot open the journal's log in {dir}")]
    Log {
        /// The folder of the journal.
        dir: PathBuf,
        /// What the storage said.
        #[source]
        source: io::Error,
    },
    /// The state cannot be opened.
    #[error("cannot open the journal's state in {dir}")]
    State {
        /// The folder of the journal.
        dir: PathBuf,
        /// What the database said.
        #[source]
        source: crate::state::Fault,
    },
    /// The runtime is shutting down.
    #[error("the journal was not opened because the process is stopping")]
    Stopping,
}

/// A folder that nobody else can open while this is held.
pub(crate) struct Folder {
    _lock: File,
}

impl Folder {
    /// Takes the folder `dir` for this process; makes it when it is missing.
    pub(crate) fn open(dir: &Path) -> Result<Folder, OpenError> {
        let at_folder = |source| OpenError::Folder {
            dir: dir.to_owned(),
            source,
        };
        make_folder(dir).map_err(at_folder)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join(LOCK_FILE))
            .map_err(at_folder)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked {
                dir: dir.to_owned(),
            },
            TryLockError::Error(source) => at_folder(source),
        })?;
        check_format(dir)?;
        Ok(Folder { _lock: lock })
    }
}

fn check_format(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(FORMAT_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && !holds_data(dir) => {
            return write_format(dir, FIRST_FORMAT).map_err(|source| OpenError::Folder {
                dir: dir.to_owned(),
                source,
            });
        }
        Err(_) => return Err(OpenError::UnknownFormat { path }),
    };
    match version_in(&text) {
        None => Err(OpenError::UnknownFormat { path }),
        Some(found) if found > FORMAT => Err(OpenError::NewerFormat {
            dir: dir.to_owned(),
            found,
            known: FORMAT,
        }),
        Some(_) => Ok(()),
    }
}

/// Whether there is something in the folder that needs a format.
fn holds_data(dir: &Path) -> bool {
    dir.join(super::LOG_FOLDER).exists() || dir.join(super::STATE_FOLDER).exists()
}

fn version_in(text: &str) -> Option<u32> {
    let version = text.strip_prefix(FORMAT_PREFIX).map(str::trim_end);
    version.and_then(|version| version.parse().ok())
}

/// Sees to it that builds which do not know [`FORMAT`] refuse the folder.
pub(super) fn raise_format(dir: &Path) -> io::Result<()> {
    let text = fs::read_to_string(dir.join(FORMAT_FILE))?;
    match version_in(&text) {
        Some(version) if version >= FORMAT => Ok(()),
        Some(_) | None => write_format(dir, FORMAT),
    }
}

/// The format is on stable storage before anything that has it.
fn write_format(dir: &Path, version: u32) -> io::Result<()> {
    let new = dir.join(NEW_FORMAT_FILE);
    let mut file = File::create(&new)?;
    writeln!(file, "{FORMAT_PREFIX}{version}")?;
    file.sync_all()?;
    fs::rename(&new, dir.join(FORMAT_FILE))?;
    sync_folder(dir)
}
