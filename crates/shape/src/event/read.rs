//! From bytes to an [`Event`], in one pass over the text.

use serde::de::IgnoredAny;
use thiserror::Error;

use super::key::EventId;
use super::{Event, Identity, kind};
use crate::json::{Broken, Json, MAX_DEPTH, Object, Scanner, Take};

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
    /// Objects and arrays within each other, more than any reader takes.
    #[error("the body is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
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
    let envelope = Envelope::scan(body).map_err(|Broken| refusal(body))?;
    let (data, identifiers) = match envelope.data {
        Data::Absent => (Object::default(), None),
        Data::Object {
            members,
            identifiers,
        } => (members, identifiers),
        Data::Other => return Err(Unusable::DataNotAnObject),
    };
    if envelope
        .words
        .metric
        .is_some_and(|metric| metric.string().is_none())
    {
        return Err(Unusable::MetricNotText);
    }
    Ok(Event {
        body,
        id: envelope.event_id.map(EventId::read),
        kind: kind::Read::new(&envelope.words, &data),
        timestamp: envelope.timestamp,
        identifiers,
        data,
    })
}

/// Why [`Envelope::scan`] did not take `body`, from a parser that can say where.
fn refusal(body: &str) -> Unusable {
    let Err(cause) = serde_json::from_str::<IgnoredAny>(body) else {
        let is_object = Scanner::new(body).is_at_object();
        return if is_object {
            Unusable::TooDeep
        } else {
            Unusable::NotAnObject
        };
    };
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

/// The top level of a body; a member that is `null` is absent.
#[derive(Default)]
struct Envelope<'a> {
    event_id: Option<Json<'a>>,
    words: kind::Words<'a>,
    timestamp: Option<Json<'a>>,
    data: Data<'a>,
}

#[derive(Default)]
enum Data<'a> {
    #[default]
    Absent,
    Object {
        /// All but `identifiers`.
        members: Object<'a>,
        identifiers: Option<Identity<'a>>,
    },
    Other,
}

impl<'a> Data<'a> {
    fn scan(scanner: &mut Scanner<'a>) -> Result<Self, Broken> {
        let mut identifiers = None;
        let members = Object::scan_without(scanner, &mut |scanner, key| {
            if key != "identifiers" {
                return Ok(Take::Left);
            }
            identifiers = Identity::scan(scanner)?;
            Ok(Take::Taken)
        })?;
        Ok(Self::Object {
            members,
            identifiers,
        })
    }
}

impl<'a> Envelope<'a> {
    /// Takes a whole body, which is an object.
    fn scan(body: &'a str) -> Result<Self, Broken> {
        let mut envelope = Self::default();
        let mut scanner = Scanner::new(body);
        scanner.object(|scanner, key| envelope.member(scanner, &key))?;
        scanner.end()?;
        Ok(envelope)
    }

    /// Takes the value of `key`. A key that repeats counts as its last.
    fn member(&mut self, scanner: &mut Scanner<'a>, key: &str) -> Result<(), Broken> {
        if key == "data" && scanner.is_at_object() {
            self.data = Data::scan(scanner)?;
            return Ok(());
        }
        let value = Some(scanner.value()?).filter(|value| !value.is_null());
        match key {
            "event_id" => self.event_id = value,
            "object_type" => self.words.object_type = value,
            "object_type_type" => self.words.object_type_type = value,
            "delivery_type" => self.words.delivery_type = value,
            "metric" => self.words.metric = value,
            "event_type" => self.words.event_type = value,
            "timestamp" => self.timestamp = value,
            "data" => self.data = value.map_or(Data::Absent, |_| Data::Other),
            _ => (),
        }
        Ok(())
    }
}
