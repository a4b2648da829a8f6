//! What the indexer derives from the log: who bore an event first, what records
//! are found by, and how far it has come.
//!
//! Nothing in here is precious. It is not synced, it may lag behind the log
//! after a power cut, and all of it can be thrown away: reading the log again
//! brings it back.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fjall::{Keyspace, OwnedWriteBatch};
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::warn;

use super::database::{Allowance, Database, Durability, Fault};
use super::generations::{Generations, Now};
use super::kept::Kept;
use super::rows::{self, derived};
use super::tables::Tables;
use crate::embedded::lock;
use crate::embedded::log::Log;
use crate::index::{ClaimKey, IndexEntry, Term};
use crate::place::{Partition, Place, Seq};
use crate::record::Verdict;
use crate::settle::NewDeadLetter;

const ALLOWANCE: Allowance = Allowance {
    cache_bytes: 48 * 1024 * 1024,
    threads: 2,
    open_files: 256,
};

/// Into how many tables the records of a full journal are divided. Space of
/// search terms is given back in such parts.
const TABLES_PER_JOURNAL: u64 = 16;

/// Why records could not be indexed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexFault {
    #[error("record {found} does not follow the index, which expects {expected}")]
    NotContiguous { expected: Seq, found: Seq },
    #[error("record {seq} is not on stable storage yet")]
    NotDurable { seq: Seq },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The derived half of the state.
pub(crate) struct Derived {
    database: Arc<Database>,
    rows: Keyspace,
    claims: Generations,
    tables: Tables,
    table_bytes: u64,
    watermark: watch::Sender<Option<Seq>>,
    /// One change at a time: each looks before it writes.
    writer: Mutex<()>,
}

/// The limits that matter here.
#[derive(Clone, Copy)]
pub(crate) struct DerivedLimits {
    pub(crate) duplicate_claims: Duration,
    /// What the log may take.
    pub(crate) log_bytes: u64,
}

