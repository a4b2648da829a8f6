//! Appending events, reading records back, and trimming.

use std::future::Future;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Journal, StateError, known};
use crate::embedded::log::{AppendError, Expiry, Lookup, Permit, Trimmed, Unavailable};
use crate::embedded::{Embedded, Fault};
use crate::place::{Partition, Place, Seq};
use crate::record::{Draft, Entry, Indexed, ReadLimit, Record, Verdict};

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
        let trim = self.blocking(move |engine| trim(engine, now, wanted));
        trim.await.ok_or(StateError::Stopping)?
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

/// Trims all but what is wanted from some place on.
fn trim(engine: &Embedded, now: Timestamp, wanted: Option<Seq>) -> Result<Trimmed, StateError> {
    let Embedded {
        log,
        derived,
        kept,
        config,
        ..
    } = engine;
    let upto = |last: Seq| Expiry {
        now,
        retention: config.retention,
        keep_from: wanted.map_or(last.next(), |wanted| wanted.min(last.next())),
    };
    // The index of what goes must not be in memory only: a crash could not bring
    // it back any more.
    let all = upto(derived.watermark());
    if log.has_expired(&all).map_err(StateError::Trim)? {
        derived.flush(log).map_err(StateError::Storage)?;
    }
    let trimmed = log
        .trim(&upto(derived.written()))
        .map_err(StateError::Trim)?;
    derived
        .trim(log.first(), now)
        .map_err(StateError::Storage)?;
    kept.trim(now).map_err(StateError::Storage)?;
    Ok(trimmed)
}
