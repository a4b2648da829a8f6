//! What nobody can derive from the log: cursors, first-only claims, dead letters
//! and settings. Every change is one transaction that is on stable storage when
//! the call returns.

use std::collections::HashSet;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fjall::{Keyspace, OwnedWriteBatch};
use jiff::Timestamp;
use tokio::sync::watch;

use super::database::{Allowance, Database, Durability, Fault};
use super::generations::{Generations, Now};
use super::letters;
use super::rows::{self, kept};
use crate::embedded::lock;
use crate::index::ClaimKey;
use crate::place::{Partition, Place, Seq};
use crate::settle::{
    DeadLetter, DeadLetterFilter, DeadLetterId, NewDeadLetter, Revision, Setting, Settlement,
};

const ALLOWANCE: Allowance = Allowance {
    cache_bytes: 16 * 1024 * 1024,
    threads: 1,
    open_files: 128,
};

/// The kept half of the state.
pub(crate) struct Kept {
    database: Arc<Database>,
    rows: Keyspace,
    letters: Keyspace,
    claims: Generations,
    settings: watch::Sender<u64>,
    /// One change at a time: each looks before it writes.
    writer: Mutex<()>,
}

/// What became of an attempt to put a setting.
pub(crate) enum Put {
    Done(Revision),
    Conflict { found: Option<Revision> },
}

impl Kept {
    /// Opens what is in `dir`.
    pub(crate) fn open(dir: &Path, first_claims: Duration) -> Result<Kept, Fault> {
        let database = Arc::new(Database::open(dir, ALLOWANCE)?);
        let claims = Generations::open(Arc::clone(&database), "first-claims-", first_claims)?;
        let kept = Kept {
            rows: database.keyspace("rows")?,
            letters: database.keyspace("dead-letters")?,
            claims,
            database,
            settings: watch::Sender::new(0),
            writer: Mutex::new(()),
        };
        kept.settings
            .send_replace(kept.number(&[kept::LAST_REVISION])?);
        Ok(kept)
    }

    /// The highest place that anything in here depends on: it was durable once.
    pub(crate) fn floor(&self) -> Result<Seq, Fault> {
        let key = rows::of_partition(kept::BURIED_THROUGH, Partition::ZERO);
        let mut floor = self.number(&key)?;
        for row in self
            .rows
            .prefix(rows::of_partition(kept::CURSOR, Partition::ZERO))
        {
            let seq = rows::parse_number(&row.value()?).ok_or(Fault::Row("cursor"))?;
            floor = floor.max(seq);
        }
        Ok(Seq::new(floor))
    }

    /// Through which record `connection` has settled; none when never placed.
    pub(crate) fn cursor(
        &self,
        connection: &str,
        partition: Partition,
    ) -> Result<Option<Seq>, Fault> {
        let Some(value) = self.rows.get(rows::cursor(partition, connection))? else {
            return Ok(None);
        };
        let seq = rows::parse_number(&value).ok_or(Fault::Row("cursor"))?;
        Ok(Some(Seq::new(seq)))
    }

