//! Carrying an embedded journal over into another one, while that one receives.
//!
//! ```text
//! begin    connections agree or are taken over; what each had settled is noted
//! records  appended in order, each with the place that it had: its origin
//! letters  noted one by one, for the connections that bury them again
//! finish   first-only connections and letters go on from here
//! ```
//!
//! Live events lie between those that are carried over, so no cursor can say which
//! of these a connection had settled. The origin can: what is at or before the old
//! cursor is passed over, and takes its first-only claim. A connection that claims
//! first occurrences waits for the end, so that no live event can claim what an
//! older record has claimed before.
//!
//! All of it is kept in settings, so that any node takes part and any step can be
//! made again.

pub(crate) mod chunk;
mod letter;
mod receive;

use std::collections::BTreeMap;

use anyhow::Context as _;
use bytes::Bytes;
use journal::{Journal, Partition, PutError, Seq};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use self::chunk::Chunk;
pub(crate) use self::letter::{CarriedLetter, FORMER};
pub(crate) use self::receive::{Begin, Finish, Letters, PastedSecrets, Refused};
pub(crate) use self::receive::{abandon, begin, finish, letters, records, room};

/// The setting that says what is carried over.
const CARRIED: &str = "migration";
/// The setting that says how far that has come.
const PROGRESS: &str = "migration/progress";

/// What is or was carried over.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Carried {
    /// The name of the journal that it is from.
    journal: String,
    /// Through which old record each old connection had settled, by its id.
    cursors: BTreeMap<String, u64>,
    /// The last old record.
    last: u64,
    /// How many letters wait for each connection, by its id.
    letters: BTreeMap<String, u32>,
    /// Through where records were carried over, by partition.
    ends: BTreeMap<u16, u64>,
    /// Whether all has arrived that will.
    pub(crate) is_done: bool,
}

/// How far records have arrived.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Progress {
    /// The last old record that has arrived, with all before it.
    through: u64,
    /// Through where they are, by partition.
    ends: BTreeMap<u16, u64>,
}

impl Carried {
    /// What the journal knows of; none where nothing was ever carried over.
    pub(crate) async fn load(journal: &Journal) -> anyhow::Result<Option<Carried>> {
        load(journal, CARRIED).await
    }

    /// Whether this connection has nothing more to do with the record that had
    /// this place. One that the old journal did not have begins after it.
    pub(crate) fn has_settled(&self, connection: &str, origin: Seq) -> bool {
        let cursor = self.cursors.get(connection);
        cursor.is_none_or(|cursor| origin.get() <= *cursor)
    }

    /// Whether it speaks of the record that had this place.
    pub(crate) fn covers(&self, origin: Seq) -> bool {
        origin.get() <= self.last
    }

    /// Through where the records of a partition were carried over.
    pub(crate) fn end(&self, partition: Partition) -> Seq {
        let end = self.ends.get(&partition.get());
        end.map_or(Seq::ZERO, |end| Seq::new(*end))
    }

    /// How many letters wait for a connection.
    pub(crate) fn n_letters(&self, connection: &str) -> u32 {
        self.letters.get(connection).copied().unwrap_or(0)
    }
}

/// The setting that holds a letter for a connection.
pub(crate) fn letter_key(connection: &str, number: u32) -> String {
    format!("migration/letter/{connection}/{number}")
}

/// How much of a step was made that is made once; zero where none of it was.
pub(crate) async fn made(journal: &Journal, step: &str) -> anyhow::Result<u32> {
    Ok(load(journal, step).await?.unwrap_or(0))
}

/// Notes how much of a step was made.
pub(crate) async fn note_made(journal: &Journal, step: &str, made: u32) -> anyhow::Result<()> {
    save(journal, step, &made).await
}

async fn load<T: DeserializeOwned>(journal: &Journal, key: &str) -> anyhow::Result<Option<T>> {
    let Some(setting) = journal.setting(key).await? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&setting.value);
    value
        .with_context(|| format!("the setting {key} is damaged"))
        .map(Some)
}

async fn save(journal: &Journal, key: &str, value: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_vec(value).context("cannot write a setting")?;
    put(journal, key, json.into()).await
}

/// Puts a setting, whatever it was. One who migrates changes these at a time.
async fn put(journal: &Journal, key: &str, value: Bytes) -> anyhow::Result<()> {
    for _ in 0..3 {
        let found = journal.setting(key).await?.map(|setting| setting.revision);
        match journal.put_setting(key, value.clone(), found).await {
            Err(PutError::Conflict { .. }) => {}
            put => {
                return put
                    .map(drop)
                    .context("cannot note how far the migration has come");
            }
        }
    }
    anyhow::bail!("two migrations are under way at once: stop one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_settled_before_is_known_by_its_place_there() {
        let carried = Carried {
            cursors: BTreeMap::from([("old".to_owned(), 10)]),
            last: 20,
            ..Carried::default()
        };
        assert!(carried.has_settled("old", Seq::new(10)));
        assert!(!carried.has_settled("old", Seq::new(11)));
        assert!(carried.has_settled("new", Seq::new(20)), "it begins later");
        assert!(carried.covers(Seq::new(20)) && !carried.covers(Seq::new(21)));
    }
}
