//! JSON as a tree of pieces of its text: in its order, with all its digits.
//!
//! Numbers are never read, only copied, so that what a page shows is what came.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Below this, what is nested is kept as the text that it is.
const MAX_DEPTH: usize = 32;

/// A document, or a part of one.
pub(super) enum Json<'t> {
    Object(Vec<(String, Json<'t>)>),
    Array(Vec<Json<'t>>),
    /// Anything else, as it is written.
    Scalar(&'t str),
}

impl<'t> Json<'t> {
    /// Reads a text; none where it is no JSON.
    pub(super) fn read(text: &'t str) -> Option<Json<'t>> {
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        Some(Json::of(raw, 0))
    }

    fn of(raw: &'t RawValue, depth: usize) -> Json<'t> {
        let text = raw.get();
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = match text.as_bytes().first() {
            _ if depth >= MAX_DEPTH => None,
            Some(b'{') => reader.deserialize_map(Level(depth)).ok(),
            Some(b'[') => reader.deserialize_seq(Level(depth)).ok(),
            _ => None,
        };
        read.unwrap_or(Json::Scalar(text))
    }

    /// What is at `path`, through objects only.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Json<'t>> {
        let Some((first, rest)) = path.split_first() else {
            return Some(self);
        };
        let mut entries = self.entries().iter();
        let (_, value) = entries.find(|(key, _)| key == first)?;
        value.at(rest)
    }

    /// An object's entries; of anything else, none.
    pub(super) fn entries(&self) -> &[(String, Json<'t>)] {
        match self {
            Json::Object(entries) => entries,
            Json::Array(_) | Json::Scalar(_) => &[],
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Json::Scalar("null"))
    }

    /// Whether both say the same, whatever the order of keys and the escapes.
    pub(super) fn says(&self, other: &Json<'_>) -> bool {
        match (self, other) {
            (Json::Object(one), Json::Object(two)) => {
                let has = |(key, value): &(String, Json<'_>)| {
                    let there = other.at(&[key.as_str()]);
                    there.is_some_and(|there| value.says(there))
                };
                one.len() == two.len() && one.iter().all(has)
            }
            (Json::Array(one), Json::Array(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.says(two))
            }
            (Json::Scalar(one), Json::Scalar(two)) => plain(one) == plain(two),
            _ => false,
        }
    }

    /// Whether a text or number of this is one of the other's too. A number and a
    /// text with its digits count as one.
    pub(super) fn shares_with(&self, other: &Json<'_>) -> bool {
        match (self, other) {
            (Json::Object(entries), _) => entries.iter().any(|(_, one)| one.shares_with(other)),
            (Json::Array(each), _) => each.iter().any(|one| one.shares_with(other)),
            (_, Json::Object(entries)) => entries.iter().any(|(_, two)| self.shares_with(two)),
            (_, Json::Array(each)) => each.iter().any(|two| self.shares_with(two)),
            (Json::Scalar(one), Json::Scalar(two)) => !self.is_null() && bare(one) == bare(two),
        }
    }
}

/// A scalar's text with its escapes undone, and still with its quotes.
fn plain(text: &str) -> String {
    match serde_json::from_str::<String>(text) {
        Ok(string) => format!("\"{string}\""),
        Err(_) => text.to_owned(),
    }
}

/// A scalar's text without quotes and escapes.
fn bare(text: &str) -> String {
    serde_json::from_str(text).unwrap_or_else(|_| text.to_owned())
}

/// Reads one level of nesting.
struct Level(usize);

impl<'t> Visitor<'t> for Level {
    type Value = Json<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Json<'t>, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, raw)) = map.next_entry::<String, &'t RawValue>()? {
            entries.push((key, Json::of(raw, self.0 + 1)));
        }
        Ok(Json::Object(entries))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut seq: A) -> Result<Json<'t>, A::Error> {
        let mut each = Vec::new();
        while let Some(raw) = seq.next_element::<&'t RawValue>()? {
            each.push(Json::of(raw, self.0 + 1));
        }
        Ok(Json::Array(each))
    }
}
