//! Erasing from the embedded engine: the log first, since it is what all else comes
//! back from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::halves::State;
use super::{Embedded, folder};
use crate::index::ClaimKey;
use crate::journal::{EraseError, Leavings, StateError};
use crate::place::{Partition, Place, Seq};
use crate::state::Fault;

impl Embedded {
    /// See [`crate::Journal::erase`].
    pub(crate) async fn erase(
        self: &Arc<Self>,
        records: BTreeMap<Place, ClaimKey>,
        now: Timestamp,
    ) -> Result<u64, EraseError> {
        let erased = self.blocking(move |engine| {
            let erased = engine.with_state(|state| erase(state, &records, now));
            erased.map_err(|fault| EraseError::State(StateError::Storage(fault)))?
        });
        let stopping = EraseError::State(StateError::Stopping);
        erased.await.ok_or(stopping)?
    }

    /// See [`crate::Journal::scrub`].
    pub(crate) async fn scrub(self: &Arc<Self>, leavings: Leavings) -> Result<u64, EraseError> {
        let scrubbed = self.on_state(move |engine| {
            let removed = engine.kept.erase_letters(&leavings.letters)?;
            engine.kept.erase_traces(&leavings.traces)?;
            engine.kept.scrub()?;
            Ok(removed)
        });
        scrubbed.await.map_err(EraseError::State)
    }
}

fn erase(
    engine: &State,
    records: &BTreeMap<Place, ClaimKey>,
    now: Timestamp,
) -> Result<u64, EraseError> {
    let Some(last) = records.keys().next_back() else {
        return Ok(0);
    };
    if *last > Place::new(Partition::ZERO, engine.derived.watermark()) {
        return Err(EraseError::NotIndexed(*last));
    }
    folder::raise_format(&engine.config.dir).map_err(EraseError::Format)?;
    let doomed = records.iter().map(|(place, key)| (place.seq, *key));
    let doomed: BTreeMap<Seq, ClaimKey> = doomed.collect();
    let erased = engine.log.erase(&doomed, now).map_err(EraseError::Log)?;
    let bare: BTreeSet<Seq> = doomed.into_keys().collect();
    let in_state = |fault: Fault| EraseError::State(StateError::Storage(fault));
    engine.derived.erase(&bare).map_err(in_state)?;
    Ok(erased)
}
