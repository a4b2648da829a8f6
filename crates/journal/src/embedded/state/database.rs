//! One fjall database of ours: how it is opened, what it may take, and how a
//! batch of changes becomes durable.

use std::path::Path;
use std::sync::OnceLock;

use fjall::{KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use tracing::{error, warn};

use super::torn;
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
    File(#[from] std::io::Error),
}

/// What a database may take of the machine.
#[derive(Clone, Copy)]
pub(super) struct Allowance {
    pub(super) cache_bytes: u64,
    pub(super) threads: usize,
    pub(super) open_files: usize,
}

/// Whether a batch must survive a power cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// It is on stable storage when the commit returns.
    Synced,
    /// A power cut may take it away, together with all that came after it.
    Buffered,
}

/// A database that is open.
pub(super) struct Database {
    inner: fjall::Database,
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
        Ok(Database {
            inner,
            failed: OnceLock::new(),
        })
    }

    /// The keyspace of that name, made when it is missing.
    pub(super) fn keyspace(&self, name: &str) -> Result<fjall::Keyspace, Fault> {
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let is_new = !self.inner.keyspace_exists(name);
        let keyspace = self.inner.keyspace(name, options)?;
        // fjall syncs the keyspace's folder, and not the entry that leads to it;
        // what is written to a keyspace that cannot be found is ignored on open.
        if let Some(parent) = keyspace.path().parent().filter(|_| is_new) {
            sync_folder(parent)?;
        }
        Ok(keyspace)
    }

    /// The names of all keyspaces that begin with `prefix`, without it.
    pub(super) fn names_after(&self, prefix: &str) -> Vec<String> {
        let names = self.inner.list_keyspace_names();
        let after = names.iter().filter_map(|name| name.strip_prefix(prefix));
        after.map(str::to_owned).collect()
    }

    /// Drops a keyspace whole, whatever it holds.
    pub(super) fn drop_keyspace(&self, keyspace: fjall::Keyspace) -> Result<(), Fault> {
        Ok(self.inner.delete_keyspace(keyspace)?)
    }

    /// Changes that will be made together or not at all.
    pub(super) fn batch(&self) -> OwnedWriteBatch {
        self.inner.batch()
    }

    /// Makes the changes of `batch`.
    pub(super) fn commit(
        &self,
        batch: OwnedWriteBatch,
        durability: Durability,
    ) -> Result<(), Fault> {
        let mode = match durability {
            Durability::Synced => PersistMode::SyncData,
            Durability::Buffered => PersistMode::Buffer,
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

fn try_open(dir: &Path, allowance: Allowance) -> fjall::Result<fjall::Database> {
    fjall::Database::builder(dir)
        .cache_size(allowance.cache_bytes)
        .worker_threads(allowance.threads)
        .max_cached_files(Some(allowance.open_files))
        .max_journaling_size(JOURNAL_BYTES)
        .open()
}
