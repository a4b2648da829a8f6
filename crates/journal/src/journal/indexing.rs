//! What the indexer writes and everybody searches.

use tokio::sync::watch;

use super::{Journal, StateError, check_letter, known};
use crate::embedded::{Embedded, IndexFault};
use crate::index::{IndexEntry, Term};
use crate::place::{Partition, Place, Seq};
use crate::record::Verdict;

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
        let mut burials = entries.iter().filter_map(|entry| entry.burial.as_ref());
        burials.try_for_each(check_letter)?;
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
