//! What is kept about single records: which are duplicates, and what they are
//! found by. Each stretch of the log has a keyspace of its own, which is dropped
//! whole once the log has trimmed all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, RwLock};

use fjall::Keyspace;

use super::database::Database;
use super::erase::is_term_of;
use super::fault::Fault;
use super::rows::{self, derived};
use crate::index::Term;
use crate::lock::{read, write};
use crate::place::{Place, Seq};

const PREFIX: &str = "index-";

/// The stretches, by their first record.
pub(super) struct Tables {
    database: Arc<Database>,
    rows: Keyspace,
    by_first: RwLock<BTreeMap<Seq, Table>>,
}

#[derive(Clone)]
struct Table {
    number: u64,
    keyspace: Keyspace,
}

impl Tables {
    /// Opens every table that `rows` name; those that are not named are dropped.
    ///
    /// # Errors
    ///
    /// A table is missing: what is derived does not hang together any more.
    pub(super) fn open(database: Arc<Database>, rows: Keyspace) -> Result<Tables, Fault> {
        let mut orphans = database.names_after(PREFIX);
        let mut by_first = BTreeMap::new();
        for row in rows.prefix([derived::GENERATION]) {
            let (key, value) = row.into_inner()?;
            let first = rows::last_number(&key).map(Seq::new);
            let number = rows::parse_number(&value);
            let (Some(first), Some(number)) = (first, number) else {
                return Err(Fault::Row("index generation"));
            };
            let known = orphans.iter().position(|name| *name == number.to_string());
            let known = known.ok_or(Fault::Row("name of an index generation"))?;
            orphans.swap_remove(known);
            let keyspace = database.keyspace(&format!("{PREFIX}{number}"))?;
            by_first.insert(first, Table { number, keyspace });
        }
        for name in orphans {
            database.drop_keyspace(database.keyspace(&format!("{PREFIX}{name}"))?)?;
        }
        Ok(Tables {
            database,
            rows,
            by_first: RwLock::new(by_first),
        })
    }

    /// The first record of the newest table; none when there is no table.
    pub(super) fn newest_first(&self) -> Option<Seq> {
        read(&self.by_first).keys().next_back().copied()
    }

    /// Begins a table with the record `first`, durably.
    pub(super) fn begin(&self, first: Seq) -> Result<(), Fault> {
        let last = read(&self.by_first)
            .values()
            .map(|table| table.number)
            .max();
        let number = last.map_or(1, |last| last + 1);
        let keyspace = self.database.keyspace(&format!("{PREFIX}{number}"))?;
        let mut batch = self.database.batch();
        let key = rows::of_seq(derived::GENERATION, first);
        batch.insert(&self.rows, key, number.to_be_bytes());
        self.database.commit(batch)?;
        write(&self.by_first).insert(first, Table { number, keyspace });
        Ok(())
    }

    /// Writes sorted rows to the newest table, durably. Rows that are there
    /// already are replaced.
    pub(super) fn write(
        &self,
        rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), Fault> {
        let newest = read(&self.by_first).values().next_back().cloned();
        let newest = newest.ok_or(Fault::Row("index generation"))?;
        self.database.write_sorted(&newest.keyspace, rows)
    }

    /// The duplicates among these records, and what they are duplicates of.
    pub(super) fn duplicates(
        &self,
        range: RangeInclusive<Seq>,
    ) -> Result<BTreeMap<Seq, Place>, Fault> {
        let (first, last) = range.into_inner();
        let first_key = rows::of_seq(derived::DUPLICATE, first);
        let last_key = rows::of_seq(derived::DUPLICATE, last);
        let mut duplicates = BTreeMap::new();
        for table in self.holding(first, last) {
            for row in table.range(first_key.clone()..=last_key.clone()) {
                let (key, value) = row.into_inner()?;
                let seq = rows::last_number(&key).map(Seq::new);
                let (Some(seq), Some(place)) = (seq, rows::parse_place(&value)) else {
                    return Err(Fault::Row("duplicate"));
                };
                duplicates.insert(seq, place);
            }
        }
        Ok(duplicates)
    }

    /// Up to `limit` records within `range` that bear `term`, newest first.
    pub(super) fn look_up(
        &self,
        term: &Term,
        range: &RangeInclusive<Seq>,
        limit: usize,
    ) -> Result<Vec<Place>, Fault> {
        let prefix = rows::term_prefix(term);
        let mut places = Vec::new();
        let tables: Vec<Keyspace> = {
            let by_first = read(&self.by_first);
            let newest_first = by_first.values().rev();
            newest_first.map(|table| table.keyspace.clone()).collect()
        };
        for table in tables {
            for row in table.prefix(&prefix) {
                if places.len() >= limit {
                    return Ok(places);
                }
                let place = rows::term_place(&row.key()?, prefix.len());
                let place = place.ok_or(Fault::Row("term"))?;
                if range.contains(&place.seq) {
                    places.push(place);
                }
            }
        }
        Ok(places)
    }

