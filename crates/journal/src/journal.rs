//! The handle that everybody else holds: it hides which engine is behind it and
//! keeps whatever blocks off the runtime's threads.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::config::Config;
use crate::embedded::log::{
    AppendError, Expiry, Health, Lookup, Permit, Storage, Trimmed, Unavailable,
};
use crate::embedded::{Embedded, Fault, IndexFault, OpenError, Put};
use crate::index::{ClaimKey, IndexEntry, Term};
use crate::place::{Partition, Place, Seq};
use crate::record::{Draft, Entry, Indexed, ReadLimit, Record, Verdict};
use crate::settle::{DeadLetter, DeadLetterFilter, DeadLetterId, Revision, Setting, Settlement};

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The journal has no such partition.
    #[error("the journal has no partition {0}")]
    UnknownPartition(Partition),
    /// The record was journaled and cannot be read any more.
    #[error("record {0} is damaged")]
    Damaged(Place),
    /// The log cannot be read; trying again may help.
    #[error("cannot read the journal's log")]
    Log(#[source] std::io::Error),
    /// The index cannot be read; trying again may help.
    #[error("cannot read the journal's index")]
    Index(#[source] Fault),
    /// The runtime is shutting down.
    #[error("the journal was not read because the process is stopping")]
    Stopping,
}

/// Why the state could not be read or changed. No change was made in part; after
/// [`StateError::Storage`] it may have been made as a whole.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The journal has no such partition.
    #[error("the journal has no partition {0}")]
    UnknownPartition(Partition),
    /// A connection's name or a setting's key is too long: refuse it.
    #[error("a name of {bytes} bytes is more than the journal keeps")]
    NameTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The records to index do not begin where the index ends, or leave some out.
    #[error("record {found} does not follow the index, which expects {expected}")]
    NotContiguous {
        /// The record that is expected next.
        expected: Seq,
        /// The record that was given.
        found: Seq,
    },
    /// The record is not on stable storage yet, so nothing may depend on it.
    #[error("record {seq} is not on stable storage yet")]
    NotDurable {
        /// The record.
        seq: Seq,
    },
    /// The database failed. Reading may help again; once a write has failed the
    /// journal must be opened anew.
    #[error("cannot use the journal's state")]
    Storage(#[source] Fault),
    /// The log would not give a segment up.
    #[error("cannot trim the journal's log")]
    Trim(#[source] std::io::Error),
    /// The runtime is shutting down.
    #[error("the journal's state was not used because the process is stopping")]
    Stopping,
}

/// Why a setting was not put.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Somebody else changed it: read it again.
    #[error("the setting was changed meanwhile")]
    Conflict {
        /// Its revision now; none when it does not exist.
        found: Option<Revision>,
    },
    /// The state could not be changed.
    #[error("cannot put the setting")]
    State(#[source] StateError),
}

/// What the journal holds, in numbers. Taking them is cheap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stats {
    /// The first record that is kept; none when there is none.
    pub first: Option<Seq>,
    /// The last record on stable storage; none when nothing was ever appended.
    pub last: Option<Seq>,
    /// The last record that is indexed.
    pub indexed: Option<Seq>,
    /// Bytes of records on disk.
    pub bytes: u64,
    /// The most there may be.
    pub max_bytes: u64,
    /// How many segments they are in.
    pub segments: usize,
    /// Records that were found to be damaged since the journal was opened.
    pub damaged: u64,
    /// How the journal is.
    pub health: Health,
}

/// A journal that is open. Clones are the same journal.
///
/// Appending, reading and looking up may go on from any number of tasks at once.
/// When the last clone is dropped the journal is closed, as by
/// [`Journal::close`], and its folder is free.
#[derive(Clone)]
pub struct Journal {
    engine: Arc<Embedded>,
}

/// Opening, closing and what is true of the whole.
impl Journal {
    /// The longest name of a connection, and the longest key of a setting.
    pub const MAX_NAME_BYTES: usize = 255;

    /// Opens the journal that `config` describes, and makes it when it is
    /// missing. Takes no longer for a long log than for a short one.
    pub async fn open(config: Config) -> Result<Journal, OpenError> {
        Self::opened(move || Embedded::open(config)).await
    }

    /// As [`Journal::open`], with the log in `storage` instead of a folder: for
    /// tests that let the disk fail.
    pub async fn open_on(config: Config, storage: Arc<dyn Storage>) -> Result<Journal, OpenError> {
        Self::opened(move || Embedded::open_on(config, storage)).await
    }

    async fn opened(
        open: impl FnOnce() -> Result<Embedded, OpenError> + Send + 'static,
    ) -> Result<Journal, OpenError> {
        let opened = spawn_blocking(open)
            .await
            .map_err(|_| OpenError::Stopping)?;
        opened.map(|engine| Journal {
            engine: Arc::new(engine),
        })
    }

    /// The journal's partitions, fixed for its life.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        [Partition::ZERO].into_iter()
    }

    /// What the journal holds.
    pub fn stats(&self) -> Stats {
        let log = self.engine.log.stats();
        let derived = self.engine.derived.failed();
        let failed = self.engine.kept.failed().or(derived);
        Stats {
            first: log.first,
            last: log.last,
            indexed: *self.engine.derived.watch().borrow(),
            bytes: log.bytes,
            max_bytes: self.engine.config.max_bytes,
            segments: log.segments,
            damaged: log.damaged,
            health: match failed {
                Some(cause) => Health::Poisoned {
                    cause: cause.to_owned(),
                },
                None => log.health,
            },
        }
    }

    /// Gives no more permits, commits what was appended, and brings the state
    /// onto stable storage. The folder is free once every clone is dropped.
    pub async fn close(&self) -> Result<(), StateError> {
        self.on_state(|engine| {
            engine.log.close();
            engine.kept.sync()?;
            engine.derived.sync()
        })
        .await
    }

    /// Does what blocks on a thread that may.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Embedded) -> T + Send + 'static,
    ) -> Option<T> {
        let engine = Arc::clone(&self.engine);
        spawn_blocking(move || work(&engine)).await.ok()
    }

    async fn on_state<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Embedded) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StateError> {
        let done = self.blocking(work).await.ok_or(StateError::Stopping)?;
        done.map_err(StateError::Storage)
    }
}

