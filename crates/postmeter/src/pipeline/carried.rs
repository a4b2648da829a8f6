//! What a feed does about records that were carried over from another journal:
//! what the connection had settled there it passes over, and what it had claimed
//! there it claims here before it sends anything.

use anyhow::Context as _;
use journal::{Entry, Indexed, Place, ReadLimit, Record, Seq, Settlement};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::feed::Feed;
use super::hand::Hand;
use super::keys;
use crate::carry::{Carried, CarriedLetter, letter_key, made, note_made};

/// What is read at a time while claims are taken over.
const PAGE: ReadLimit = ReadLimit {
    records: 2_500,
    bytes: 4 * 1024 * 1024,
};
/// Letters that are buried at a time.
const LETTERS: usize = 50;

/// What the connection did with a record before the record came here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Before {
    /// Nothing that counts: the record is sent if it is to be.
    Open,
    /// It was through with it.
    Settled,
}

impl Feed {
    /// What the journal knows of a migration.
    pub(super) async fn carried(&self) -> anyhow::Result<Option<Carried>> {
        let carried = Carried::load(&self.journal).await;
        carried.context("cannot read what was carried over")
    }

    pub(super) fn before(&self, record: &Record, carried: Option<&Carried>) -> Before {
        let settled = record
            .origin
            .zip(carried)
            .is_some_and(|(origin, carried)| carried.has_settled(&self.connection.id, origin));
        if settled {
            Before::Settled
        } else {
            Before::Open
        }
    }

