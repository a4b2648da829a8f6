//! One connection's way from the journal to Segment, for one partition.
//!
//! A feed owns a cursor and a window of batches. It reads a page behind the
//! indexer, shapes it, packs calls into batches, and keeps at most a window of
//! them in flight. What has ended is settled in order. Memory is bounded by the
//! window and one page, whatever the backlog.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use dispatch::{Attempt, AttemptResult, Outbox, Outcome, PushError, Refused};
use jiff::Timestamp;
use journal::{Duty, Indexed, Journal, NewDeadLetter, Partition, Place, ReadLimit, Record, Seq};
use journal::{Settlement, StateError, Tense, Verdict};
use shape::{Call, Event, Options, SendFrequency, Shaped};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::carried::Before;
use super::hand::{Hand, SETTLE_PAUSE, Underway, Waiting};
use super::indexer::bury;
use super::keys;
use super::ledger::Settleable;
use super::{shelf, trace};
use crate::duties::Work;
use crate::names::Book;
use crate::observe::{End, Observer, SkipCause};

/// What is read and shaped ahead of the window.
const PAGE: ReadLimit = ReadLimit {
    records: 2_500,
    bytes: 1024 * 1024,
};
/// The pause before what the disk had no room to settle is tried again.
const SETTLE_AGAIN: Duration = Duration::from_secs(1);
/// What a feed works with. It runs as long as its options do not change.
pub(crate) struct Feed {
    pub(crate) journal: Journal,
    pub(crate) observer: Observer,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) connection: ConnectionLabel,
    pub(crate) options: Options,
    /// The same options, as the operator wrote them.
    pub(crate) written: connections::Options,
    /// What ids are called; none where the connection does not want to know.
    pub(crate) names: Option<Book>,
    pub(crate) window: usize,
    pub(crate) partition: Partition,
    /// Whether it keeps up, for whoever lets it go first.
    pub(crate) live: watch::Sender<Live>,
    /// Held while something of this connection and partition is settled: what one
    /// writes is expected to lie behind what the other wrote.
    pub(crate) settling: Arc<Mutex<()>>,
}

/// Whether a feed keeps up with what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Live {
    /// All that it has read is on its way, and there is room in its window.
    Level,
    /// There is more than its window takes, or nobody knows yet.
    Behind,
}

/// What a feed says about its connection when it reports.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLabel {
    pub(crate) id: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) workspace: Arc<str>,
}

impl Work for Feed {
    fn duty(&self) -> Duty {
        Duty::Feed {
            connection: self.connection.id.to_string(),
            partition: self.partition,
        }
    }

    fn name(&self) -> String {
        format!(
            "connection {} in partition {}",
            self.connection.name, self.partition
        )
    }

    /// Feeds the connection until `stop`; then finishes the attempts in hand,
    /// settles what has ended, and leaves the rest in the journal. What was not
    /// settled is sent again under the same message ids.
    async fn run(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut settings = self.journal.watch_settings();
        settings.borrow_and_update();
        let Some(carried) = self.take_over(stop).await? else {
            return Ok(());
        };
        let mut hand = Hand::new(self.cursor().await?, carried);
        hand.options = shelf::keep(&self.journal, &self.written).await;
        // A migration that begins or ends makes this feed begin anew.
        let leave = stop.child_token();
        let stop = &leave;
        let mut indexed = self.journal.indexed(self.partition);
        loop {
            indexed.borrow_and_update();
            if !stop.is_cancelled() {
                self.fill(&mut hand, stop).await?;
            }
            self.tell(&hand);
            if hand.should_settle() {
                self.settle(&mut hand, stop).await?;
            }
            if stop.is_cancelled() && hand.in_flight.is_empty() {
                return self.settle(&mut hand, stop).await;
            }
            let reads_on = !stop.is_cancelled() && hand.waiting.is_empty();
            let deadline = self.deadline(&hand).filter(|_| !stop.is_cancelled());
            tokio::select! {
                biased; // what is rare comes first; each turn begins by doing all there is
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                changed = settings.changed(), if !stop.is_cancelled() => {
                    changed.context("the journal is closed")?;
                    if self.carried().await? != hand.carried {
                        leave.cancel();
                    }
                }
                Some(outcome) = hand.in_flight.join_next() => {
                    self.end_batch(&mut hand, outcome.context("a batch's task died")?);
                }
                changed = indexed.changed(), if reads_on => {
                    changed.context("the journal is closed")?;
                }
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)),
                    if deadline.is_some() => {}
            }
        }
    }
}

