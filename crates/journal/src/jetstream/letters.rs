//! Dead letters: one message each, found by its sequence, which is its id.
//!
//! Every node knows of each letter what lists need, from the headers alone; the
//! letter itself stays in the stream. Removing one deletes its message, which
//! nobody is told of, so a second message tells the other nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64;

use super::follow::Follower;
use super::names::Names;
use super::wire::{Letterhead, REQUEST_TIME, Wire, WireError};
use crate::lock::lock;
use crate::place::Place;
use crate::settle::{DeadLetter, DeadLetterFilter, DeadLetterId, NewDeadLetter};
use crate::state::letters::{decode, encode};

const CONNECTION: &str = "Postmeter-Connection";
const PLACE: &str = "Postmeter-Place";
const REASON: &str = "Postmeter-Reason";
const LETTER: &str = "Postmeter-Letter";
/// How long messages stay that only tell nodes which are there of something.
const TOLD: Duration = Duration::from_hours(24);
/// How many letters are fetched at once.
const FETCHES: usize = 16;

/// All dead letters. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Letters {
    wire: Wire,
    names: Names,
    shared: Arc<Shared>,
}

struct Shared {
    known: Mutex<BTreeMap<DeadLetterId, Known>>,
    read: watch::Sender<u64>,
}

/// What lists need to know of a letter.
#[derive(Clone)]
struct Known {
    connection: Option<Arc<str>>,
    place: Option<Place>,
    /// A hash of the reason.
    reason: Option<u64>,
    parts: Vec<u64>,
}

impl Letters {
    pub(crate) fn new(wire: Wire, names: Names) -> Letters {
        let shared = Shared {
            known: Mutex::default(),
            read: watch::Sender::new(0),
        };
        Letters {
            wire,
            names,
            shared: Arc::new(shared),
        }
    }

    /// Reads what is buried and removed, for ever.
    pub(crate) async fn follow(self) {
        let stream = self.names.letters_stream();
        let mut follower = Follower::from(self.wire.clone(), stream, 1).headers_only();
        let (buried, removed) = (self.names.letters("buried"), self.names.letters("removed"));
        loop {
            let message = follower.next().await;
            if message.subject == buried {
                self.note(message.sequence, &message.headers);
            } else if message.subject == removed {
                self.forget(&message.headers);
            }
            self.shared.read.send_replace(message.sequence);
        }
    }

    fn note(&self, sequence: u64, headers: &HeaderMap) {
        let text = |name| headers.get(name).map(|value| value.as_str().to_owned());
        let known = Known {
            connection: text(CONNECTION).map(Arc::from),
            place: text(PLACE).and_then(|place| place.parse().ok()),
            reason: text(REASON).and_then(|reason| reason.parse().ok()),
            parts: Wire::parts(headers),
        };
        lock(&self.shared.known).insert(DeadLetterId::new(sequence), known);
    }

    fn forget(&self, headers: &HeaderMap) {
        let id = headers.get(LETTER).map(|id| id.as_str().parse());
        if let Some(Ok(id)) = id {
            lock(&self.shared.known).remove(&DeadLetterId::new(id));
        }
    }

    /// Waits until everything up to this message was read.
    pub(crate) async fn wait_for(&self, sequence: u64) {
        let mut read = self.shared.read.subscribe();
        // The sender lives as long as we do.
        read.wait_for(|read| *read >= sequence).await.ok();
    }

    /// Buries letters, one after another, except those that lie there already:
    /// the same connection's, of the same record, for the same reason. On a majority's disks when it
    /// returns.
    pub(crate) async fn bury(&self, letters: &[NewDeadLetter]) -> Result<(), WireError> {
        if letters.is_empty() {
            return Ok(());
        }
        // Whoever buried before us may have died behind it.
        self.catch_up().await?;
        for letter in letters {
            if self.lies_there(letter) {
                continue;
            }
            let mut head = Letterhead::on(self.names.letters("buried"));
            let place = letter.place.to_string();
            head.headers.insert(PLACE, place.as_str());
            let reason = xxh3_64(letter.reason.as_bytes()).to_string();
            head.headers.insert(REASON, reason.as_str());
            if let Some(connection) = &letter.connection {
                head.headers.insert(CONNECTION, connection.as_str());
            }
            let payload = encode(letter).into();
            let sequence = self.wire.publish(&head, payload, REQUEST_TIME).await?;
            self.wait_for(sequence).await;
        }
        Ok(())
    }

