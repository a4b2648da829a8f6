//! What must be true whatever happened: nothing acknowledged is lost, nothing is
//! invented, and each thing is what it was.
//!
//! The oracle believes three witnesses only: what Customer.io was answered, what
//! stood in the log whenever it looked, and what Segment took.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use journal::{DeadLetterFilter, Entry, Journal, Partition, Place, ReadLimit, Record, Seq};
use shape::{Event, EventKey, Names, Shaped, shape};

use super::process::Connection;
use super::segment::is_poison;
use super::sender::Accepted;

/// All that it has seen of the log, trimmed or not.
#[derive(Default)]
pub(super) struct Oracle {
    seen: BTreeMap<u64, Record>,
}

/// A line's workspace, what was sent on it in order, and what was acknowledged.
pub(super) struct Sent {
    pub(super) workspace: &'static str,
    pub(super) events: Vec<Bytes>,
    pub(super) accepted: Accepted,
}

/// What a connection should have sent, by message id, and what it should have buried,
/// by place.
#[derive(Default)]
struct Due {
    calls: BTreeMap<String, String>,
    letters: BTreeSet<u64>,
}

impl Oracle {
    /// Looks at the whole log: no place ever changes what it holds, and whatever was
    /// acknowledged stands at the place that was told.
    pub(super) async fn look(&mut self, journal: &Journal, sent: &[Sent]) -> Result<(), String> {
        let limit = ReadLimit {
            records: usize::MAX,
            bytes: usize::MAX,
        };
        let from = Place::new(Partition::ZERO, Seq::FIRST);
        let entries = journal.read(from, limit).await.map_err(|e| e.to_string())?;
        for entry in entries {
            let record = match entry {
                Entry::Record(record) => record,
                Entry::Erased(tombstone) => {
                    return Err(format!("{} was erased by nobody", tombstone.place));
                }
                Entry::Damaged { first, last } => {
                    let was = (first.get()..=last.get()).filter_map(|seq| self.seen.get(&seq));
                    let was = was.map(|record| record.place).next();
                    return Err(format!("{first} to {last} are damaged, {was:?} was there"));
                }
            };
            let seq = record.place.seq.get();
            let known = self.seen.entry(seq).or_insert_with(|| record.clone());
            if *known != record {
                return Err(format!("record {seq} was another once"));
            }
        }
        for line in sent {
            for (event, place) in line.accepted.lock().unwrap().iter() {
                let record = self.seen.get(place);
                if record.is_none_or(|record| record.body != *event) {
                    return Err(format!("what was answered as record {place} is not there"));
                }
            }
        }
        Ok(())
    }

    /// Settles accounts, once everything has come to rest.
    pub(super) async fn judge(
        &self,
        journal: &Journal,
        (sent, connections): (&[Sent], &[Connection]),
    ) -> Result<(), String> {
        let firsts = self.firsts();
        for line in sent {
            in_order(line, &firsts)?;
        }
        let mut letters = letters(journal).await?;
        let unusable = firsts.iter().filter(|record| key_of(record).1.is_none());
        let unusable = unusable.map(|record| record.place.seq.get()).collect();
        compare_letters("nobody", letters.remove(&None), &unusable)?;
        for connection in connections {
            let due = due(connection, &firsts);
            let buried = letters.remove(&Some(connection.id().to_owned()));
            compare_letters(connection.source.name, buried, &due.letters)?;
            compare_calls(connection, &due)?;
        }
        Ok(())
    }

    /// How many records there were.
    pub(super) fn n_records(&self) -> u64 {
        self.seen.len() as u64
    }

    /// The first record of each event, in order.
    fn firsts(&self) -> Vec<&Record> {
        let mut keys = BTreeSet::new();
        let records = self.seen.values();
        let firsts = records.filter(|record| {
            let key = key_of(record).0;
            keys.insert((record.workspace.clone(), key.as_bytes().to_vec()))
        });
        firsts.collect()
    }
}

/// The key of a record's event, and the event where one can be made of it.
fn key_of(record: &Record) -> (EventKey, Option<Event<'_>>) {
    match Event::parse(&record.body) {
        Ok(event) => (event.key(), Some(event)),
        Err(_) => (EventKey::of_body(&record.body), None),
    }
}

/// All was sent that was to be, and arrived in the order in which it was.
fn in_order(line: &Sent, firsts: &[&Record]) -> Result<(), String> {
    let ours = firsts
        .iter()
        .filter(|each| each.workspace == line.workspace);
    let arrived: Vec<&Bytes> = ours.map(|record| &record.body).collect();
    let sent: Vec<&Bytes> = line.events.iter().collect();
    if arrived == sent {
        return Ok(());
    }
    let at = arrived
        .iter()
        .zip(&sent)
        .take_while(|(a, b)| a == b)
        .count();
    Err(format!(
        "of {} events of {} {} arrived; event {at} is the first out of order or missing",
        sent.len(),
        line.workspace,
        arrived.len(),
    ))
}

fn due(connection: &Connection, firsts: &[&Record]) -> Due {
    let mut due = Due::default();
    let mut occurrences = BTreeSet::new();
    for record in firsts {
        let Some(event) = key_of(record)
            .1
            .filter(|_| record.workspace == connection.workspace)
        else {
            continue;
        };
        let received_at = Some(record.received_at);
        let shaped = shape(&event, received_at, &connection.options, &Names::default());
        match shaped {
            Shaped::Skip(_) => {}
            Shaped::Bury(_) => drop(due.letters.insert(record.place.seq.get())),
            Shaped::Call(call) => {
                let occurrence = call.occurrence.map(|it| it.to_string());
                if occurrence.is_some_and(|it| !occurrences.insert(it)) {
                    continue;
                }
                if is_poison(&call.message_id) {
                    due.letters.insert(record.place.seq.get());
                } else {
                    due.calls.insert(call.message_id, call.json);
                }
            }
        }
    }
    due
}

fn compare_calls(connection: &Connection, due: &Due) -> Result<(), String> {
    let name = connection.source.name;
    if let Some(wrong) = connection.source.wrongs().first() {
        return Err(format!("{name}: {wrong}"));
    }
    let taken = connection.source.taken();
    for (id, json) in &due.calls {
        match taken.get(id) {
            None => return Err(format!("{name} never got {id}: {json}")),
            Some(taken) if taken.json != *json => {
                return Err(format!(
                    "{name} got another {id}: {} for {json}",
                    taken.json
                ));
            }
            Some(_) => {}
        }
    }
    match taken.keys().find(|id| !due.calls.contains_key(*id)) {
        None => Ok(()),
        Some(id) => Err(format!("{name} got {id}, which nobody was to send")),
    }
}

fn compare_letters(
    whose: &str,
    found: Option<Vec<u64>>,
    due: &BTreeSet<u64>,
) -> Result<(), String> {
    let mut found = found.unwrap_or_default();
    found.sort_unstable();
    if found.iter().eq(due) {
        return Ok(());
    }
    Err(format!(
        "dead letters of {whose}: {found:?} instead of {due:?}"
    ))
}

/// The places of all dead letters, by connection.
async fn letters(journal: &Journal) -> Result<BTreeMap<Option<String>, Vec<u64>>, String> {
    let filter = DeadLetterFilter {
        connection: None,
        after: None,
        limit: usize::MAX,
    };
    let found = journal.dead_letters(filter).await;
    let mut letters: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for found in found.map_err(|error| error.to_string())? {
        let place = found.letter.place.seq.get();
        let connection = found.letter.connection;
        letters.entry(connection).or_default().push(place);
    }
    Ok(letters)
}
