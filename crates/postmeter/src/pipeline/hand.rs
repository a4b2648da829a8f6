//! What a feed has in hand between reading a record and settling it: bookkeeping,
//! and when a batch or a settlement is due.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use dispatch::{Batch, Outcome, PushError, Stamp};
use jiff::Timestamp;
use journal::{Place, Record, Seq, Tense, Trace};
use shape::Call;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ledger::Ledger;
use super::trace::OptionsMark;
use crate::carry::Carried;
use crate::observe::End;

/// How long a small batch waits for company while others are in flight.
const LINGER: Duration = Duration::from_millis(200);
/// How often skipped records are settled while no batch ends.
pub(super) const SETTLE_PAUSE: Duration = Duration::from_millis(200);

/// A record whose call is on its way.
pub(super) struct Underway {
    pub(super) place: Place,
    pub(super) received_at: Timestamp,
    pub(super) event_name: String,
    pub(super) body: Bytes,
}

/// A call that is in no batch yet.
pub(super) struct Waiting {
    pub(super) tense: Tense,
    pub(super) call: dispatch::Call,
}

/// A batch that is being filled.
pub(super) struct Open {
    batch: Batch,
    /// When its first call came; none while it is empty.
    since: Option<Instant>,
}

/// What a feed has in hand.
pub(super) struct Hand {
    /// What was carried over from another journal, as this feed knows it.
    pub(super) carried: Option<Carried>,
    pub(super) ledger: Ledger,
    pub(super) underway: HashMap<u64, Underway>,
    /// Shaped, and in no batch yet.
    pub(super) waiting: VecDeque<Waiting>,
    /// Live calls say when they are sent, and history does not: Segment would shift
    /// its times. A batch says it for all of its calls, so there is one of each.
    live: Open,
    historical: Open,
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

impl Open {
    fn new(tense: Tense) -> Open {
        let stamp = match tense {
            Tense::Live => Stamp::SentAt,
            Tense::Historical => Stamp::Omitted,
        };
        Open {
            batch: Batch::new(stamp),
            since: None,
        }
    }
}

impl Hand {
    pub(super) fn new(settled: Seq, carried: Option<Carried>) -> Hand {
        Hand {
            carried,
            ledger: Ledger::new(settled),
            underway: HashMap::new(),
            waiting: VecDeque::new(),
            live: Open::new(Tense::Live),
            historical: Open::new(Tense::Historical),
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
        let tense = record.tense;
        let ready = dispatch::Call {
            message_id: call.message_id,
            json: call.json,
            tag,
        };
        self.waiting.push_back(Waiting { tense, call: ready });
        let underway = Underway {
            place: record.place,
            received_at: record.received_at,
            event_name: call.name,
            body: record.body,
        };
        self.underway.insert(tag, underway);
    }

    /// Puts a call into the open batch of its kind, or hands it back.
    pub(super) fn push(&mut self, tense: Tense, call: dispatch::Call) -> Result<(), PushError> {
        let open = self.open(tense);
        open.batch.push(call)?;
        open.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Takes what is in the open batch of a kind, which is empty then.
    pub(super) fn take_open(&mut self, tense: Tense) -> Batch {
        std::mem::replace(self.open(tense), Open::new(tense)).batch
    }

    fn open(&mut self, tense: Tense) -> &mut Open {
        match tense {
            Tense::Live => &mut self.live,
            Tense::Historical => &mut self.historical,
        }
    }

    /// Takes a record that has ended off the books.
    pub(super) fn end(&mut self, tag: u64) -> Option<Underway> {
        let underway = self.underway.remove(&tag)?;
        self.ledger.end(underway.place.seq);
        Some(underway)
    }

    /// Which batch that is not full should leave: at once while nothing is in
    /// flight, since nothing is gained by waiting, else after its linger. Live ones
    /// go first.
    pub(super) fn due(&self) -> Option<Tense> {
        let is_due = |open: &Open| {
            let since = open.since;
            since.is_some_and(|since| self.in_flight.is_empty() || since.elapsed() >= LINGER)
        };
        let live = is_due(&self.live).then_some(Tense::Live);
        live.or_else(|| is_due(&self.historical).then_some(Tense::Historical))
    }

    /// When the next open batch has lingered.
    pub(super) fn lingered_at(&self) -> Option<Instant> {
        let since = self.live.since.into_iter().chain(self.historical.since);
        since.min().map(|since| since + LINGER)
    }

    /// Settling costs a sync. It is due when a batch has ended, since that is
    /// what it is for, and otherwise now and then for what was skipped.
    pub(super) fn should_settle(&self) -> bool {
        self.ledger.is_behind() && (self.batch_ended || self.settled_at.elapsed() >= SETTLE_PAUSE)
    }
}
