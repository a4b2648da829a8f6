//! A dead letter on its way from one journal to another.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use journal::{Answer, NewDeadLetter, Partition, Place, Seq};
use serde::{Deserialize, Serialize};

/// The partition that places in a former journal are shown in: no journal has so
/// many.
pub(crate) const FORMER: Partition = Partition::new(u16::MAX);

/// A dead letter as text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct CarriedLetter {
    seq: u64,
    connection: Option<String>,
    buried_at: String,
    reason: String,
    event_name: Option<String>,
    call: Option<String>,
    status: Option<u16>,
    answer: Option<String>,
    workspace: String,
    body: String,
}

impl CarriedLetter {
    /// The letter, ready to go.
    pub(crate) fn of(letter: &NewDeadLetter) -> CarriedLetter {
        let NewDeadLetter {
            place,
            connection,
            buried_at,
            reason,
            event_name,
            call,
            answer,
            workspace,
            body,
        } = letter;
        CarriedLetter {
            seq: place.seq.get(),
            connection: connection.clone(),
            buried_at: buried_at.to_string(),
            reason: reason.clone(),
            event_name: event_name.clone(),
            call: call.as_ref().map(|call| STANDARD.encode(call)),
            status: answer.as_ref().map(|answer| answer.status),
            answer: answer.as_ref().map(|answer| STANDARD.encode(&answer.body)),
            workspace: workspace.clone(),
            body: STANDARD.encode(body),
        }
    }

    /// The letter as it is buried here: its place is that in the former journal.
    pub(crate) fn letter(&self) -> anyhow::Result<NewDeadLetter> {
        let bytes = |text: &String| -> anyhow::Result<Bytes> {
            let decoded = STANDARD.decode(text).context("a dead letter is damaged")?;
            Ok(decoded.into())
        };
        let answer = match (self.status, &self.answer) {
            (Some(status), Some(body)) => Some(Answer {
                status,
                body: bytes(body)?,
            }),
            _ => None,
        };
        Ok(NewDeadLetter {
            place: Place::new(FORMER, Seq::new(self.seq)),
            connection: self.connection.clone(),
            buried_at: self.buried_at.parse().context("a dead letter is damaged")?,
            reason: self.reason.clone(),
            event_name: self.event_name.clone(),
            call: self.call.as_ref().map(bytes).transpose()?,
            answer,
            workspace: self.workspace.clone(),
            body: bytes(&self.body)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_arrives_as_it_left_but_for_its_place() {
        let left = NewDeadLetter {
            place: Place::new(Partition::ZERO, Seq::new(7)),
            connection: Some("c-1".to_owned()),
            buried_at: jiff::Timestamp::new(1_700_000_000, 5).unwrap(),
            reason: "Segment answered 400".to_owned(),
            event_name: Some("Email Sent".to_owned()),
            call: Some(Bytes::from_static(b"{}")),
            answer: Some(Answer {
                status: 400,
                body: Bytes::from_static(&[0, 255]),
            }),
            workspace: "acme".to_owned(),
            body: Bytes::from_static(&[255, 0]),
        };
        let arrived = CarriedLetter::of(&left).letter().unwrap();
        let place = Place::new(FORMER, Seq::new(7));
        assert_eq!(arrived, NewDeadLetter { place, ..left });
    }
}