impl Feed {
    /// Says whether it keeps up, where that is news.
    fn tell(&self, hand: &Hand) {
        let is_level = hand.waiting.is_empty() && hand.in_flight.len() < self.window;
        let now = if is_level { Live::Level } else { Live::Behind };
        self.live
            .send_if_modified(|live| std::mem::replace(live, now) != now);
    }

    /// Through where the connection has settled.
    pub(super) async fn cursor(&self) -> anyhow::Result<Seq> {
        let (id, partition) = (&self.connection.id, self.partition);
        let cursor = self.journal.cursor(id, partition).await;
        let cursor = cursor.context("cannot read the cursor")?;
        Ok(cursor.unwrap_or(Seq::ZERO))
    }

    /// Reads, shapes and launches as far as the window allows.
    async fn fill(&self, hand: &mut Hand, stop: &CancellationToken) -> anyhow::Result<()> {
        loop {
            while let Some(Waiting { tense, call }) = hand.waiting.pop_front() {
                match hand.push(tense, call) {
                    Ok(()) => {}
                    Err(PushError::Full(call)) => {
                        hand.waiting.push_front(Waiting { tense, call });
                        if hand.in_flight.len() >= self.window {
                            return Ok(());
                        }
                        self.launch(hand, tense, stop);
                    }
                    Err(PushError::TooLarge(call)) => self.bury_oversized(hand, &call),
                }
            }
            if !self.read_page(hand, stop).await? {
                while hand.in_flight.len() < self.window
                    && let Some(tense) = hand.due()
                {
                    self.launch(hand, tense, stop);
                }
                return Ok(());
            }
        }
    }

    /// Reads and shapes the next page, and says whether there was one.
    async fn read_page(&self, hand: &mut Hand, stop: &CancellationToken) -> anyhow::Result<bool> {
        let from = Place {
            partition: self.partition,
            seq: hand.ledger.next(),
        };
        let page = self
            .journal
            .read_indexed(from, PAGE)
            .await
            .context("cannot read the log")?;
        if !self.is_told_of(&page, hand, stop).await? {
            return Ok(false);
        }
        if !self.is_named(&page, stop).await {
            return Ok(false);
        }
        let mut shaped = Vec::new();
        let mut last = None;
        for indexed in page {
            match indexed {
                Indexed::Record { record, verdict } => {
                    last = Some(record.place.seq);
                    let before = self.before(&record, hand.carried.as_ref());
                    match self.shape(&record, verdict, before) {
                        Ok(call) => shaped.push((record, call, before)),
                        Err(end) => self.end_at_once(hand, &record, end),
                    }
                }
                Indexed::Erased(tombstone) => {
                    last = Some(tombstone.place.seq);
                    if *tombstone.workspace == *self.connection.workspace {
                        let end = End::Skipped(SkipCause::Erased);
                        hand.ends.push((tombstone.received_at, end));
                    }
                }
                Indexed::Damaged { last: seq, .. } => last = Some(seq),
            }
        }
        let Some(last) = last else { return Ok(false) };
        self.take_up(hand, shaped).await?;
        self.report(hand);
        hand.ledger.read_through(last);
        Ok(true)
    }

    /// The call of a record, or how the record ends without one.
    fn shape(&self, record: &Record, verdict: Verdict, before: Before) -> Result<Call, Ended> {
        if *record.workspace != *self.connection.workspace {
            return Err(Ended::Elsewhere);
        }
        if before == Before::Settled {
            // Its call is not sent; what it claims is still its own.
            let call = self.claims_firsts().then(|| self.call(record));
            let call = call.and_then(Result::ok);
            return call.ok_or(Ended::Skipped(SkipCause::Settled));
        }
        if matches!(verdict, Verdict::DuplicateOf(_)) {
            return Err(Ended::Skipped(SkipCause::Duplicate));
        }
        self.call(record)
    }

