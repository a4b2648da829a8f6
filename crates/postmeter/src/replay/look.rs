//! What a replay does with one record: the one judgement that a preview counts
//! and a run follows.

use connections::Connection;
use console::seen::filter::{Filter, Key};
use console::seen::{ReplayCounts, RowEnd, RowKind};
use journal::{Indexed, Record, Seq, Verdict};
use shape::{Call, Event, PayloadVersion, Shaped};

use crate::desk::{Before, Desk, row};

/// Through what a replay looks at records.
pub(super) struct Lens<'l> {
    pub(super) desk: &'l Desk,
    /// The connection that sends, with its options of now.
    pub(super) connection: &'l Connection,
    pub(super) filter: &'l Filter,
    /// The replay itself, whose own doings are none of the past.
    pub(super) number: Option<u64>,
}

/// What a record is to a replay.
pub(super) enum Look {
    /// It becomes this call, unless another was first.
    Call(Box<Call>),
    /// It is not sent.
    Not(Why),
}

/// The first place and the last that an entry stands for.
pub(super) fn ends(entry: &Indexed) -> (Seq, Seq) {
    match entry {
        Indexed::Record { record, .. } => (record.place.seq, record.place.seq),
        Indexed::Erased(tombstone) => (tombstone.place.seq, tombstone.place.seq),
        Indexed::Damaged { first, last } => (*first, *last),
    }
}

/// Why a record is not sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Why {
    NotAsked,
    NotSettled,
    Duplicate,
    LeftOut,
    /// No call can be made of it. The indexer has buried an event that is none,
    /// for all connections; this is why another is not a call.
    Unusable(Option<String>),
}

impl Why {
    /// Counts a record that ended so.
    pub(super) fn count(&self, counts: &mut ReplayCounts) {
        let count = match self {
            Why::NotAsked => &mut counts.not_asked,
            Why::NotSettled => &mut counts.not_settled,
            Why::Duplicate => &mut counts.duplicates,
            Why::LeftOut => &mut counts.left_out,
            Why::Unusable(_) => &mut counts.unusable,
        };
        *count += 1;
    }
}

impl Lens<'_> {
    /// What the record is to the replay. `settled` is through where the connection
    /// has settled the partition by itself.
    pub(super) async fn look(
        &self,
        record: &Record,
        verdict: Verdict,
        settled: Seq,
    ) -> anyhow::Result<Look> {
        if record.workspace != self.connection.workspace.as_str() {
            return Ok(Look::Not(Why::NotAsked));
        }
        if !self.filter.is_in_time(record.received_at) {
            return Ok(Look::Not(Why::NotAsked));
        }
        let row = row(record, Some(verdict));
        let event = Event::parse(&record.body).ok();
        let ids = event
            .as_ref()
            .map_or_else(Vec::new, |event| self.message_ids(event));
        if !self.filter.is_about(&row, &ids) {
            return Ok(Look::Not(Why::NotAsked));
        }
        if record.place.seq > settled {
            return Ok(Look::Not(Why::NotSettled));
        }
        if self.filter.asks_for_ends() && !self.is_end_meant(record, verdict).await? {
            return Ok(Look::Not(Why::NotAsked));
        }
        if matches!(row.kind, RowKind::Duplicate { .. }) {
            return Ok(Look::Not(Why::Duplicate));
        }
        let Some(event) = event else {
            return Ok(Look::Not(Why::Unusable(None)));
        };
        let options = self.connection.shape_options();
        Ok(match self.desk.shaped(&event, record, &options) {
            Shaped::Call(call) => Look::Call(Box::new(call)),
            Shaped::Skip(_) => Look::Not(Why::LeftOut),
            Shaped::Bury(burial) => Look::Not(Why::Unusable(Some(burial.to_string()))),
        })
    }

    /// The ids that the event's call has on this connection, or had.
    fn message_ids(&self, event: &Event<'_>) -> Vec<String> {
        if self.filter.any_of(Key::Id).is_empty() {
            return Vec::new();
        }
        let key = event.key();
        let versions = [PayloadVersion::V2, PayloadVersion::V1];
        versions
            .map(|version| shape::message_id(self.connection.id.as_str(), &key, version))
            .into()
    }

    /// Whether what became of the record before is what the filter asks for: on
    /// this connection, or on those that the filter speaks of.
    async fn is_end_meant(&self, record: &Record, verdict: Verdict) -> anyhow::Result<bool> {
        let speaks_of_some = self.filter.clone().without(Key::Connection) != *self.filter;
        let connections = if speaks_of_some {
            self.desk.connections_of(&record.workspace)
        } else {
            vec![self.connection.clone()]
        };
        let row = row(record, Some(verdict));
        for connection in connections {
            let before = self.before(record, verdict, &connection).await?;
            let end = RowEnd {
                connection: connection.name.to_string(),
                outcome: before.outcome,
            };
            if self.filter.is_end(&row, &end) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What became of the record on a connection before this replay.
    pub(super) async fn before(
        &self,
        record: &Record,
        verdict: Verdict,
        connection: &Connection,
    ) -> anyhow::Result<Before> {
        let known = (verdict, self.number);
        self.desk.before(record, known, connection).await
    }
}
