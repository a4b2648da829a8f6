//! One fjall database of ours: what it may take, and how a batch of changes becomes
//! durable.

use std::path::Path;
use std::sync::{Mutex, OnceLock};

use fjall::{KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use tracing::{error, warn};

use super::fault::{Fault, in_words};
use super::{opening, rows, torn};
use crate::embedded::log::sync_folder;
use crate::lock::lock;

/// A keyspace's newest entries are written out as a table at this size. Each may
/// hold a few of these in memory.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// How many sequence numbers are passed over when a database is opened: more than
/// making or dropping one keyspace uses.
const SKIPPED_NUMBERS: u64 = 64;

/// The keyspace that every database has.
pub(super) const ROWS: &str = "rows";

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
    /// One batch at a time, so that it is known which one failed.
    committing: Mutex<()>,
    failed: OnceLock<Failure>,
}

/// A database that was ended because a write failed, and what outlives it.
pub(crate) struct Ended<T> {
    /// From which number on its write-ahead journal holds what does not count.
    pub(super) failed_from: Option<u64>,
    pub(super) rest: T,
}

/// Removes what a failed write has left behind.
pub(super) fn take_back<T>(dir: &Path, ended: &Ended<T>) -> Result<(), Fault> {
    match ended.failed_from {
        Some(from) => Ok(torn::take_back(dir, from)?),
        None => Ok(()),
    }
}

/// The first write that failed: nothing can be written since.
struct Failure {
    cause: String,
    may_pass: bool,
    /// Everything from this number on was never reported as durable.
    from: u64,
}

impl Database {
    /// Opens the database in `dir`, or makes it where there is none: see [`opening::open`].
    pub(super) fn open(dir: &Path, allowance: Allowance) -> Result<Database, Fault> {
        let inner = opening::open(dir, allowance)?;
        let database = Database {
            rows: make_keyspace(&inner, ROWS)?,
            inner,
            commits: allowance.commits,
            committing: Mutex::default(),
            failed: OnceLock::new(),
        };
        for _ in 0..SKIPPED_NUMBERS {
            database.rows.insert([rows::TICK], [])?;
        }
        database.sync()?;
        Ok(database)
    }

    /// From which number on the write-ahead journal holds what was never reported
    /// as durable; none where no write failed.
    pub(super) fn failed_from(&self) -> Option<u64> {
        self.failed.get().map(|failure| failure.from)
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
        let from = self.inner.seqno();
        let made = self.note(from, make_keyspace(&self.inner, name))?;
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
        let from = self.inner.seqno();
        let dropped = self.inner.delete_keyspace(keyspace);
        self.note(from, dropped.map_err(Fault::Database))?;
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
        let _alone = lock(&self.committing);
        let from = self.inner.seqno();
        let committed = batch.durability(Some(mode)).commit();
        self.note(from, committed.map_err(Fault::Database))
    }

    /// Writes rows, sorted by key, past the write-ahead journal straight into a
    /// file of the keyspace; they are on stable storage when it returns.
    pub(super) fn write_sorted(
        &self,
        keyspace: &fjall::Keyspace,
        rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), Fault> {
        let from = self.inner.seqno();
        self.note(from, write_sorted(keyspace, rows))
    }

    /// Brings everything committed so far onto stable storage.
    pub(super) fn sync(&self) -> Result<(), Fault> {
        let from = self.inner.seqno();
        let synced = self.inner.persist(PersistMode::SyncAll);
        self.note(from, synced.map_err(Fault::Database))
    }

    /// The first write that failed, if one did: nothing can be written since.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.get().map(|failure| failure.cause.as_str())
    }

    /// Whether a write failed, and opening anew may help once there is room.
    pub(super) fn may_recover(&self) -> bool {
        self.failed.get().is_some_and(|failure| failure.may_pass)
    }

    /// Takes note of a write that failed: fjall takes no more changes then, or
    /// must not be asked for any.
    fn note<T>(&self, from: u64, written: Result<T, Fault>) -> Result<T, Fault> {
        written.inspect_err(|fault| {
            let cause = in_words(fault);
            let may_pass = fault.may_pass();
            let failure = Failure {
                cause: cause.clone(),
                may_pass,
                from,
            };
            if self.failed.set(failure).is_err() {
                return;
            }
            if may_pass {
                warn!("cannot write the journal's state until there is room: {cause}");
            } else {
                error!("cannot write the journal's state, so it takes no more changes: {cause}");
            }
        })
    }
}

/// Writes rows, sorted by key, past the write-ahead journal straight into a file
/// of the keyspace; they are on stable storage when it returns.
fn write_sorted(
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

pub(super) fn make_keyspace(
    database: &fjall::Database,
    name: &str,
) -> Result<fjall::Keyspace, Fault> {
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const SMALL: Allowance = Allowance {
        cache_bytes: 1024 * 1024,
        threads: 1,
        open_files: 16,
        commits: Commits::Synced,
    };

    #[test]
    fn a_keyspace_is_there_although_others_were_dropped_before_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["claims-a", "claims-b"];
        let database = Database::open(dir.path(), SMALL).unwrap();
        for name in names {
            let claims = database.keyspace(name).unwrap();
            let row = (b"key".to_vec(), vec![1]);
            database.write_sorted(&claims, [row].into_iter()).unwrap();
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
            database.write_sorted(&claims, [row].into_iter()).unwrap();
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