    /// Whether first occurrences alone are sent.
    pub(super) fn claims_firsts(&self) -> bool {
        match self.options.send_frequency {
            SendFrequency::First(_) => true,
            SendFrequency::Every => false,
        }
    }

    /// The call of a record that is this workspace's.
    pub(super) fn call(&self, record: &Record) -> Result<Call, Ended> {
        // The indexer has buried it, once for all connections.
        let unusable = |_| Ended::Skipped(SkipCause::Unusable);
        let event = Event::parse(&record.body).map_err(unusable)?;
        let received_at = Some(record.received_at);
        match self.shape_named(&event, received_at) {
            Shaped::Call(call) => Ok(call),
            Shaped::Skip(_) => Err(Ended::Skipped(SkipCause::Options)),
            Shaped::Bury(burial) => Err(Ended::Buried(burial.to_string())),
        }
    }

    fn end_at_once(&self, hand: &mut Hand, record: &Record, end: Ended) {
        let end = match end {
            Ended::Elsewhere => return,
            Ended::Skipped(cause) => End::Skipped(cause),
            Ended::Buried(reason) => {
                hand.ledger
                    .bury(bury(record, Some(&self.connection.id), reason));
                End::Buried
            }
        };
        hand.ends.push((record.received_at, end));
    }

    /// Puts the calls that are to be sent in line, in order; first-only claims
    /// decide which those are.
    async fn take_up(
        &self,
        hand: &mut Hand,
        shaped: Vec<(Record, Call, Before)>,
    ) -> anyhow::Result<()> {
        let keys: Vec<_> = shaped
            .iter()
            .filter_map(|(_, call, _)| call.occurrence.as_ref().map(keys::of_occurrence))
            .collect();
        let held = match keys.as_slice() {
            [] => Vec::new(),
            keys => {
                let (id, partition) = (&self.connection.id, self.partition);
                self.journal.first_claims(id, partition, keys).await?
            }
        };
        let mut held = keys.into_iter().zip(held);
        for (record, call, before) in shaped {
            if call.occurrence.is_some()
                && let Some((key, held)) = held.next()
            {
                let claimant = held.or_else(|| hand.ledger.claimant(&key));
                let is_free = claimant.is_none_or(|place| place == record.place);
                if is_free {
                    hand.ledger.claim(key, record.place);
                } else if before == Before::Open {
                    self.end_at_once(hand, &record, Ended::Skipped(SkipCause::NotFirst));
                    continue;
                }
            }
            match before {
                Before::Open => hand.take_up(record, call),
                Before::Settled => {
                    self.end_at_once(hand, &record, Ended::Skipped(SkipCause::Settled));
                }
            }
        }
        Ok(())
    }

    fn launch(&self, hand: &mut Hand, tense: Tense, stop: &CancellationToken) {
        let batch = hand.take_open(tense);
        let (outbox, stop) = (Arc::clone(&self.outbox), stop.clone());
        hand.in_flight
            .spawn(async move { outbox.dispatch(batch, &stop).await });
    }

    fn end_batch(&self, hand: &mut Hand, outcome: Outcome) {
        hand.batch_ended = true;
        let trace = trace::of_batch(&outcome, hand.options, Timestamp::now());
        hand.traces.extend(trace);
        self.observer.attempted(&self.connection, &outcome.attempts);
        for tag in outcome.accepted {
            if let Some(underway) = hand.end(tag) {
                hand.ends.push((underway.received_at, End::Accepted));
            }
        }
        for refused in outcome.refused {
            if let Some(underway) = hand.end(refused.tag) {
                hand.ends.push((underway.received_at, End::Buried));
                hand.ledger.bury(self.refusal(underway, refused));
            }
        }
        self.report(hand);
    }

