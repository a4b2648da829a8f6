//! Settings: values that change only from a revision one has seen.

use bytes::{Buf as _, Bytes};
use tokio::sync::watch;

use super::fault::Fault;
use super::kept::Kept;
use super::rows::{self, kept};
use crate::lock::lock;
use crate::settle::{Revision, Setting};

/// What became of an attempt to put or remove a setting.
pub(crate) enum Put {
    Done(Revision),
    Conflict { found: Option<Revision> },
}

impl Kept {
    /// The setting of that key.
    pub(crate) fn setting(&self, key: &str) -> Result<Option<Setting>, Fault> {
        let Some(row) = self.rows.get(rows::named(kept::SETTING, key))? else {
            return Ok(None);
        };
        let mut value = Bytes::from(row);
        let revision = value.try_get_u64().map_err(|_| Fault::Row("setting"))?;
        Ok(Some(Setting {
            value,
            revision: Revision::new(revision),
        }))
    }

    /// Puts a setting, provided that nobody has changed it since `expected`.
    pub(crate) fn put_setting(
        &self,
        key: &str,
        value: &[u8],
        expected: Option<Revision>,
    ) -> Result<Put, Fault> {
        let _alone = lock(&self.writer);
        let found = self.setting(key)?.map(|setting| setting.revision);
        if found != expected {
            return Ok(Put::Conflict { found });
        }
        let revision = self.number(&[kept::LAST_REVISION])? + 1;
        let mut row = revision.to_be_bytes().to_vec();
        row.extend_from_slice(value);
        let mut batch = self.database.batch();
        batch.insert(&self.rows, rows::named(kept::SETTING, key), row);
        batch.insert(&self.rows, [kept::LAST_REVISION], revision.to_be_bytes());
        self.commit(batch)?;
        self.settings.send_replace(revision);
        Ok(Put::Done(Revision::new(revision)))
    }

    /// Removes a setting, provided that nobody has changed it since `expected`. It
    /// is a change like any other, so its revision is never used again.
    pub(crate) fn remove_setting(&self, key: &str, expected: Revision) -> Result<Put, Fault> {
        let _alone = lock(&self.writer);
        let found = self.setting(key)?.map(|setting| setting.revision);
        if found != Some(expected) {
            return Ok(Put::Conflict { found });
        }
        let revision = self.number(&[kept::LAST_REVISION])? + 1;
        let mut batch = self.database.batch();
        batch.remove(&self.rows, rows::named(kept::SETTING, key));
        batch.insert(&self.rows, [kept::LAST_REVISION], revision.to_be_bytes());
        self.commit(batch)?;
        self.settings.send_replace(revision);
        Ok(Put::Done(Revision::new(revision)))
    }

    /// Tells how often the settings were changed, to those who follow it.
    pub(crate) fn sender(&self) -> watch::Sender<u64> {
        self.settings.clone()
    }
}
