//! What a record is, at a glance: its event, its person, and what became of it.

use console::seen::{Came, Channel, Row, RowEnd, RowKind};
use jiff::Timestamp;
use journal::{Place, ReadError, Record, Tense, Verdict};
use shape::{Event, Names, Shaped};

use super::{Desk, looking};
use crate::operator::Arrival;

/// A record with what is known of it before any connection is asked.
pub(super) struct Glance {
    pub(super) row: Row,
    pub(super) record: Record,
    pub(super) verdict: Option<Verdict>,
}

impl Desk {
    /// The record's line in a list; none where it is not kept.
    pub(super) async fn row_at(&self, place: Place) -> anyhow::Result<Option<Row>> {
        let Some(glance) = self.glance_at(place).await? else {
            return Ok(None);
        };
        Ok(Some(self.row_of(glance).await?))
    }

    /// The record's line, with what became of it on each connection.
    pub(super) async fn row_of(&self, glance: Glance) -> anyhow::Result<Row> {
        let mut row = glance.row;
        for connection in self.connections_of(&row.workspace) {
            let told = self
                .judge(&glance.record, glance.verdict, &connection)
                .await?;
            row.ends.push(RowEnd {
                connection: connection.name.to_string(),
                outcome: told.outcome,
            });
        }
        Ok(row)
    }

    /// What an event becomes with these options, with the names that are known now.
    pub(crate) fn shaped(
        &self,
        event: &Event<'_>,
        record: &Record,
        options: &shape::Options,
    ) -> Shaped {
        let arrival = Arrival {
            workspace: &record.workspace,
            at: record.received_at,
        };
        self.operator.shaped(event, arrival, options)
    }

    /// The connections that a workspace's events concern.
    pub(crate) fn connections_of(&self, workspace: &str) -> Vec<connections::Connection> {
        let mut connections = self.operator.connections();
        connections.retain(|each| each.workspace.as_str() == workspace);
        connections
    }

    /// When the record at `place` was erased; none where it was not.
    pub(crate) async fn when_erased(&self, place: Place) -> Option<Timestamp> {
        match self.operator.journal.record(place).await {
            Err(ReadError::Erased { at, .. }) => Some(at),
            Ok(_) | Err(_) => None,
        }
    }

    /// The record and what it is; none where it is not kept, or damaged, or erased.
    pub(super) async fn glance_at(&self, place: Place) -> anyhow::Result<Option<Glance>> {
        let record = match self.operator.journal.record(place).await {
            Err(
                ReadError::Damaged(_) | ReadError::Erased { .. } | ReadError::UnknownPartition(_),
            ) => None,
            record => looking(record, "cannot read the record")?,
        };
        match record {
            Some(record) => Ok(Some(self.glance(record).await?)),
            None => Ok(None),
        }
    }

    /// What a record is.
    pub(super) async fn glance(&self, record: Record) -> anyhow::Result<Glance> {
        let verdict = self.operator.journal.verdict(record.place).await;
        let verdict = looking(verdict, "cannot read the record's verdict")?;
        Ok(Glance {
            row: row(&record, verdict),
            record,
            verdict,
        })
    }
}

/// A record's line before any connection is asked.
pub(crate) fn row(record: &Record, verdict: Option<Verdict>) -> Row {
    let mut row = Row {
        place: record.place,
        received_at: record.received_at,
        came: match record.tense {
            Tense::Live => Came::Live,
            Tense::Historical => Came::Imported,
        },
        workspace: record.workspace.clone(),
        kind: RowKind::Event,
        name: String::new(),
        channel: Channel::Other,
        person: None,
        email: None,
        event_id: None,
        delivery_id: None,
        ends: Vec::new(),
    };
    describe_body(&mut row, &record.body, verdict);
    row
}

/// Says on a row what its event is.
pub(super) fn describe_body(row: &mut Row, body: &[u8], verdict: Option<Verdict>) {
    match Event::parse(body) {
        Ok(event) => describe(row, &event),
        Err(unusable) => {
            "not an event".clone_into(&mut row.name);
            row.kind = RowKind::Unusable {
                reason: unusable.to_string(),
            };
        }
    }
    match verdict {
        Some(Verdict::DuplicateOf(of)) => row.kind = RowKind::Duplicate { of },
        None if row.kind == RowKind::Event => row.kind = RowKind::Fresh,
        Some(Verdict::First) | None => {}
    }
}

fn describe(row: &mut Row, event: &Event<'_>) {
    let kind = event.kind();
    row.channel = Channel::of(kind.and_then(|kind| kind.object_type));
    let person = event.person();
    let names = [&person.id, &person.email, &person.cio_id];
    let name = names.into_iter().flatten().next();
    row.person = name.map(ToString::to_string);
    row.email = person.email.as_ref().map(ToString::to_string);
    row.event_id = event.event_id().map(str::to_owned);
    row.delivery_id = event.delivery_id().map(std::borrow::Cow::into_owned);
    let Some(kind) = kind else {
        row.kind = RowKind::Test;
        "test event".clone_into(&mut row.name);
        return;
    };
    let shaped = shape::shape(event, None, &shape::Options::default(), &Names::default());
    row.name = match shaped {
        Shaped::Call(call) => call.name,
        Shaped::Skip(_) | Shaped::Bury(_) => kind.name(),
    };
}
