//! Indexing, claiming and settling as the holder of a duty, and taking in what
//! the holders have written.

use std::mem::take;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tracing::warn;

use super::Partition;
use super::fences::{Fence, Standing};
use crate::index::{ClaimKey, IndexEntry};
use crate::jetstream::blocking;
use crate::jetstream::entry::{Entry, IndexedRecord, Page, Settled, TermHash};
use crate::jetstream::follow::Followed;
use crate::jetstream::kept::{anchor_value, parse_seq, seq_value};
use crate::jetstream::names::KeptKey;
use crate::jetstream::wire::{Letterhead, REQUEST_TIME, Wire, WireError};
use crate::journal::StateError;
use crate::lock::lock;
use crate::peers::Duty;
use crate::place::{Place, Seq};
use crate::record::Verdict;
use crate::settle::{NewDeadLetter, Settlement, Trace};
use crate::state::Fault;

impl From<WireError> for StateError {
    fn from(error: WireError) -> StateError {
        match error {
            WireError::Overtaken => StateError::Superseded,
            error => StateError::Cluster {
                cause: error.to_string(),
            },
        }
    }
}

/// Taking entries in.
impl Partition {
    /// Takes one message of the state stream into the view.
    pub(super) async fn apply(&self, stream: &str, message: &Followed) -> Result<(), String> {
        if message.subject == format!("{}.part", self.names.state(self.number)) {
            return Ok(());
        }
        let payload = if Wire::parts(&message.headers).is_empty() {
            Some(message.payload.clone())
        } else {
            let whole = self.wire.get(stream, message.sequence).await;
            let whole = whole.map_err(|error| error.to_string())?;
            whole.map(|whole| whole.payload)
        };
        let Some(entry) = payload.as_ref().and_then(Entry::decode) else {
            warn!(
                journal.partition = self.number.get(),
                "message {} of the state is no entry that this build knows; it is left out",
                message.sequence
            );
            return Ok(());
        };
        let connection = self.names.claimant(self.number, &message.subject);
        self.take_in(entry, connection, message).await
    }

    async fn take_in(
        &self,
        entry: Entry,
        connection: Option<String>,
        message: &Followed,
    ) -> Result<(), String> {
        let (sequence, stored_at) = (message.sequence, message.stored_at);
        let last_pack = match &entry {
            Entry::Page(page) => page.packs.last().copied(),
            _ => None,
        };
        if let Entry::Clear(anchor) = entry {
            let view = Arc::clone(&self.view);
            let cleared = blocking(move || {
                view.index.clear()?;
                view.index.advance(sequence);
                Ok(())
            });
            done(cleared.await)?;
            self.count_again(anchor.max_by_sequence(self.begins_at()))
                .await;
            return Ok(());
        }
        let view = Arc::clone(&self.view);
        let bytes_per_record = self.bytes_per_record();
        let taken = blocking(move || {
            match (entry, connection) {
                (Entry::Page(page), _) => view.index(&page, bytes_per_record)?,
                (Entry::Settled(settled), Some(connection)) => {
                    view.settle(&connection, &settled, stored_at)?;
                }
                (Entry::Reset, Some(connection)) => view.firsts.reset_claims(&connection)?,
                (Entry::Forget, Some(connection)) => view.firsts.forget_traces(&connection)?,
                _ => {}
            }
            view.index.advance(sequence);
            Ok(())
        });
        done(taken.await)?;
        if let Some(pack) = last_pack {
            // The last pack may go on in the next page.
            lock(&self.numbering).forget_below(pack.first);
        }
        Ok(())
    }
}

/// Writing entries.
impl Partition {
    /// Takes a duty: what is written behind this is the holder's alone.
    pub(crate) async fn fence(
        &self,
        duty: &Duty,
        node: &str,
        over: watch::Sender<bool>,
    ) -> Result<(), WireError> {
        let head = Letterhead::on(self.names.fence(duty));
        let entry = Entry::Fence(node.to_owned()).encode();
        let sequence = self.wire.publish_one(&head, entry, REQUEST_TIME).await?;
        self.wait_applied(sequence).await;
        let cursor = match duty {
            Duty::Index(_) => 0,
            Duty::Feed { connection, .. } => {
                let key = KeptKey::Cursor(self.number, connection.clone());
                self.kept.revision(&key)
            }
        };
        let fence = Fence {
            last: sequence,
            cursor,
            over,
        };
        self.fences.hold(duty.clone(), fence);
        Ok(())
    }

