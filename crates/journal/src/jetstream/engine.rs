//! The cluster engine as a journal wants it: every promise of the seam, by
//! partition.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::sync::watch;

use super::duties::Taken;
use super::kept::Kept;
use super::names::KeptKey;
use super::partition::{Expiry, Partition};
use super::wire::WireError;
use super::{Member, blocking};
use crate::append::Permit;
use crate::embedded::log::Trimmed;
use crate::index::{ClaimKey, IndexEntry, Term};
use crate::journal::{PartitionStats, PutError, ReadError, StateError, Stats};
use crate::lock::lock;
use crate::peers::{Duty, Tenure};
use crate::place::{Partition as Number, Place, Seq};
use crate::record::{Entry, Indexed, ReadLimit, Record, Verdict};
use crate::room::{Health, Unavailable};
use crate::settle::{
    DeadLetter, DeadLetterFilter, DeadLetterId, Revision, Setting, Settlement, Trace,
};

/// The pause before a duty is tried again that the cluster did not fence.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Dead letters that are removed at once.
const REMOVALS: usize = 32;

impl Member {
    /// The partition of this number, which the journal has checked that it has.
    fn partition(&self, number: Number) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::from(number.get()))
    }

    fn of_state(&self, number: Number) -> Result<&Arc<Partition>, StateError> {
        let partition = self.partition(number);
        partition.ok_or(StateError::UnknownPartition(number))
    }

    fn of_log(&self, number: Number) -> Result<&Arc<Partition>, ReadError> {
        let partition = self.partition(number);
        partition.ok_or(ReadError::UnknownPartition(number))
    }

    pub(crate) fn stats(&self) -> Stats {
        let partitions = self.partitions.iter().map(|partition| {
            let last = *partition.durable().borrow();
            let first = partition.begins_at().seq;
            PartitionStats {
                partition: partition.number,
                first: last.is_some_and(|last| first <= last).then_some(first),
                last,
                indexed: *partition.indexed().borrow(),
            }
        });
        let failed = self.partitions.iter().find_map(|each| each.failed());
        Stats {
            partitions: partitions.collect(),
            bytes: self.room.disk_bytes(),
            max_bytes: self.config.local.max_bytes,
            pieces: self.partitions.iter().map(|each| each.packs_kept()).sum(),
            damaged: self.partitions.iter().map(|each| each.damaged()).sum(),
            disk: None,
            health: match failed {
                Some(cause) => Health::Failing { cause },
                None => self.room.health(),
            },
        }
    }

    pub(crate) async fn shut(&self) -> Result<(), StateError> {
        self.leave().await;
        Ok(())
    }
}

/// Records.
impl Member {
    pub(crate) fn reserve(&self, body_bytes: usize) -> Result<Permit, Unavailable> {
        let claim = self.room.claim(body_bytes)?;
        let queue = lock(&self.queue).clone().ok_or(Unavailable::Closing)?;
        Ok(Permit { claim, queue })
    }

    pub(crate) fn durable(&self, number: Number) -> watch::Receiver<Option<Seq>> {
        match self.partition(number) {
            Some(partition) => partition.durable(),
            None => watch::Sender::new(None).subscribe(),
        }
    }

    pub(crate) async fn read(
        &self,
        from: Place,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, ReadError> {
        let partition = self.of_log(from.partition)?;
        let end = partition.durable().borrow().unwrap_or(Seq::ZERO);
        partition.read(from.seq, end, limit).await
    }

    pub(crate) async fn read_indexed(
        &self,
        from: Place,
        limit: ReadLimit,
    ) -> Result<Vec<Indexed>, ReadError> {
        let partition = self.of_log(from.partition)?;
        partition.read_indexed(from.seq, limit).await
    }

    pub(crate) async fn record(&self, place: Place) -> Result<Option<Record>, ReadError> {
        self.of_log(place.partition)?.record(place.seq).await
    }

    /// Trims the partitions whose index is this node's duty, or nobody's.
    pub(crate) async fn trim(
        &self,
        now: Timestamp,
        keep: Vec<(Number, Seq)>,
    ) -> Result<Trimmed, StateError> {
        let mut trimmed = Trimmed::default();
        for partition in &self.partitions {
            if self.may_trim(partition.number) {
                let kept = keep
                    .iter()
                    .filter(|(number, _)| *number == partition.number);
                let keep_from = kept.map(|(_, seq)| *seq).min();
                let expiry = Expiry {
                    now,
                    retention: self.config.local.retention,
                    max_bytes: self.config.local.max_bytes / u64::from(self.config.partitions),
                    keep_from: keep_from.unwrap_or(Seq::new(u64::MAX)),
                };
                let more = partition.trim(&expiry).await?;
                self.room.freed(more.bytes);
                trimmed.pieces += more.pieces;
                trimmed.bytes += more.bytes;
            }
            partition.trim_view(now).await?;
        }
        Ok(trimmed)
    }

    fn may_trim(&self, number: Number) -> bool {
        let row = self.kept.get(&KeptKey::Duty(Duty::Index(number)));
        row.is_none_or(|row| row.value == self.nodes.this().0.as_bytes())
    }
}

/// The index.
impl Member {
    pub(crate) fn indexed(&self, number: Number) -> watch::Receiver<Option<Seq>> {
        match self.partition(number) {
            Some(partition) => partition.indexed(),
            None => watch::Sender::new(None).subscribe(),
        }
    }

