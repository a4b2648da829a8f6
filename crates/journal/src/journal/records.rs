//! Appending events, reading records back, and trimming.

use std::future::Future;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Engine, Journal, StateError, on_engine};
use crate::append::{AppendError, Permit, Stored};
use crate::embedded::log::Trimmed;
use crate::place::{Partition, Place, Seq};
use crate::record::{Draft, Entry, Indexed, ReadLimit, Record};
use crate::room::Unavailable;
use crate::state::Fault;

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The journal has no such partition.
    #[error("the journal has no partition {0}")]
    UnknownPartition(Partition),
    /// The record was journaled and cannot be read any more.
    #[error("record {0} is damaged")]
    Damaged(Place),
    /// The record was journaled, and was erased since.
    #[error("record {place} was erased at {at}")]
    Erased {
        /// Where it was.
        place: Place,
        /// When it was erased.
        at: Timestamp,
    },
    /// The log cannot be read; trying again may help.
    #[error("cannot read the journal's log")]
    Log(#[source] std::io::Error),
    /// The index cannot be read; trying again may help.
    #[error("cannot read the journal's index")]
    Index(#[source] Fault),
    /// The cluster did not answer; trying again may help.
    #[error("the cluster did not give the records: {cause}")]
    Cluster {
        /// What came back, in words.
        cause: String,
    },
    /// The runtime is shutting down.
    #[error("the journal was not read because the process is stopping")]
    Stopping,
}

/// Appending and reading records.
impl Journal {
    /// Reserves room for an event with a body of `body_bytes`. Never waits: the
    /// caller does, or refuses.
    pub fn reserve(&self, body_bytes: usize) -> Result<Permit, Unavailable> {
        on_engine!(self, engine => engine.reserve(body_bytes))
    }

    /// Records from `from` on, or from the first that is kept after it, that are
    /// on stable storage; in order, without a gap that is not an [`Entry`].
    /// Nothing when there is none yet: follow [`Journal::durable`].
    pub async fn read(&self, from: Place, limit: ReadLimit) -> Result<Vec<Entry>, ReadError> {
        self.known(from.partition)
            .map_err(ReadError::UnknownPartition)?;
        on_engine!(self, engine => engine.read(from, limit).await)
    }

    /// As [`Journal::read`], each with its verdict, and none that is not indexed
    /// yet: follow [`Journal::indexed`].
    pub async fn read_indexed(
        &self,
        from: Place,
        limit: ReadLimit,
    ) -> Result<Vec<Indexed>, ReadError> {
        self.known(from.partition)
            .map_err(ReadError::UnknownPartition)?;
        on_engine!(self, engine => engine.read_indexed(from, limit).await)
    }

    /// The record at `place`; none when it is not there yet or not any more.
    pub async fn record(&self, place: Place) -> Result<Option<Record>, ReadError> {
        self.known(place.partition)
            .map_err(ReadError::UnknownPartition)?;
        on_engine!(self, engine => engine.record(place).await)
    }

    /// When the record at `place` arrived; none when it is not there.
    pub async fn received_at(&self, place: Place) -> Result<Option<Timestamp>, ReadError> {
        let record = self.record(place).await?;
        Ok(record.map(|record| record.received_at))
    }

    /// Follows the last record on stable storage. In a partition that the
    /// journal does not have there is never any.
    pub fn durable(&self, partition: Partition) -> watch::Receiver<Option<Seq>> {
        match self.known(partition) {
            Ok(()) => on_engine!(self, engine => engine.durable(partition)),
            Err(_) => watch::Sender::new(None).subscribe(),
        }
    }

    /// Lets go of what is older than the retention, or as many as keep a part of
    /// the byte budget free, and drops what was derived from them, traces of
    /// nothing but them, and what has expired by `now`.
    ///
    /// Never lets go of a record that is not indexed yet, nor one from a place in
    /// `keep` on: the first unsettled record of each enabled connection.
    pub async fn trim(
        &self,
        now: Timestamp,
        keep: &[(Partition, Seq)],
    ) -> Result<Trimmed, StateError> {
        let known = |(partition, _): &&(Partition, Seq)| self.known(*partition).is_ok();
        let keep: Vec<_> = keep.iter().filter(known).copied().collect();
        on_engine!(self, engine => engine.trim(now, keep).await)
    }
}

/// Appending in one step, for callers who need not hold the room beforehand.
impl Journal {
    /// Reserves room and appends; see [`Permit::append`].
    pub fn append(
        &self,
        draft: Draft,
    ) -> Result<impl Future<Output = Result<Stored, AppendError>> + Send + use<>, Unavailable> {
        Ok(self.reserve(draft.body.len())?.append(draft))
    }
}
