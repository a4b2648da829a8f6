//! What comes by: the newest records behind a mark, a bounded number of them.
//!
//! Nobody hands records over for this; whoever watches reads the log as any reader
//! does, and only what came last when too much came by. What is further back is
//! [`super::back`]'s.

use console::Look;
use console::seen::filter::Key;
use console::seen::{Filter, Row, Watched};
use journal::{Entry, Partition, Place, ReadLimit, Record, Seq};

use super::look::{Glance, row};
use super::search::message_ids;
use super::{Desk, looking};

/// Records that are looked at in one go, of each partition.
const EXAMINED: u64 = 400;
/// Records whose outcome is looked at, for a filter that asks for one.
const JUDGED: usize = 100;
/// One read.
const READ: ReadLimit = ReadLimit {
    records: 400,
    bytes: 4 * 1024 * 1024,
};

impl Desk {
    /// Events that pass the filter, from where `look` begins.
    pub(super) async fn watch_for(
        &self,
        look: Look<'_>,
        filter: &Filter,
        limit: usize,
    ) -> anyhow::Result<Watched> {
        let mut watched = match look {
            Look::Newest => self.look_back(None, filter, limit).await?,
            Look::Before(mark) => {
                let marks = read_marks(mark);
                self.look_back(Some(&marks), filter, limit).await?
            }
            Look::After(mark) => self.look_on(&read_marks(mark), filter, limit).await?,
        };
        watched.rate_per_s = self.rate().await?;
        Ok(watched)
    }

    /// Events behind `marks` that pass.
    async fn look_on(
        &self,
        marks: &[(Partition, u64)],
        filter: &Filter,
        limit: usize,
    ) -> anyhow::Result<Watched> {
        let (mut watched, mut next, mut records) = (Watched::default(), Vec::new(), Vec::new());
        for partition in self.operator.journal.partitions() {
            let newest = self.newest(partition);
            let mark = marks.iter().find(|(there, _)| *there == partition);
            let mark = mark.map_or(newest, |(_, mark)| *mark);
            watched.passed += newest.saturating_sub(mark);
            let from = mark.max(newest.saturating_sub(EXAMINED));
            records.extend(self.records(partition, from, newest).await?);
            next.push((partition, newest));
        }
        watched.examined = u64::try_from(records.len()).unwrap_or(u64::MAX);
        watched.next = write_marks(&next);
        records.sort_by_key(|record| std::cmp::Reverse(record.received_at));
        watched.reached_at = records.last().map(|record| record.received_at);
        watched.rows = self.passing(records, filter, limit).await?;
        Ok(watched)
    }

    /// The newest durable record of a partition.
    pub(super) fn newest(&self, partition: Partition) -> u64 {
        let newest = *self.operator.journal.durable(partition).borrow();
        newest.map_or(0, Seq::get)
    }

    /// The records behind `from`, through `newest`.
    pub(super) async fn records(
        &self,
        partition: Partition,
        from: u64,
        newest: u64,
    ) -> anyhow::Result<Vec<Record>> {
        let (mut records, mut from) = (Vec::new(), from);
        while from < newest {
            let place = Place::new(partition, Seq::new(from + 1));
            let entries = self.operator.journal.read(place, READ).await;
            let entries = looking(entries, "cannot read the log")?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                match entry {
                    Entry::Record(record) => {
                        from = record.place.seq.get();
                        records.push(record);
                    }
                    Entry::Erased(tombstone) => from = tombstone.place.seq.get(),
                    Entry::Damaged { last, .. } => from = last.get(),
                }
            }
        }
        records.retain(|record| record.place.seq.get() <= newest);
        Ok(records)
    }

    /// Those of `records` that pass, each with what became of it.
    async fn passing(
        &self,
        records: Vec<Record>,
        filter: &Filter,
        limit: usize,
    ) -> anyhow::Result<Vec<Row>> {
        let judged = if filter.asks_for_ends() {
            JUDGED
        } else {
            limit
        };
        let (mut rows, mut n_judged) = (Vec::new(), 0);
        for record in records {
            if rows.len() == limit || n_judged == judged {
                break;
            }
            if self.may_pass(&record, filter) {
                n_judged += 1;
                rows.extend(self.row_if(record, filter).await?);
            }
        }
        Ok(rows)
    }

    /// Whether a record passes what the filter says of the event itself.
    pub(super) fn may_pass(&self, record: &Record, filter: &Filter) -> bool {
        let ids = self.ids_asked_for(record, filter);
        filter.is_about(&row(record, None), &ids)
    }

    /// A record's line with what became of it, provided that this passes too.
    pub(super) async fn row_if(
        &self,
        record: Record,
        filter: &Filter,
    ) -> anyhow::Result<Option<Row>> {
        let ids = self.ids_asked_for(&record, filter);
        let glance: Glance = self.glance(record).await?;
        let mut row = self.row_of(glance).await?;
        let passes = filter.wants(&row, &ids);
        let connections = filter.any_of(Key::Connection);
        if !connections.is_empty() {
            row.ends.retain(|end| connections.contains(&end.connection));
        }
        Ok(passes.then_some(row))
    }

    /// The message ids of a record's calls, where the filter may ask for one.
    fn ids_asked_for(&self, record: &Record, filter: &Filter) -> Vec<String> {
        if filter.asks_for_message_ids() {
            message_ids(
                &record.workspace,
                &record.body,
                &self.operator.connections(),
            )
        } else {
            Vec::new()
        }
    }
}

/// Where an earlier look ended, by partition.
fn read_marks(text: &str) -> Vec<(Partition, u64)> {
    let marks = text.split(',').filter_map(|mark| mark.split_once(':'));
    let read = |(partition, seq): (&str, &str)| {
        let partition: u16 = partition.parse().ok()?;
        Some((Partition::new(partition), seq.parse().ok()?))
    };
    marks.filter_map(read).collect()
}

/// The same as a text.
pub(super) fn write_marks(marks: &[(Partition, u64)]) -> String {
    let each = marks.iter();
    let each = each.map(|(partition, seq)| format!("{}:{seq}", partition.get()));
    each.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_read_back_and_garbage_is_none() {
        let marks = [(Partition::new(0), 12), (Partition::new(2), 7)];
        assert_eq!(write_marks(&marks), "0:12,2:7");
        assert_eq!(read_marks("0:12,2:7"), marks);
        assert_eq!(read_marks("x,1:,:3,70000:1"), []);
    }
}