/// Appending and reading records.
impl Journal {
    /// Reserves room for an event with a body of `body_bytes`. Never waits: the
    /// caller does, or refuses.
    pub fn reserve(&self, body_bytes: usize) -> Result<Permit, Unavailable> {
        self.engine.log.reserve(body_bytes)
    }

    /// Records from `from` on, or from the first that is kept after it, that are
    /// on stable storage; in order, without a gap that is not an [`Entry`].
    /// Nothing when there is none yet: follow [`Journal::durable`].
    pub async fn read(&self, from: Place, limit: ReadLimit) -> Result<Vec<Entry>, ReadError> {
        known(from.partition).map_err(ReadError::UnknownPartition)?;
        let end = Seq::new(u64::MAX);
        let read = self.blocking(move |engine| engine.log.read(from.seq, end, limit));
        read.await
            .ok_or(ReadError::Stopping)?
            .map_err(ReadError::Log)
    }

    /// As [`Journal::read`], each with its verdict, and none that is not indexed
    /// yet: follow [`Journal::indexed`].
    pub async fn read_indexed(
        &self,
        from: Place,
        limit: ReadLimit,
    ) -> Result<Vec<Indexed>, ReadError> {
        known(from.partition).map_err(ReadError::UnknownPartition)?;
        let read = self.blocking(move |engine| read_indexed(engine, from.seq, limit));
        read.await.ok_or(ReadError::Stopping)?
    }

    /// The record at `place`; none when it is not there yet or not any more.
    pub async fn record(&self, place: Place) -> Result<Option<Record>, ReadError> {
        known(place.partition).map_err(ReadError::UnknownPartition)?;
        let found = self.blocking(move |engine| engine.log.record(place.seq));
        let found = found.await.ok_or(ReadError::Stopping)?;
        match found.map_err(ReadError::Log)? {
            Lookup::Record(record) => Ok(Some(record)),
            Lookup::Damaged => Err(ReadError::Damaged(place)),
            Lookup::Absent => Ok(None),
        }
    }

