//! What nobody can derive from the log: cursors and first-only claims here, dead
//! letters, settings and traces in the modules beside. Every change is one transaction
//! that is on stable storage when the call returns.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fjall::{Keyspace, OwnedWriteBatch};
use jiff::Timestamp;
use tokio::sync::watch;

use super::database::{Allowance, Commits, Database, Ended, take_back};
use super::fault::Fault;
use super::generations::{Generations, Now};
use super::rows::{self, kept};
use crate::index::ClaimKey;
use crate::lock::lock;
use crate::place::{Partition, Place, Seq};
use crate::settle::Settlement;

const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// The kept half of the state.
pub(crate) struct Kept {
    pub(super) database: Arc<Database>,
    pub(super) rows: Keyspace,
    pub(super) letters: Keyspace,
    pub(super) traces: Keyspace,
    pub(super) claims: Generations,
    pub(super) settings: watch::Sender<u64>,
    /// Before which record of a partition no trace ends any more.
    pub(super) trimmed: Mutex<BTreeMap<Partition, Seq>>,
    /// One change at a time: each looks before it writes.
    pub(super) writer: Mutex<()>,
    /// One scrubbing at a time.
    pub(super) scrubbing: Mutex<()>,
}

impl Kept {
    /// Opens what is in `dir`. Its transactions are synced one by one, or it is a
    /// view of what is kept elsewhere.
    pub(crate) fn open(
        dir: &Path,
        first_claims: Duration,
        commits: Commits,
    ) -> Result<Kept, Fault> {
        let allowance = Allowance {
            cache_bytes: CACHE_BYTES,
            threads: 1,
            open_files: 128,
            commits,
        };
        let database = Arc::new(Database::open(dir, allowance)?);
        database.drop_filling()?;
        let claims = Generations::open(Arc::clone(&database), "first-claims-", first_claims)?;
        let kept = Kept {
            rows: database.rows(),
            letters: database.keyspace("dead-letters")?,
            traces: database.keyspace("traces")?,
            claims,
            database,
            settings: watch::Sender::new(0),
            trimmed: Mutex::default(),
            writer: Mutex::new(()),
            scrubbing: Mutex::new(()),
        };
        kept.settings
            .send_replace(kept.number(&[kept::LAST_REVISION])?);
        Ok(kept)
    }

    /// Ends it after a write has failed. What that write left behind is not there
    /// when it is opened anew.
    pub(crate) fn end(self) -> Ended<watch::Sender<u64>> {
        let Kept {
            settings, database, ..
        } = self;
        Ended {
            failed_from: database.failed_from(),
            rest: settings,
        }
    }

    /// Opens what was ended, for those who follow it as if nothing had happened.
    pub(crate) fn open_anew(
        dir: &Path,
        first_claims: Duration,
        ended: &Ended<watch::Sender<u64>>,
    ) -> Result<Kept, Fault> {
        take_back(dir, ended)?;
        let mut kept = Kept::open(dir, first_claims, Commits::Synced)?;
        let revision = *kept.settings.borrow();
        kept.settings = ended.rest.clone();
        kept.settings.send_if_modified(|told| {
            let is_new = *told != revision;
            *told = revision;
            is_new
        });
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
        Ok(self.last_traced(Partition::ZERO)?.max(Seq::new(floor)))
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
        self.add_claims(&mut batch, (connection, now), &settlement.claims)?;
        self.add_letters(&mut batch, &settlement.dead_letters)?;
        self.add_traces(&mut batch, (connection, *partition), &settlement.traces);
        self.commit(batch)
    }

    /// Claims for `connection` what nobody holds yet, as of `now`.
    pub(crate) fn claim(
        &self,
        connection: &str,
        claims: &[(ClaimKey, Place)],
        now: Timestamp,
    ) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        let mut batch = self.database.batch();
        self.add_claims(&mut batch, (connection, now), claims)?;
        self.commit(batch)
    }

    fn add_claims(
        &self,
        batch: &mut OwnedWriteBatch,
        (connection, now): (&str, Timestamp),
        new: &[(ClaimKey, Place)],
    ) -> Result<(), Fault> {
        if new.is_empty() {
            return Ok(());
        }
        let number = match self.claims_number(connection)? {
            Some(number) => number,
            None => self.number_claims(batch, connection)?,
        };
        // The clock of the log may be behind; claims never go to a generation
        // that expires before an existing one.
        let time = self.claims.newest().map_or(now, |newest| newest.max(now));
        let claims = self.claims.keyspace(self.claims.of(time))?;
        let mut claimed = HashSet::new();
        for (key, place) in new {
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

    /// Forgets the cursors, claims and traces of `connection`; its dead letters
    /// stay. Traces go first: forgetting it again goes on where this broke off.
    pub(crate) fn forget_connection(&self, connection: &str) -> Result<(), Fault> {
        self.forget_traces(connection)?;
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

    /// Drops traces that end before `first`, the first record that is kept of a
    /// partition, and claims that have lived long enough.
    pub(crate) fn trim(&self, first: Place, now: Timestamp) -> Result<(), Fault> {
        self.trim_traces(first)?;
        let _alone = lock(&self.writer);
        self.claims.drop_expired(now)
    }

    /// Brings everything onto stable storage.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        self.database.sync()
    }

    /// Whether a write failed, and opening it anew may help once there is room.
    pub(crate) fn may_recover(&self) -> bool {
        self.database.may_recover()
    }

    /// The first write that failed, if one did.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.database.failed()
    }

    pub(super) fn commit(&self, batch: OwnedWriteBatch) -> Result<(), Fault> {
        self.database.commit(batch)
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
    pub(super) fn number(&self, key: &[u8]) -> Result<u64, Fault> {
        match self.rows.get(key)? {
            None => Ok(0),
            Some(value) => rows::parse_number(&value).ok_or(Fault::Row("number")),
        }
    }
}