    pub(crate) async fn index(
        &self,
        number: Number,
        entries: Vec<IndexEntry>,
    ) -> Result<Vec<Verdict>, StateError> {
        self.of_state(number)?.index(entries).await
    }

    pub(crate) async fn rebuild_index(&self) -> Result<(), StateError> {
        for partition in &self.partitions {
            partition.rebuild_index().await?;
        }
        Ok(())
    }

    /// Newest first across partitions, by when pages arrived.
    pub(crate) async fn look_up(&self, term: Term, limit: usize) -> Result<Vec<Place>, StateError> {
        let mut found = Vec::new();
        for partition in &self.partitions {
            let (view, first) = (Arc::clone(&partition.view), partition.begins_at().seq);
            let term = term.clone();
            let more = blocking(move || view.look_up(&term, first, limit)).await;
            let more = more.ok_or(StateError::Stopping)?;
            found.extend(more.map_err(StateError::Storage)?);
        }
        found.sort_by(|(left_at, left), (right_at, right)| {
            (right_at, right.seq).cmp(&(left_at, left.seq))
        });
        Ok(found
            .into_iter()
            .map(|(_, place)| place)
            .take(limit)
            .collect())
    }

    pub(crate) async fn verdict(&self, place: Place) -> Result<Option<Verdict>, StateError> {
        let partition = self.of_state(place.partition)?;
        let indexed = partition.indexed().borrow().unwrap_or(Seq::ZERO);
        let seq = place.seq;
        if seq < partition.begins_at().seq || seq > indexed {
            return Ok(None);
        }
        let view = Arc::clone(&partition.view);
        let duplicates = blocking(move || view.duplicates(seq..=seq)).await;
        let duplicates = duplicates.ok_or(StateError::Stopping)?;
        let duplicates = duplicates.map_err(StateError::Storage)?;
        let earlier = duplicates.get(&seq).copied();
        Ok(Some(earlier.map_or(Verdict::First, Verdict::DuplicateOf)))
    }
}

/// Connections.
impl Member {
    #[expect(clippy::unused_async, reason = "the other engine waits")]
    pub(crate) async fn cursor(
        &self,
        connection: String,
        number: Number,
    ) -> Result<Option<Seq>, StateError> {
        Ok(self.of_state(number)?.cursor(&connection))
    }

    pub(crate) async fn place_cursor(
        &self,
        connection: String,
        settled: Place,
    ) -> Result<(), StateError> {
        let partition = self.of_state(settled.partition)?;
        partition.place_cursor(&connection, settled.seq).await
    }

    pub(crate) async fn first_claims(
        &self,
        connection: String,
        number: Number,
        keys: Vec<ClaimKey>,
    ) -> Result<Vec<Option<Place>>, StateError> {
        let partition = self.of_state(number)?;
        partition.first_claims(connection, keys).await
    }

    pub(crate) async fn settle(&self, settlement: Settlement) -> Result<(), StateError> {
        self.of_state(settlement.partition)?
            .settle(settlement)
            .await
    }

    pub(crate) async fn traces(
        &self,
        connection: String,
        place: Place,
        limit: usize,
    ) -> Result<Vec<Trace>, StateError> {
        let partition = self.of_state(place.partition)?;
        partition.traces(connection, place.seq, limit).await
    }

    pub(crate) async fn reset_claims(&self, connection: String) -> Result<(), StateError> {
        for partition in &self.partitions {
            partition.reset_claims(&connection).await?;
        }
        Ok(())
    }

    pub(crate) async fn forget_connection(&self, connection: String) -> Result<(), StateError> {
        for partition in &self.partitions {
            partition.forget_connection(&connection).await?;
        }
        Ok(())
    }
}

/// Dead letters and settings.
impl Member {
    pub(crate) async fn dead_letters(
        &self,
        filter: DeadLetterFilter,
    ) -> Result<Vec<DeadLetter>, StateError> {
        Ok(self.letters.list(&filter).await?)
    }

