//! The decision itself: one event in; one call, or the reason why there is none.

use jiff::Timestamp;
use thiserror::Error;

use crate::call::{self, Call, Envelope, Occurrence, Who};
use crate::event::{Event, Kind};
use crate::options::{Names, Options, PayloadVersion};
use crate::rules::properties::Source;
use crate::rules::size::{self, MAX_CALL_BYTES, TooLarge};
use crate::rules::{catalogue, names};

/// What becomes of an event on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shaped {
    /// It is sent.
    Call(Call),
    /// The connection does not want it.
    Skip(Skip),
    /// It can never be sent as it is.
    Bury(Burial),
}

/// Why a connection does not send an event. `Display` says it to a person.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Skip {
    /// The connection's selection does not cover its kind.
    #[error("{kind} is not selected")]
    NotSelected {
        /// The name of the kind.
        kind: String,
    },
    /// It has no metric, like the test that Customer.io's webhook page sends.
    #[error("a test event: it names no metric")]
    TestEvent,
    /// It is not about email, the only channel of payload version 1.0.0.
    #[error("{kind} is not in payload version 1.0.0, which has email only")]
    NotInVersion1 {
        /// The name of the kind.
        kind: String,
    },
}

/// Why an event can never become a call. `Display` says it to a person.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Burial {
    /// Segment takes no call without somebody it is about.
    #[error("no person: the event has no id, no email address and no cio_id")]
    NoPerson,
    /// Even without its content it is above [`MAX_CALL_BYTES`].
    #[error("too large: {bytes} bytes without its content, and Segment takes {MAX_CALL_BYTES}")]
    TooLarge {
        /// The size of the call, with all of `content` gone that may go.
        bytes: usize,
    },
}

/// Shapes one event for one connection.
///
/// The same arguments give the same bytes. `received_at` is the call's time
/// where the event has no usable one; without either, the call has none and
/// Segment takes the time of arrival.
pub fn shape(
    event: &Event<'_>,
    received_at: Option<Timestamp>,
    options: &Options,
    names: &Names<'_>,
) -> Shaped {
    let kind = match wanted_kind(event, options) {
        Ok(kind) => kind,
        Err(skip) => return Shaped::Skip(skip),
    };
    let identity = event.identity();
    let Some(who) = Who::of(identity) else {
        return Shaped::Bury(Burial::NoPerson);
    };
    let known = catalogue::find(kind);
    let event_name = names::event_name(kind, known);
    let message_id = call::message_id_of_text(
        &options.connection_id,
        &event.key_text(),
        options.payload_version,
    );
    let envelope = Envelope {
        name: options.renames.apply(&event_name, kind, event.family()),
        message_id: &message_id,
        timestamp: event.timestamp().or(received_at),
        email: identity.email,
        source: Source {
            event,
            kind,
            who,
            options,
            names,
        },
    };
    let (json, spare) = call::write(&envelope);
    match size::fit(json, spare) {
        Ok((json, content)) => Shaped::Call(Call {
            name: envelope.name.to_owned(),
            occurrence: Occurrence::of(event, &event_name, options),
            mapping: known.map_or(catalogue::Mapping::Unmapped, |known| known.mapping),
            message_id,
            json,
            content,
        }),
        Err(TooLarge { bytes }) => Shaped::Bury(Burial::TooLarge { bytes }),
    }
}

/// The event's kind, if the connection sends it.
fn wanted_kind<'e>(event: &'e Event<'_>, options: &Options) -> Result<Kind<'e>, Skip> {
    let kind = event.kind().ok_or(Skip::TestEvent)?;
    if !options.events.selects(kind, event.family()) {
        return Err(Skip::NotSelected { kind: kind.name() });
    }
    if options.payload_version == PayloadVersion::V1 && !kind.is_email() {
        return Err(Skip::NotInVersion1 { kind: kind.name() });
    }
    Ok(kind)
}
