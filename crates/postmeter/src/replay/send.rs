//! One batch of a replay: its first-only claims, its calls, and what they leave
//! behind - traces, dead letters, and letters that are not dead any more.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use bytes::Bytes;
use dispatch::{AttemptResult, Batch, Outcome, Refused, Stamp};
use jiff::Timestamp;
use journal::{
    Answer, ClaimKey, DeadLetterFilter, DeadLetterId, NewDeadLetter, Place, Record, Seq, Settlement,
};
use shape::{Call, SendFrequency};
use tokio_util::sync::CancellationToken;

use super::job::{Progress, traced_as};
use super::run::{Replayer, Work};
use crate::pipeline::{keys, trace};

/// Calls of one batch at most: so small that live calls hardly wait for it.
const CALLS: usize = 400;
/// Bytes of one batch at most, before the last call.
const BYTES: usize = 400_000;
/// Batches that a second's calls are divided into, where they fit.
const PER_SECOND: u32 = 4;
/// Dead letters of a connection that are known beforehand: the newest.
const LETTERS: usize = 20_000;
/// Letters that are read in one go.
const LETTER_PAGE: usize = 500;

/// Calls that leave together, and how far the replay has come behind them.
pub(super) struct Parcel {
    pub(super) progress: Progress,
    calls: Vec<dispatch::Call>,
    bytes: usize,
    most: usize,
    records: BTreeMap<u64, (Record, String)>,
    /// First occurrences that nobody claims yet.
    claims: HashMap<ClaimKey, Place>,
    /// Of events that no call can be made of.
    burials: Vec<NewDeadLetter>,
}

/// How sending a parcel ended.
pub(super) enum Sent {
    Done,
    /// The fate of some of its calls is unknown.
    Stopped,
}

/// The dead letters of a connection in one partition, by their records.
pub(super) struct Letters {
    by_place: HashMap<Place, Vec<DeadLetterId>>,
    /// Letters of records behind this one may be missing.
    known_through: Seq,
}

impl Parcel {
    pub(super) fn new(progress: Progress, rate_per_s: u32) -> Parcel {
        let most = usize::try_from(rate_per_s / PER_SECOND).unwrap_or(CALLS);
        Parcel {
            progress,
            calls: Vec::new(),
            bytes: 0,
            most: most.clamp(1, CALLS),
            records: BTreeMap::new(),
            claims: HashMap::new(),
            burials: Vec::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.calls.len() >= self.most || self.bytes >= BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether it has nothing to send and nothing to bury.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.burials.is_empty()
    }

    /// Buries the event of a record with the rest of the parcel.
    pub(super) fn bury(&mut self, record: &Record, reason: String) {
        self.burials.push(NewDeadLetter {
            place: record.place,
            connection: None,
            buried_at: Timestamp::now(),
            reason,
            event_name: None,
            call: None,
            answer: None,
            workspace: record.workspace.clone(),
            body: record.body.clone(),
        });
    }

    fn add(&mut self, record: Record, call: Call) {
        self.bytes += call.json.len() + 1;
        self.calls.push(dispatch::Call {
            message_id: call.message_id,
            json: call.json,
            tag: record.place.seq.get(),
        });
        self.records
            .insert(record.place.seq.get(), (record, call.name));
    }

    /// Takes a call out whose occurrence another record has claimed meanwhile.
    fn withdraw(&mut self, place: Place) {
        self.calls.retain(|call| call.tag != place.seq.get());
        self.records.remove(&place.seq.get());
        self.progress.counts.not_first += 1;
    }
}

impl Replayer {
    /// Puts a call into the parcel, unless another record's was first.
    pub(super) async fn put(
        &self,
        parcel: &mut Parcel,
        record: Record,
        call: Call,
    ) -> anyhow::Result<()> {
        if let SendFrequency::First(_) = self.connection.options.send_frequency
            && let Some(occurrence) = &call.occurrence
        {
            let key = keys::of_occurrence(occurrence);
            let held = self.holders(&[key]).await?.into_iter().next().flatten();
            match held.or_else(|| parcel.claims.get(&key).copied()) {
                Some(holder) if holder != record.place => {
                    parcel.progress.counts.not_first += 1;
                    return Ok(());
                }
                Some(_) => {}
                None => drop(parcel.claims.insert(key, record.place)),
            }
        }
        parcel.add(record, call);
        Ok(())
    }

