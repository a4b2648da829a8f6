//! The embedded engine as a journal wants it: every promise of the seam, off the
//! runtime's threads.

use std::panic::resume_unwind;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};

use super::halves::State;
use super::log::{Expiry, Lookup, Trimmed};
use super::{Embedded, Work};
use crate::append::Permit;
use crate::index::{ClaimKey, IndexEntry, Term};
use crate::journal::{PutError, ReadError, StateError};
use crate::place::{Partition, Place, Seq};
use crate::record::{Entry, Indexed, ReadLimit, Record, Verdict};
use crate::room::Unavailable;
use crate::settle::{
    DeadLetter, DeadLetterFilter, DeadLetterId, Revision, Setting, Settlement, Trace,
};
use crate::state::{Fault, IndexFault, Put};

/// Records.
impl Embedded {
    pub(crate) fn reserve(&self, body_bytes: usize) -> Result<Permit, Unavailable> {
        self.log.reserve(body_bytes)
    }

    pub(crate) fn durable(&self, _: Partition) -> watch::Receiver<Option<Seq>> {
        self.log.durable()
    }

    pub(crate) async fn read(
        self: &Arc<Self>,
        from: Place,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, ReadError> {
        let end = Seq::new(u64::MAX);
        let read = self.blocking(move |engine| engine.log.read(from.seq, end, limit));
        read.await
            .ok_or(ReadError::Stopping)?
            .map_err(ReadError::Log)
    }

    pub(crate) async fn read_indexed(
        self: &Arc<Self>,
        from: Place,
        limit: ReadLimit,
    ) -> Result<Vec<Indexed>, ReadError> {
        let read = self.blocking(move |engine| {
            let read = engine.with_state(|state| read_indexed(state, from.seq, limit));
            read.map_err(ReadError::Index)?
        });
        read.await.ok_or(ReadError::Stopping)?
    }

    pub(crate) async fn record(
        self: &Arc<Self>,
        place: Place,
    ) -> Result<Option<Record>, ReadError> {
        let found = self.blocking(move |engine| engine.log.record(place.seq));
        let found = found.await.ok_or(ReadError::Stopping)?;
        match found.map_err(ReadError::Log)? {
            Lookup::Record(record) => Ok(Some(record)),
            Lookup::Damaged => Err(ReadError::Damaged(place)),
            Lookup::Erased { at } => Err(ReadError::Erased { place, at }),
            Lookup::Absent => Ok(None),
        }
    }

    pub(crate) async fn trim(
        self: &Arc<Self>,
        now: Timestamp,
        keep: Vec<(Partition, Seq)>,
    ) -> Result<Trimmed, StateError> {
        let wanted = keep.into_iter().map(|(_, seq)| seq).min();
        let trim = self.blocking(move |engine| {
            let trimmed = engine.with_state(|state| trim(state, now, wanted));
            trimmed.map_err(StateError::Storage)?
        });
        trim.await.ok_or(StateError::Stopping)?
    }
}

/// The index.
impl Embedded {
    pub(crate) fn indexed(&self, _: Partition) -> watch::Receiver<Option<Seq>> {
        self.indexed.subscribe()
    }