    /// Writes an entry as the holder of `duty`, and waits until it is in the view.
    async fn write(&self, duty: &Duty, entry: &Entry) -> Result<(), StateError> {
        let expected = match self.fences.standing(duty) {
            Standing::Over => return Err(StateError::Superseded),
            Standing::Free => None,
            Standing::Held { last, .. } => Some(last),
        };
        let mut head = Letterhead::on(self.names.fence(duty));
        head.expected = expected;
        let written = self.wire.publish(&head, entry.encode(), REQUEST_TIME).await;
        let sequence = written.inspect_err(|_| self.fences.lose(duty))?;
        self.fences.wrote(duty, sequence);
        self.wait_applied(sequence).await;
        Ok(())
    }

    pub(crate) async fn index(&self, entries: Vec<IndexEntry>) -> Result<Vec<Verdict>, StateError> {
        let duty = Duty::Index(self.number);
        let (first, through) = self.follow_on(&entries)?;
        if through < first {
            return Ok(Vec::new());
        }
        let view = Arc::clone(&self.view);
        let judged = blocking(move || {
            let verdicts = view.judge(&entries);
            verdicts.map(|verdicts| (entries, verdicts))
        });
        let judged = judged.await.ok_or(StateError::Stopping)?;
        let (mut entries, verdicts) = judged.map_err(StateError::Storage)?;
        self.bury_unusable(&mut entries, &verdicts).await?;
        let packs = {
            let numbering = lock(&self.numbering);
            let packs = numbering.behind(first);
            packs.take_while(|pack| pack.first <= through).collect()
        };
        let newest = entries.iter().map(|entry| entry.received_at.as_second());
        let page = Page {
            first,
            through,
            newest_second: newest.max().unwrap_or(i64::MIN),
            packs,
            records: entries.iter().zip(&verdicts).map(indexed_record).collect(),
        };
        self.write(&duty, &Entry::Page(page)).await?;
        Ok(verdicts)
    }

    /// Checks that `entries` leave out nothing but what is damaged or trimmed.
    /// Tells which records the page will be of.
    fn follow_on(&self, entries: &[IndexEntry]) -> Result<(Seq, Seq), StateError> {
        let begin = self.begins_at().seq.previous();
        let watermark = self.view.index.watermark().max(begin);
        let mut at = self.step_over_damage(watermark);
        for entry in entries {
            let (expected, found) = (at.next(), entry.seq);
            if found != expected {
                return Err(StateError::NotContiguous { expected, found });
            }
            at = self.step_over_damage(found);
        }
        let durable = self.durable.borrow().unwrap_or(Seq::ZERO);
        match entries.last() {
            Some(last) if last.seq > durable => Err(StateError::NotDurable { seq: last.seq }),
            _ => Ok((watermark.next(), at)),
        }
    }

    /// Buries what no connection could deliver, once, however often the index is
    /// built anew.
    async fn bury_unusable(
        &self,
        entries: &mut [IndexEntry],
        verdicts: &[Verdict],
    ) -> Result<(), StateError> {
        let key = KeptKey::Buried(self.number);
        let row = self.kept.get(&key);
        let buried = row.and_then(|row| parse_seq(&row.value));
        let buried = buried.unwrap_or(Seq::ZERO);
        let mut letters: Vec<NewDeadLetter> = Vec::new();
        for (entry, verdict) in entries.iter_mut().zip(verdicts) {
            let burial = entry.burial.take();
            if *verdict == Verdict::First && entry.seq > buried {
                letters.extend(burial);
            }
        }
        let Some(last) = letters.last() else {
            return Ok(());
        };
        let through = last.place.seq;
        self.letters.bury(&letters).await?;
        self.kept.put(&key, seq_value(through), None).await?;
        Ok(())
    }

    /// Throws the index away on every node; it starts over where the log begins.
    pub(crate) async fn rebuild_index(&self) -> Result<(), StateError> {
        let entry = Entry::Clear(self.begins_at());
        self.write_anyway(&Duty::Index(self.number), &entry).await
    }

    /// Writes an entry, as the holder of `duty` where this node is; else whoever is
    /// has to take it anew.
    async fn write_anyway(&self, duty: &Duty, entry: &Entry) -> Result<(), StateError> {
        if let Standing::Held { .. } = self.fences.standing(duty)
            && self.write(duty, entry).await.is_ok()
        {
            return Ok(());
        }
        let head = Letterhead::on(self.names.fence(duty));
        let written = self.wire.publish_one(&head, entry.encode(), REQUEST_TIME);
        self.wait_applied(written.await?).await;
        Ok(())
    }
}

/// Connections.
impl Partition {
    fn feed(&self, connection: &str) -> Duty {
        Duty::Feed {
            connection: connection.to_owned(),
            partition: self.number,
        }
    }

    pub(crate) fn cursor(&self, connection: &str) -> Option<Seq> {
        let key = KeptKey::Cursor(self.number, connection.to_owned());
        parse_seq(&self.kept.get(&key)?.value)
    }

