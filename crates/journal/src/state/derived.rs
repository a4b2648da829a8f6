//! What the indexer derives from the log: who bore an event first, what records
//! are found by, and how far it has come.
//!
//! Nothing in here is precious: reading the log again brings all of it back. So
//! what is new stays in memory until there is enough of it to be written out in
//! one piece, sorted, with no write-ahead journal; a crash takes the indexer back
//! to where the last piece ends. The log keeps what it needs for that.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use fjall::Keyspace;
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::warn;

use super::database::{Allowance, Commits, Database, Ended, take_back};
use super::fault::Fault;
use super::generations::{Generations, Now};
use super::kept::Kept;
use super::rows::{self, derived};
use super::tables::Tables;
use super::young::Young;
use crate::embedded::log::Log;
use crate::index::{ClaimKey, IndexEntry, Term};
use crate::lock::{lock, read, write};
use crate::place::{Partition, Place, Seq};
use crate::record::Verdict;

const ALLOWANCE: Allowance = Allowance {
    cache_bytes: 48 * 1024 * 1024,
    threads: 2,
    open_files: 256,
    commits: Commits::Synced,
};

/// Into how many tables the records of a full journal are divided. Space of
/// search terms is given back in such parts.
const TABLES_PER_JOURNAL: u64 = 16;

/// How many bytes of the log there are from some record on.
pub(crate) type BytesFrom<'a> = &'a dyn Fn(Seq) -> u64;

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
    pub(super) tables: Tables,
    pub(super) young: RwLock<Young>,
    limits: DerivedLimits,
    watermark: watch::Sender<Option<Seq>>,
    /// The last entry of the cluster's state that is in here.
    position: AtomicU64,
    /// One change at a time: each looks before it writes.
    pub(super) writer: Mutex<()>,
}

/// The limits that matter here.
#[derive(Clone, Copy)]
pub(crate) struct DerivedLimits {
    pub(crate) duplicate_claims: Duration,
    /// What the log may take.
    pub(crate) log_bytes: u64,
    /// How many records' index is in memory only, at most.
    pub(crate) young_records: usize,
    /// Whose records.
    pub(crate) partition: Partition,
}

/// What outlives a database that was ended.
pub(crate) struct InMemory {
    /// None once it was taken up.
    young: Mutex<Option<Young>>,
    watermark: watch::Sender<Option<Seq>>,
}

/// A record that was indexed elsewhere.
pub(crate) struct Decided {
    pub(crate) seq: Seq,
    pub(crate) received_at: Timestamp,
    pub(crate) key: ClaimKey,
    pub(crate) verdict: Verdict,
    pub(crate) terms: Vec<Term>,
}

/// A record, and what was found out about it.
struct Judged<'a> {
    seq: Seq,
    received_at: Timestamp,
    key: ClaimKey,
    verdict: Verdict,
    terms: &'a [Term],
}

/// A page of records that were indexed elsewhere.
pub(crate) struct DecidedPage {
    /// The first record after the page before.
    pub(crate) first: Seq,
    /// The last record.
    pub(crate) through: Seq,
    /// Each record that is not damaged.
    pub(crate) records: Vec<Decided>,
    /// What is kept to find the records by.
    pub(crate) page: Vec<u8>,
}