    pub(crate) async fn index(
        self: &Arc<Self>,
        _: Partition,
        entries: Vec<IndexEntry>,
    ) -> Result<Vec<Verdict>, StateError> {
        let indexed = self.blocking(move |engine| {
            let indexed = engine.with_state(|state| {
                let State {
                    log, derived, kept, ..
                } = state;
                derived.index(log, kept, entries)
            });
            indexed.map_err(IndexFault::Fault)?
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

    pub(crate) async fn rebuild_index(self: &Arc<Self>) -> Result<(), StateError> {
        self.on_state(|engine| engine.derived.clear()).await
    }

    pub(crate) async fn look_up(
        self: &Arc<Self>,
        term: Term,
        limit: usize,
    ) -> Result<Vec<Place>, StateError> {
        self.on_state(move |engine| {
            let first = engine.log.first();
            engine.derived.look_up(&term, first, limit)
        })
        .await
    }

    pub(crate) async fn verdict(
        self: &Arc<Self>,
        place: Place,
    ) -> Result<Option<Verdict>, StateError> {
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

/// Connections.
impl Embedded {
    pub(crate) async fn cursor(
        self: &Arc<Self>,
        connection: String,
        partition: Partition,
    ) -> Result<Option<Seq>, StateError> {
        self.on_state(move |engine| engine.kept.cursor(&connection, partition))
            .await
    }

    pub(crate) async fn place_cursor(
        self: &Arc<Self>,
        connection: String,
        settled: Place,
    ) -> Result<(), StateError> {
        self.on_state(move |engine| engine.kept.place_cursor(&connection, settled))
            .await
    }

    pub(crate) async fn first_claims(
        self: &Arc<Self>,
        connection: String,
        _: Partition,
        keys: Vec<ClaimKey>,
    ) -> Result<Vec<Option<Place>>, StateError> {
        self.on_state(move |engine| engine.kept.first_claims(&connection, &keys))
            .await
    }

    pub(crate) async fn settle(self: &Arc<Self>, settlement: Settlement) -> Result<(), StateError> {
        self.on_state(move |engine| {
            let now = engine.log.newest_at().unwrap_or(Timestamp::UNIX_EPOCH);
            engine.kept.settle(&settlement, now)
        })
        .await
    }

    pub(crate) async fn traces(
        self: &Arc<Self>,
        connection: String,
        place: Place,
        limit: usize,
    ) -> Result<Vec<Trace>, StateError> {
        self.on_state(move |engine| engine.kept.traces(&connection, place, limit))
            .await
    }

    pub(crate) async fn reset_claims(
        self: &Arc<Self>,
        connection: String,
    ) -> Result<(), StateError> {
        self.on_state(move |engine| engine.kept.reset_claims(&connection))
            .await
    }

    pub(crate) async fn forget_connection(
        self: &Arc<Self>,
        connection: String,
    ) -> Result<(), StateError> {
        self.on_state(move |engine| engine.kept.forget_connection(&connection))
            .await
    }
}

/// Dead letters and settings.
impl Embedded {
    pub(crate) async fn dead_letters(
        self: &Arc<Self>,
        filter: DeadLetterFilter,
    ) -> Result<Vec<DeadLetter>, StateError> {
        self.on_state(move |engine| engine.kept.dead_letters(&filter))
            .await
    }

    pub(crate) async fn dead_letter(
        self: &Arc<Self>,
        id: DeadLetterId,
    ) -> Result<Option<DeadLetter>, StateError> {
        self.on_state(move |engine| engine.kept.dead_letter(id))
            .await
    }

    pub(crate) async fn dead_letter_count(self: &Arc<Self>) -> Result<u64, StateError> {
        self.on_state(|engine| engine.kept.dead_letter_count())
            .await
    }

    pub(crate) async fn remove_dead_letter(
        self: &Arc<Self>,
        id: DeadLetterId,
    ) -> Result<bool, StateError> {
        let removed = self.remove_dead_letters(vec![id]).await?;
        Ok(removed == 1)
    }

    pub(crate) async fn remove_dead_letters(
        self: &Arc<Self>,
        ids: Vec<DeadLetterId>,
    ) -> Result<u64, StateError> {
        self.on_state(move |engine| engine.kept.remove_dead_letters(&ids))
            .await
    }

    pub(crate) async fn setting(
        self: &Arc<Self>,
        key: String,
    ) -> Result<Option<Setting>, StateError> {
        self.on_state(move |engine| engine.kept.setting(&key)).await
    }

    pub(crate) async fn put_setting(
        self: &Arc<Self>,
        key: String,
        value: Bytes,
        expected: Option<Revision>,
    ) -> Result<Revision, PutError> {
        let put = self.on_state(move |engine| engine.kept.put_setting(&key, &value, expected));
        match put.await.map_err(PutError::State)? {
            Put::Done(revision) => Ok(revision),
            Put::Conflict { found } => Err(PutError::Conflict { found }),
        }
    }

    pub(crate) async fn remove_setting(
        self: &Arc<Self>,
        key: String,
        expected: Revision,
    ) -> Result<(), PutError> {
        let removed = self.on_state(move |engine| engine.kept.remove_setting(&key, expected));
        match removed.await.map_err(PutError::State)? {
            Put::Done(_) => Ok(()),
            Put::Conflict { found } => Err(PutError::Conflict { found }),
        }
    }

    pub(crate) fn watch_settings(&self) -> watch::Receiver<u64> {
        self.settings.subscribe()
    }
}

/// Off the runtime.
impl Embedded {
    pub(crate) async fn shut(self: &Arc<Self>) -> Result<(), StateError> {
        let closed = self.blocking(Embedded::close).await;
        closed
            .ok_or(StateError::Stopping)?
            .map_err(StateError::Storage)
    }

    /// As [`Embedded::tend`].
    pub(crate) async fn look_after(self: &Arc<Self>) {
        self.blocking(Embedded::tend).await;
    }

    /// Does what blocks, on a thread that may unless all is done in place; none
    /// when the runtime stopped before it was begun.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Embedded) -> T + Send + 'static,
    ) -> Option<T> {
        if self.work == Work::InPlace {
            return Some(work(self));
        }
        let engine = Arc::clone(self);
        finished(spawn_blocking(move || work(&engine)).await)
    }

    pub(super) async fn on_state<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&State) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StateError> {
        let done = self.blocking(move |engine| engine.with_state(work)?);
        let done = done.await.ok_or(StateError::Stopping)?;
        done.map_err(StateError::Storage)
    }
}

/// What the work came to; none when the runtime stopped before it was begun.
pub(crate) fn finished<T>(joined: Result<T, JoinError>) -> Option<T> {
    match joined {
        Ok(done) => Some(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => None,
        },
    }
}

fn read_indexed(engine: &State, from: Seq, limit: ReadLimit) -> Result<Vec<Indexed>, ReadError> {
    let watermark = engine.derived.watermark();
    let entries = engine
        .log
        .read(from, watermark, limit)
        .map_err(ReadError::Log)?;
    let Some(span) = Entry::span_of(&entries) else {
        return Ok(Vec::new());
    };
    let duplicates = engine.derived.duplicates(span).map_err(ReadError::Index)?;
    let entries = entries.into_iter();
    Ok(entries
        .map(|entry| Indexed::of(entry, &duplicates))
        .collect())
}

/// Trims all but what is wanted from some place on.
fn trim(engine: &State, now: Timestamp, wanted: Option<Seq>) -> Result<Trimmed, StateError> {
    let State {
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
        derived
            .flush(&|first| log.bytes_from(first))
            .map_err(StateError::Storage)?;
    }
    let trimmed = log
        .trim(&upto(derived.written()))
        .map_err(StateError::Trim)?;
    derived
        .trim(log.first(), now)
        .map_err(StateError::Storage)?;
    kept.trim(Place::new(Partition::ZERO, log.first()), now)
        .map_err(StateError::Storage)?;
    Ok(trimmed)
}
