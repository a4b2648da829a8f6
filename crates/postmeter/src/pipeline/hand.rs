//! What a feed has in hand between reading a record and settling it: bookkeeping,
//! and when a batch or a settlement is due.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use dispatch::{Batch, Outcome, PushError, Stamp};
use jiff::Timestamp;
use journal::{Place, Record, Seq, Trace};
use shape::Call;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ledger::Ledger;
use super::trace::OptionsMark;
use crate::carry::Carried;
use crate::observe::End;

/// How long a small batch waits for company while others are in flight.
pub(super) const LINGER: Duration = Duration::from_millis(200);
/// How often skipped records are settled while no batch ends.
pub(super) const SETTLE_PAUSE: Duration = Duration::from_millis(200);

/// A record whose call is on its way.
pub(super) struct Underway {
    pub(super) place: Place,
    pub(super) received_at: Timestamp,
    pub(super) event_name: String,
    pub(super) body: Bytes,
}

/// What a feed has in hand.
pub(super) struct Hand {
    /// What was carried over from another journal, as this feed knows it.
    pub(super) carried: Option<Carried>,
    pub(super) ledger: Ledger,
    pub(super) underway: HashMap<u64, Underway>,
    /// Shaped, and in no batch yet.
    pub(super) waiting: VecDeque<dispatch::Call>,
    pub(super) open: Batch,
    pub(super) opened_at: Option<Instant>,
    pub(super) in_flight: JoinSet<Outcome>,
    pub(super) settled_at: Instant,
    /// How records have ended that nobody was told of yet.
    pub(super) ends: Vec<(Timestamp, End)>,
    /// A batch has ended since the last settling.
    pub(super) batch_ended: bool,
    /// What the options of all these calls are called.
    pub(super) options: OptionsMark,
    /// Of batches that have ended since the last settling.
    pub(super) traces: Vec<Trace>,
}

impl Hand {
    pub(super) fn new(settled: Seq, carried: Option<Carried>) -> Hand {
        Hand {
            carried,
            ledger: Ledger::new(settled),
            underway: HashMap::new(),
            waiting: VecDeque::new(),
            open: Batch::new(Stamp::SentAt),
            opened_at: None,
            in_flight: JoinSet::new(),
            settled_at: Instant::now(),
            ends: Vec::new(),
            batch_ended: false,
            options: OptionsMark::default(),
            traces: Vec::new(),
        }
    }

    /// Puts a call in line.
    pub(super) fn take_up(&mut self, record: Record, call: Call) {
        let tag = record.place.seq.get();
        self.ledger.pend(record.place.seq);
        self.waiting.push_back(dispatch::Call {
            message_id: call.message_id,
            json: call.json,
            tag,
        });
        let underway = Underway {
            place: record.place,
            received_at: record.received_at,
            event_name: call.name,
            body: record.body,
        };
        self.underway.insert(tag, underway);
    }

    pub(super) fn push(&mut self, call: dispatch::Call) -> Result<(), PushError> {
        self.open.push(call)?;
        self.opened_at.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Takes a record that has ended off the books.
    pub(super) fn end(&mut self, tag: u64) -> Option<Underway> {
        let underway = self.underway.remove(&tag)?;
        self.ledger.end(underway.place.seq);
        Some(underway)
    }

    /// Whether a batch that is not full should leave: at once while nothing is in
    /// flight, since nothing is gained by waiting, else after its linger.
    pub(super) fn open_is_due(&self) -> bool {
        let lingered = self
            .opened_at
            .is_some_and(|opened_at| opened_at.elapsed() >= LINGER);
        !self.open.is_empty() && (self.in_flight.is_empty() || lingered)
    }

    /// Settling costs a sync. It is due when a batch has ended, since that is
    /// what it is for, and otherwise now and then for what was skipped.
    pub(super) fn should_settle(&self) -> bool {
        self.ledger.is_behind() && (self.batch_ended || self.settled_at.elapsed() >= SETTLE_PAUSE)
    }
}
