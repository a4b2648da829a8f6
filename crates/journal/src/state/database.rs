//! One fjall database of ours: how it is opened, what it may take, and how a
//! batch of changes becomes durable.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::OnceLock;

use fjall::{KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use tracing::{error, warn};

use super::{rows, torn};
use crate::embedded::log::sync_folder;

/// The most bytes of the write-ahead journal. fjall allows no less.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// A keyspace's newest entries are written out as a table at this size. Each may
/// hold a few of these in memory.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// Why the state could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The database failed. Once a write has failed it takes no more until it is
    /// opened anew.
    #[error("the database failed")]
    Database(#[from] fjall::Error),
    /// A row is not what this build writes.
    #[error("a stored {0} cannot be read")]
    Row(&'static str),
    /// A file beside the database failed.
    #[error("a file of the database failed")]
    File(#[from] io::Error),
}

impl Fault {
    /// Whether the files are not what they should be, rather than out of reach
    /// for now: a full disk, a lock, a missing permission.
    pub(super) fn is_damage(&self) -> bool {
        if matches!(self, Fault::Database(fjall::Error::Locked)) {
            return false;
        }
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return matches!(
                    error.kind(),
                    ErrorKind::InvalidData | ErrorKind::NotFound | ErrorKind::UnexpectedEof
                );
            }
            cause = error.source();
        }
        true
    }
}

/// How many sequence numbers are passed over when a database is opened: more than
/// making or dropping one keyspace uses.
const SKIPPED_NUMBERS: u64 = 64;

/// What a database may take of the machine.
#[derive(Clone, Copy)]
pub(super) struct Allowance {
    pub(super) cache_bytes: u64,
    pub(super) threads: usize,
    pub(super) open_files: usize,
    pub(super) commits: Commits,
}

/// When a commit is on stable storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Commits {
    /// When it returns.
    Synced,
    /// With the next sync: what is lost until then comes back from elsewhere.
    Buffered,
}

/// A database that is open.
pub(super) struct Database {
    inner: fjall::Database,
    rows: fjall::Keyspace,
    commits: Commits,
    /// The first write that failed, in words.
    failed: OnceLock<String>,
}

impl Database {
    /// Opens the database in `dir`, or makes it.
    ///
    /// A batch that a power cut tore is cut off with all behind it: none of it
    /// was ever reported as durable. fjall itself gives up on such a batch when
    /// its end reached the disk before its middle.
    pub(super) fn open(dir: &Path, allowance: Allowance) -> Result<Database, Fault> {
        let inner = match try_open(dir, allowance) {
            Err(fjall::Error::JournalRecovery(cause)) => {
                warn!("the state's newest changes are torn and will be cut off: {cause:?}");
                torn::cut(dir)?;
                try_open(dir, allowance)?
            }
            opened => opened?,
        };
        let database = Database {
            rows: make_keyspace(&inner, "rows")?,
            inner,
            commits: allowance.commits,
            failed: OnceLock::new(),
        };
        for _ in 0..SKIPPED_NUMBERS {
            database.rows.insert([rows::TICK], [])?;
        }
        database.sync()?;
        Ok(database)
    }

    /// The keyspace that every database has, for its single rows.
    pub(super) fn rows(&self) -> fjall::Keyspace {
        self.rows.clone()
    }

    /// The keyspace of that name, made when it is missing.
    pub(super) fn keyspace(&self, name: &str) -> Result<fjall::Keyspace, Fault> {
        if self.inner.keyspace_exists(name) {
            return make_keyspace(&self.inner, name);
        }
        let made = make_keyspace(&self.inner, name)?;
        self.tick()?;
        Ok(made)
    }

    /// The names of all keyspaces that begin with `prefix`, without it.
    pub(super) fn names_after(&self, prefix: &str) -> Vec<String> {
        let names = self.inner.list_keyspace_names();
        let after = names.iter().filter_map(|name| name.strip_prefix(prefix));
        after.map(str::to_owned).collect()
    }

    /// Drops a keyspace whole, whatever it holds.
    pub(super) fn drop_keyspace(&self, keyspace: fjall::Keyspace) -> Result<(), Fault> {
        self.inner.delete_keyspace(keyspace)?;
        self.tick()
    }

    /// Takes note of the sequence number that fjall has come to.
    ///
    /// fjall numbers its changes and finds the last number again from what its
    /// keyspaces hold, but not from its list of keyspaces. Opened right after a
    /// keyspace was dropped, it would give out the number of that once more, and
    /// a keyspace made under it would be taken for the dropped one. So each
    /// change of the list is followed by a change of a row; and where a crash
    /// came between the two, opening skips what may have been used.
    fn tick(&self) -> Result<(), Fault> {
        let mut batch = self.batch();
        batch.insert(&self.rows, [rows::TICK], []);
        self.commit(batch)
    }