    /// Waits until all that was buried and removed before is known here.
    pub(crate) async fn catch_up(&self) -> Result<(), WireError> {
        let mut head = Letterhead::on(self.names.letters("barrier"));
        head.life = Some(TOLD);
        let barrier = self.wire.publish_one(&head, Bytes::new(), REQUEST_TIME);
        self.wait_for(barrier.await?).await;
        Ok(())
    }

    fn lies_there(&self, letter: &NewDeadLetter) -> bool {
        let reason = xxh3_64(letter.reason.as_bytes());
        let known = lock(&self.shared.known);
        known.values().rev().any(|known| {
            known.place == Some(letter.place)
                && known.reason == Some(reason)
                && known.connection.as_deref() == letter.connection.as_deref()
        })
    }

    /// The letters that pass `filter`, newest first.
    pub(crate) async fn list(
        &self,
        filter: &DeadLetterFilter,
    ) -> Result<Vec<DeadLetter>, WireError> {
        let ids = self.ids(filter);
        let fetched: Vec<_> = stream::iter(ids)
            .map(|id| self.get(id))
            .buffered(FETCHES)
            .collect()
            .await;
        let found = fetched.into_iter().filter_map(Result::transpose);
        found.collect()
    }

    fn ids(&self, filter: &DeadLetterFilter) -> Vec<DeadLetterId> {
        let known = lock(&self.shared.known);
        let below = filter.after.unwrap_or(DeadLetterId::new(u64::MAX));
        let newest_first = known.range(..below).rev();
        let wanted = newest_first.filter(|(_, known)| {
            let connection = filter.connection.as_deref();
            connection.is_none() || known.connection.as_deref() == connection
        });
        wanted.map(|(id, _)| *id).take(filter.limit).collect()
    }

    /// The letter; none when it was removed or never was.
    pub(crate) async fn get(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, WireError> {
        if !lock(&self.shared.known).contains_key(&id) {
            return Ok(None);
        }
        let stream = self.names.letters_stream();
        let Some(message) = self.wire.get(&stream, id.get()).await? else {
            // Another node has removed it a moment ago.
            return Ok(None);
        };
        let letter = decode(message.payload);
        let letter =
            letter.ok_or_else(|| WireError::Refused(format!("dead letter {id} is damaged")))?;
        Ok(Some(DeadLetter { id, letter }))
    }

    pub(crate) fn count(&self) -> u64 {
        lock(&self.shared.known).len() as u64
    }

    /// Removes a letter for good; says whether there was one.
    pub(crate) async fn remove(&self, id: DeadLetterId) -> Result<bool, WireError> {
        let Some(known) = lock(&self.shared.known).get(&id).cloned() else {
            return Ok(false);
        };
        if !self.delete(id.get()).await? {
            return Ok(false);
        }
        for part in known.parts {
            self.delete(part).await?;
        }
        let mut head = Letterhead::on(self.names.letters("removed"));
        head.life = Some(TOLD);
        head.headers.insert(LETTER, id.to_string().as_str());
        let told = self.wire.publish_one(&head, Bytes::new(), REQUEST_TIME);
        self.wait_for(told.await?).await;
        Ok(true)
    }

    /// Deletes a message; says whether it was there.
    async fn delete(&self, sequence: u64) -> Result<bool, WireError> {
        let stream = self.names.letters_stream();
        if self.wire.get(&stream, sequence).await?.is_none() {
            return Ok(false);
        }
        self.wire.delete(&stream, sequence).await
    }
}
