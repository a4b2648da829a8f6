//! A request's JSON, cut into fields that keep their exact text.
//!
//! Values stay as they were written: a number keeps all its digits, a string
//! its escapes. Knows the names of Segment's fields, not their rules.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The fields of a call or of an envelope that the API looks at.
///
/// Absent and `null` are the same; a field given twice counts as last written.
#[derive(Clone, Copy, Default)]
pub(super) struct Fields<'a> {
    pub(super) kind: Option<&'a RawValue>,
    pub(super) event: Option<&'a RawValue>,
    pub(super) user_id: Option<&'a RawValue>,
    pub(super) anonymous_id: Option<&'a RawValue>,
    pub(super) message_id: Option<&'a RawValue>,
    pub(super) timestamp: Option<&'a RawValue>,
    pub(super) sent_at: Option<&'a RawValue>,
    pub(super) write_key: Option<&'a RawValue>,
    pub(super) properties: Option<&'a RawValue>,
    pub(super) traits: Option<&'a RawValue>,
    pub(super) name: Option<&'a RawValue>,
    pub(super) category: Option<&'a RawValue>,
    pub(super) context: Option<&'a RawValue>,
    pub(super) integrations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Type,
    Event,
    UserId,
    AnonymousId,
    MessageId,
    Timestamp,
    SentAt,
    WriteKey,
    Properties,
    Traits,
    Name,
    Category,
    Context,
    Integrations,
    Batch,
    #[serde(other)]
    Other,
}

impl<'a> Fields<'a> {
    fn slot(&mut self, name: &Field) -> Option<&mut Option<&'a RawValue>> {
        Some(match name {
            Field::Type => &mut self.kind,
            Field::Event => &mut self.event,
            Field::UserId => &mut self.user_id,
            Field::AnonymousId => &mut self.anonymous_id,
            Field::MessageId => &mut self.message_id,
            Field::Timestamp => &mut self.timestamp,
            Field::SentAt => &mut self.sent_at,
            Field::WriteKey => &mut self.write_key,
            Field::Properties => &mut self.properties,
            Field::Traits => &mut self.traits,
            Field::Name => &mut self.name,
            Field::Category => &mut self.category,
            Field::Context => &mut self.context,
            Field::Integrations => &mut self.integrations,
            Field::Batch | Field::Other => return None,
        })
    }

    fn take<M: MapAccess<'a>>(&mut self, name: &Field, map: &mut M) -> Result<(), M::Error> {
        let Some(slot) = self.slot(name) else {
            return map.next_value::<IgnoredAny>().map(drop);
        };
        let value = map.next_value::<&'a RawValue>()?;
        *slot = (value.get() != "null").then_some(value);
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Fields::default();
                while let Some(name) = map.next_key::<Field>()? {
                    fields.take(&name, &mut map)?;
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// An envelope: its own fields and the texts of its calls.
struct Envelope<'a> {
    fields: Fields<'a>,
    calls: Vec<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a batch")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Fields::default();
                let mut calls = Vec::new();
                while let Some(name) = map.next_key::<Field>()? {
                    match name {
                        Field::Batch => calls = map.next_value::<Option<_>>()?.unwrap_or_default(),
                        other => fields.take(&other, &mut map)?,
                    }
                }
                Ok(Envelope { fields, calls })
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// An object's members in the order in which they were written.
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The members of an object, or `None` where `raw` is none.
pub(super) fn members(raw: &str) -> Option<Vec<(String, &RawValue)>> {
    let Members(members) = serde_json::from_str(raw).ok()?;
    Some(members)
}

pub(super) fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

pub(super) fn is_string(raw: &RawValue) -> bool {
    raw.get().starts_with('"')
}

/// The text of a JSON string, or none if `raw` is something else.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let quoted = raw.get();
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(quoted).map(Cow::Owned).ok();
    }
    Some(Cow::Borrowed(inner))
}

/// A request's calls, cut but not judged.
pub(super) struct Payload<'a> {
    /// The outermost object: of a single call, the call itself.
    pub(super) envelope: Fields<'a>,
    /// Each call with its exact text.
    pub(super) calls: Vec<(&'a str, Fields<'a>)>,
}

impl<'a> Payload<'a> {
    /// Cuts a body that is one call.
    pub(super) fn single(body: &'a str) -> Result<Self, serde_json::Error> {
        let envelope = serde_json::from_str(body)?;
        Ok(Self {
            envelope,
            calls: vec![(body, envelope)],
        })
    }

    /// Cuts a body that is an envelope; a missing `batch` is an empty one.
    pub(super) fn batch(body: &'a str) -> Result<Self, serde_json::Error> {
        let Envelope { fields, calls } = serde_json::from_str(body)?;
        let cut = |call: &'a RawValue| Ok((call.get(), serde_json::from_str(call.get())?));
        Ok(Self {
            envelope: fields,
            calls: calls
                .into_iter()
                .map(cut)
                .collect::<Result<_, serde_json::Error>>()?,
        })
    }
}