impl Derived {
    /// Opens what is in `dir`. What is damaged is thrown away, and the indexer
    /// begins anew; what the disk only refuses is not.
    pub(crate) fn open(dir: &Path, limits: DerivedLimits) -> Result<Derived, Fault> {
        Self::try_open(dir, limits).or_else(|cause| {
            if !cause.is_damage() {
                return Err(cause);
            }
            warn!("the journal's index is damaged and will be rebuilt: {cause:?}");
            match fs::remove_dir_all(dir) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => (),
            }
            Self::try_open(dir, limits)
        })
    }

    fn try_open(dir: &Path, limits: DerivedLimits) -> Result<Derived, Fault> {
        let database = Arc::new(Database::open(dir, ALLOWANCE)?);
        let rows = database.rows();
        let partition = limits.partition;
        let number = |kind| match rows.get(rows::of_partition(kind, partition))? {
            None => Ok(None),
            Some(value) => rows::parse_number(&value)
                .ok_or(Fault::Row("watermark"))
                .map(Some),
        };
        let watermark = number(derived::WATERMARK)?.map(Seq::new);
        let position = number(derived::POSITION)?.unwrap_or(0);
        let life = limits.duplicate_claims;
        Ok(Derived {
            claims: Generations::open(Arc::clone(&database), "claims-", life)?,
            tables: Tables::open(Arc::clone(&database), rows.clone())?,
            young: RwLock::new(Young::after(partition, watermark.unwrap_or(Seq::ZERO))),
            database,
            rows,
            limits,
            watermark: watch::Sender::new(watermark),
            position: AtomicU64::new(position),
            writer: Mutex::new(()),
        })
    }

    /// Ends it after a write has failed.
    pub(crate) fn end(self) -> Ended<InMemory> {
        let Derived {
            database,
            young,
            watermark,
            ..
        } = self;
        let young = young.into_inner();
        Ended {
            failed_from: database.failed_from(),
            rest: InMemory {
                young: Mutex::new(Some(young.unwrap_or_else(PoisonError::into_inner))),
                watermark,
            },
        }
    }

    /// Opens what was ended. What was in memory only is there again, unless what
    /// it followed is lost: then the watermark goes back.
    pub(crate) fn open_anew(
        dir: &Path,
        limits: DerivedLimits,
        ended: &Ended<InMemory>,
    ) -> Result<Derived, Fault> {
        take_back(dir, ended)?;
        let mut derived = Derived::open(dir, limits)?;
        let written = derived.watermark();
        let young = lock(&ended.rest.young).take_if(|young| young.written == written);
        let watermark = ended.rest.watermark.clone();
        match young {
            Some(young) => derived.young = RwLock::new(young),
            None => drop(watermark.send_replace(*derived.watermark.borrow())),
        }
        derived.watermark = watermark;
        Ok(derived)
    }

    /// The last indexed record; [`Seq::ZERO`] when there is none.
    pub(crate) fn watermark(&self) -> Seq {
        self.watermark.borrow().unwrap_or(Seq::ZERO)
    }

    /// Follows the last indexed record.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Seq>> {
        self.watermark.subscribe()
    }

    /// Tells of the last indexed record, for those who follow it.
    pub(crate) fn sender(&self) -> watch::Sender<Option<Seq>> {
        self.watermark.clone()
    }

    /// The last record whose index would survive a crash.
    pub(crate) fn written(&self) -> Seq {
        read(&self.young).written
    }

    /// Indexes records that follow the watermark, and moves it.
    ///
    /// Burials are made durable at once, and those that were made are not made
    /// again when a crash takes the watermark back.
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
        if self.is_full() {
            self.write_out(&|first| log.bytes_from(first))?;
        }
        let mut later = Young::after(self.limits.partition, self.watermark());
        let mut burials = Vec::new();
        let mut verdicts = Vec::with_capacity(entries.len());
        for mut entry in entries {
            let verdict = self.index_one(&mut later, &entry)?;
            if verdict == Verdict::First {
                burials.extend(entry.burial.take());
            }
            verdicts.push(verdict);
        }
        kept.bury(burials)?;
        write(&self.young).absorb(later);
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

    fn index_one(&self, later: &mut Young, entry: &IndexEntry) -> Result<Verdict, Fault> {
        let verdict = self.judge(later, entry)?;
        let judged = Judged {
            seq: entry.seq,
            received_at: entry.received_at,
            key: entry.key,
            verdict,
            terms: &entry.terms,
        };
        self.note(later, &judged);
        Ok(verdict)
    }

    /// Whether the record is the first to bear its event.
    fn judge(&self, later: &Young, entry: &IndexEntry) -> Result<Verdict, Fault> {
        let place = Place::new(self.limits.partition, entry.seq);
        let now = Now::At(entry.received_at);
        let in_memory = later
            .holder(&entry.key)
            .or_else(|| read(&self.young).holder(&entry.key));
        let holder = match in_memory {
            Some((generation, holder)) if self.claims.sees(generation, now) => Some(holder),
            _ => self.claims.holder(entry.key.as_bytes(), now)?,
        };
        // A claim of this very record is left from before a crash or a rebuild.
        let earlier = holder.filter(|holder| *holder < place);
        Ok(earlier.map_or(Verdict::First, Verdict::DuplicateOf))
    }

    fn note(&self, later: &mut Young, record: &Judged<'_>) {
        later.add(record.seq, record.terms);
        match record.verdict {
            Verdict::DuplicateOf(holder) => later.add_duplicate(record.seq, holder),
            Verdict::First => {
                let generation = self.claims.of(record.received_at);
                let place = Place::new(self.limits.partition, record.seq);
                later.claim(record.key, generation, place);
            }
        }
    }

    /// Whether each record is the first to bear its event, without noting it.
    pub(crate) fn judge_all(&self, entries: &[IndexEntry]) -> Result<Vec<Verdict>, Fault> {
        let mut later = Young::after(self.limits.partition, self.watermark());
        let verdicts = entries
            .iter()
            .map(|entry| self.index_one(&mut later, entry));
        verdicts.collect()
    }

    /// Notes a page that was indexed elsewhere, and moves the watermark.
    pub(crate) fn apply(&self, page: DecidedPage, bytes_from: BytesFrom<'_>) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        if self.is_full() {
            self.write_out(bytes_from)?;
        }
        let mut later = Young::after(self.limits.partition, self.watermark());
        later.add_page(page.first, page.page);
        for record in page.records {
            let judged = Judged {
                seq: record.seq,
                received_at: record.received_at,
                key: record.key,
                verdict: record.verdict,
                terms: &record.terms,
            };
            self.note(&mut later, &judged);
        }
        write(&self.young).absorb(later);
        self.watermark.send_replace(Some(page.through));
        Ok(())
    }

    /// Whether the next page is preceded by writing out what is in memory.
    pub(crate) fn is_full(&self) -> bool {
        read(&self.young).is_full(self.limits.young_records)
    }

    /// The last entry of the cluster's state that is in here.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Notes that every entry up to this one is in here. Durable with the next
    /// piece that is written out.
    pub(crate) fn advance(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    /// The page that holds this record: its first record and what is kept of it.
    pub(crate) fn page_at(&self, seq: Seq) -> Result<Option<(Seq, Vec<u8>)>, Fault> {
        if seq > self.watermark() {
            return Ok(None);
        }
        let young = read(&self.young).page_at(seq);
        match young {
            Some(page) => Ok(Some(page)),
            None => self.tables.page_at(seq),
        }
    }

    /// Writes out what is in memory only, so that a crash does not take the
    /// indexer back behind it.
    pub(crate) fn flush(&self, bytes_from: BytesFrom<'_>) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        self.write_out(bytes_from)
    }

    /// The watermark goes last: what a crash leaves above it is written again.
    fn write_out(&self, bytes_from: BytesFrom<'_>) -> Result<(), Fault> {
        let watermark = self.watermark();
        let young = read(&self.young);
        if young.written >= watermark {
            return Ok(());
        }
        if let Some(first) = young.first() {
            self.begin_table(bytes_from, first)?;
            self.tables.write(young.table_rows())?;
        }
        for (generation, claims) in young.claim_rows() {
            self.claims.write(generation, claims.into_iter())?;
        }
        drop(young);
        let mut batch = self.database.batch();
        let partition = self.limits.partition;
        let key = rows::of_partition(derived::WATERMARK, partition);
        batch.insert(&self.rows, key, watermark.get().to_be_bytes());
        let key = rows::of_partition(derived::POSITION, partition);
        batch.insert(&self.rows, key, self.position().to_be_bytes());
        self.database.commit(batch)?;
        *write(&self.young) = Young::after(partition, watermark);
        Ok(())
    }

    /// Begins a table with `first` when the newest spans enough of the log.
    fn begin_table(&self, bytes_from: BytesFrom<'_>, first: Seq) -> Result<(), Fault> {
        let table_bytes = self.limits.log_bytes / TABLES_PER_JOURNAL;
        match self.tables.newest_first() {
            Some(newest) if newest >= first || bytes_from(newest) <= table_bytes => Ok(()),
            _ => self.tables.begin(first),
        }
    }

    /// Which of these records are duplicates, and of what.
    pub(crate) fn duplicates(
        &self,
        range: RangeInclusive<Seq>,
    ) -> Result<HashMap<Seq, Place>, Fault> {
        let mut duplicates: HashMap<Seq, Place> = {
            let young = read(&self.young);
            young.duplicates(range.clone()).collect()
        };
        duplicates.extend(self.tables.duplicates(range)?);
        Ok(duplicates)
    }

    /// Up to `limit` records that bear `term`, newest first, none below `least`.
    pub(crate) fn look_up(
        &self,
        term: &Term,
        least: Seq,
        limit: usize,
    ) -> Result<Vec<Place>, Fault> {
        let (mut found, written): (Vec<Place>, Seq) = {
            let young = read(&self.young);
            let found = young.look_up(term).filter(|place| place.seq >= least);
            (found.take(limit).collect(), young.written)
        };
        let rest = limit - found.len();
        // A crash while writing out leaves rows above, which come again.
        found.extend(self.tables.look_up(term, &(least..=written), rest)?);
        Ok(found)
    }

    /// Throws everything away. The watermark goes first and for certain, so that
    /// a crash in between leaves rows that are written again, never rows missing.
    pub(crate) fn clear(&self) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        let mut batch = self.database.batch();
        let partition = self.limits.partition;
        batch.remove(
            &self.rows,
            rows::of_partition(derived::WATERMARK, partition),
        );
        batch.remove(&self.rows, rows::of_partition(derived::POSITION, partition));
        self.database.commit(batch)?;
        self.watermark.send_replace(None);
        *write(&self.young) = Young::after(partition, Seq::ZERO);
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

    /// Whether a write failed, and opening it anew may help once there is room.
    pub(crate) fn may_recover(&self) -> bool {
        self.database.may_recover()
    }

    /// The first write that failed, if one did.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.database.failed()
    }
}