    async fn holders(&self, keys: &[ClaimKey]) -> anyhow::Result<Vec<Option<Place>>> {
        let (id, partition) = (self.connection.id.as_str(), self.partition);
        let held = self.desk.operator.journal.first_claims(id, partition, keys);
        held.await.context("cannot read first-only claims")
    }

    /// Claims the parcel's first occurrences, durably, before anything is sent.
    pub(super) async fn claim(&self, parcel: &mut Parcel) -> anyhow::Result<()> {
        if parcel.claims.is_empty() {
            return Ok(());
        }
        let claims: Vec<(ClaimKey, Place)> = parcel.claims.drain().collect();
        let settlement = Settlement {
            claims: claims.clone(),
            ..self.nothing(self.connection.id.to_string())
        };
        self.settle(settlement).await?;
        let keys: Vec<ClaimKey> = claims.iter().map(|(key, _)| *key).collect();
        let holders = self.holders(&keys).await?;
        for ((_, place), holder) in claims.into_iter().zip(holders) {
            if holder != Some(place) {
                parcel.withdraw(place);
            }
        }
        Ok(())
    }

    /// Sends the parcel as a batch without `sentAt`, and keeps what came of it.
    pub(super) async fn send(
        &self,
        work: &mut Work,
        parcel: &mut Parcel,
        stop: &CancellationToken,
    ) -> anyhow::Result<Sent> {
        let mut batch = Batch::new(Stamp::Omitted);
        for call in std::mem::take(&mut parcel.calls) {
            let pushed = batch.push(call);
            pushed.context("a call of a replay does not fit into its batch")?;
        }
        let outcome = if batch.is_empty() {
            Outcome::default()
        } else {
            self.dispatch(work, batch, stop).await?
        };
        self.desk.observer.attempted(&self.label, &outcome.attempts);
        if !outcome.stopped.is_empty() {
            return Ok(Sent::Stopped);
        }
        self.keep(work, parcel, outcome).await?;
        Ok(Sent::Done)
    }

    /// Sends a batch; gives it up when the replay is paused or ended.
    async fn dispatch(
        &self,
        work: &Work,
        batch: Batch,
        stop: &CancellationToken,
    ) -> anyhow::Result<Outcome> {
        let leave = stop.child_token();
        let mut settings = self.desk.operator.journal.watch_settings();
        let mut dispatching = std::pin::pin!(self.outbox.dispatch(batch, &leave));
        loop {
            tokio::select! {
                outcome = &mut dispatching => return Ok(outcome),
                changed = settings.changed() => {
                    changed.context("the journal is closed")?;
                }
            }
            if !self.may_go_on(work, stop).await? {
                leave.cancel();
                return Ok(dispatching.await);
            }
        }
    }