impl Derived {
    /// Opens what is in `dir`. What cannot be opened is thrown away: the indexer
    /// begins anew.
    pub(crate) fn open(dir: &Path, limits: DerivedLimits) -> Result<Derived, Fault> {
        Self::try_open(dir, limits).or_else(|cause| {
            if matches!(cause, Fault::Database(fjall::Error::Locked)) {
                return Err(cause);
            }
            warn!("the journal's index cannot be opened and will be rebuilt: {cause:?}");
            match fs::remove_dir_all(dir) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => (),
            }
            Self::try_open(dir, limits)
        })
    }

    fn try_open(dir: &Path, limits: DerivedLimits) -> Result<Derived, Fault> {
        let database = Arc::new(Database::open(dir, ALLOWANCE)?);
        let rows = database.keyspace("rows")?;
        let key = rows::of_partition(derived::WATERMARK, Partition::ZERO);
        let watermark = match rows.get(key)? {
            None => None,
            Some(value) => Some(rows::parse_number(&value).ok_or(Fault::Row("watermark"))?),
        };
        let life = limits.duplicate_claims;
        Ok(Derived {
            claims: Generations::open(Arc::clone(&database), "claims-", life)?,
            tables: Tables::open(Arc::clone(&database), rows.clone())?,
            database,
            rows,
            table_bytes: limits.log_bytes / TABLES_PER_JOURNAL,
            watermark: watch::Sender::new(watermark.map(Seq::new)),
            writer: Mutex::new(()),
        })
    }

    /// The last indexed record; [`Seq::ZERO`] when there is none.
    pub(crate) fn watermark(&self) -> Seq {
        self.watermark.borrow().unwrap_or(Seq::ZERO)
    }

    /// Follows the last indexed record.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Seq>> {
        self.watermark.subscribe()
    }

    /// Indexes records that follow the watermark, and moves it.
    ///
    /// Burials are made durable first: a power cut in between makes the indexer
    /// come by again, and burials that were made are not made twice.
    pub(crate) fn index(
        &self,
        log: &Log,
        kept: &Kept,
        entries: Vec<IndexEntry>,
    ) -> Result<Vec<Verdict>, IndexFault> {
        let _alone = lock(&self.writer);
        let through = self.follow(log, &entries)?;
        if through == self.watermark() {
            return Ok(Vec::new());
        }
        let mut step = self.begin_step(log, &entries)?;
        let mut verdicts = Vec::with_capacity(entries.len());
        for entry in entries {
            verdicts.push(self.index_one(&mut step, entry)?);
        }
        kept.bury(step.burials)?;
        let key = rows::of_partition(derived::WATERMARK, Partition::ZERO);
        step.batch
            .insert(&self.rows, key, through.get().to_be_bytes());
        self.database.commit(step.batch, Durability::Buffered)?;
        if let Some(new) = step.new_table {
            self.tables.adopt(new);
        }
        self.watermark.send_replace(Some(through));
        Ok(verdicts)
    }

    /// Checks that `entries` leave out nothing but what is damaged or trimmed.
    /// Tells where the watermark will be.
    fn follow(&self, log: &Log, entries: &[IndexEntry]) -> Result<Seq, IndexFault> {
        let trimmed = log.first().previous();
        let mut at = log.step_over_damage(self.watermark().max(trimmed));
        for entry in entries {
            let (expected, found) = (at.next(), entry.seq);
            if found != expected {
                return Err(IndexFault::NotContiguous { expected, found });
            }
            at = log.step_over_damage(found);
        }
        match entries.last() {
            Some(last) if last.seq > log.durable_seq() => {
                Err(IndexFault::NotDurable { seq: last.seq })
            }
            _ => Ok(at),
        }
    }

    /// Finds the table for these entries, and begins one when the newest spans
    /// enough of the log.
    fn begin_step(&self, log: &Log, entries: &[IndexEntry]) -> Result<Step, Fault> {
        let mut batch = self.database.batch();
        let mut new_table = None;
        let newest = self.tables.newest_first();
        let full = newest.is_none_or(|first| log.bytes_from(first) > self.table_bytes);
        if let Some(first) = entries.first().filter(|_| full) {
            // Tables begin where the one before was begun or later.
            if newest.is_none_or(|newest| newest < first.seq) {
                new_table = Some(self.tables.begin(first.seq, &mut batch)?);
            }
        }
        let table = match &new_table {
            Some(new) => Some(new.keyspace()),
            None => self.tables.newest(),
        };
        Ok(Step {
            batch,
            new_table,
            table,
            claimed: HashMap::new(),
            burials: Vec::new(),
        })
    }

    fn index_one(&self, step: &mut Step, entry: IndexEntry) -> Result<Verdict, Fault> {
        let place = Place::new(Partition::ZERO, entry.seq);
        let table = step.table.clone().ok_or(Fault::Row("index generation"))?;
        let (start, claims) = self.claims.of(entry.received_at)?;
        let now = Now::At(entry.received_at);
        let claimed = step.claimed.get(&entry.key);
        let holder = match claimed {
            Some((start, held)) if self.claims.sees(*start, now) => Some(*held),
            _ => self.claims.holder(entry.key.as_bytes(), now)?,
        };
        // A claim of this very record is left from before the index was rebuilt.
        let earlier = holder.filter(|holder| *holder < place);
        let verdict = if let Some(holder) = earlier {
            let key = rows::of_seq(derived::DUPLICATE, entry.seq);
            step.batch.insert(&table, key, rows::place(holder));
            Verdict::DuplicateOf(holder)
        } else {
            let key = entry.key.as_bytes().as_slice();
            step.batch.insert(&claims, key, rows::place(place));
            step.claimed.insert(entry.key, (start, place));
            step.burials.extend(entry.burial);
            Verdict::First
        };
        for term in &entry.terms {
            step.batch.insert(&table, rows::term(term, place), []);
        }
        Ok(verdict)
    }

    /// Which of these records are duplicates, and of what.
    pub(crate) fn duplicates(
        &self,
        range: RangeInclusive<Seq>,
    ) -> Result<HashMap<Seq, Place>, Fault> {
        Ok(self.tables.duplicates(range)?.into_iter().collect())
    }

    /// Up to `limit` records that bear `term`, newest first, none below `least`.
    pub(crate) fn look_up(
        &self,
        term: &Term,
        least: Seq,
        limit: usize,
    ) -> Result<Vec<Place>, Fault> {
        self.tables.look_up(term, least, limit)
    }

    /// Throws everything away. The watermark goes first and for certain, so that
    /// a crash in between leaves rows that are written again, never rows missing.
    pub(crate) fn clear(&self) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        let mut batch = self.database.batch();
        let key = rows::of_partition(derived::WATERMARK, Partition::ZERO);
        batch.remove(&self.rows, key);
        self.database.commit(batch, Durability::Synced)?;
        self.watermark.send_replace(None);
        self.tables.drop_all()?;
        self.claims.drop_all()
    }

    /// Drops what is about records below `first`, and claims that have expired.
    pub(crate) fn trim(&self, first: Seq, now: Timestamp) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        self.tables.drop_below(first)?;
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
}

/// What one call of the indexer will change.
struct Step {
    batch: OwnedWriteBatch,
    new_table: Option<super::tables::NewTable>,
    table: Option<Keyspace>,
    /// Claims of this step, not in the database yet, with their generation.
    claimed: HashMap<ClaimKey, (i64, Place)>,
    burials: Vec<NewDeadLetter>,
}
