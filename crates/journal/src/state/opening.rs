//! Opens the files of a fjall database, whatever a crash has left of them, and makes
//! them where there are none.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;

use fjall::PersistMode;
use tracing::warn;

use super::database::{Allowance, ROWS, make_keyspace};
use super::fault::Fault;
use super::torn;
use crate::embedded::log::{make_folder, sync_folder};

/// The most bytes of the write-ahead journal. fjall allows no less.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// How the folder of a database is called until all of it is made.
const UNFINISHED: &str = "new";

/// Opens the database in `dir`, or makes it where there is none or an empty folder.
///
/// A batch that a power cut tore is cut off with all behind it: none of it was ever
/// reported as durable. fjall itself gives up on such a batch when its end reached
/// the disk before its middle, and may panic at what an earlier file has left in its
/// place.
pub(super) fn open(dir: &Path, allowance: Allowance) -> Result<fjall::Database, Fault> {
    check_names(dir)?;
    if is_missing(dir)? {
        make(dir, allowance)?;
    }
    torn::renew(dir)?;
    let torn = match try_open(dir, allowance) {
        Ok(Err(fjall::Error::JournalRecovery(cause))) => format!("{cause:?}"),
        Err(panicked) => panicked.to_string(),
        Ok(opened) => return Ok(opened?),
    };
    warn!("the state's newest changes are torn and will be cut off: {torn}");
    torn::cut(dir)?;
    Ok(try_open(dir, allowance)??)
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
    use super::super::database::Database;
    use super::super::database::tests::SMALL;
    use super::*;

    #[test]
    fn what_an_earlier_file_left_behind_the_last_change_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path(), SMALL).unwrap();
        database.rows().insert("early", "kept").unwrap();
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
        let kept = database.rows().get("early").unwrap();
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
}
