//! One partition as a node sees it: the log as far as it is numbered, and a view of
//! the state that all nodes share.
//!
//! ```text
//! log stream   --headers-->  Numbering   which record is in which pack: durable
//! state stream --entries-->  View        index, claims, first-only claims, traces: indexed
//! ```
//!
//! The view can be thrown away: the state stream brings it back.

mod fences;
mod index;
mod read;
mod trim;
mod view;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{OnceCell, watch};
use tracing::warn;

pub(crate) use fences::Fences;
pub(crate) use trim::Expiry;
pub(crate) use view::View;

use super::cache::Cache;
use super::follow::{Followed, Follower};
use super::kept::{Kept, parse_anchor};
use super::letters::Letters;
use super::names::{KeptKey, Names};
use super::numbering::{Anchor, Numbering, Pack, RECORDS};
use super::wire::{Wire, WireError};
use crate::lock::lock;
use crate::place::{Partition as Number, Seq};

/// One partition of the journal.
pub(crate) struct Partition {
    pub(crate) number: Number,
    wire: Wire,
    names: Names,
    kept: Kept,
    letters: Letters,
    pub(crate) view: Arc<View>,
    pub(crate) fences: Fences,
    numbering: Mutex<Numbering>,
    /// The last record that is numbered.
    durable: watch::Sender<Option<Seq>>,
    /// The last message of the log that was counted.
    counted: watch::Sender<u64>,
    /// The last entry of the state that is in the view.
    applied: watch::Sender<u64>,
    /// Grows when counting must begin anew.
    restarts: watch::Sender<u64>,
    elders: OnceCell<Numbering>,
    cache: Mutex<Cache>,
    /// Records that could not be read, by their first.
    damage: Mutex<BTreeMap<Seq, Seq>>,
    /// What the log takes, as last measured.
    bytes: AtomicU64,
    /// How many packs that was.
    packs: AtomicU64,
}

/// What all partitions share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) wire: Wire,
    pub(crate) names: Names,
    pub(crate) kept: Kept,
    pub(crate) letters: Letters,
}

