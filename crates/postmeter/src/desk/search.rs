//! Finding events by what people have in hand, and showing what would become of
//! recent ones.

use std::time::{Duration, Instant};

use connections::Connection;
use console::seen::{Lookup, Preview, RowKind};
use journal::{Place, Record, Seq, Term, TermKind, Verdict};
use shape::{Event, PayloadVersion, Shaped};

use super::explain::call_seen;
use super::look::row;
use super::{Desk, looking};

/// Records that one search shows.
const FOUND: usize = 50;
/// How long records are read for a message id, which no index has.
const PATIENCE: Duration = Duration::from_secs(4);
/// Records that are read in one go while going back.
const STRIDE: u64 = 2_000;
/// Records that are looked at for a preview.
const PREVIEWED: u64 = 4_000;

/// What a word may mean, in the order in which it is tried.
const MEANINGS: [(TermKind, &str); 3] = [
    (TermKind::EventId, "an event id"),
    (TermKind::Delivery, "a delivery id"),
    (TermKind::Person, "a person"),
];

impl Desk {
    /// Records by event id, delivery id, person, message id or place.
    pub(super) async fn search(&self, words: &str) -> anyhow::Result<Lookup> {
        let words = words.trim();
        let mut lookup = Lookup {
            words: words.to_owned(),
            meaning: None,
            rows: Vec::new(),
            more: false,
        };
        for (kind, meaning) in MEANINGS {
            let term = Term {
                kind,
                value: words.to_owned(),
            };
            let places = self.operator.journal.look_up(&term, FOUND + 1).await;
            let places = looking(places, "cannot search the index")?;
            if !places.is_empty() {
                self.show(&mut lookup, &places, meaning).await?;
                return Ok(lookup);
            }
        }
        if let Ok(place) = words.parse() {
            self.show(&mut lookup, &[place], "a record").await?;
        } else if words.starts_with("pm-") {
            let places = self.by_message_id(words).await?;
            self.show(&mut lookup, &places, "a message id").await?;
        }
        Ok(lookup)
    }

    async fn show(
        &self,
        lookup: &mut Lookup,
        places: &[Place],
        meaning: &str,
    ) -> anyhow::Result<()> {
        for place in places.iter().take(FOUND) {
            lookup.rows.extend(self.row_at(*place).await?);
        }
        lookup.more = places.len() > FOUND;
        if !lookup.rows.is_empty() {
            lookup.meaning = Some(meaning.to_owned());
        }
        Ok(())
    }

    /// The record whose call has this message id, with the repeat of its event that
    /// was met on the way. No index has message ids, since they hang on the
    /// connection; so the log is read backwards, for a while.
    async fn by_message_id(&self, message_id: &str) -> anyhow::Result<Vec<Place>> {
        let begun = Instant::now();
        let connections = self.operator.connections();
        let mut edges: Vec<_> = self.operator.journal.stats().partitions;
        while begun.elapsed() < PATIENCE {
            let mut went_on = false;
            for edge in &mut edges {
                let (Some(first), Some(last)) = (edge.first, edge.last) else {
                    continue;
                };
                if last < first {
                    continue;
                }
                went_on = true;
                let from = last.get().saturating_sub(STRIDE).max(first.get() - 1);
                let records = self.records(edge.partition, from, last.get()).await?;
                let mut records = records.iter().rev();
                let found = records.find(|record| is_called(record, &connections, message_id));
                if let Some(record) = found {
                    let verdict = self.operator.journal.verdict(record.place).await;
                    let mut places = vec![record.place];
                    if let Some(Verdict::DuplicateOf(first)) =
                        looking(verdict, "cannot read a verdict")?
                    {
                        places.insert(0, first);
                    }
                    return Ok(places);
                }
                edge.last = Some(Seq::new(from));
            }
            if !went_on {
                break;
            }
        }
        Ok(Vec::new())
    }

    /// Recent events of a workspace as `candidate` would send them: those that
    /// become calls first.
    pub(super) async fn previews(
        &self,
        candidate: &Connection,
        limit: usize,
    ) -> anyhow::Result<Vec<Preview>> {
        let (mut sent, mut left) = (Vec::new(), Vec::new());
        for edge in self.operator.journal.stats().partitions {
            let last = edge.last.map_or(0, Seq::get);
            let from = last.saturating_sub(PREVIEWED);
            let records = self.records(edge.partition, from, last).await?;
            let own = records
                .iter()
                .rev()
                .filter(|record| record.workspace == candidate.workspace.as_str());
            for record in own {
                let preview = self.preview_of(record, candidate);
                let list = match &preview {
                    Some(preview) if preview.call.is_ok() => &mut sent,
                    _ => &mut left,
                };
                list.extend(preview);
                if sent.len() >= limit {
                    break;
                }
            }
        }
        sent.sort_by_key(|preview: &Preview| std::cmp::Reverse(preview.row.received_at));
        sent.extend(left);
        sent.truncate(limit);
        Ok(sent)
    }

    fn preview_of(&self, record: &Record, candidate: &Connection) -> Option<Preview> {
        let row = row(record, Some(Verdict::First));
        if row.kind != RowKind::Event {
            return None;
        }
        let event = Event::parse(&record.body).ok()?;
        let call = match self.shaped(&event, record, &candidate.shape_options()) {
            Shaped::Call(call) => Ok(call_seen(&call)),
            Shaped::Skip(skip) => Err(skip.to_string()),
            Shaped::Bury(burial) => Err(burial.to_string()),
        };
        Some(Preview {
            row,
            body: String::from_utf8_lossy(&record.body).into_owned(),
            call,
        })
    }
}

/// The ids that the connections of a workspace give to an event's calls.
pub(super) fn message_ids(workspace: &str, body: &[u8], connections: &[Connection]) -> Vec<String> {
    let Ok(event) = Event::parse(body) else {
        return Vec::new();
    };
    let key = event.key();
    let own = connections
        .iter()
        .filter(|each| each.workspace.as_str() == workspace);
    let ids = own.flat_map(|each| {
        let versions = [PayloadVersion::V2, PayloadVersion::V1].into_iter();
        versions.map(|version| shape::message_id(each.id.as_str(), &key, version))
    });
    ids.collect()
}

/// Whether one of the connections gives the record's call this message id.
fn is_called(record: &Record, connections: &[Connection], message_id: &str) -> bool {
    let ids = message_ids(&record.workspace, &record.body, connections);
    ids.iter().any(|id| id == message_id)
}
