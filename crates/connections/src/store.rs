//! Keeps the connections in the journal's settings.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use journal::{Journal, PutError, Revision, StateError};

use crate::connection::{Connection, Connections};
use crate::id::ConnectionId;
use crate::mistakes::Mistakes;
use crate::parse::Written;
use crate::secret::{Secret, SecretRef};

/// The setting that holds the document.
const DOCUMENT: &str = "connections";

/// The operator's decisions as the journal keeps them. Cheap to clone.
#[derive(Clone)]
pub struct Settings {
    journal: Journal,
}

/// When a person said that a test event arrived in Segment.
pub type Confirmation = Timestamp;

/// Why the kept connections could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The journal could not be read.
    #[error("cannot read the connections from the journal")]
    Read(#[from] StateError),
    /// They were written by a version that knew more than this one.
    #[error("the connections in the journal make no sense to this version")]
    Mistakes(#[from] Mistakes),
    /// They are not text, or have no ids: nothing that we ever wrote.
    #[error("the connections in the journal are damaged")]
    Damaged,
}

/// Why connections could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Somebody else changed them in the meantime, or the journal failed.
    #[error("cannot keep the connections in the journal")]
    Write(#[from] PutError),
    /// What was there before could not be read.
    #[error("cannot read what the journal has kept")]
    Read(#[from] StateError),
    /// It cannot be a secret: there is nothing in it, or far too much.
    #[error("a secret has 1 to {} bytes", Settings::MAX_SECRET_BYTES)]
    NoSecret,
    /// The system has no randomness for an id.
    #[error("the system has no randomness for an id")]
    Randomness(#[source] getrandom::Error),
}

impl Settings {
    /// The longest secret that is kept, in bytes.
    pub const MAX_SECRET_BYTES: usize = 4096;

    /// The settings of `journal`.
    pub fn of(journal: Journal) -> Settings {
        Settings { journal }
    }

    /// The connections as last saved, none at first, with the revision that a
    /// later [`Settings::save`] must name.
    pub async fn load(&self) -> Result<(Connections, Option<Revision>), LoadError> {
        let Some(setting) = self.journal.setting(DOCUMENT).await? else {
            return Ok((Connections::default(), None));
        };
        let text = std::str::from_utf8(&setting.value).map_err(|_| LoadError::Damaged)?;
        let written = Written::parse(text)?;
        let connections = written.settle_ids(&Connections::default());
        let connections = connections.map_err(|_| LoadError::Damaged)?;
        Ok((connections, Some(setting.revision)))
    }

    /// Saves the connections, durably, unless they have changed since `loaded`.
    pub async fn save(
        &self,
        connections: &Connections,
        loaded: Option<Revision>,
    ) -> Result<Revision, SaveError> {
        let document = Bytes::from(connections.to_toml());
        Ok(self.journal.put_setting(DOCUMENT, document, loaded).await?)
    }

    /// When the connection was confirmed; `None` while it is not. A connection
    /// that has got another write key or endpoint since must be confirmed again.
    pub async fn confirmed(
        &self,
        connection: &Connection,
    ) -> Result<Option<Confirmation>, StateError> {
        let setting = self.journal.setting(&confirmation(&connection.id)).await?;
        let text = setting.and_then(|setting| String::from_utf8(setting.value.to_vec()).ok());
        Ok(text.and_then(|text| {
            let (at, route) = text.split_once('\n')?;
            (route == route_of(connection))
                .then(|| at.parse().ok())
                .flatten()
        }))
    }

    /// Keeps that a person saw a test event arrive in Segment.
    pub async fn confirm(
        &self,
        connection: &Connection,
        at: Confirmation,
    ) -> Result<(), SaveError> {
        let key = confirmation(&connection.id);
        let found = self.journal.setting(&key).await?;
        let revision = found.map(|setting| setting.revision);
        let value = Bytes::from(format!("{at}\n{}", route_of(connection)));
        self.journal.put_setting(&key, value, revision).await?;
        Ok(())
    }
}

/// Secrets that somebody pasted into the console.
impl Settings {
    /// Keeps a secret, durably, and says under which id. White space around it is
    /// dropped: it comes from copying.
    ///
    /// It stays until [`Settings::drop_secrets`] finds that a document named it
    /// and the next one does not.
    pub async fn keep_secret(&self, secret: &str) -> Result<SecretRef, SaveError> {
        let secret = secret.trim();
        if secret.is_empty() || secret.len() > Settings::MAX_SECRET_BYTES {
            return Err(SaveError::NoSecret);
        }
        let random = getrandom::u64().map_err(SaveError::Randomness)?;
        let id = format!("{random:016x}");
        let value = Bytes::from(secret.to_owned());
        self.journal
            .put_setting(&kept_under(&id), value, None)
            .await?;
        Ok(SecretRef::Kept(id))
    }

    /// Keeps what another journal kept, under the same ids. A secret that is here
    /// already stays as it is.
    pub async fn take_secrets_over(
        &self,
        kept: &BTreeMap<String, Secret>,
    ) -> Result<(), SaveError> {
        for (id, secret) in kept {
            let value = Bytes::from(secret.reveal().to_owned());
            match self.journal.put_setting(&kept_under(id), value, None).await {
                Ok(_) | Err(PutError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The kept secrets that `connections` name, by id; without those that are not
    /// there, which [`Connections::unlock`] reports.
    pub async fn kept_secrets(
        &self,
        connections: &Connections,
    ) -> Result<BTreeMap<String, Secret>, StateError> {
        let mut kept = BTreeMap::new();
        for id in kept_ids(connections) {
            let setting = self.journal.setting(&kept_under(id)).await?;
            let text = setting.and_then(|setting| String::from_utf8(setting.value.to_vec()).ok());
            if let Some(text) = text {
                kept.insert(id.to_owned(), Secret::new(text));
            }
        }
        Ok(kept)
    }

    /// Erases the kept secrets that `before` names and `after` does not.
    pub async fn drop_secrets(
        &self,
        before: &Connections,
        after: &Connections,
    ) -> Result<(), SaveError> {
        for id in kept_ids(before).difference(&kept_ids(after)) {
            let key = kept_under(id);
            if let Some(setting) = self.journal.setting(&key).await? {
                self.journal.remove_setting(&key, setting.revision).await?;
            }
        }
        Ok(())
    }
}

fn kept_ids(connections: &Connections) -> BTreeSet<&str> {
    let mut ids = BTreeSet::new();
    for secret in connections.secrets() {
        if let SecretRef::Kept(id) = secret {
            ids.insert(id.as_str());
        }
    }
    ids
}

fn kept_under(id: &str) -> String {
    format!("secret/{id}")
}

/// Where a connection sends, and as whom: what a confirmation holds for.
fn route_of(connection: &Connection) -> String {
    format!("{} {}", connection.write_key, connection.target.endpoint())
}

fn confirmation(id: &ConnectionId) -> String {
    format!("confirmed/{id}")
}
