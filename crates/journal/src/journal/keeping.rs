//! Dead letters and settings.

use bytes::Bytes;
use tokio::sync::watch;

use super::{Engine, Journal, StateError, name, on_engine};
use crate::settle::{DeadLetter, DeadLetterFilter, DeadLetterId, Revision, Setting};

/// Why a setting was not put or removed.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Somebody else changed it: read it again.
    #[error("the setting was changed meanwhile")]
    Conflict {
        /// Its revision now; none when it does not exist.
        found: Option<Revision>,
    },
    /// The state could not be changed.
    #[error("cannot change the setting")]
    State(#[source] StateError),
}

/// Dead letters and settings.
impl Journal {
    /// The dead letters that pass `filter`, newest first.
    pub async fn dead_letters(
        &self,
        filter: DeadLetterFilter,
    ) -> Result<Vec<DeadLetter>, StateError> {
        on_engine!(self, engine => engine.dead_letters(filter).await)
    }

    /// The dead letter with this id; none when it was removed or never was.
    pub async fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, StateError> {
        on_engine!(self, engine => engine.dead_letter(id).await)
    }

    /// How many dead letters there are. Takes no longer for many than for few.
    pub async fn dead_letter_count(&self) -> Result<u64, StateError> {
        on_engine!(self, engine => engine.dead_letter_count().await)
    }

    /// Removes a dead letter for good; says whether there was one.
    pub async fn remove_dead_letter(&self, id: DeadLetterId) -> Result<bool, StateError> {
        on_engine!(self, engine => engine.remove_dead_letter(id).await)
    }

    /// Removes dead letters for good; says how many there were. In one transaction
    /// where one process keeps them, which one sync makes durable.
    pub async fn remove_dead_letters(&self, ids: Vec<DeadLetterId>) -> Result<u64, StateError> {
        on_engine!(self, engine => engine.remove_dead_letters(ids).await)
    }

    /// The setting of that key; none when it was never put.
    pub async fn setting(&self, key: &str) -> Result<Option<Setting>, StateError> {
        let key = name(key)?;
        on_engine!(self, engine => engine.setting(key).await)
    }

    /// Puts a setting, provided that its revision is still `expected`, or that
    /// it does not exist where nothing is expected. Durable when it returns.
    pub async fn put_setting(
        &self,
        key: &str,
        value: Bytes,
        expected: Option<Revision>,
    ) -> Result<Revision, PutError> {
        let key = name(key).map_err(PutError::State)?;
        on_engine!(self, engine => engine.put_setting(key, value, expected).await)
    }

    /// Removes a setting for good, provided that its revision is still `expected`.
    /// Durable when it returns; its bytes leave the disks when the files that hold
    /// them are next written anew.
    pub async fn remove_setting(&self, key: &str, expected: Revision) -> Result<(), PutError> {
        let key = name(key).map_err(PutError::State)?;
        on_engine!(self, engine => engine.remove_setting(key, expected).await)
    }

    /// Follows the settings: the number grows with each change of any of them.
    pub fn watch_settings(&self) -> watch::Receiver<u64> {
        on_engine!(self, engine => engine.watch_settings())
    }
}
