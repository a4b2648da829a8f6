//! Sends dead letters again: with the connection's options of now, through the
//! connection's own line, past its queue.
//!
//! A letter that Segment takes is removed; any other stays as it is. A crash in
//! between sends it once more under the same message id, and loses nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use console::seen::Retried;
use dispatch::{Batch, Condition, Outbox, PushError, Stamp};
use journal::{ClaimKey, DeadLetter, Place, Seq, Settlement, StateError};
use shape::{Call, Event, SendFrequency, Shaped};
use tokio_util::sync::CancellationToken;

use crate::operator::{Arrival, Operator};
use crate::pipeline::keys;

/// How long one batch may take to be answered.
const PATIENCE: Duration = Duration::from_secs(20);

impl Operator {
    /// Sends letters again.
    pub(crate) async fn retry(&self, letters: Vec<DeadLetter>) -> anyhow::Result<Retried> {
        let mut retried = Retried::default();
        let mut by_connection: BTreeMap<String, Vec<DeadLetter>> = BTreeMap::new();
        for found in letters {
            if let Some(id) = found.letter.connection.clone() {
                by_connection.entry(id).or_default().push(found);
            } else {
                retried.left += 1;
                let why = "an event that nothing can be made of cannot be sent";
                retried.note = Some(why.to_owned());
            }
        }
        for (id, letters) in by_connection {
            self.retry_through(&id, letters, &mut retried).await?;
        }
        Ok(retried)
    }

    async fn retry_through(
        &self,
        id: &str,
        letters: Vec<DeadLetter>,
        retried: &mut Retried,
    ) -> anyhow::Result<()> {
        let mut connections = self.connections().into_iter();
        let connection = connections.find(|each| each.id.as_str() == id);
        let line = connection
            .as_ref()
            .and_then(|connection| self.running.line(&connection.id));
        let (Some(connection), Some(line)) = (connection, line) else {
            retried.left += u64::try_from(letters.len()).unwrap_or(u64::MAX);
            let name = self.name_of(id);
            retried.note = Some(format!("connection {name} does not send now"));
            return Ok(());
        };
        let options = connection.shape_options();
        let mut batch = Batch::new(Stamp::SentAt);
        for found in letters {
            let call = match self.call_of(&found, &options) {
                Ok(call) => call,
                Err(reason) => {
                    retried.skipped += 1;
                    retried.note = Some(reason);
                    continue;
                }
            };
            if let SendFrequency::First(_) = options.send_frequency
                && let Some(why) = self.withheld(id, &found, &call).await?
            {
                retried.skipped += 1;
                retried.note = Some(why.to_owned());
                continue;
            }
            let call = dispatch::Call {
                message_id: call.message_id,
                json: call.json,
                tag: found.id.get(),
            };
            match batch.push(call) {
                Ok(()) => {}
                Err(PushError::Full(call)) => {
                    let full = std::mem::replace(&mut batch, Batch::new(Stamp::SentAt));
                    self.send(&line.outbox, full, retried).await?;
                    batch.push(call).context("an empty batch takes a call")?;
                }
                Err(PushError::TooLarge(_)) => retried.refused += 1,
            }
        }
        if !batch.is_empty() {
            self.send(&line.outbox, batch, retried).await?;
        }
        Ok(())
    }

    /// The call of a letter's event with these options, or why there is none.
    pub(crate) fn call_of(
        &self,
        found: &DeadLetter,
        options: &shape::Options,
    ) -> Result<Call, String> {
        let letter = &found.letter;
        let event = Event::parse(&letter.body).map_err(|unusable| unusable.to_string())?;
        let arrival = Arrival {
            workspace: &letter.workspace,
            at: letter.buried_at,
        };
        match self.shaped(&event, arrival, options) {
            Shaped::Call(call) => Ok(call),
            Shaped::Skip(skip) => Err(skip.to_string()),
            Shaped::Bury(burial) => Err(burial.to_string()),
        }
    }

    /// Why a first-only connection does not send this call: its record does not
    /// hold the first occurrence. None where it does, or does from now on.
    async fn withheld(
        &self,
        id: &str,
        found: &DeadLetter,
        call: &Call,
    ) -> anyhow::Result<Option<&'static str>> {
        const NOT_FIRST: &str = "another record was first, and the connection sends only those";
        let place = found.letter.place;
        let mut partitions = self.journal.partitions();
        let is_here = partitions.any(|each| each == place.partition);
        let Some(occurrence) = call.occurrence.as_ref().filter(|_| is_here) else {
            // Without a delivery every occurrence is sent; and a letter that was
            // carried over from another journal has brought its claim along.
            return Ok(None);
        };
        let key = keys::of_occurrence(occurrence);
        if let Some(holder) = self.holder(id, place, key).await? {
            return Ok((holder != place).then_some(NOT_FIRST));
        }
        let claim = Settlement {
            connection: id.to_owned(),
            partition: place.partition,
            // A cursor that is further stays where it is.
            through: Seq::ZERO,
            claims: vec![(key, place)],
            dead_letters: Vec::new(),
            traces: Vec::new(),
        };
        match self.journal.settle(claim).await {
            Err(StateError::Superseded) => {
                return Ok(Some("another node feeds the connection: try again there"));
            }
            settled => settled?,
        }
        let holder = self.holder(id, place, key).await?;
        Ok((holder != Some(place)).then_some(NOT_FIRST))
    }

    async fn holder(&self, id: &str, place: Place, key: ClaimKey) -> anyhow::Result<Option<Place>> {
        let held = self
            .journal
            .first_claims(id, place.partition, &[key])
            .await?;
        Ok(held.into_iter().next().flatten())
    }

    async fn send(
        &self,
        outbox: &Outbox,
        batch: Batch,
        retried: &mut Retried,
    ) -> anyhow::Result<()> {
        let stop = CancellationToken::new();
        let mut condition = outbox.condition();
        let give_up = async {
            let waits = |condition: &Condition| matches!(condition, Condition::Waiting { .. });
            let failed = tokio::time::timeout(PATIENCE, condition.wait_for(waits)).await;
            drop(failed);
            stop.cancel();
            std::future::pending::<()>().await;
        };
        let outcome = tokio::select! {
            outcome = outbox.dispatch(batch, &stop) => outcome,
            () = give_up => return Ok(()),
        };
        let arrived = outcome.accepted.iter().copied();
        let arrived = arrived.map(journal::DeadLetterId::new).collect();
        self.journal.remove_dead_letters(arrived).await?;
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        retried.accepted += count(outcome.accepted.len());
        retried.refused += count(outcome.refused.len());
        retried.left += count(outcome.stopped.len());
        let refusal = outcome.refused.last().map(|refused| &refused.attempt);
        if let Some(attempt) = refusal.or(outcome.attempts.last()) {
            retried.note = Some(match &attempt.result {
                dispatch::AttemptResult::Answered { status, body } => format!("{status} {body}"),
                dispatch::AttemptResult::Failed { cause } => cause.clone(),
            });
        }
        Ok(())
    }
}