    /// Puts the cursor of `connection` where it is told, forwards or backwards.
    pub(crate) fn place_cursor(&self, connection: &str, place: Place) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        let mut batch = self.database.batch();
        let key = rows::cursor(place.partition, connection);
        batch.insert(&self.rows, key, place.seq.get().to_be_bytes());
        self.commit(batch)
    }

    /// Who holds each of these claims of `connection`.
    pub(crate) fn first_claims(
        &self,
        connection: &str,
        keys: &[ClaimKey],
    ) -> Result<Vec<Option<Place>>, Fault> {
        let Some(number) = self.claims_number(connection)? else {
            return Ok(vec![None; keys.len()]);
        };
        let holders = keys.iter().map(|key| {
            let key = rows::first_claim(number, key);
            self.claims.holder(&key, Now::Unknown)
        });
        holders.collect()
    }

    /// Makes a settlement durable, as of `now`.
    pub(crate) fn settle(&self, settlement: &Settlement, now: Timestamp) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        let mut batch = self.database.batch();
        let Settlement {
            connection,
            partition,
            through,
            ..
        } = settlement;
        let settled = self.cursor(connection, *partition)?;
        if settled.is_none_or(|settled| settled < *through) {
            let key = rows::cursor(*partition, connection);
            batch.insert(&self.rows, key, through.get().to_be_bytes());
        }
        self.claim(&mut batch, settlement, now)?;
        self.add_letters(&mut batch, &settlement.dead_letters)?;
        self.commit(batch)
    }

    /// Claims what nobody holds yet.
    fn claim(
        &self,
        batch: &mut OwnedWriteBatch,
        settlement: &Settlement,
        now: Timestamp,
    ) -> Result<(), Fault> {
        if settlement.claims.is_empty() {
            return Ok(());
        }
        let number = match self.claims_number(&settlement.connection)? {
            Some(number) => number,
            None => self.number_claims(batch, &settlement.connection)?,
        };
        // The clock of the log may be behind; claims never go to a generation
        // that expires before an existing one.
        let time = self.claims.newest().map_or(now, |newest| newest.max(now));
        let (_, claims) = self.claims.of(time)?;
        let mut claimed = HashSet::new();
        for (key, place) in &settlement.claims {
            let key = rows::first_claim(number, key);
            if self.claims.holder(&key, Now::Unknown)?.is_none() && claimed.insert(key.clone()) {
                batch.insert(&claims, key, rows::place(*place));
            }
        }
        Ok(())
    }

    /// Makes all claims of `connection` free again.
    pub(crate) fn reset_claims(&self, connection: &str) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        let mut batch = self.database.batch();
        // Claims under the old number are never found again and expire unseen.
        batch.remove(&self.rows, rows::named(kept::CLAIMS_NUMBER, connection));
        self.commit(batch)
    }

    /// Forgets the cursors and claims of `connection`; its dead letters stay.
    pub(crate) fn forget_connection(&self, connection: &str) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        let mut batch = self.database.batch();
        batch.remove(&self.rows, rows::named(kept::CLAIMS_NUMBER, connection));
        for row in self.rows.prefix([kept::CURSOR]) {
            let key = row.key()?;
            if key.get(3..) == Some(connection.as_bytes()) {
                batch.remove(&self.rows, key);
            }
        }
        self.commit(batch)
    }

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

    fn add_letters(&self, batch: &mut OwnedWriteBatch, new: &[NewDeadLetter]) -> Result<(), Fault> {
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

    /// Removes a letter; says whether there was one.
    pub(crate) fn remove_dead_letter(&self, id: DeadLetterId) -> Result<bool, Fault> {
        let _alone = lock(&self.writer);
        let Some(found) = self.dead_letter(id)? else {
            return Ok(false);
        };
        let mut batch = self.database.batch();
        batch.remove(&self.letters, id.get().to_be_bytes());
        if let Some(connection) = &found.letter.connection {
            batch.remove(&self.rows, rows::letter_of(connection, id));
        }
        let count = self.number(&[kept::LETTERS])?.saturating_sub(1);
        batch.insert(&self.rows, [kept::LETTERS], count.to_be_bytes());
        self.commit(batch)?;
        Ok(true)
    }

    /// The setting of that key.
    pub(crate) fn setting(&self, key: &str) -> Result<Option<Setting>, Fault> {
        let Some(row) = self.rows.get(rows::named(kept::SETTING, key))? else {
            return Ok(None);
        };
        let mut value = Bytes::from(row);
        let revision = bytes::Buf::try_get_u64(&mut value).map_err(|_| Fault::Row("setting"))?;
        Ok(Some(Setting {
            value,
            revision: Revision::new(revision),
        }))
    }

    /// Puts a setting, provided that nobody has changed it since `expected`.
    pub(crate) fn put_setting(
        &self,
        key: &str,
        value: &[u8],
        expected: Option<Revision>,
    ) -> Result<Put, Fault> {
        let _alone = lock(&self.writer);
        let found = self.setting(key)?.map(|setting| setting.revision);
        if found != expected {
            return Ok(Put::Conflict { found });
        }
        let revision = self.number(&[kept::LAST_REVISION])? + 1;
        let mut row = revision.to_be_bytes().to_vec();
        row.extend_from_slice(value);
        let mut batch = self.database.batch();
        batch.insert(&self.rows, rows::named(kept::SETTING, key), row);
        batch.insert(&self.rows, [kept::LAST_REVISION], revision.to_be_bytes());
        self.commit(batch)?;
        self.settings.send_replace(revision);
        Ok(Put::Done(Revision::new(revision)))
    }

    /// Follows how often the settings were changed.
    pub(crate) fn watch_settings(&self) -> watch::Receiver<u64> {
        self.settings.subscribe()
    }

    /// Drops claims that have lived long enough.
    pub(crate) fn trim(&self, now: Timestamp) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        self.claims.drop_expired(now)
    }

    /// Brings everything onto stable storage.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        self.database.sync()
    }

    /// The first write that failed, if one did.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.database.failed()
    }

    fn commit(&self, batch: OwnedWriteBatch) -> Result<(), Fault> {
        self.database.commit(batch, Durability::Synced)
    }

    /// The prefix of the claims of `connection`; none when it has none.
    fn claims_number(&self, connection: &str) -> Result<Option<u64>, Fault> {
        let key = rows::named(kept::CLAIMS_NUMBER, connection);
        let value = self.rows.get(key)?;
        let number = value.map(|value| rows::parse_number(&value).ok_or(Fault::Row("number")));
        number.transpose()
    }

    fn number_claims(&self, batch: &mut OwnedWriteBatch, connection: &str) -> Result<u64, Fault> {
        let number = self.number(&[kept::LAST_CLAIMS_NUMBER])? + 1;
        batch.insert(&self.rows, [kept::LAST_CLAIMS_NUMBER], number.to_be_bytes());
        let key = rows::named(kept::CLAIMS_NUMBER, connection);
        batch.insert(&self.rows, key, number.to_be_bytes());
        Ok(number)
    }

    /// The number in a row; zero when there is none.
    fn number(&self, key: &[u8]) -> Result<u64, Fault> {
        match self.rows.get(key)? {
            None => Ok(0),
            Some(value) => rows::parse_number(&value).ok_or(Fault::Row("number")),
        }
    }
}

fn decode(id: DeadLetterId, row: Bytes) -> Result<DeadLetter, Fault> {
    let letter = letters::decode(row).ok_or(Fault::Row("dead letter"))?;
    Ok(DeadLetter { id, letter })
}
