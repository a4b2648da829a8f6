//! How far each connection has come, and what it claimed and did on the way.

use super::{Engine, Journal, StateError, check_letter, name, on_engine};
use crate::index::ClaimKey;
use crate::place::{Partition, Place, Seq};
use crate::settle::{Settlement, Trace};

/// Cursors, claims and traces of connections.
impl Journal {
    /// Through which record `connection` has settled, [`Seq::ZERO`] being none;
    /// nothing when its cursor was never placed.
    pub async fn cursor(
        &self,
        connection: &str,
        partition: Partition,
    ) -> Result<Option<Seq>, StateError> {
        self.known(partition)
            .map_err(StateError::UnknownPartition)?;
        let connection = name(connection)?;
        on_engine!(self, engine => engine.cursor(connection, partition).await)
    }

    /// Puts the cursor of `connection` behind `settled`, forwards or backwards.
    /// Durable when it returns.
    pub async fn place_cursor(
        &self,
        connection: &str,
        partition: Partition,
        settled: Seq,
    ) -> Result<(), StateError> {
        let place = self.durable_place(partition, settled)?;
        let connection = name(connection)?;
        on_engine!(self, engine => engine.place_cursor(connection, place).await)
    }

    /// Who holds each of these first-only claims of `connection`, among the
    /// records of this partition.
    pub async fn first_claims(
        &self,
        connection: &str,
        partition: Partition,
        keys: &[ClaimKey],
    ) -> Result<Vec<Option<Place>>, StateError> {
        self.known(partition)
            .map_err(StateError::UnknownPartition)?;
        let connection = name(connection)?;
        let keys = keys.to_vec();
        on_engine!(self, engine => engine.first_claims(connection, partition, keys).await)
    }

    /// Moves a cursor, with the claims, burials and traces that were made on the way.
    /// Durable when it returns, the cursor never without the rest. After an error
    /// in between, settling the same again changes nothing that was done.
    ///
    /// A cursor that is already further stays; a claim that is held stays with
    /// its holder.
    pub async fn settle(&self, settlement: Settlement) -> Result<(), StateError> {
        self.durable_place(settlement.partition, settlement.through)?;
        name(&settlement.connection)?;
        let mut letters = settlement.dead_letters.iter();
        letters.try_for_each(check_letter)?;
        for trace in &settlement.traces {
            self.durable_place(settlement.partition, trace.through)?;
            check_trace(trace)?;
        }
        on_engine!(self, engine => engine.settle(settlement).await)
    }

    /// Up to `limit` traces of `connection` that cover the record at `place`, from
    /// the one that ends last to the one that ends first.
    ///
    /// Looks at no more than [`Trace::MAX_LOOKED_AT`] traces that end there or
    /// behind: one that ends behind so many others is not found.
    pub async fn traces(
        &self,
        connection: &str,
        place: Place,
        limit: usize,
    ) -> Result<Vec<Trace>, StateError> {
        self.known(place.partition)
            .map_err(StateError::UnknownPartition)?;
        let connection = name(connection)?;
        on_engine!(self, engine => engine.traces(connection, place, limit).await)
    }

    /// Makes every first-only claim of `connection` free again.
    pub async fn reset_claims(&self, connection: &str) -> Result<(), StateError> {
        let connection = name(connection)?;
        on_engine!(self, engine => engine.reset_claims(connection).await)
    }

    /// Forgets the cursors, claims and traces of `connection`. Its dead letters stay.
    pub async fn forget_connection(&self, connection: &str) -> Result<(), StateError> {
        let connection = name(connection)?;
        on_engine!(self, engine => engine.forget_connection(connection).await)
    }

    /// Nothing may depend on a record that a power cut could take away.
    fn durable_place(&self, partition: Partition, seq: Seq) -> Result<Place, StateError> {
        self.known(partition)
            .map_err(StateError::UnknownPartition)?;
        let durable = *self.durable(partition).borrow();
        if seq > durable.unwrap_or(Seq::ZERO) {
            return Err(StateError::NotDurable { seq });
        }
        Ok(Place::new(partition, seq))
    }
}

fn check_trace(trace: &Trace) -> Result<(), StateError> {
    let bytes = trace.value.len();
    if bytes > Trace::MAX_VALUE_BYTES {
        return Err(StateError::TraceTooLong { bytes });
    }
    Ok(())
}