    pub(crate) async fn dead_letter(
        &self,
        id: DeadLetterId,
    ) -> Result<Option<DeadLetter>, StateError> {
        Ok(self.letters.get(id).await?)
    }

    #[expect(clippy::unused_async, reason = "the other engine waits")]
    pub(crate) async fn dead_letter_count(&self) -> Result<u64, StateError> {
        Ok(self.letters.count())
    }

    pub(crate) async fn remove_dead_letter(&self, id: DeadLetterId) -> Result<bool, StateError> {
        Ok(self.letters.remove(id).await?)
    }

    pub(crate) async fn remove_dead_letters(
        &self,
        ids: Vec<DeadLetterId>,
    ) -> Result<u64, StateError> {
        let removals = stream::iter(ids).map(|id| self.letters.remove(id));
        let mut removals = removals.buffer_unordered(REMOVALS);
        let mut n_removed = 0;
        while let Some(removed) = removals.next().await {
            n_removed += u64::from(removed?);
        }
        Ok(n_removed)
    }

    #[expect(clippy::unused_async, reason = "the other engine waits")]
    pub(crate) async fn setting(&self, key: String) -> Result<Option<Setting>, StateError> {
        let row = self.kept.get(&KeptKey::Setting(key));
        Ok(row.map(|row| Setting {
            value: row.value.slice(SETTING_MARK.len()..),
            revision: Revision::new(row.revision),
        }))
    }

    pub(crate) async fn put_setting(
        &self,
        key: String,
        value: Bytes,
        expected: Option<Revision>,
    ) -> Result<Revision, PutError> {
        let marked = [SETTING_MARK, &value].concat().into();
        self.change_setting(key, marked, expected).await
    }

    pub(crate) async fn remove_setting(
        &self,
        key: String,
        expected: Revision,
    ) -> Result<(), PutError> {
        let removed = self.change_setting(key, Bytes::new(), Some(expected));
        removed.await.map(drop)
    }

    /// Puts a value over `expected`, or over there being none.
    async fn change_setting(
        &self,
        key: String,
        value: Bytes,
        expected: Option<Revision>,
    ) -> Result<Revision, PutError> {
        let key = KeptKey::Setting(key);
        // Where there is none any more, a message says so.
        let last = expected.map_or_else(|| self.kept.revision(&key), Revision::get);
        let found = found(&self.kept, &key);
        if found != expected {
            return Err(PutError::Conflict { found });
        }
        match self.kept.put(&key, value, Some(last)).await {
            Ok(revision) => Ok(Revision::new(revision)),
            Err(WireError::Overtaken) => {
                // Another node's; it is read here within moments.
                let mut rows = self.kept.watch();
                while self.kept.revision(&key) == last {
                    rows.changed().await.ok();
                }
                let found = self::found(&self.kept, &key);
                Err(PutError::Conflict { found })
            }
            Err(error) => Err(PutError::State(error.into())),
        }
    }

    pub(crate) fn watch_settings(&self) -> watch::Receiver<u64> {
        self.kept.watch_settings()
    }
}

/// An empty value says that there is none, and a setting may be empty.
const SETTING_MARK: &[u8] = b"=";

fn found(kept: &Kept, key: &KeptKey) -> Option<Revision> {
    kept.get(key).map(|row| Revision::new(row.revision))
}

/// Duties.
impl Member {
    /// Waits for this node's turn at a duty, and takes it.
    pub(crate) async fn take(&self, duty: &Duty) -> Result<Tenure, StateError> {
        let number = match duty {
            Duty::Index(number) => *number,
            Duty::Feed { partition, .. } => *partition,
        };
        let partition = self.of_state(number)?;
        loop {
            let revision = self.duties.take(duty).await;
            // What the holder before has kept lies before this.
            self.kept.wait_for(revision).await;
            let over = watch::Sender::new(false);
            let fenced = partition
                .fence(duty, &self.nodes.this().0, over.clone())
                .await;
            let (tenure, dropped) = Tenure::until(over.subscribe());
            let taken = Taken {
                duty: duty.clone(),
                revision,
                over,
                dropped,
            };
            let watching = self.duties.clone().watch_over(taken);
            {
                let mut tasks = lock(&self.tasks);
                while tasks.try_join_next().is_some() {}
                tasks.spawn(watching);
            }
            match fenced {
                Ok(()) => return Ok(tenure),
                Err(error) => {
                    tracing::debug!("cannot take {duty} yet: {error}");
                    drop(tenure);
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}
