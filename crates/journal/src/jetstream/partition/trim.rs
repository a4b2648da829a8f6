//! Gives the servers' disks room back, pack by pack, oldest first.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::Partition;
use super::read::PAGE_RECORDS;
use crate::embedded::log::Trimmed;
use crate::jetstream::blocking;
use crate::jetstream::numbering::{Anchor, Pack};
use crate::journal::StateError;
use crate::lock::lock;
use crate::place::{Place, Seq};

/// The part of the byte budget that trimming keeps free, so that intake need
/// not wait for it: one in this many.
const FREE_SHARE: u64 = 8;

/// What may go from a partition.
pub(crate) struct Expiry {
    /// The time it is.
    pub(crate) now: Timestamp,
    /// How long records are kept.
    pub(crate) retention: Duration,
    /// The partition's share of the byte budget.
    pub(crate) max_bytes: u64,
    /// The first record that must stay.
    pub(crate) keep_from: Seq,
}

impl Partition {
    /// Trims packs that are older than the retention, or as many as keep a part
    /// of the budget free; never one that is not indexed.
    pub(crate) async fn trim(&self, expiry: &Expiry) -> Result<Trimmed, StateError> {
        let stream = self.names.log_stream(self.number);
        let log = self.wire.state(&stream).await?;
        self.measured(log.bytes);
        let doomed = self.doomed(expiry, log.bytes).await?;
        let Some(last) = doomed.last() else {
            return Ok(Trimmed::default());
        };
        let anchor = Anchor {
            sequence: last.sequence + 1,
            seq: last.last().next(),
        };
        // Where the log begins is known before what is in front of it is gone.
        self.begin_at(anchor).await?;
        let purge_below = self.begins_of_kept(anchor).await?;
        self.wire.purge_below(&stream, purge_below).await?;
        let left = self.wire.state(&stream).await?.bytes;
        self.measured(left);
        lock(&self.damage).retain(|_, last| *last >= anchor.seq);
        Ok(Trimmed {
            pieces: doomed.len() as u64,
            bytes: log.bytes.saturating_sub(left),
        })
    }

    /// The packs that may go.
    async fn doomed(&self, expiry: &Expiry, log_bytes: u64) -> Result<Vec<Pack>, StateError> {
        let mut over = log_bytes.saturating_sub(expiry.max_bytes - expiry.max_bytes / FREE_SHARE);
        let mut doomed: Vec<Pack> = Vec::new();
        let mut next = self.begins_at().seq;
        let end = expiry.keep_from.min(self.view.index.watermark().next());
        while next < end {
            let (packs, expired) = self.next_page(next, expiry).await?;
            if packs.is_empty() {
                break;
            }
            let through = packs.last().map_or(next, Pack::last);
            for pack in packs {
                if pack.last() < next {
                    continue;
                }
                if pack.last() >= end || !(expired || over > 0) {
                    return Ok(doomed);
                }
                over = over.saturating_sub(u64::from(pack.bytes));
                next = pack.last().next();
                doomed.push(pack);
            }
            next = next.max(through.next());
        }
        Ok(doomed)
    }

    /// The packs of the page that holds `seq`, and whether all its records are
    /// older than the retention.
    async fn next_page(&self, seq: Seq, expiry: &Expiry) -> Result<(Vec<Pack>, bool), StateError> {
        let view = Arc::clone(&self.view);
        let page = blocking(move || view.page_at(seq)).await;
        let page = page.ok_or(StateError::Stopping)?;
        let Some(page) = page.map_err(StateError::Storage)? else {
            // The state keeps pages for longer than the log keeps records.
            let elders = self.elders().await;
            return Ok((elders.packs_from(seq, PAGE_RECORDS), true));
        };
        let newest = Timestamp::from_second(page.newest_second).unwrap_or(Timestamp::MAX);
        let age = Duration::try_from(expiry.now.duration_since(newest)).unwrap_or_default();
        Ok((page.packs, age >= expiry.retention))
    }

    /// The first message that a kept pack needs: its parts may lie before packs
    /// that go.
    async fn begins_of_kept(&self, anchor: Anchor) -> Result<u64, StateError> {
        let view = Arc::clone(&self.view);
        let page = blocking(move || view.page_at(anchor.seq)).await;
        let page = page.ok_or(StateError::Stopping)?;
        let page = page.map_err(StateError::Storage)?;
        let indexed = page.map(|page| page.packs).unwrap_or_default();
        let young = lock(&self.numbering).packs_from(anchor.seq, usize::MAX);
        let kept = indexed.into_iter().chain(young);
        let kept = kept.filter(|pack| pack.sequence >= anchor.sequence);
        let begins = kept.map(|pack| pack.begins).min();
        Ok(begins.map_or(anchor.sequence, |begins| begins.min(anchor.sequence)))
    }

    /// Lets go of what the view knows of trimmed records and expired claims.
    pub(crate) async fn trim_view(&self, now: Timestamp) -> Result<(), StateError> {
        let first = Place::new(self.number, self.begins_at().seq);
        let view = Arc::clone(&self.view);
        let trimmed = blocking(move || {
            view.index.trim(first.seq, now)?;
            view.firsts.trim(first, now)
        });
        let trimmed = trimmed.await.ok_or(StateError::Stopping)?;
        trimmed.map_err(StateError::Storage)
    }

    /// Notes what the log takes.
    pub(crate) fn measured(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// What the log took when it was measured last.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many bytes of the log a record takes, about.
    pub(crate) fn bytes_per_record(&self) -> u64 {
        let first = self.begins_at().seq.get();
        let last = self.durable.borrow().map_or(0, Seq::get);
        self.bytes() / (last.saturating_sub(first) + 1).max(1)
    }
}
