//! What connections did with records, by the last record of each: written with
//! their cursors, found by a record, gone with the log.

use std::ops::Bound;

use fjall::OwnedWriteBatch;

use super::fault::Fault;
use super::kept::Kept;
use super::rows;
use crate::lock::lock;
use crate::place::{Partition, Place, Seq};
use crate::settle::Trace;

/// How many traces are removed in one transaction.
const REMOVED_TOGETHER: usize = 4096;

impl Kept {
    /// Takes in traces of a connection in a partition.
    pub(crate) fn trace(&self, whose: (&str, Partition), new: &[Trace]) -> Result<(), Fault> {
        let _alone = lock(&self.writer);
        let mut batch = self.database.batch();
        self.add_traces(&mut batch, whose, new);
        self.commit(batch)
    }

    /// Adds traces of a connection in a partition, in place of those that end with
    /// the same records. What ends where everything is trimmed is left out.
    pub(super) fn add_traces(
        &self,
        batch: &mut OwnedWriteBatch,
        (connection, partition): (&str, Partition),
        new: &[Trace],
    ) {
        let owner = rows::traces_of(partition, connection);
        let first = lock(&self.trimmed).get(&partition).copied();
        let kept = new.iter().filter(|trace| Some(trace.through) >= first);
        for trace in kept {
            let key = rows::trace(owner.clone(), trace.through);
            batch.insert(&self.traces, key, rows::trace_value(trace));
        }
    }

    /// Up to `limit` traces that cover the record, the one that ends last first.
    pub(crate) fn traces(
        &self,
        connection: &str,
        place: Place,
        limit: usize,
    ) -> Result<Vec<Trace>, Fault> {
        let owner = rows::traces_of(place.partition, connection);
        let nearest = rows::trace(owner.clone(), place.seq);
        let last = rows::trace(owner, Seq::new(u64::MAX));
        let mut found = Vec::new();
        for row in self.traces.range(nearest..=last).take(Trace::MAX_LOOKED_AT) {
            let (key, value) = row.into_inner()?;
            let trace = rows::parse_trace(&key, value.into()).ok_or(Fault::Row("trace"))?;
            if trace.first <= place.seq {
                found.push(trace);
            }
        }
        found.reverse();
        found.truncate(limit);
        Ok(found)
    }

    /// The last record in a partition that any trace ends with.
    pub(super) fn last_traced(&self, partition: Partition) -> Result<Seq, Fault> {
        let mut last = Seq::ZERO;
        for owner in self.owners()? {
            if owner.starts_with(&partition.get().to_be_bytes())
                && let Some(row) = self.traces.prefix(owner).next_back()
            {
                let through = rows::last_number(&row.key()?).ok_or(Fault::Row("trace"))?;
                last = last.max(Seq::new(through));
            }
        }
        Ok(last)
    }

    /// Removes the traces in a partition that end before its first kept record.
    /// Costs nothing while that stays where it is.
    pub(super) fn trim_traces(&self, first: Place) -> Result<(), Fault> {
        {
            // Whoever settles behind this adds nothing that should be gone.
            let _alone = lock(&self.writer);
            let before = lock(&self.trimmed).insert(first.partition, first.seq);
            if before == Some(first.seq) {
                return Ok(());
            }
        }
        for owner in self.owners()? {
            if owner.starts_with(&first.partition.get().to_be_bytes()) {
                self.remove_traces(owner, first.seq)?;
            }
        }
        Ok(())
    }

    /// Removes the traces of a connection.
    pub(crate) fn forget_traces(&self, connection: &str) -> Result<(), Fault> {
        for owner in self.owners()? {
            let in_any = rows::traces_of(Partition::ZERO, connection);
            if owner.get(2..) == in_any.get(2..) {
                self.remove_traces(owner, Seq::new(u64::MAX))?;
            }
        }
        Ok(())
    }

    /// The beginnings of the keys of whoever has traces: as many look-ups as there
    /// are of them.
    fn owners(&self) -> Result<Vec<Vec<u8>>, Fault> {
        let mut owners = Vec::new();
        let mut behind = Bound::Unbounded;
        loop {
            let mut rows = self.traces.range::<Vec<u8>, _>((behind, Bound::Unbounded));
            let Some(row) = rows.next() else {
                return Ok(owners);
            };
            let key = row.key()?;
            let owner = rows::trace_owner(&key).ok_or(Fault::Row("trace"))?;
            let last = rows::trace(owner.to_vec(), Seq::new(u64::MAX));
            behind = Bound::Excluded(last);
            owners.push(owner.to_vec());
        }
    }

    /// Removes an owner's traces that end below `end`, some at a time.
    fn remove_traces(&self, owner: Vec<u8>, end: Seq) -> Result<(), Fault> {
        let first = rows::trace(owner.clone(), Seq::ZERO);
        let mut doomed = self.traces.range(first..rows::trace(owner, end));
        loop {
            let _alone = lock(&self.writer);
            let mut batch = self.database.batch();
            let mut n_removed = 0;
            for row in doomed.by_ref().take(REMOVED_TOGETHER) {
                batch.remove(&self.traces, row.key()?);
                n_removed += 1;
            }
            if n_removed == 0 {
                return Ok(());
            }
            self.commit(batch)?;
        }
    }
}
