//! Looking back: from the newest event, or from a mark, to where enough is found,
//! nothing older can be meant, or time is up. Whoever asks learns how far that was.
//!
//! Persons and ids are looked up in the index. Everything else is found by reading:
//! a time bounds what is read, since records are received in the order in which they
//! lie, but for what the clocks of nodes differ.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use console::seen::filter::Key;
use console::seen::{Filter, Watched};
use jiff::{SignedDuration, Timestamp};
use journal::{Partition, Place, Record, Seq, Term, TermKind};

use super::watch::write_marks;
use super::{Desk, looking};

/// Records that one look examines at most.
const EXAMINED: u64 = 20_000;
/// How long one look goes on after it found too little.
const PATIENCE: Duration = Duration::from_secs(2);
/// Records that are read in one go.
const STRIDE: u64 = 400;
/// Records that the index is asked for, of each word. Where it has more, they are
/// found by reading.
const INDEXED: usize = 2_000;
/// By how much records may lie out of the order of their receipt.
const DISORDER: SignedDuration = SignedDuration::from_mins(2);

/// What is still to be looked at of one partition.
struct Edge {
    partition: Partition,
    /// Nothing at or below this can be meant.
    floor: u64,
    /// Everything behind this has been looked at.
    through: u64,
    /// Read and not yet looked at, oldest first.
    ahead: Vec<Record>,
    /// Where the index says that records are, ascending; none: anywhere.
    places: Option<Vec<u64>>,
}

/// Between which records something is looked for.
struct Between {
    partition: Partition,
    low: u64,
    high: u64,
    doubt: Doubt,
}

/// On which side the answer may be wrong where a record cannot be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    Before,
    After,
}

impl Edge {
    /// Where there is nothing more to look at.
    fn is_done(&self) -> bool {
        let is_empty = self.places.as_ref().is_some_and(Vec::is_empty);
        self.ahead.is_empty() && (is_empty || self.through <= self.floor)
    }
}

impl Desk {
    /// Events at or below `marks` that pass, or from the newest.
    pub(super) async fn look_back(
        &self,
        marks: Option<&[(Partition, u64)]>,
        filter: &Filter,
        limit: usize,
    ) -> anyhow::Result<Watched> {
        let begun = Instant::now();
        let mut watched = Watched::default();
        let mut edges = self.edges(marks, filter).await?;
        let newest = self.operator.journal.partitions();
        let newest: Vec<_> = newest.map(|each| (each, self.newest(each))).collect();
        watched.next = write_marks(&newest);
        watched.passed = edges.iter().map(|edge| edge.through - edge.floor).sum();
        while watched.rows.len() < limit
            && watched.examined < EXAMINED
            && begun.elapsed() < PATIENCE
        {
            let Some(record) = self.next_back(&mut edges).await? else {
                break;
            };
            watched.examined += 1;
            watched.reached_at = Some(record.received_at);
            if self.may_pass(&record, filter) {
                watched.rows.extend(self.row_if(record, filter).await?);
            }
        }
        if edges.iter().any(|edge| !edge.is_done()) {
            let left = edges.iter().map(|edge| (edge.partition, edge.through));
            watched.older = Some(write_marks(&left.collect::<Vec<_>>()));
        }
        Ok(watched)
    }

    /// The newest record that was not looked at yet.
    async fn next_back(&self, edges: &mut [Edge]) -> anyhow::Result<Option<Record>> {
        for edge in edges.iter_mut() {
            while edge.ahead.is_empty() && !edge.is_done() {
                self.refill(edge).await?;
            }
        }
        let newest = edges.iter_mut().filter(|edge| !edge.ahead.is_empty());
        let newest = newest.max_by_key(|edge| edge.ahead.last().map(|last| last.received_at));
        let Some(edge) = newest else { return Ok(None) };
        let record = edge.ahead.pop();
        if let Some(record) = &record {
            edge.through = record.place.seq.get() - 1;
        }
        Ok(record)
    }