    /// When the record at `place` arrived; none when it is not there.
    pub async fn received_at(&self, place: Place) -> Result<Option<Timestamp>, ReadError> {
        let record = self.record(place).await?;
        Ok(record.map(|record| record.received_at))
    }

    /// Follows the last record on stable storage. In a partition that the
    /// journal does not have there is never any.
    pub fn durable(&self, partition: Partition) -> watch::Receiver<Option<Seq>> {
        match known(partition) {
            Ok(()) => self.engine.log.durable(),
            Err(_) => watch::Sender::new(None).subscribe(),
        }
    }

    /// Unlinks segments older than the retention, or as many as keep a part of
    /// the byte budget free, and drops what was derived from them and what has
    /// expired by `now`.
    ///
    /// Never unlinks a record that is not indexed yet, nor one from a place in
    /// `keep` on: the first unsettled record of each enabled connection.
    pub async fn trim(
        &self,
        now: Timestamp,
        keep: &[(Partition, Seq)],
    ) -> Result<Trimmed, StateError> {
        let wanted = keep
            .iter()
            .filter(|(partition, _)| known(*partition).is_ok());
        let wanted = wanted.map(|(_, seq)| *seq).min();
        let trim = self.blocking(move |engine| {
            let unindexed = engine.derived.watermark().next();
            let expiry = Expiry {
                now,
                retention: engine.config.retention,
                keep_from: wanted.map_or(unindexed, |seq| seq.min(unindexed)),
            };
            let trimmed = engine.log.trim(&expiry).map_err(StateError::Trim)?;
            let first = engine.log.first();
            engine
                .derived
                .trim(first, now)
                .map_err(StateError::Storage)?;
            engine.kept.trim(now).map_err(StateError::Storage)?;
            Ok(trimmed)
        });
        trim.await.ok_or(StateError::Stopping)?
    }
}

/// What the indexer writes and everybody searches.
impl Journal {
    /// Indexes records: claims each event for the first record that bears it,
    /// notes the others as duplicates, and keeps what to find them by. All of it
    /// counts at once or not at all; a power cut may take it back.
    ///
    /// The entries continue where [`Journal::indexed`] stands and leave out
    /// nothing but damaged records. Damaged records that follow the last entry
    /// are stepped over once they have been read, so an empty list does just
    /// that. One indexer at a time.
    pub async fn index(
        &self,
        partition: Partition,
        entries: Vec<IndexEntry>,
    ) -> Result<Vec<Verdict>, StateError> {
        known(partition).map_err(StateError::UnknownPartition)?;
        let indexed = self.blocking(move |engine| {
            let Embedded {
                log, derived, kept, ..
            } = engine;
            derived.index(log, kept, entries)
        });
        indexed
            .await
            .ok_or(StateError::Stopping)?
            .map_err(|fault| match fault {
                IndexFault::NotContiguous { expected, found } => {
                    StateError::NotContiguous { expected, found }
                }
                IndexFault::NotDurable { seq } => StateError::NotDurable { seq },
                IndexFault::Fault(fault) => StateError::Storage(fault),
            })
    }

    /// Throws the whole index away; the indexer starts over from the first kept
    /// record. Claims of records that were trimmed are gone for good. Burials
    /// that were made are not made again.
    pub async fn rebuild_index(&self) -> Result<(), StateError> {
        self.on_state(|engine| engine.derived.clear()).await
    }

    /// Follows the last indexed record. In a partition that the journal does
    /// not have there is never any.
    pub fn indexed(&self, partition: Partition) -> watch::Receiver<Option<Seq>> {
        match known(partition) {
            Ok(()) => self.engine.derived.watch(),
            Err(_) => watch::Sender::new(None).subscribe(),
        }
    }