    /// Waits until what this connection must know before it sends anything has
    /// come, and takes it over; none when it is to stop.
    pub(super) async fn take_over(
        &self,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Option<Carried>>> {
        let mut settings = self.journal.watch_settings();
        loop {
            settings.borrow_and_update();
            let Some(carried) = self.carried().await? else {
                return Ok(Some(None));
            };
            if carried.is_done {
                if self.claims_firsts() {
                    if !self.is_indexed(carried.end(self.partition), stop).await? {
                        return Ok(None);
                    }
                    self.take_claims_over(&carried).await?;
                }
                self.take_letters_over(&carried).await?;
            }
            if carried.is_done || !self.claims_firsts() {
                return Ok(Some(Some(carried)));
            }
            let Some(changed) = stop.run_until_cancelled(settings.changed()).await else {
                return Ok(None);
            };
            changed.context("the journal is closed")?;
        }
    }

    /// Waits until records through `end` are indexed, because the journal reckons
    /// the life of a claim from what is; says whether they are.
    async fn is_indexed(&self, end: Seq, stop: &CancellationToken) -> anyhow::Result<bool> {
        let mut indexed = self.journal.indexed(self.partition);
        let there = indexed.wait_for(|seq| seq.unwrap_or(Seq::ZERO) >= end);
        match stop.run_until_cancelled(there).await {
            None => Ok(false),
            Some(there) => there.map(|_| true).context("the journal is closed"),
        }
    }

    /// Waits until the settings say what was carried over with these records: they
    /// may be here before. Says whether the feed knows it already; otherwise it
    /// begins anew.
    pub(super) async fn is_told_of(
        &self,
        page: &[Indexed],
        hand: &mut Hand,
        stop: &CancellationToken,
    ) -> anyhow::Result<bool> {
        let origins = page.iter().filter_map(|indexed| match indexed {
            Indexed::Record { record, .. } => record.origin,
            Indexed::Erased(_) | Indexed::Damaged { .. } => None,
        });
        let Some(newest) = origins.max() else {
            return Ok(true);
        };
        let covers = |carried: &Option<Carried>| {
            carried
                .as_ref()
                .is_some_and(|carried| carried.covers(newest))
        };
        if covers(&hand.carried) {
            return Ok(true);
        }
        let mut settings = self.journal.watch_settings();
        loop {
            settings.borrow_and_update();
            if covers(&self.carried().await?) {
                stop.cancel();
                return Ok(false);
            }
            let Some(changed) = stop.run_until_cancelled(settings.changed()).await else {
                return Ok(false);
            };
            changed.context("the journal is closed")?;
        }
    }

    /// Claims what settled records had claimed, before any later record can.
    async fn take_claims_over(&self, carried: &Carried) -> anyhow::Result<()> {
        let (id, partition) = (&self.connection.id, self.partition);
        let end = carried.end(partition);
        let step = format!("migration/claims/{id}/{partition}/{end}");
        if made(&self.journal, &step).await? > 0 {
            return Ok(());
        }
        let cursor = self.cursor().await?;
        let mut next = cursor.next();
        let mut n_claims = 0;
        while next <= end {
            let from = Place::new(partition, next);
            let entries = self.journal.read(from, PAGE).await;
            let entries = entries.context("cannot read what was carried over")?;
            let Some(last) = entries.last().map(end_of) else {
                break; // the end is trimmed, or its partition is gone
            };
            let settlement = Settlement {
                connection: id.to_string(),
                partition,
                through: cursor,
                claims: self.claims(entries, carried),
                dead_letters: Vec::new(),
                traces: Vec::new(),
            };
            n_claims += settlement.claims.len();
            if !settlement.claims.is_empty() {
                let settled = self.journal.settle(settlement).await;
                settled.context("cannot take claims over")?;
            }
            next = last.next();
        }
        note_made(&self.journal, &step, 1).await?;
        info!(
            "{n_claims} first-only claims of {} in partition {partition} were taken over",
            self.connection.name
        );
        Ok(())
    }

    fn claims(&self, entries: Vec<Entry>, carried: &Carried) -> Vec<(journal::ClaimKey, Place)> {
        let mut claims = Vec::new();
        for entry in entries {
            let Entry::Record(record) = entry else {
                continue;
            };
            let is_ours = *record.workspace == *self.connection.workspace;
            if !is_ours || self.before(&record, Some(carried)) == Before::Open {
                continue;
            }
            let call = self.call(&record).ok();
            let occurrence = call.and_then(|call| call.occurrence);
            claims.extend(occurrence.map(|it| (keys::of_occurrence(&it), record.place)));
        }
        claims
    }

    /// Buries the letters that wait for this connection.
    async fn take_letters_over(&self, carried: &Carried) -> anyhow::Result<()> {
        let id = &self.connection.id;
        let n_letters = carried.n_letters(id);
        let step = format!("migration/letters/{id}");
        let is_first = self.journal.partitions().next() == Some(self.partition);
        if !is_first || n_letters == 0 {
            return Ok(());
        }
        let numbers: Vec<u32> = (made(&self.journal, &step).await? + 1..=n_letters).collect();
        for numbers in numbers.chunks(LETTERS) {
            let mut dead_letters = Vec::new();
            for number in numbers {
                let key = letter_key(id, *number);
                let kept = self.journal.setting(&key).await?;
                let kept = kept.with_context(|| format!("the setting {key} is missing"))?;
                let letter: CarriedLetter = serde_json::from_slice(&kept.value)
                    .with_context(|| format!("the setting {key} is damaged"))?;
                dead_letters.push(letter.letter()?);
            }
            let settlement = Settlement {
                connection: id.to_string(),
                partition: self.partition,
                through: self.cursor().await?,
                claims: Vec::new(),
                dead_letters,
                traces: Vec::new(),
            };
            let settled = self.journal.settle(settlement).await;
            settled.context("cannot bury letters that were carried over")?;
            let through = numbers.last().copied().unwrap_or(n_letters);
            note_made(&self.journal, &step, through).await?;
        }
        Ok(())
    }
}

fn end_of(entry: &Entry) -> Seq {
    match entry {
        Entry::Record(record) => record.place.seq,
        Entry::Erased(tombstone) => tombstone.place.seq,
        Entry::Damaged { last, .. } => *last,
    }
}