    /// Changes that will be made together or not at all.
    pub(super) fn batch(&self) -> OwnedWriteBatch {
        self.inner.batch()
    }

    /// Makes the changes of `batch`, as durable as was said when it was opened.
    pub(super) fn commit(&self, batch: OwnedWriteBatch) -> Result<(), Fault> {
        let mode = match self.commits {
            Commits::Synced => PersistMode::SyncData,
            Commits::Buffered => PersistMode::Buffer,
        };
        self.note(batch.durability(Some(mode)).commit())
    }

    /// Brings everything committed so far onto stable storage.
    pub(super) fn sync(&self) -> Result<(), Fault> {
        self.note(self.inner.persist(PersistMode::SyncAll))
    }

    /// The first write that failed, if one did: nothing can be written since.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    fn note(&self, written: fjall::Result<()>) -> Result<(), Fault> {
        written.map_err(|cause| {
            if self.failed.set(cause.to_string()).is_ok() {
                error!("cannot write the journal's state, so it takes no more changes: {cause}");
            }
            Fault::Database(cause)
        })
    }
}

/// Writes rows, sorted by key, past the write-ahead journal straight into a file
/// of the keyspace; they are on stable storage when it returns.
pub(super) fn write_sorted(
    keyspace: &fjall::Keyspace,
    rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
) -> Result<(), Fault> {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(()); // fjall would leave an empty file behind
    }
    let mut ingestion = keyspace.start_ingestion()?;
    for (key, value) in rows {
        ingestion.write(key, value)?;
    }
    Ok(ingestion.finish()?)
}

fn make_keyspace(database: &fjall::Database, name: &str) -> Result<fjall::Keyspace, Fault> {
    let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
    let is_new = !database.keyspace_exists(name);
    let keyspace = database.keyspace(name, options)?;
    // fjall syncs the keyspace's folder, and not the entry that leads to it; what
    // is written to a keyspace that cannot be found is ignored on open.
    if let Some(parent) = keyspace.path().parent().filter(|_| is_new) {
        sync_folder(parent)?;
    }
    Ok(keyspace)
}

fn try_open(dir: &Path, allowance: Allowance) -> fjall::Result<fjall::Database> {
    fjall::Database::builder(dir)
        .cache_size(allowance.cache_bytes)
        .worker_threads(allowance.threads)
        .max_cached_files(Some(allowance.open_files))
        .max_journaling_size(JOURNAL_BYTES)
        .open()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Allowance = Allowance {
        cache_bytes: 1024 * 1024,
        threads: 1,
        open_files: 16,
        commits: Commits::Synced,
    };

    #[test]
    fn a_disk_that_refuses_is_no_damage() {
        for (kind, expected) in [
            (ErrorKind::StorageFull, false),
            (ErrorKind::PermissionDenied, false),
            (ErrorKind::UnexpectedEof, true),
        ] {
            let direct = Fault::File(kind.into());
            assert_eq!(direct.is_damage(), expected, "{direct:?}");
            let nested = Fault::Database(fjall::Error::Io(kind.into()));
            assert_eq!(nested.is_damage(), expected, "{nested:?}");
            let deeper = fjall::Error::Storage(fjall::LsmError::Io(kind.into()));
            let deeper = Fault::Database(deeper);
            assert_eq!(deeper.is_damage(), expected, "{deeper:?}");
        }
        assert!(Fault::Row("watermark").is_damage());
        assert!(!Fault::Database(fjall::Error::Locked).is_damage());
    }

    #[test]
    fn a_keyspace_is_there_although_others_were_dropped_before_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["claims-a", "claims-b"];
        let database = Database::open(dir.path(), SMALL).unwrap();
        for name in names {
            let claims = database.keyspace(name).unwrap();
            let row = (b"key".to_vec(), vec![1]);
            write_sorted(&claims, [row].into_iter()).unwrap();
        }
        for name in names {
            let claims = database.keyspace(name).unwrap();
            database.drop_keyspace(claims).unwrap();
        }
        drop(database);
        let database = Database::open(dir.path(), SMALL).unwrap();
        assert!(database.names_after("claims-").is_empty());
        for name in names {
            let claims = database.keyspace(name).unwrap();
            let row = (b"key".to_vec(), vec![2]);
            write_sorted(&claims, [row].into_iter()).unwrap();
        }
        drop(database);
        let database = Database::open(dir.path(), SMALL).unwrap();
        for name in names {
            let claims = database.keyspace(name).unwrap();
            let held = claims.get("key").unwrap().map(|value| value.to_vec());
            assert_eq!(held, Some(vec![2]), "in {name}");
        }
    }
}
