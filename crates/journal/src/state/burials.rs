//! Burying dead letters, listing them, and removing them.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use fjall::OwnedWriteBatch;

use super::fault::Fault;
use super::kept::Kept;
use super::letters;
use super::rows::{self, kept};
use crate::lock::lock;
use crate::place::{Partition, Seq};
use crate::settle::{DeadLetter, DeadLetterFilter, DeadLetterId, NewDeadLetter};

impl Kept {
    /// Buries what no connection could deliver, unless that was done before.
    pub(crate) fn bury(&self, mut new: Vec<NewDeadLetter>) -> Result<(), Fault> {
        if new.is_empty() {
            return Ok(());
        }
        let _alone = lock(&self.writer);
        let key = rows::of_partition(kept::BURIED_THROUGH, Partition::ZERO);
        let buried = Seq::new(self.number(&key)?);
        new.retain(|letter| letter.place.seq > buried);
        let Some(through) = new.iter().map(|letter| letter.place.seq).max() else {
            return Ok(());
        };
        let mut batch = self.database.batch();
        batch.insert(&self.rows, key, through.get().to_be_bytes());
        self.add_letters(&mut batch, &new)?;
        self.commit(batch)
    }

    pub(super) fn add_letters(
        &self,
        batch: &mut OwnedWriteBatch,
        new: &[NewDeadLetter],
    ) -> Result<(), Fault> {
        if new.is_empty() {
            return Ok(());
        }
        let mut id = self.number(&[kept::LAST_LETTER])?;
        for letter in new {
            id += 1;
            batch.insert(&self.letters, id.to_be_bytes(), letters::encode(letter));
            if let Some(connection) = &letter.connection {
                let key = rows::letter_of(connection, DeadLetterId::new(id));
                batch.insert(&self.rows, key, []);
            }
        }
        batch.insert(&self.rows, [kept::LAST_LETTER], id.to_be_bytes());
        let count = self.number(&[kept::LETTERS])? + new.len() as u64;
        batch.insert(&self.rows, [kept::LETTERS], count.to_be_bytes());
        Ok(())
    }

    /// The letters that pass `filter`, newest first.
    pub(crate) fn dead_letters(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, Fault> {
        let end = filter.after.map_or(u64::MAX, DeadLetterId::get);
        let mut found = Vec::new();
        if let Some(connection) = &filter.connection {
            let prefix = rows::letters_of(connection);
            let last = rows::letter_of(connection, DeadLetterId::new(end));
            let keys = (Bound::Included(prefix), Bound::Excluded(last));
            for row in self.rows.range::<Vec<u8>, _>(keys).rev().take(filter.limit) {
                let id = rows::last_number(&row.key()?).ok_or(Fault::Row("dead letter's row"))?;
                found.extend(self.dead_letter(DeadLetterId::new(id))?);
            }
            return Ok(found);
        }
        for row in self
            .letters
            .range(..end.to_be_bytes())
            .rev()
            .take(filter.limit)
        {
            let (key, value) = row.into_inner()?;
            let id = rows::parse_number(&key).ok_or(Fault::Row("dead letter's id"))?;
            found.push(decode(DeadLetterId::new(id), value.into())?);
        }
        Ok(found)
    }

    /// The letter with this id.
    pub(crate) fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, Fault> {
        let row = self.letters.get(id.get().to_be_bytes())?;
        row.map(|row| decode(id, row.into())).transpose()
    }

    /// How many letters there are.
    pub(crate) fn dead_letter_count(&self) -> Result<u64, Fault> {
        self.number(&[kept::LETTERS])
    }

    /// Removes letters, all or none of them; says how many there were.
    pub(crate) fn remove_dead_letters(&self, ids: &[DeadLetterId]) -> Result<u64, Fault> {
        let _alone = lock(&self.writer);
        let mut batch = self.database.batch();
        let (mut n_removed, ids) = (0, BTreeSet::from_iter(ids));
        for id in ids.into_iter().copied() {
            let Some(found) = self.dead_letter(id)? else {
                continue;
            };
            batch.remove(&self.letters, id.get().to_be_bytes());
            if let Some(connection) = &found.letter.connection {
                batch.remove(&self.rows, rows::letter_of(connection, id));
            }
            n_removed += 1;
        }
        if n_removed > 0 {
            let count = self.number(&[kept::LETTERS])?.saturating_sub(n_removed);
            batch.insert(&self.rows, [kept::LETTERS], count.to_be_bytes());
            self.commit(batch)?;
        }
        Ok(n_removed)
    }
}

fn decode(id: DeadLetterId, row: Bytes) -> Result<DeadLetter, Fault> {
    let letter = letters::decode(row).ok_or(Fault::Row("dead letter"))?;
    Ok(DeadLetter { id, letter })
}