impl Partition {
    pub(crate) fn new(number: Number, shared: Shared, view: View) -> Partition {
        let Shared {
            wire,
            names,
            kept,
            letters,
        } = shared;
        Partition {
            number,
            wire,
            names,
            kept,
            letters,
            applied: watch::Sender::new(view.position()),
            view: Arc::new(view),
            fences: Fences::default(),
            numbering: Mutex::new(Numbering::from(Anchor::START)),
            durable: watch::Sender::new(None),
            counted: watch::Sender::new(0),
            restarts: watch::Sender::new(0),
            elders: OnceCell::new(),
            cache: Mutex::default(),
            damage: Mutex::default(),
            bytes: AtomicU64::new(0),
            packs: AtomicU64::new(0),
        }
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(crate) fn log_subject(&self) -> String {
        self.names.log(self.number)
    }

    /// Keeps a pack that is in the log for those who will read it at once.
    pub(crate) fn keep_at_hand(&self, sequence: u64, payload: Bytes) {
        lock(&self.cache).put(sequence, payload);
    }

    /// Follows the last record that is numbered.
    pub(crate) fn durable(&self) -> watch::Receiver<Option<Seq>> {
        self.durable.subscribe()
    }

    /// Waits until the message is counted; tells the pack that it is.
    pub(crate) async fn numbered(&self, sequence: u64) -> Option<Pack> {
        let mut counted = self.counted.subscribe();
        counted
            .wait_for(|counted| *counted >= sequence)
            .await
            .ok()?;
        lock(&self.numbering).at(sequence)
    }

    /// Where the log begins: what is before was trimmed.
    pub(crate) fn begins_at(&self) -> Anchor {
        let row = self.kept.get(&KeptKey::First(self.number));
        let anchor = row.and_then(|row| parse_anchor(&row.value));
        anchor.unwrap_or(Anchor::START)
    }

    /// Waits until the view has all that the state holds now, and begins to count
    /// the log behind it. To be called once, with [`Partition::follow_state`]
    /// running.
    pub(crate) async fn catch_up(&self) -> Result<(), WireError> {
        let state = self
            .wire
            .state(&self.names.state_stream(self.number))
            .await?;
        if state.messages > 0 {
            self.wait_applied(state.last_sequence).await;
        }
        self.count_from(self.known_end());
        Ok(())
    }

    /// Waits until all that is in the log now is counted.
    pub(crate) async fn catch_up_with_log(&self) -> Result<(), WireError> {
        let log = self.wire.state(&self.names.log_stream(self.number)).await?;
        self.measured(log.bytes);
        self.packs.store(log.messages, Ordering::Relaxed);
        if log.messages > 0 {
            self.numbered(log.last_sequence).await;
        }
        Ok(())
    }

    /// Where the packs end that the view knows.
    fn known_end(&self) -> Anchor {
        let first = self.begins_at();
        match self.view.last_pack() {
            Some(pack) if pack.sequence >= first.sequence => Anchor {
                sequence: pack.sequence,
                seq: pack.first,
            },
            _ => first,
        }
    }

    fn count_from(&self, anchor: Anchor) {
        *lock(&self.numbering) = Numbering::from(anchor);
        self.restarts.send_modify(|restarts| *restarts += 1);
        // What ends before the anchor was durable long ago.
        self.durable_through(anchor.seq.previous());
    }

    /// Counts anew from `anchor`; returns when as much is counted as before.
    async fn count_again(&self, anchor: Anchor) {
        let before = self.counted.send_replace(0);
        self.count_from(anchor);
        if before >= anchor.sequence {
            self.numbered(before).await;
        }
    }

    fn durable_through(&self, seq: Seq) {
        self.durable.send_if_modified(|durable| {
            let newer = seq > durable.unwrap_or(Seq::ZERO);
            if newer {
                *durable = Some(seq);
            }
            newer
        });
    }

    /// Counts the packs of the log, for ever.
    pub(crate) async fn follow_log(self: Arc<Self>) {
        let mut restarts = self.restarts.subscribe();
        // Counting begins when the view says where.
        if restarts.wait_for(|restarts| *restarts > 0).await.is_err() {
            return;
        }
        loop {
            restarts.borrow_and_update();
            let next = lock(&self.numbering).next();
            let stream = self.names.log_stream(self.number);
            let mut follower =
                Follower::from(self.wire.clone(), stream, next.sequence).headers_only();
            loop {
                tokio::select! {
                    message = follower.next() => self.count(&message),
                    _ = restarts.changed() => break,
                }
            }
        }
    }

    fn count(&self, message: &Followed) {
        let last = {
            let mut numbering = lock(&self.numbering);
            if message.sequence < numbering.next().sequence {
                return;
            }
            count_in(&mut numbering, message);
            numbering.next().seq.previous()
        };
        self.durable_through(last);
        self.counted.send_replace(message.sequence);
    }

    /// The packs that were indexed so long ago that the state has let go of their
    /// pages, and that are in the log still since a connection waits for them.
    async fn elders(&self) -> &Numbering {
        let count = async || {
            let mut elders = Numbering::from(self.begins_at());
            let end = self.known_end();
            let stream = self.names.log_stream(self.number);
            let begin = elders.next().sequence;
            let mut follower = Follower::from(self.wire.clone(), stream, begin).headers_only();
            while elders.next().sequence < end.sequence {
                count_in(&mut elders, &follower.next().await);
            }
            elders
        };
        self.elders.get_or_init(count).await
    }

    /// Takes the entries of the state into the view, for ever.
    pub(crate) async fn follow_state(self: Arc<Self>) {
        let stream = self.names.state_stream(self.number);
        let next = self.view.position() + 1;
        let mut follower = Follower::from(self.wire.clone(), stream.clone(), next);
        loop {
            let message = follower.next().await;
            while let Err(cause) = self.apply(&stream, &message).await {
                // Without this entry the view would be wrong for good.
                warn!(
                    journal.partition = self.number.get(),
                    "cannot take an entry into the view, trying again: {cause}"
                );
                tokio::time::sleep(super::follow::RETRY_PAUSE).await;
            }
            self.applied.send_replace(message.sequence);
        }
    }

    /// Waits until the view has the entry.
    pub(crate) async fn wait_applied(&self, sequence: u64) {
        let mut applied = self.applied.subscribe();
        // The sender lives as long as we do.
        applied.wait_for(|applied| *applied >= sequence).await.ok();
    }
}

/// The size of a message's payload, where only headers are sent.
const MESSAGE_BYTES: &str = "Nats-Msg-Size";

fn count_in(numbering: &mut Numbering, message: &Followed) {
    let number = |name: &str| {
        let value = message.headers.get(name)?;
        value.as_str().parse::<u32>().ok()
    };
    let records = number(RECORDS).unwrap_or(0);
    let bytes = number(MESSAGE_BYTES).unwrap_or(0);
    let parts = Wire::parts(&message.headers).first().copied();
    numbering.count(message.sequence, parts, (records, bytes));
}

/// Levels.
impl Partition {
    /// Follows the last indexed record.
    pub(crate) fn indexed(&self) -> watch::Receiver<Option<Seq>> {
        self.view.index.watch()
    }

    /// Measures what the log takes.
    pub(crate) async fn measure(&self) -> Result<(), WireError> {
        let log = self.wire.state(&self.names.log_stream(self.number)).await?;
        self.measured(log.bytes);
        self.packs.store(log.messages, Ordering::Relaxed);
        Ok(())
    }

    /// How many packs the log held when it was measured last.
    pub(crate) fn packs_kept(&self) -> u64 {
        self.packs.load(Ordering::Relaxed)
    }

    /// Why the view takes no more changes, if it does not.
    pub(crate) fn failed(&self) -> Option<String> {
        let failed = self.view.index.failed().or(self.view.firsts.failed());
        failed.map(|cause| format!("this node's view cannot be written: {cause}"))
    }
}
