//! Finds where a torn write-ahead journal of fjall is still whole.
//!
//! fjall writes a batch in one go and syncs it afterwards. A power cut in
//! between may keep its end and lose its middle; fjall then takes the batch for
//! damage and refuses to open. Since nothing behind the first torn batch was
//! synced, everything from there on can go.
//!
//! ```text
//! batch = 1 items u32 seqno u64 | entries | 3 checksum u64 "FJL" 3
//! entry = 2 type u8 compression u8 keyspace u64 key u16 value u32 stored u32 key.. stored..
//!       | 4 keyspace u64
//! ```
//!
//! Numbers are little-endian; the checksum is XXH3 over the bytes of the
//! entries. This is fjall's format 3, read here and never written.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Buf as _;
use xxhash_rust::xxh3::xxh3_64;

use crate::embedded::log::sync_folder;

const TRAILER: [u8; 4] = *b"FJL\x03";
const SUFFIX: &str = "jnl";
/// What is written once more at a time.
const CHUNK_BYTES: usize = 256 * 1024;
static ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];

/// Cuts the newest journal in `dir` behind its last whole batch. A copy of what
/// it was stays beside it.
pub(super) fn cut(dir: &Path) -> io::Result<()> {
    let Some(journal) = newest_journal(dir)? else {
        return Ok(());
    };
    fs::copy(&journal, journal.with_extension("torn"))?;
    let whole_bytes = whole_batches(&fs::read(&journal)?);
    let file = OpenOptions::new().write(true).open(&journal)?;
    file.set_len(whole_bytes as u64)?;
    file.sync_all()?;
    sync_folder(dir)
}

/// Writes the newest journal in `dir` once more as it is, and syncs it.
///
/// After a failed sync the operating system may show bytes that are not on the
/// disk and never will be, and say that all is synced. What is appended behind
/// such bytes would be lost with them. Written once more, they are synced or the
/// sync fails. Blocks of nothing but zeros are left out: fjall makes its files
/// longer than what is in them.
pub(super) fn renew(dir: &Path) -> io::Result<()> {
    let Some(journal) = newest_journal(dir)? else {
        return Ok(());
    };
    let file = OpenOptions::new().read(true).write(true).open(journal)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    loop {
        let n_bytes = file.read_at(&mut chunk, offset)?;
        if n_bytes == 0 {
            return file.sync_all();
        }
        let (read, _) = chunk.split_at(n_bytes);
        // Compared as a whole: byte by byte, a build for tests takes most of a second.
        if !ZEROS.starts_with(read) {
            file.write_all_at(read, offset)?;
        }
        offset += n_bytes as u64;
    }
}

/// Cuts off of the newest journal in `dir` what follows its last whole batch, and
/// every batch that is numbered `from` or above: their writing failed.
pub(super) fn take_back(dir: &Path, from: u64) -> io::Result<()> {
    let Some(journal) = newest_journal(dir)? else {
        return Ok(());
    };
    let bytes = fs::read(&journal)?;
    let mut rest = bytes.as_slice();
    while let Some((number, next)) = after_batch(rest) {
        if number >= from {
            break;
        }
        rest = next;
    }
    let file = OpenOptions::new().write(true).open(&journal)?;
    file.set_len((bytes.len() - rest.len()) as u64)?;
    file.sync_all()
}