    /// Keeps what came of a batch: letters, its trace, and what is counted.
    async fn keep(
        &self,
        work: &mut Work,
        parcel: &mut Parcel,
        outcome: Outcome,
    ) -> anyhow::Result<()> {
        let newest = parcel.records.keys().next_back();
        let newest = newest.map_or(Seq::ZERO, |seq| Seq::new(*seq));
        if newest > work.letters.known_through {
            work.letters = self.letters().await?;
        }
        let trace = trace::of_some(&outcome, work.options, Timestamp::now());
        let Outcome {
            accepted, refused, ..
        } = outcome;
        let (progress, mut letters) = (&mut parcel.progress, std::mem::take(&mut parcel.burials));
        progress.counts.sent += count(accepted.len() + refused.len());
        progress.counts.accepted += count(accepted.len());
        progress.counts.refused += count(refused.len());
        let sent = accepted.iter().copied();
        let sent = sent.chain(refused.iter().map(|refused| refused.tag));
        let mut sent: Vec<u64> = sent.collect();
        sent.sort_unstable();
        for seq in sent {
            progress.sent(Seq::new(seq));
        }
        self.desk.observer.replayed(
            &self.label.name,
            (count(accepted.len()), count(refused.len())),
        );
        for refused in refused {
            if let Some((record, name)) = parcel.records.remove(&refused.tag) {
                letters.push(refusal(record, name, refused));
            }
        }
        self.bury(work, letters).await?;
        if let Some(trace) = trace {
            let traced = traced_as(self.connection.id.as_str(), work.job.number);
            let settlement = Settlement {
                traces: vec![trace],
                ..self.nothing(traced)
            };
            self.settle(settlement).await?;
        }
        for seq in accepted {
            let place = Place::new(self.partition, Seq::new(seq));
            for id in work.letters.by_place.remove(&place).unwrap_or_default() {
                // It has arrived, so it is dead no more.
                let removed = self.desk.operator.journal.remove_dead_letter(id).await;
                removed.context("cannot remove a dead letter that has arrived")?;
            }
        }
        Ok(())
    }

    /// Buries what has no letter yet.
    async fn bury(&self, work: &mut Work, letters: Vec<NewDeadLetter>) -> anyhow::Result<()> {
        let is_new = |letter: &NewDeadLetter| !work.letters.by_place.contains_key(&letter.place);
        let new = letters
            .into_iter()
            .filter(is_new)
            .map(|letter| NewDeadLetter {
                connection: Some(self.connection.id.to_string()),
                ..letter
            });
        let dead_letters: Vec<NewDeadLetter> = new.collect();
        if dead_letters.is_empty() {
            return Ok(());
        }
        for letter in &dead_letters {
            // Known to be there, though not by its number.
            work.letters.by_place.insert(letter.place, Vec::new());
        }
        let id = self.connection.id.to_string();
        let settlement = Settlement {
            dead_letters,
            ..self.nothing(id)
        };
        self.settle(settlement).await
    }

    /// The dead letters that this connection has in this partition.
    pub(super) async fn letters(&self) -> anyhow::Result<Letters> {
        let known_through = self
            .desk
            .operator
            .settled(&self.connection, self.partition)
            .await?;
        let (mut by_place, mut after, mut n_read) = (HashMap::new(), None, 0);
        while n_read < LETTERS {
            let filter = DeadLetterFilter {
                connection: Some(self.connection.id.to_string()),
                after,
                limit: LETTER_PAGE,
            };
            let page = self.desk.operator.journal.dead_letters(filter).await;
            let page = page.context("cannot read the dead letters")?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            n_read += page.len();
            for found in page {
                let ids: &mut Vec<DeadLetterId> = by_place.entry(found.letter.place).or_default();
                ids.push(found.id);
            }
        }
        Ok(Letters {
            by_place,
            known_through,
        })
    }

    /// A settlement that moves no cursor.
    fn nothing(&self, connection: String) -> Settlement {
        Settlement {
            connection,
            partition: self.partition,
            through: Seq::ZERO,
            claims: Vec::new(),
            dead_letters: Vec::new(),
            traces: Vec::new(),
        }
    }

    async fn settle(&self, settlement: Settlement) -> anyhow::Result<()> {
        let _alone = self.settling.lock().await;
        let settled = self.desk.operator.journal.settle(settlement).await;
        settled.context("cannot keep what came of a replay's batch")
    }
}

fn refusal(record: Record, name: String, refused: Refused) -> NewDeadLetter {
    let (reason, answer) = match refused.attempt.result {
        AttemptResult::Answered { status, body } => (
            format!("Segment answered {status} to this call alone"),
            Some(Answer {
                status,
                body: Bytes::from(body),
            }),
        ),
        AttemptResult::Failed { cause } => (cause, None),
    };
    NewDeadLetter {
        place: record.place,
        connection: None,
        buried_at: Timestamp::now(),
        reason,
        event_name: Some(name),
        call: Some(Bytes::from(refused.call.json)),
        answer,
        workspace: record.workspace,
        body: record.body,
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
