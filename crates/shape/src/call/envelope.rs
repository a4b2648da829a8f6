//! The call around its properties.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use crate::json::{Text, Writer};
use crate::rules::properties::{self, Source};
use crate::rules::size::Spare;

/// RFC 3339 in UTC with milliseconds, cut and not rounded.
static TIMESTAMP: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// Room for what every call has, besides what it takes over from the event.
const USUAL_ENVELOPE_BYTES: usize = 512;

/// What the envelope says.
pub(crate) struct Envelope<'s> {
    pub(crate) name: &'s str,
    pub(crate) message_id: &'s str,
    pub(crate) timestamp: Option<Timestamp>,
    /// For `context.traits`, where it is known.
    pub(crate) email: Option<Text<'s>>,
    pub(crate) source: Source<'s>,
}

/// Writes the whole call. Its properties come last, so it ends with `}}`.
pub(crate) fn write(envelope: &Envelope<'_>) -> (String, Spare) {
    let Source {
        event,
        who,
        options,
        ..
    } = envelope.source;
    let mut out = Writer::with_capacity(event.body_bytes() + USUAL_ENVELOPE_BYTES);
    out.verbatim("{\"type\":\"track\",\"event\":");
    out.string(envelope.name);
    for (key, id) in who.ids(options) {
        out.key(key);
        out.text(id);
    }
    out.verbatim(",\"messageId\":\"");
    out.verbatim(envelope.message_id);
    out.verbatim("\"");
    write_timestamp(&mut out, envelope.timestamp);
    write_context(&mut out, envelope);
    if !options.send_back {
        out.verbatim(",\"integrations\":{\"Customer.io\":false}");
    }
    out.verbatim(",\"properties\":");
    let spare = properties::write(&mut out, envelope.source);
    out.verbatim("}");
    (out.finish(), spare)
}

fn write_timestamp(out: &mut Writer, timestamp: Option<Timestamp>) {
    if let Some(timestamp) = timestamp {
        out.verbatim(",\"timestamp\":\"");
        TIMESTAMP
            .print_timestamp(&timestamp, out.out())
            .expect("a string takes all that is written");
        out.verbatim("\"");
    }
}

fn write_context(out: &mut Writer, envelope: &Envelope<'_>) {
    out.verbatim(",\"context\":{\"integration\":{\"name\":\"customer.io\",\"version\":\"");
    out.verbatim(envelope.source.options.payload_version.as_str());
    out.verbatim("\"}");
    if let Some(email) = envelope.email {
        out.verbatim(",\"traits\":{\"email\":");
        out.text(email);
        out.verbatim("}");
    }
    out.verbatim("}");
}
