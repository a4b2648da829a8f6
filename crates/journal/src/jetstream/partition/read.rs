//! Reading records: which packs they are in, and fetching those.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::time::sleep;

use super::Partition;
use crate::jetstream::blocking;
use crate::jetstream::numbering::Pack;
use crate::jetstream::pack;
use crate::jetstream::wire::WireError;
use crate::journal::ReadError;
use crate::lock::lock;
use crate::place::{Place, Seq};
use crate::record::{Entry, Indexed, ReadLimit, Record, Tombstone};

/// About how many records a page has.
pub(super) const PAGE_RECORDS: usize = 1000;
/// How many packs are fetched at once.
const FETCHES: usize = 16;
/// How often a pack that is counted and not found is asked for again: a leader
/// that was chosen a moment ago may not have it at hand.
const TRIES: u32 = 5;
const TRY_PAUSE: Duration = Duration::from_millis(200);

impl Partition {
    /// Records from `from` through `end`, in order, without a gap that is not an
    /// [`Entry`].
    pub(crate) async fn read(
        &self,
        from: Seq,
        end: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, ReadError> {
        let from = from.max(self.begins_at().seq).max(Seq::FIRST);
        let packs = self.packs(from, end, limit).await?;
        let mut fetched = stream::iter(packs)
            .map(|pack| self.fetch(pack))
            .buffered(FETCHES);
        let mut entries = Vec::new();
        let mut bytes = 0;
        while let Some(pack) = fetched.next().await {
            for entry in pack? {
                let Some(entry) = within(entry, from, end) else {
                    continue;
                };
                bytes += size(&entry);
                if !entries.is_empty() && (entries.len() >= limit.records || bytes > limit.bytes) {
                    return Ok(entries);
                }
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// As [`Partition::read`], no further than is indexed, each with its verdict.
    pub(crate) async fn read_indexed(
        &self,
        from: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<Indexed>, ReadError> {
        let watermark = self.view.index.watermark();
        let entries = self.read(from, watermark, limit).await?;
        let Some(span) = Entry::span_of(&entries) else {
            return Ok(Vec::new());
        };
        let view = Arc::clone(&self.view);
        let duplicates = blocking(move || view.duplicates(span)).await;
        let duplicates = duplicates
            .ok_or(ReadError::Stopping)?
            .map_err(ReadError::Index)?;
        let entries = entries.into_iter();
        Ok(entries
            .map(|entry| Indexed::of(entry, &duplicates))
            .collect())
    }

    /// The record; none when it is not there yet or not any more.
    pub(crate) async fn record(&self, seq: Seq) -> Result<Option<Record>, ReadError> {
        let durable = self.durable.borrow().unwrap_or(Seq::ZERO);
        if seq < self.begins_at().seq || seq > durable {
            return Ok(None);
        }
        let one = ReadLimit {
            records: 1,
            bytes: 0,
        };
        match self.read(seq, seq, one).await?.pop() {
            None => Ok(None),
            Some(Entry::Record(record)) => Ok(Some(record)),
            Some(Entry::Damaged { .. }) => Err(ReadError::Damaged(Place::new(self.number, seq))),
            Some(Entry::Erased(Tombstone {
                place, erased_at, ..
            })) => Err(ReadError::Erased {
                place,
                at: erased_at,
            }),
        }
    }

    /// The packs that hold records from `from` through `end`, enough for `limit`.
    pub(super) async fn packs(
        &self,
        from: Seq,
        end: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<Pack>, ReadError> {
        let mut packs: Vec<Pack> = Vec::new();
        let mut next = from;
        while next <= end && !is_enough(&packs, from, limit) {
            let more = self.packs_at(next, limit.records).await?;
            let known = packs.last().map_or(0, |pack| pack.sequence);
            let new = more
                .into_iter()
                .filter(|pack| pack.sequence > known && pack.last() >= next && pack.first <= end);
            let before = packs.len();
            packs.extend(new);
            match packs.last() {
                Some(last) if packs.len() > before => next = last.last().next(),
                _ => break,
            }
        }
        Ok(packs)
    }

    /// The packs from the one on that holds this record, as many as are known in
    /// one place; none while the record is not known at all. Never later ones alone:
    /// whoever reads them would take the record for read.
    async fn packs_at(&self, seq: Seq, records: usize) -> Result<Vec<Pack>, ReadError> {
        loop {
            // Known and taken at once: a page that arrives now takes its packs away.
            let was_indexed = {
                let numbering = lock(&self.numbering);
                if numbering.holds(seq) {
                    return Ok(numbering.packs_from(seq, records));
                }
                seq <= self.view.index.watermark()
            };
            let view = Arc::clone(&self.view);
            let page = blocking(move || view.page_at(seq)).await;
            let page = page.ok_or(ReadError::Stopping)?.map_err(ReadError::Index)?;
            match page {
                Some(page) => return Ok(page.packs),
                None if was_indexed => {
                    return Ok(self.elders().await.packs_from(seq, PAGE_RECORDS));
                }
                None if seq > self.view.index.watermark() => return Ok(Vec::new()),
                // Indexed meanwhile.
                None => {}
            }
        }
    }

    async fn fetch(&self, pack: Pack) -> Result<Vec<Entry>, ReadError> {
        let payload = self.payload(&pack).await;
        let payload = payload.map_err(|error| ReadError::Cluster {
            cause: error.to_string(),
        })?;
        let entries = match payload {
            Some(payload) => pack::decode(&pack, self.number, payload),
            None if pack.first < self.begins_at().seq => Vec::new(),
            None => pack::lost(&pack),
        };
        for entry in &entries {
            if let Entry::Damaged { first, last } = entry {
                lock(&self.damage).insert(*first, *last);
            }
        }
        Ok(entries)
    }

    async fn payload(&self, pack: &Pack) -> Result<Option<Bytes>, WireError> {
        if let Some(payload) = lock(&self.cache).get(pack.sequence) {
            return Ok(Some(payload));
        }
        let stream = self.names.log_stream(self.number);
        for _ in 0..TRIES {
            if let Some(message) = self.wire.get(&stream, pack.sequence).await? {
                self.keep_at_hand(pack.sequence, message.payload.clone());
                return Ok(Some(message.payload));
            }
            if pack.first < self.begins_at().seq {
                break;
            }
            sleep(TRY_PAUSE).await;
        }
        // Only a leader that has come as far can say that it is not there.
        let log = self.wire.state(&stream).await?;
        if log.last_sequence < pack.sequence {
            let cause = format!("the leader of {stream} has not caught up yet");
            return Err(WireError::Unavailable(cause));
        }
        Ok(None)
    }

    /// How many records could not be read since the journal was opened.
    pub(crate) fn damaged(&self) -> u64 {
        let damage = lock(&self.damage);
        let each = damage
            .iter()
            .map(|(first, last)| last.get() - first.get() + 1);
        each.sum()
    }

    /// The last record after `seq` that nothing but damage lies between.
    pub(super) fn step_over_damage(&self, seq: Seq) -> Seq {
        let damage = lock(&self.damage);
        let mut at = seq;
        while let Some(last) = damage.get(&at.next()) {
            at = *last;
        }
        at
    }
}

/// Whether the packs hold as much as is wanted: the last may go beyond it.
fn is_enough(packs: &[Pack], from: Seq, limit: ReadLimit) -> bool {
    let Some(last) = packs.last() else {
        return false;
    };
    let records = last.last().get().saturating_sub(from.get()) + 1;
    let bytes: usize = packs.iter().skip(1).map(|pack| pack.bytes as usize).sum();
    usize::try_from(records).unwrap_or(usize::MAX) >= limit.records || bytes >= limit.bytes
}

/// The part of an entry that is asked for.
fn within(entry: Entry, from: Seq, end: Seq) -> Option<Entry> {
    match entry {
        Entry::Record(record) => {
            let seq = record.place.seq;
            (from <= seq && seq <= end).then_some(Entry::Record(record))
        }
        Entry::Erased(tombstone) => {
            let seq = tombstone.place.seq;
            (from <= seq && seq <= end).then_some(Entry::Erased(tombstone))
        }
        Entry::Damaged { first, last } => {
            let (first, last) = (first.max(from), last.min(end));
            (first <= last).then_some(Entry::Damaged { first, last })
        }
    }
}

fn size(entry: &Entry) -> usize {
    match entry {
        Entry::Record(record) => {
            let signer = record.signed_by.as_ref().map_or(0, String::len);
            record.body.len() + record.workspace.len() + signer
        }
        Entry::Damaged { .. } | Entry::Erased(_) => 0,
    }
}
