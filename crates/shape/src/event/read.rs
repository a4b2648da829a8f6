//! From bytes to an [`Event`], in one pass over the text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use super::key::EventId;
use super::{Event, kind};
use crate::json::{Json, Key, Object};

/// Why a body can never become a call. `Display` says it to a person.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unusable {
    /// The bytes are no text.
    #[error("the body is not UTF-8 from byte {valid_bytes} on")]
    NotUtf8 {
        /// How many bytes are well-formed.
        valid_bytes: usize,
    },
    /// The text is no JSON. `problem` stays text, because a dead letter keeps it.
    #[error("the body is not JSON: {problem} at line {line} column {column}")]
    NotJson {
        /// What the parser found.
        problem: String,
        /// Counted from one.
        line: usize,
        /// Counted from one, in bytes.
        column: usize,
    },
    /// JSON, but an array, a string, a number or the like.
    #[error("the body is JSON, but not an object")]
    NotAnObject,
    /// `data` is there and is neither an object nor `null`.
    #[error("the body's \"data\" is not an object")]
    DataNotAnObject,
    /// `metric` is there and is neither text nor `null`.
    #[error("the body's \"metric\" is not text")]
    MetricNotText,
}

pub(super) fn event(body: &[u8]) -> Result<Event<'_>, Unusable> {
    let body = str::from_utf8(body).map_err(|cause| Unusable::NotUtf8 {
        valid_bytes: cause.valid_up_to(),
    })?;
    let envelope: Envelope<'_> =
        serde_json::from_str(body).map_err(|cause| refusal(body, &cause))?;
    if envelope
        .words
        .metric
        .is_some_and(|metric| metric.string().is_none())
    {
        return Err(Unusable::MetricNotText);
    }
    let data = envelope.data.unwrap_or_default();
    Ok(Event {
        body,
        id: envelope.event_id.map(EventId::read),
        kind: kind::Read::new(&envelope.words, &data),
        timestamp: envelope.timestamp,
        data,
    })
}

/// Tells text that is no JSON from JSON of the wrong type.
fn refusal(body: &str, cause: &serde_json::Error) -> Unusable {
    match serde_json::from_str::<IgnoredAny>(body) {
        Err(broken) => not_json(&broken),
        Ok(_) if !body.trim_start().starts_with('{') => Unusable::NotAnObject,
        Ok(_) if cause.is_data() => Unusable::DataNotAnObject,
        // Well-formed, but past reading: a key that is half of a surrogate pair,
        // or a number beyond all range where `data` should be.
        Ok(_) => not_json(cause),
    }
}

fn not_json(cause: &serde_json::Error) -> Unusable {
    let (line, column) = (cause.line(), cause.column());
    let message = cause.to_string();
    let place = format!(" at line {line} column {column}");
    let problem = message.strip_suffix(&place).unwrap_or(&message).to_owned();
    Unusable::NotJson {
        problem,
        line,
        column,
    }
}

/// The top level of a body; `null` is absent.
#[derive(Default)]
struct Envelope<'a> {
    event_id: Option<Json<'a>>,
    words: kind::Words<'a>,
    timestamp: Option<Json<'a>>,
    data: Option<Object<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(Key(key)) = map.next_key()? {
            let member = match &*key {
                "event_id" => &mut envelope.event_id,
                "object_type" => &mut envelope.words.object_type,
                "object_type_type" => &mut envelope.words.object_type_type,
                "delivery_type" => &mut envelope.words.delivery_type,
                "metric" => &mut envelope.words.metric,
                "event_type" => &mut envelope.words.event_type,
                "timestamp" => &mut envelope.timestamp,
                "data" => {
                    envelope.data = map.next_value()?;
                    continue;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value: &'de RawValue = map.next_value()?;
            *member = Json::present(value);
        }
        Ok(envelope)
    }
}
