//! One fjall database of ours: how it is opened, what it may take, and how a
//! batch of changes becomes durable.

use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::thread;

use fjall::{KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use tracing::{error, warn};

use super::{rows, torn};
use crate::embedded::log::{make_folder, sync_folder};
use crate::lock::lock;

/// The most bytes of the write-ahead journal. fjall allows no less.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// A keyspace's newest entries are written out as a table at this size. Each may
/// hold a few of these in memory.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// Why the state could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The database failed. Once a write has failed it takes no more until it is
    /// opened anew, which the journal does by itself when it was for want of room.
    #[error("the database failed")]
    Database(#[from] fjall::Error),
    /// The database is being opened anew, since a write had failed: try again.
    #[error("the database is being opened anew")]
    Reopening,
    /// A row is not what this build writes.
    #[error("a stored {0} cannot be read")]
    Row(&'static str),
    /// A file beside the database failed.
    #[error("a file of the database failed")]
    File(#[from] io::Error),
}

impl Fault {
    /// Whether doing the same again may succeed without anybody's help: the disk
    /// was full, or the database is not open yet.
    pub fn may_pass(&self) -> bool {
        match self {
            Fault::Reopening => true,
            Fault::Row(_) => false,
            Fault::Database(error) => means_no_room(error),
            Fault::File(error) => is_no_room(error),
        }
    }

    /// Whether the files are not what they should be, rather than out of reach
    /// for now: a full disk, a lock, a missing permission.
    pub(crate) fn is_damage(&self) -> bool {
        if self.may_pass() || matches!(self, Fault::Database(fjall::Error::Locked)) {
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

/// Whether a disk that has room makes it go away. What fjall does behind our back
/// tells no cause; nothing that was promised depends on it.
fn means_no_room(error: &fjall::Error) -> bool {
    if matches!(error, fjall::Error::Poisoned) {
        return true;
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return is_no_room(error);
        }
        cause = error.source();
    }
    false
}

fn is_no_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// How many sequence numbers are passed over when a database is opened: more than
/// making or dropping one keyspace uses.
const SKIPPED_NUMBERS: u64 = 64;

/// The keyspace that every database has.
const ROWS: &str = "rows";
/// How the folder of a database is called until all of it is made.
const UNFINISHED: &str = "new";

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
    /// Opens the database in `dir`, or makes it where there is none or an empty folder.
    ///
    /// A batch that a power cut tore is cut off with all behind it: none of it
    /// was ever reported as durable. fjall itself gives up on such a batch when
    /// its end reached the disk before its middle, and may panic at what an earlier
    /// file has left in its place.
    pub(super) fn open(dir: &Path, allowance: Allowance) -> Result<Database, Fault> {
        check_names(dir)?;
        if is_missing(dir)? {
            make(dir, allowance)?;
        }
        torn::renew(dir)?;
        let torn = match try_open(dir, allowance) {
            Ok(Err(fjall::Error::JournalRecovery(cause))) => Err(format!("{cause:?}")),
            Err(panicked) => Err(panicked.to_string()),
            Ok(opened) => Ok(opened?),
        };
        let inner = match torn {
            Ok(opened) => opened,
            Err(cause) => {
                warn!("the state's newest changes are torn and will be cut off: {cause}");
                torn::cut(dir)?;
                try_open(dir, allowance)??
            }
        };
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

/// A fault with its causes.
fn in_words(fault: &Fault) -> String {
    let mut words = fault.to_string();
    let mut cause = fault.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
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

/// fjall takes every folder beside its keyspaces for one, and one with another name
/// than a number makes it end the process.
fn check_names(dir: &Path) -> Result<(), Fault> {
    let keyspaces = match fs::read_dir(dir.join("keyspaces")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    for found in keyspaces {
        let found = found?;
        let number = found.file_name().to_str().map(str::parse::<u64>);
        if found.file_type()?.is_dir() && !matches!(number, Some(Ok(_))) {
            return Err(Fault::Row("name of a keyspace"));
        }
    }
    Ok(())
}

/// Whether there is nothing in `dir`, not even a part of a database.
fn is_missing(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Makes an empty database in `dir`, as a whole or not at all.
///
/// fjall takes several steps to make one, and opens nothing that stopped in between:
/// a process killed at its first start would never start again. So it is made
/// elsewhere and moved once it is on stable storage; what another try has left there
/// was never used.
fn make(dir: &Path, allowance: Allowance) -> Result<(), Fault> {
    let unfinished = dir.with_extension(UNFINISHED);
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => (),
    }
    make_folder(&unfinished)?;
    let database = try_open(&unfinished, allowance)??;
    drop(make_keyspace(&database, ROWS)?);
    database.persist(PersistMode::SyncAll)?;
    drop(database);
    fs::rename(&unfinished, dir)?;
    dir.parent().map_or(Ok(()), sync_folder)?;
    Ok(())
}

/// Some damage makes fjall panic, which is no more than an error here.
fn try_open(dir: &Path, allowance: Allowance) -> Result<fjall::Result<fjall::Database>, Fault> {
    let opened = thread::scope(|scope| {
        let opening = scope.spawn(|| {
            fjall::Database::builder(dir)
                .cache_size(allowance.cache_bytes)
                .worker_threads(allowance.threads)
                .max_cached_files(Some(allowance.open_files))
                .max_journaling_size(JOURNAL_BYTES)
                .open()
        });
        opening.join()
    });
    opened.map_err(|_| Fault::Row("database"))
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
        // A worker of fjall that met a full disk, for one.
        assert!(!Fault::Database(fjall::Error::Poisoned).is_damage());
    }

    #[test]
    fn only_a_want_of_room_is_worth_another_try() {
        for (kind, expected) in [
            (ErrorKind::StorageFull, true),
            (ErrorKind::QuotaExceeded, true),
            (ErrorKind::PermissionDenied, false),
            (ErrorKind::Other, false), // as a disk that fails to sync says
        ] {
            for fault in [
                Fault::File(kind.into()),
                Fault::Database(fjall::Error::Io(kind.into())),
            ] {
                assert_eq!(fault.may_pass(), expected, "{fault:?}");
            }
        }
        assert!(Fault::Reopening.may_pass());
        assert!(!Fault::Row("cursor").may_pass());
    }

    #[test]
    fn what_an_earlier_file_left_behind_the_last_change_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path(), SMALL).unwrap();
        database.rows.insert("early", "kept").unwrap();
        drop(database);
        // The beginning of a batch whose entry says two lengths of one value.
        let mut rubbish = vec![1];
        rubbish.extend(1_u32.to_le_bytes());
        rubbish.extend(99_u64.to_le_bytes());
        rubbish.extend([2, 0, 0]);
        rubbish.extend(0_u64.to_le_bytes());
        rubbish.extend(3_u16.to_le_bytes());
        rubbish.extend(5_u32.to_le_bytes());
        rubbish.extend(7_u32.to_le_bytes());
        rubbish.extend([b'x'; 64]);
        let journal = torn::tests::behind_the_last_batch(dir.path(), &rubbish);
        let database = Database::open(dir.path(), SMALL).unwrap();
        let kept = database.rows.get("early").unwrap();
        assert_eq!(kept.as_deref(), Some(&b"kept"[..]), "{journal:?}");
    }

    #[test]
    fn a_database_that_was_not_made_to_its_end_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, part) = (dir.path().join("kept"), dir.path().join("kept.new"));
        fs::create_dir_all(part.join("keyspaces")).unwrap();
        fs::write(part.join("0.jnl"), "").unwrap();
        fs::create_dir(&whole).unwrap();
        drop(Database::open(&whole, SMALL).unwrap());
        assert!(!part.exists());
        drop(Database::open(&whole, SMALL).unwrap());
    }

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
