//! Dead letters and settings.

use bytes::Bytes;
use tokio::sync::watch;

use super::{Journal, StateError, name};
use crate::embedded::Put;
use crate::settle::{DeadLetter, DeadLetterFilter, DeadLetterId, Revision, Setting};

/// Why a setting was not put.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Somebody else changed it: read it again.
    #[error("the setting was changed meanwhile")]
    Conflict {
        /// Its revision now; none when it does not exist.
        found: Option<Revision>,
    },
    /// The state could not be changed.
    #[error("cannot put the setting")]
    State(#[source] StateError),
}

/// Dead letters and settings.
impl Journal {
    /// The dead letters that pass `filter`, newest first.
    pub async fn dead_letters(
        &self,
        filter: DeadLetterFilter,
    ) -> Result<Vec<DeadLetter>, StateError> {
        self.on_state(move |engine| engine.kept.dead_letters(&filter))
            .await
    }

    /// The dead letter with this id; none when it was removed or never was.
    pub async fn dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, StateError> {
        self.on_state(move |engine| engine.kept.dead_letter(id))
            .await
    }

    /// How many dead letters there are. Takes no longer for many than for few.
    pub async fn dead_letter_count(&self) -> Result<u64, StateError> {
        self.on_state(|engine| engine.kept.dead_letter_count())
            .await
    }

    /// Removes a dead letter for good; says whether there was one.
    pub async fn remove_dead_letter(&self, id: DeadLetterId) -> Result<bool, StateError> {
        self.on_state(move |engine| engine.kept.remove_dead_letter(id))
            .await
    }

    /// The setting of that key; none when it was never put.
    pub async fn setting(&self, key: &str) -> Result<Option<Setting>, StateError> {
        let key = name(key)?;
        self.on_state(move |engine| engine.kept.setting(&key)).await
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
        let put = self.on_state(move |engine| engine.kept.put_setting(&key, &value, expected));
        match put.await.map_err(PutError::State)? {
            Put::Done(revision) => Ok(revision),
            Put::Conflict { found } => Err(PutError::Conflict { found }),
        }
    }

    /// Follows the settings: the number grows with each change of any of them.
    pub fn watch_settings(&self) -> watch::Receiver<u64> {
        self.engine.kept.watch_settings()
    }
}