    async fn refill(&self, edge: &mut Edge) -> anyhow::Result<()> {
        let Some(places) = &mut edge.places else {
            let from = edge.through.saturating_sub(STRIDE).max(edge.floor);
            edge.ahead = self.records(edge.partition, from, edge.through).await?;
            if edge.ahead.is_empty() {
                edge.through = from;
            }
            return Ok(());
        };
        if let Some(seq) = places.pop() {
            let place = Place::new(edge.partition, Seq::new(seq));
            let glance = self.glance_at(place).await?;
            edge.ahead.extend(glance.map(|glance| glance.record));
        }
        Ok(())
    }

    async fn edges(
        &self,
        marks: Option<&[(Partition, u64)]>,
        filter: &Filter,
    ) -> anyhow::Result<Vec<Edge>> {
        let places = self.indexed_places(filter).await?;
        let mut edges = Vec::new();
        for stats in self.operator.journal.stats().partitions {
            let partition = stats.partition;
            let last = stats.last.map_or(0, Seq::get);
            let mark = marks.map(|marks| marks.iter().find(|(there, _)| *there == partition));
            let mut through = match mark {
                None => last,
                Some(mark) => mark.map_or(0, |(_, mark)| (*mark).min(last)),
            };
            let mut floor = stats.first.map_or(last, |first| first.get() - 1);
            if let Some(until) = filter.until().and_then(|at| at.checked_add(DISORDER).ok()) {
                let between = Between {
                    partition,
                    low: floor,
                    high: last,
                    doubt: Doubt::After,
                };
                through = through.min(self.received_before(until, between).await?);
            }
            if let Some(since) = filter.since().and_then(|at| at.checked_sub(DISORDER).ok()) {
                let between = Between {
                    partition,
                    low: floor,
                    high: last,
                    doubt: Doubt::Before,
                };
                floor = self.received_before(since, between).await?;
            }
            let own = places.as_ref().map(|places| {
                let own = places.iter().filter(|place| place.partition == partition);
                let own = own.map(|place| place.seq.get());
                own.filter(|seq| *seq > floor && *seq <= through).collect()
            });
            edges.push(Edge {
                partition,
                floor,
                through: through.max(floor),
                ahead: Vec::new(),
                places: own,
            });
        }
        Ok(edges)
    }

    /// The last record that was received before `at`, between the two: by halving.
    async fn received_before(&self, at: Timestamp, between: Between) -> anyhow::Result<u64> {
        let Between {
            partition,
            mut low,
            mut high,
            doubt,
        } = between;
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let place = Place::new(partition, Seq::new(middle));
            let received = match self.operator.journal.received_at(place).await {
                Err(journal::ReadError::Damaged { .. }) | Ok(None) => None,
                received => looking(received, "cannot read the log")?,
            };
            let is_before = received.map_or(doubt == Doubt::After, |received| received < at);
            if is_before {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(low)
    }

    /// Where the index says that everything is that can pass; none where it does not
    /// know, or knows of too many.
    async fn indexed_places(&self, filter: &Filter) -> anyhow::Result<Option<BTreeSet<Place>>> {
        let (ids, people) = (filter.any_of(Key::Id), filter.any_of(Key::Person));
        let (words, kinds): (_, &[TermKind]) = if !ids.is_empty() && !filter.asks_for_message_ids()
        {
            (ids, &[TermKind::EventId, TermKind::Delivery])
        } else if !people.is_empty() {
            (people, &[TermKind::Person])
        } else {
            return Ok(None);
        };
        let mut places = BTreeSet::new();
        for value in words {
            for kind in kinds {
                let term = Term {
                    kind: *kind,
                    value: value.clone(),
                };
                let found = self.operator.journal.look_up(&term, INDEXED).await;
                let found = looking(found, "cannot search the index")?;
                if found.len() == INDEXED {
                    return Ok(None);
                }
                places.extend(found);
            }
            if kinds.contains(&TermKind::EventId) {
                places.extend(value.parse::<Place>());
            }
        }
        Ok(Some(places))
    }
}