    /// Up to `limit` records that bear `term`, newest first.
    pub async fn look_up(&self, term: &Term, limit: usize) -> Result<Vec<Place>, StateError> {
        let term = term.clone();
        self.on_state(move |engine| {
            let first = engine.log.first();
            engine.derived.look_up(&term, first, limit)
        })
        .await
    }

    /// Whether the record is the first to bear its event; none when it is not
    /// indexed yet, or not kept any more.
    pub async fn verdict(&self, place: Place) -> Result<Option<Verdict>, StateError> {
        known(place.partition).map_err(StateError::UnknownPartition)?;
        self.on_state(move |engine| {
            let seq = place.seq;
            if seq < engine.log.first() || seq > engine.derived.watermark() {
                return Ok(None);
            }
            let duplicates = engine.derived.duplicates(seq..=seq)?;
            let earlier = duplicates.get(&seq).copied();
            Ok(Some(earlier.map_or(Verdict::First, Verdict::DuplicateOf)))
        })
        .await
    }
}

/// Cursors and claims of connections.
impl Journal {
    /// Through which record `connection` has settled, [`Seq::ZERO`] being none;
    /// nothing when its cursor was never placed.
    pub async fn cursor(
        &self,
        connection: &str,
        partition: Partition,
    ) -> Result<Option<Seq>, StateError> {
        known(partition).map_err(StateError::UnknownPartition)?;
        let connection = name(connection)?;
        self.on_state(move |engine| engine.kept.cursor(&connection, partition))
            .await
    }

    /// Puts the cursor of `connection` behind `settled`, forwards or backwards.
    /// Durable when it returns.
    pub async fn place_cursor(
        &self,
        connection: &str,
        partition: Partition,
        settled: Seq,
    ) -> Result<(), StateError> {
        let place = self.durable_place(partition, settled)?;
        let connection = name(connection)?;
        self.on_state(move |engine| engine.kept.place_cursor(&connection, place))
            .await
    }

    /// Who holds each of these first-only claims of `connection`.
    pub async fn first_claims(
        &self,
        connection: &str,
        keys: &[ClaimKey],
    ) -> Result<Vec<Option<Place>>, StateError> {
        let connection = name(connection)?;
        let keys = keys.to_vec();
        self.on_state(move |engine| engine.kept.first_claims(&connection, &keys))
            .await
    }

    /// Moves a cursor, with the claims and burials that were made on the way, in
    /// one transaction that is durable when it returns.
    ///
    /// A cursor that is already further stays; a claim that is held stays with
    /// its holder.
    pub async fn settle(&self, settlement: Settlement) -> Result<(), StateError> {
        self.durable_place(settlement.partition, settlement.through)?;
        name(&settlement.connection)?;
        for letter in &settlement.dead_letters {
            name(letter.connection.as_deref().unwrap_or_default())?;
        }
        self.on_state(move |engine| {
            let now = engine.log.newest_at().unwrap_or(Timestamp::UNIX_EPOCH);
            engine.kept.settle(&settlement, now)
        })
        .await
    }

    /// Makes every first-only claim of `connection` free again.
    pub async fn reset_claims(&self, connection: &str) -> Result<(), StateError> {
        let connection = name(connection)?;
        self.on_state(move |engine| engine.kept.reset_claims(&connection))
            .await
    }

    /// Forgets the cursors and claims of `connection`. Its dead letters stay.
    pub async fn forget_connection(&self, connection: &str) -> Result<(), StateError> {
        let connection = name(connection)?;
        self.on_state(move |engine| engine.kept.forget_connection(&connection))
            .await
    }

    /// Nothing may depend on a record that a power cut could take away.
    fn durable_place(&self, partition: Partition, seq: Seq) -> Result<Place, StateError> {
        known(partition).map_err(StateError::UnknownPartition)?;
        if seq > self.engine.log.durable_seq() {
            return Err(StateError::NotDurable { seq });
        }
        Ok(Place::new(partition, seq))
    }
}

