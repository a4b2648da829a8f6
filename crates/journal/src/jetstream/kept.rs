//! What has one value at a time and is kept for ever: settings, cursors, who does
//! what. The stream keeps the last message of each subject; every node holds all
//! of them in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::sync::watch;

use super::follow::Follower;
use super::names::{KeptKey, Names};
use super::numbering::Anchor;
use super::wire::{Letterhead, REQUEST_TIME, Wire, WireError};
use crate::lock::lock;
use crate::place::Seq;

/// All that is kept. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Kept {
    wire: Wire,
    names: Names,
    shared: Arc<Shared>,
}

struct Shared {
    rows: Mutex<BTreeMap<KeptKey, Row>>,
    /// The last message that was read.
    read: watch::Sender<u64>,
    settings: watch::Sender<u64>,
}

/// The value of a key, and the message that put it there. An empty value means
/// that there is none any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub(crate) revision: u64,
    pub(crate) value: Bytes,
}

impl Kept {
    pub(crate) fn new(wire: Wire, names: Names) -> Kept {
        let shared = Shared {
            rows: Mutex::default(),
            read: watch::Sender::new(0),
            settings: watch::Sender::new(0),
        };
        Kept {
            wire,
            names,
            shared: Arc::new(shared),
        }
    }

    /// Reads what is put, for ever.
    pub(crate) async fn follow(self) {
        let stream = self.names.kept_stream();
        let mut follower = Follower::from(self.wire.clone(), stream, 1);
        loop {
            let message = follower.next().await;
            if let Some(key) = self.names.kept_key(&message.subject) {
                self.note(key, message.sequence, message.payload);
            }
            self.shared.read.send_replace(message.sequence);
        }
    }

    /// Notes a value, unless a newer one is known.
    fn note(&self, key: KeptKey, revision: u64, value: Bytes) {
        let is_setting = matches!(key, KeptKey::Setting(_));
        {
            let mut rows = lock(&self.shared.rows);
            let known = rows.get(&key).map_or(0, |row| row.revision);
            if known >= revision {
                return;
            }
            rows.insert(key, Row { revision, value });
        }
        if is_setting {
            self.shared.settings.send_if_modified(|last| {
                let newer = revision > *last;
                *last = revision.max(*last);
                newer
            });
        }
    }

    /// Waits until everything up to this message was read.
    pub(crate) async fn wait_for(&self, sequence: u64) {
        let mut read = self.shared.read.subscribe();
        // The sender lives as long as we do.
        read.wait_for(|read| *read >= sequence).await.ok();
    }

    /// Follows the last message that was read.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.shared.read.subscribe()
    }

    /// Follows the revision of the last setting that was put.
    pub(crate) fn watch_settings(&self) -> watch::Receiver<u64> {
        self.shared.settings.subscribe()
    }

    /// The value of a key; none when there is none, or none any more.
    pub(crate) fn get(&self, key: &KeptKey) -> Option<Row> {
        let rows = lock(&self.shared.rows);
        rows.get(key).filter(|row| !row.value.is_empty()).cloned()
    }

    /// The message that was last put for a key, whatever it said; zero when there
    /// never was one.
    pub(crate) fn revision(&self, key: &KeptKey) -> u64 {
        lock(&self.shared.rows)
            .get(key)
            .map_or(0, |row| row.revision)
    }

    /// The keys that have a value and pass `filter`.
    pub(crate) fn keys(&self, filter: impl Fn(&KeptKey) -> bool) -> Vec<KeptKey> {
        let rows = lock(&self.shared.rows);
        let there = rows.iter().filter(|(_, row)| !row.value.is_empty());
        let keys = there.map(|(key, _)| key).filter(|key| filter(key));
        keys.cloned().collect()
    }

    /// Puts a value, provided that the message put last for the key is `expected`
    /// where that is told; tells the message. On a majority's disks when it
    /// returns.
    pub(crate) async fn put(
        &self,
        key: &KeptKey,
        value: Bytes,
        expected: Option<u64>,
    ) -> Result<u64, WireError> {
        let mut head = Letterhead::on(self.names.kept(key));
        head.expected = expected;
        let revision = self
            .wire
            .publish_one(&head, value.clone(), REQUEST_TIME)
            .await?;
        self.note(key.clone(), revision, value);
        Ok(revision)
    }
}

/// A cursor as a value.
pub(crate) fn seq_value(seq: Seq) -> Bytes {
    Bytes::copy_from_slice(&seq.get().to_be_bytes())
}

/// The cursor in a value.
pub(crate) fn parse_seq(value: &Bytes) -> Option<Seq> {
    let number = value.as_ref().try_into().ok().map(u64::from_be_bytes);
    number.map(Seq::new)
}

/// Where a log begins as a value.
pub(crate) fn anchor_value(anchor: Anchor) -> Bytes {
    let mut value = BytesMut::with_capacity(16);
    value.put_u64(anchor.sequence);
    value.put_u64(anchor.seq.get());
    value.freeze()
}

/// Where a log begins, in a value.
pub(crate) fn parse_anchor(value: &Bytes) -> Option<Anchor> {
    let mut rest = value.clone();
    let anchor = Anchor {
        sequence: rest.try_get_u64().ok()?,
        seq: Seq::new(rest.try_get_u64().ok()?),
    };
    rest.is_empty().then_some(anchor)
}
