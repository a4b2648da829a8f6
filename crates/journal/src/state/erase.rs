//! Takes what belongs to erased records out of the state, and out of its files.
//!
//! A database forgets a row long before its files do: the row stays in its journal
//! and in tables until others happen to replace them. So the index is written anew
//! without the rows, and what is kept is pushed through its journal and compacted.

use std::collections::BTreeSet;

use fjall::Keyspace;

use super::database::Database;
use super::derived::Derived;
use super::fault::Fault;
use super::kept::Kept;
use super::rows;
use crate::lock::{lock, write};
use crate::place::{Place, Seq};
use crate::settle::DeadLetterId;

/// What is written to have the database begin a new journal file: it does so when one
/// has more than 64 MB.
const FILLING_BYTES: usize = 66 * 1024 * 1024;
/// One row of it.
const FILLING_ROW_BYTES: usize = 1024 * 1024;
/// The keyspace that takes it, and is dropped again.
const FILLING: &str = "filling";

impl Derived {
    /// Removes what these records are found by. Their verdicts and claims stay.
    pub(crate) fn erase(&self, doomed: &BTreeSet<Seq>) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        write(&self.young).erase(doomed);
        self.tables.erase(doomed)
    }
}

impl Kept {
    /// Removes these letters, and says how many there were.
    pub(crate) fn erase_letters(&self, doomed: &[DeadLetterId]) -> Result<u64, Fault> {
        self.remove_dead_letters(doomed)
    }

    /// Removes traces: whose, and the record that each ends with.
    pub(crate) fn erase_traces(&self, doomed: &[(String, Place)]) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        let mut batch = self.database.batch();
        for (connection, through) in doomed {
            let owner = rows::traces_of(through.partition, connection);
            batch.remove(&self.traces, rows::trace(owner, through.seq));
        }
        self.commit(batch)
    }

    /// Sees to it that no file has what was removed before. Takes as long as writing
    /// [`FILLING_BYTES`], all letters and all traces; others go on meanwhile.
    pub(crate) fn scrub(&self) -> Result<(), Fault> {
        let _alone = lock(&self.scrubbing);
        let mut all = vec![self.rows.clone(), self.letters.clone(), self.traces.clone()];
        all.extend(self.claims.keyspaces());
        self.database.renew_journal(&all)?;
        for keyspace in [&self.letters, &self.traces] {
            keyspace.major_compact()?;
        }
        Ok(())
    }
}

impl Database {
    /// Drops what a crash in the midst of scrubbing has left.
    pub(super) fn drop_filling(&self) -> Result<(), Fault> {
        if self.names_after(FILLING).is_empty() {
            return Ok(());
        }
        self.drop_keyspace(self.keyspace(FILLING)?)
    }

    /// Has everything that was written until now leave the write-ahead journal, and
    /// the file that held it deleted. The database has no call for that: it begins a
    /// new file when one is large, and deletes the old one when all keyspaces have
    /// written out what is in it.
    fn renew_journal(&self, keyspaces: &[Keyspace]) -> Result<(), Fault> {
        let filling = self.keyspace(FILLING)?;
        let row = vec![0x5A; FILLING_ROW_BYTES];
        for _ in 0..FILLING_BYTES / FILLING_ROW_BYTES {
            let mut batch = self.batch();
            batch.insert(&filling, "filling", row.clone());
            batch.commit()?;
        }
        filling.rotate_memtable_and_wait()?;
        for keyspace in keyspaces.iter().chain([&self.rows()]) {
            keyspace.rotate_memtable_and_wait()?;
        }
        self.drop_keyspace(filling)?;
        // Flushing one more looks once more at what may be deleted.
        let rows = self.rows();
        rows.rotate_memtable_and_wait()?;
        Ok(())
    }
}

/// Whether the key of a row of an index table is that of a term of one of these.
pub(super) fn is_term_of(key: &[u8], doomed: &BTreeSet<Seq>) -> bool {
    const PLACE_BYTES: usize = 10;
    let prefix_bytes = key.len().checked_sub(PLACE_BYTES);
    let place = prefix_bytes.and_then(|prefix_bytes| rows::term_place(key, prefix_bytes));
    key.first() == Some(&rows::derived::TERM)
        && place.is_some_and(|place| doomed.contains(&place.seq))
}
