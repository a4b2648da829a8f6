//! What the indexer writes and everybody searches.

use tokio::sync::watch;

use super::{Engine, Journal, StateError, check_letter, on_engine};
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
        self.known(partition)
            .map_err(StateError::UnknownPartition)?;
        let mut burials = entries.iter().filter_map(|entry| entry.burial.as_ref());
        burials.try_for_each(check_letter)?;
        on_engine!(self, engine => engine.index(partition, entries).await)
    }

    /// Throws the whole index away; the indexer starts over from the first kept
    /// record. Claims of records that were trimmed are gone for good. Burials
    /// that were made are not made again.
    pub async fn rebuild_index(&self) -> Result<(), StateError> {
        on_engine!(self, engine => engine.rebuild_index().await)
    }

    /// Follows the last indexed record. In a partition that the journal does
    /// not have there is never any.
    pub fn indexed(&self, partition: Partition) -> watch::Receiver<Option<Seq>> {
        match self.known(partition) {
            Ok(()) => on_engine!(self, engine => engine.indexed(partition)),
            Err(_) => watch::Sender::new(None).subscribe(),
        }
    }

    /// Up to `limit` records that bear `term`, newest first.
    pub async fn look_up(&self, term: &Term, limit: usize) -> Result<Vec<Place>, StateError> {
        let term = term.clone();
        on_engine!(self, engine => engine.look_up(term, limit).await)
    }

    /// Whether the record is the first to bear its event; none when it is not
    /// indexed yet, or not kept any more.
    pub async fn verdict(&self, place: Place) -> Result<Option<Verdict>, StateError> {
        self.known(place.partition)
            .map_err(StateError::UnknownPartition)?;
        on_engine!(self, engine => engine.verdict(place).await)
    }
}
