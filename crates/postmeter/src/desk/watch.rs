//! What comes by: the newest records behind a mark, a bounded number of them.
//!
//! Nobody hands records over for this; whoever watches reads the log as any reader
//! does, and only what came last when too much came by.

use console::seen::{Filter, Row, Watched};
use journal::{Entry, Partition, Place, ReadLimit, Record, Seq};

use super::look::{Glance, row};
use super::{Desk, looking};

/// Records that are looked at in one go, of each partition.
const EXAMINED: u64 = 400;
/// Records behind the newest that a first look goes back to.
const FIRST_LOOK: u64 = 2_000;
/// Records whose outcome is looked at, for a filter that asks for one.
const JUDGED: usize = 100;
/// One read.
const READ: ReadLimit = ReadLimit {
    records: 400,
    bytes: 4 * 1024 * 1024,
};

impl Desk {
    /// Events behind `after`, or the newest, that pass the filter.
    pub(super) async fn look_on(
        &self,
        after: Option<&str>,
        filter: &Filter,
        limit: usize,
    ) -> anyhow::Result<Watched> {
        let marks = after.map(read_marks).unwrap_or_default();
        let (mut watched, mut next, mut records) = (Watched::default(), Vec::new(), Vec::new());
        for partition in self.operator.journal.partitions() {
            let newest = *self.operator.journal.durable(partition).borrow();
            let newest = newest.map_or(0, Seq::get);
            let mark = marks.iter().find(|(there, _)| *there == partition);
            let (from, most) = match mark {
                Some((_, mark)) => (*mark, EXAMINED),
                None => (newest.saturating_sub(FIRST_LOOK), FIRST_LOOK),
            };
            watched.passed += newest.saturating_sub(from);
            let from = from.max(newest.saturating_sub(most));
            records.extend(self.records(partition, from, newest).await?);
            next.push(format!("{partition}:{newest}"));
        }
        watched.examined = u64::try_from(records.len()).unwrap_or(u64::MAX);
        watched.next = next.join(",");
        watched.rate_per_s = self.rate().await?;
        records.sort_by_key(|record| std::cmp::Reverse(record.received_at));
        watched.rows = self.passing(records, filter, limit).await?;
        Ok(watched)
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
        Ok(records)
    }

    /// Those of `records` that pass, each with what became of it.
    async fn passing(
        &self,
        records: Vec<Record>,
        filter: &Filter,
        limit: usize,
    ) -> anyhow::Result<Vec<Row>> {
        let workspace = match &filter.connection {
            None => None,
            Some(name) => match self.named(name) {
                Ok(connection) => Some(connection.workspace.to_string()),
                Err(_) => return Ok(Vec::new()),
            },
        };
        let judged = if filter.outcome.is_some() {
            JUDGED
        } else {
            limit
        };
        let (mut rows, mut n_judged) = (Vec::new(), 0);
        for record in records {
            if rows.len() == limit || n_judged == judged {
                break;
            }
            if workspace
                .as_ref()
                .is_some_and(|name| *name != record.workspace)
                || !is_wanted(&row(&record, None), filter)
            {
                continue;
            }
            n_judged += 1;
            let glance: Glance = self.glance(record).await?;
            let mut row = self.row_of(glance).await?;
            if let Some(name) = &filter.connection {
                row.ends.retain(|end| end.connection == *name);
            }
            let outcome = filter.outcome.as_deref();
            let mut ends = row.ends.iter().map(|end| end.outcome.word());
            if outcome.is_none_or(|outcome| ends.any(|word| word == outcome)) {
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

/// Whether a record passes what a filter says of the event itself.
fn is_wanted(row: &Row, filter: &Filter) -> bool {
    let is = |wanted: &Option<String>, found: Option<&str>| {
        wanted.is_none() || wanted.as_deref() == found
    };
    let name = filter.event.as_deref().unwrap_or_default().to_lowercase();
    let (event_id, delivery_id) = (row.event_id.as_deref(), row.delivery_id.as_deref());
    is(&filter.workspace, Some(&row.workspace))
        && filter.channel.is_none_or(|channel| channel == row.channel)
        && row.name.to_lowercase().contains(&name)
        && is(&filter.person, row.person.as_deref())
        && (is(&filter.id, event_id) || is(&filter.id, delivery_id))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_read_back_and_garbage_is_none() {
        assert_eq!(
            read_marks("0:12,2:7"),
            [(Partition::new(0), 12), (Partition::new(2), 7)]
        );
        assert_eq!(read_marks("x,1:,:3,70000:1"), []);
    }
}