    /// Says which records have ended since the last time: many at once, since
    /// counting takes locks.
    fn report(&self, hand: &mut Hand) {
        if !hand.ends.is_empty() {
            self.observer.ended(&self.connection, &hand.ends);
            hand.ends.clear();
        }
    }

    fn refusal(&self, underway: Underway, refused: Refused) -> NewDeadLetter {
        let Refused { call, attempt, .. } = refused;
        let (reason, answer) = match attempt {
            Attempt {
                result: AttemptResult::Answered { status, body },
                ..
            } => {
                let body = Bytes::from(body);
                let answer = journal::Answer { status, body };
                (
                    format!("Segment answered {status} to this call alone"),
                    Some(answer),
                )
            }
            Attempt {
                result: AttemptResult::Failed { cause },
                ..
            } => (cause, None),
        };
        self.dead_letter(underway, &call, (reason, answer))
    }

    fn bury_oversized(&self, hand: &mut Hand, call: &dispatch::Call) {
        if let Some(underway) = hand.end(call.tag) {
            let reason = format!(
                "the call has {} bytes, more than a batch takes",
                call.json.len()
            );
            hand.ends.push((underway.received_at, End::Buried));
            hand.ledger
                .bury(self.dead_letter(underway, call, (reason, None)));
        }
    }

    fn dead_letter(
        &self,
        underway: Underway,
        call: &dispatch::Call,
        (reason, answer): (String, Option<journal::Answer>),
    ) -> NewDeadLetter {
        NewDeadLetter {
            place: underway.place,
            connection: Some(self.connection.id.to_string()),
            buried_at: Timestamp::now(),
            reason,
            event_name: Some(underway.event_name),
            call: Some(Bytes::copy_from_slice(call.json.as_bytes())),
            answer,
            workspace: self.connection.workspace.to_string(),
            body: underway.body,
        }
    }

    async fn settle(&self, hand: &mut Hand, stop: &CancellationToken) -> anyhow::Result<()> {
        let Some(settleable) = hand.ledger.take() else {
            return Ok(());
        };
        let Settleable {
            through,
            claims,
            dead_letters,
        } = &settleable;
        let settlement = Settlement {
            connection: self.connection.id.to_string(),
            partition: self.partition,
            through: *through,
            claims: claims.clone(),
            dead_letters: dead_letters.clone(),
            traces: std::mem::take(&mut hand.traces),
        };
        self.settle_for_good(settlement, stop).await?;
        hand.ledger.settled_through(&settleable);
        hand.settled_at = Instant::now();
        hand.batch_ended = false;
        Ok(())
    }

    /// Settles, however long a full disk takes to have room. What is in hand stays
    /// there meanwhile: to begin anew would send all of it again, every second.
    async fn settle_for_good(
        &self,
        settlement: Settlement,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut is_told = false;
        loop {
            let alone = self.settling.lock().await;
            let settled = self.journal.settle(settlement.clone()).await;
            drop(alone);
            let fault = match settled {
                Err(StateError::Storage(fault)) if fault.may_pass() => fault,
                settled => return settled.context("cannot settle"),
            };
            if !is_told {
                is_told = true;
                warn!(
                    connection = %self.connection.name,
                    "cannot settle until the disk has room, and tries every second: {fault:?}"
                );
            }
            let pause = tokio::time::sleep(SETTLE_AGAIN);
            let slept = stop.run_until_cancelled(pause).await;
            slept.context("stopped before the disk had room to settle")?;
        }
    }

    /// When there is something to do although nothing happens.
    fn deadline(&self, hand: &Hand) -> Option<Instant> {
        let has_room = hand.in_flight.len() < self.window;
        let linger = hand.lingered_at().filter(|_| has_room);
        let settle = hand
            .ledger
            .is_behind()
            .then(|| hand.settled_at + SETTLE_PAUSE);
        linger.into_iter().chain(settle).min()
    }
}

/// How a record ends without a call.
pub(super) enum Ended {
    /// It is another workspace's.
    Elsewhere,
    Skipped(SkipCause),
    Buried(String),
}