    /// The page that begins with `seq` or next before it.
    pub(super) fn page_at(&self, seq: Seq) -> Result<Option<(Seq, Vec<u8>)>, Fault> {
        let table = {
            let by_first = read(&self.by_first);
            let below = by_first.range(..=seq).next_back();
            below.map(|(_, table)| table.keyspace.clone())
        };
        let Some(table) = table else {
            return Ok(None);
        };
        let first_key = rows::of_seq(derived::PAGE, Seq::ZERO);
        let last_key = rows::of_seq(derived::PAGE, seq);
        let Some(row) = table.range(first_key..=last_key).next_back() else {
            return Ok(None);
        };
        let (key, page) = row.into_inner()?;
        let first = rows::last_number(&key).ok_or(Fault::Row("page"))?;
        Ok(Some((Seq::new(first), page.to_vec())))
    }

    /// Removes what these records are found by: the tables that know of them are written
    /// anew, since a removed row would stay in the files, and its removal would be
    /// another that names it.
    pub(super) fn erase(&self, doomed: &BTreeSet<Seq>) -> Result<(), Fault> {
        let tables: Vec<(Seq, Keyspace)> = {
            let by_first = read(&self.by_first);
            let tables = by_first.iter();
            tables
                .map(|(first, table)| (*first, table.keyspace.clone()))
                .collect()
        };
        for (first, table) in tables {
            if doomed.range(first..).next().is_some() {
                self.write_without(doomed, first, &table)?;
            }
        }
        Ok(())
    }

    fn write_without(
        &self,
        doomed: &BTreeSet<Seq>,
        first: Seq,
        table: &Keyspace,
    ) -> Result<(), Fault> {
        let (mut fault, mut n_removed) = (None, 0);
        let numbers = read(&self.by_first);
        let last = numbers.values().map(|table| table.number).max();
        drop(numbers);
        let number = last.map_or(1, |last| last + 1);
        let keyspace = self.database.keyspace(&format!("{PREFIX}{number}"))?;
        let rows = table.iter().map_while(|row| match row.into_inner() {
            Ok((key, value)) => Some((key.to_vec(), value.to_vec())),
            Err(error) => {
                fault = Some(error);
                None
            }
        });
        let kept = rows.filter(|(key, _)| {
            let removed = is_term_of(key, doomed);
            n_removed += u64::from(removed);
            !removed
        });
        self.database.write_sorted(&keyspace, kept)?;
        if let Some(error) = fault {
            return Err(error.into());
        }
        if n_removed == 0 {
            return self.database.drop_keyspace(keyspace);
        }
        let mut batch = self.database.batch();
        let key = rows::of_seq(derived::GENERATION, first);
        batch.insert(&self.rows, key, number.to_be_bytes());
        self.database.commit(batch)?;
        let replaced = write(&self.by_first).insert(first, Table { number, keyspace });
        replaced.map_or(Ok(()), |table| self.database.drop_keyspace(table.keyspace))
    }

    /// Drops every table that ends below `first`.
    pub(super) fn drop_below(&self, first: Seq) -> Result<(), Fault> {
        let mut doomed = Vec::new();
        {
            let by_first = read(&self.by_first);
            let ends = by_first.keys().skip(1);
            for (begin, end) in by_first.keys().zip(ends) {
                if *end <= first {
                    doomed.push(*begin);
                }
            }
        }
        self.drop_tables(&doomed)
    }

    /// Drops every table.
    pub(super) fn drop_all(&self) -> Result<(), Fault> {
        let doomed: Vec<Seq> = read(&self.by_first).keys().copied().collect();
        self.drop_tables(&doomed)
    }

    /// The rows go first and for certain: a table is never named and missing.
    fn drop_tables(&self, doomed: &[Seq]) -> Result<(), Fault> {
        if doomed.is_empty() {
            return Ok(());
        }
        let mut batch = self.database.batch();
        for first in doomed {
            batch.remove(&self.rows, rows::of_seq(derived::GENERATION, *first));
        }
        self.database.commit(batch)?;
        for first in doomed {
            let dropped = write(&self.by_first).remove(first);
            if let Some(table) = dropped {
                self.database.drop_keyspace(table.keyspace)?;
            }
        }
        Ok(())
    }

    /// The tables that may know of records from `first` to `last`.
    fn holding(&self, first: Seq, last: Seq) -> Vec<Keyspace> {
        let by_first = read(&self.by_first);
        let below = by_first.range(..first).next_back();
        let within = by_first.range(first..=last.max(first));
        let tables = below.into_iter().chain(within);
        tables.map(|(_, table)| table.keyspace.clone()).collect()
    }
}