    pub(crate) async fn place_cursor(
        &self,
        connection: &str,
        settled: Seq,
    ) -> Result<(), StateError> {
        let key = KeptKey::Cursor(self.number, connection.to_owned());
        let row = self.kept.put(&key, seq_value(settled), None).await?;
        self.fences.moved(&self.feed(connection), row);
        Ok(())
    }

    pub(crate) async fn first_claims(
        &self,
        connection: String,
        keys: Vec<ClaimKey>,
    ) -> Result<Vec<Option<Place>>, StateError> {
        let view = Arc::clone(&self.view);
        let holders = blocking(move || view.firsts.first_claims(&connection, &keys)).await;
        holders
            .ok_or(StateError::Stopping)?
            .map_err(StateError::Storage)
    }

    pub(crate) async fn traces(
        &self,
        connection: String,
        seq: Seq,
        limit: usize,
    ) -> Result<Vec<Trace>, StateError> {
        let view = Arc::clone(&self.view);
        let place = Place::new(self.number, seq);
        let found = blocking(move || view.firsts.traces(&connection, place, limit)).await;
        found
            .ok_or(StateError::Stopping)?
            .map_err(StateError::Storage)
    }

    /// Claims and traces first, in one entry, then dead letters, then the cursor:
    /// doing it again after a crash in between changes nothing that was done.
    pub(crate) async fn settle(&self, mut settlement: Settlement) -> Result<(), StateError> {
        let duty = self.feed(&settlement.connection);
        if self.fences.standing(&duty) == Standing::Over {
            return Err(StateError::Superseded);
        }
        let settled = Settled {
            claims: self.free_claims(&settlement).await?,
            traces: take(&mut settlement.traces),
        };
        if settled != Settled::default() {
            self.write(&duty, &Entry::Settled(settled)).await?;
        }
        self.letters.bury(&settlement.dead_letters).await?;
        self.settle_through(&duty, &settlement).await
    }

    /// The claims that nobody holds yet.
    async fn free_claims(
        &self,
        settlement: &Settlement,
    ) -> Result<Vec<(ClaimKey, Seq)>, StateError> {
        if settlement.claims.is_empty() {
            return Ok(Vec::new());
        }
        let keys = settlement.claims.iter().map(|(key, _)| *key).collect();
        let held = self.first_claims(settlement.connection.clone(), keys);
        let held = held.await?;
        let claims = settlement.claims.iter().zip(held);
        let free = claims.filter(|(_, holder)| holder.is_none());
        Ok(free.map(|((key, place), _)| (*key, place.seq)).collect())
    }

    async fn settle_through(&self, duty: &Duty, settlement: &Settlement) -> Result<(), StateError> {
        let settled = self.cursor(&settlement.connection);
        if settled.is_some_and(|settled| settled >= settlement.through) {
            return Ok(());
        }
        let expected = match self.fences.standing(duty) {
            Standing::Over => return Err(StateError::Superseded),
            Standing::Free => None,
            Standing::Held { cursor, .. } => Some(cursor),
        };
        let key = KeptKey::Cursor(self.number, settlement.connection.clone());
        let value = seq_value(settlement.through);
        let moved = self.kept.put(&key, value, expected).await;
        let row = moved.inspect_err(|_| self.fences.lose(duty))?;
        self.fences.moved(duty, row);
        Ok(())
    }

    /// Makes the connection's claims free. Whoever feeds it takes it up anew.
    pub(crate) async fn reset_claims(&self, connection: &str) -> Result<(), StateError> {
        self.write_anyway(&self.feed(connection), &Entry::Reset)
            .await
    }

    pub(crate) async fn forget_connection(&self, connection: &str) -> Result<(), StateError> {
        self.reset_claims(connection).await?;
        let duty = self.feed(connection);
        self.write_anyway(&duty, &Entry::Forget).await?;
        let key = KeptKey::Cursor(self.number, connection.to_owned());
        let row = self.kept.put(&key, Bytes::new(), None).await?;
        self.fences.moved(&duty, row);
        Ok(())
    }

    /// Moves the place where the log begins.
    pub(super) async fn begin_at(
        &self,
        anchor: crate::jetstream::numbering::Anchor,
    ) -> Result<(), StateError> {
        let key = KeptKey::First(self.number);
        self.kept.put(&key, anchor_value(anchor), None).await?;
        Ok(())
    }
}

fn indexed_record((entry, verdict): (&IndexEntry, &Verdict)) -> IndexedRecord {
    IndexedRecord {
        seq: entry.seq,
        second: entry.received_at.as_second(),
        key: entry.key,
        verdict: *verdict,
        terms: entry.terms.iter().map(TermHash::of).collect(),
    }
}

fn done(taken: Option<Result<(), Fault>>) -> Result<(), String> {
    match taken {
        None => Err("the process is stopping".to_owned()),
        Some(Ok(())) => Ok(()),
        Some(Err(fault)) => Err(format!("{fault:?}")),
    }
}