/// Dead letters and settings.
impl Journal {
    /// The dead letters that pass `filter`, newest first.
    pub async fn dead_letters(
        &self,
        filter: DeadLetterFilter,
    ) -> Result<Vec<DeadLetter>, StateError> {
        self.on_state(move |engine| engine.kept.dead_letters(&filter))
            .await
    }

    /// The dead letter with this id; none when it was removed or never was.
    pub async fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, StateError> {
        self.on_state(move |engine| engine.kept.dead_letter(id))
            .await
    }

    /// How many dead letters there are. Takes no longer for many than for few.
    pub async fn dead_letter_count(&self) -> Result<u64, StateError> {
        self.on_state(|engine| engine.kept.dead_letter_count())
            .await
    }

    /// Removes a dead letter for good; says whether there was one.
    pub async fn remove_dead_letter(&self, id: DeadLetterId) -> Result<bool, StateError> {
        self.on_state(move |engine| engine.kept.remove_dead_letter(id))
            .await
    }

    /// The setting of that key; none when it was never put.
    pub async fn setting(&self, key: &str) -> Result<Option<Setting>, StateError> {
        let key = name(key)?;
        self.on_state(move |engine| engine.kept.setting(&key)).await
    }

    /// Puts a setting, provided that its revision is still `expected`, or that
    /// it does not exist where nothing is expected. Durable when it returns.
    pub async fn put_setting(
        &self,
        key: &str,
        value: Bytes,
        expected: Option<Revision>,
    ) -> Result<Revision, PutError> {
        let key = name(key).map_err(PutError::State)?;
        let put = self.on_state(move |engine| engine.kept.put_setting(&key, &value, expected));
        match put.await.map_err(PutError::State)? {
            Put::Done(revision) => Ok(revision),
            Put::Conflict { found } => Err(PutError::Conflict { found }),
        }
    }

    /// Follows the settings: the number grows with each change of any of them.
    pub fn watch_settings(&self) -> watch::Receiver<u64> {
        self.engine.kept.watch_settings()
    }
}

/// The partition as its own error, unless it is the one there is.
fn known(partition: Partition) -> Result<(), Partition> {
    match partition {
        Partition::ZERO => Ok(()),
        unknown => Err(unknown),
    }
}

fn name(name: &str) -> Result<String, StateError> {
    let bytes = name.len();
    if bytes > Journal::MAX_NAME_BYTES {
        return Err(StateError::NameTooLong { bytes });
    }
    Ok(name.to_owned())
}

fn read_indexed(engine: &Embedded, from: Seq, limit: ReadLimit) -> Result<Vec<Indexed>, ReadError> {
    let watermark = engine.derived.watermark();
    let entries = engine
        .log
        .read(from, watermark, limit)
        .map_err(ReadError::Log)?;
    let bounds = entries.first().zip(entries.last());
    let Some((first, last)) = bounds.map(|(first, last)| (span(first).0, span(last).1)) else {
        return Ok(Vec::new());
    };
    let duplicates = engine
        .derived
        .duplicates(first..=last)
        .map_err(ReadError::Index)?;
    let indexed = entries.into_iter().map(|entry| match entry {
        Entry::Damaged { first, last } => Indexed::Damaged { first, last },
        Entry::Record(record) => {
            let earlier = duplicates.get(&record.place.seq).copied();
            let verdict = earlier.map_or(Verdict::First, Verdict::DuplicateOf);
            Indexed::Record { record, verdict }
        }
    });
    Ok(indexed.collect())
}

fn span(entry: &Entry) -> (Seq, Seq) {
    match entry {
        Entry::Record(record) => (record.place.seq, record.place.seq),
        Entry::Damaged { first, last } => (*first, *last),
    }
}

/// Appending in one step, for callers who need not hold the room beforehand.
impl Journal {
    /// Reserves room and appends; see [`Permit::append`].
    pub fn append(
        &self,
        draft: Draft,
    ) -> Result<impl Future<Output = Result<Place, AppendError>> + Send + use<>, Unavailable> {
        Ok(self.reserve(draft.body.len())?.append(draft))
    }
}