/// The journal that was written to last; those before it were synced whole.
fn newest_journal(dir: &Path) -> io::Result<Option<PathBuf>> {
    if !dir.exists() {
        return Ok(None);
    }
    let mut newest = None;
    for found in fs::read_dir(dir)? {
        let path = found?.path();
        let is_journal = path.extension().is_some_and(|suffix| suffix == SUFFIX);
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let number = stem.and_then(|stem| stem.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| is_journal) {
            newest = newest.max(Some((number, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// How many bytes the whole batches take that `journal` begins with.
pub(super) fn whole_batches(journal: &[u8]) -> usize {
    let mut rest = journal;
    while let Some((_, next)) = after_batch(rest) {
        rest = next;
    }
    journal.len() - rest.len()
}

/// The number of the batch that `bytes` begin with, and what follows it; none when
/// it is not whole.
fn after_batch(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = bytes;
    if rest.try_get_u8().ok()? != 1 {
        return None;
    }
    let items = rest.try_get_u32_le().ok()?;
    let number = rest.try_get_u64_le().ok()?;
    let entries = rest;
    for _ in 0..items {
        rest = after_entry(rest)?;
    }
    let entries = entries.get(..entries.len() - rest.len())?;
    if rest.try_get_u8().ok()? != 3 || rest.try_get_u64_le().ok()? != xxh3_64(entries) {
        return None;
    }
    Some((number, rest.strip_prefix(&TRAILER)?))
}

/// What follows the entry that `bytes` begin with.
fn after_entry(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    match rest.try_get_u8().ok()? {
        2 => {
            rest.try_get_u16_le().ok()?;
            rest.try_get_u64_le().ok()?;
            let key_bytes = usize::from(rest.try_get_u16_le().ok()?);
            rest.try_get_u32_le().ok()?;
            let stored_bytes = rest.try_get_u32_le().ok()? as usize;
            rest.get(key_bytes.checked_add(stored_bytes)?..)
        }
        4 => {
            rest.try_get_u64_le().ok()?;
            Some(rest)
        }
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use fjall::{Database, KeyspaceCreateOptions, PersistMode};

    use super::*;

    /// Puts a small value, then one of several pages, and tells where the large
    /// one begins in the journal.
    fn fill(dir: &Path) -> usize {
        let database = Database::builder(dir).open().unwrap();
        let rows = database
            .keyspace("rows", KeyspaceCreateOptions::default)
            .unwrap();
        rows.insert("early", "kept").unwrap();
        database.persist(PersistMode::SyncAll).unwrap();
        let journal = newest_journal(dir).unwrap().unwrap();
        let begin = whole_batches(&fs::read(journal).unwrap());
        let mut batch = database.batch();
        batch.insert(&rows, "large", vec![7; 20_000]);
        batch.insert(&rows, "late", "torn");
        batch.commit().unwrap();
        begin
    }

    fn get(dir: &Path, key: &str) -> Option<Vec<u8>> {
        let database = Database::builder(dir).open().unwrap();
        let rows = database
            .keyspace("rows", KeyspaceCreateOptions::default)
            .unwrap();
        rows.get(key).unwrap().map(|value| value.to_vec())
    }

    #[test]
    fn the_batches_that_fjall_writes_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let begin = fill(dir.path());
        let journal = fs::read(newest_journal(dir.path()).unwrap().unwrap()).unwrap();
        let end = begin + 20_000;
        assert!(
            (end..end + 200).contains(&whole_batches(&journal)),
            "{begin}, {}",
            whole_batches(&journal)
        );
    }

    /// Puts bytes behind the last whole batch of the newest journal, and says which
    /// file that is.
    pub(crate) fn behind_the_last_batch(dir: &Path, bytes: &[u8]) -> PathBuf {
        let path = newest_journal(dir).unwrap().unwrap();
        let whole_bytes = whole_batches(&fs::read(&path).unwrap());
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(bytes, whole_bytes as u64).unwrap();
        path
    }

    #[test]
    fn what_is_taken_back_is_gone_and_what_was_before_it_stays() {
        let dir = tempfile::tempdir().unwrap();
        let begin = fill(dir.path());
        let path = newest_journal(dir.path()).unwrap().unwrap();
        let journal = fs::read(&path).unwrap();
        let (number, _) = after_batch(&journal[begin..]).unwrap();

        renew(dir.path()).unwrap();
        assert!(fs::read(&path).unwrap() == journal, "it is as it was");
        take_back(dir.path(), number).unwrap();

        assert_eq!(get(dir.path(), "early"), Some(b"kept".to_vec()));
        assert_eq!(get(dir.path(), "large"), None);
        assert_eq!(get(dir.path(), "late"), None);
    }

    #[test]
    fn a_batch_that_lost_a_page_is_cut_off_and_nothing_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let begin = fill(dir.path());
        let path = newest_journal(dir.path()).unwrap().unwrap();
        let mut journal = fs::read(&path).unwrap();
        journal[begin + 8192..begin + 12288].fill(0);
        fs::write(&path, &journal).unwrap();
        assert!(
            matches!(
                Database::builder(dir.path()).open(),
                Err(fjall::Error::JournalRecovery(_))
            ),
            "fjall recovers by itself now: this module can go"
        );

        cut(dir.path()).unwrap();

        assert_eq!(get(dir.path(), "early"), Some(b"kept".to_vec()));
        assert_eq!(get(dir.path(), "late"), None);
    }
}
