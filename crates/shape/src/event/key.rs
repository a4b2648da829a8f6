//! The name under which an event is known, so that a repetition is recognised.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};

use crate::json::Json;

/// Longest event id that is its own key, in bytes; Customer.io's have 26.
///
/// A body with a longer one is known by its hash, so that keys stay small.
pub const MAX_EVENT_ID_BYTES: usize = 512;

/// What duplicates are known by: stable over retries, releases and machines.
///
/// At most [`MAX_EVENT_ID_BYTES`] long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey(Box<str>);

impl EventKey {
    /// The key of a body without a usable id: `body:` and its SHA-256 in hex.
    pub fn of_body(body: &[u8]) -> EventKey {
        Self(of_body(body).into())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(super) fn from_text(text: Cow<'_, str>) -> EventKey {
        Self(text.into())
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An `event_id` as it came.
pub(super) enum EventId<'a> {
    Text(Cow<'a, str>),
    /// Any other type: its JSON tells it from others as well.
    Other(Json<'a>),
}

impl<'a> EventId<'a> {
    pub(super) fn read(value: Json<'a>) -> Self {
        match value.string() {
            Some(text) => Self::Text(text.decoded()),
            None => Self::Other(value),
        }
    }

    /// The id, where it is a string that is not empty.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => (!text.is_empty()).then_some(text),
            Self::Other(_) => None,
        }
    }

    /// The key that the id gives, if it can serve as one.
    pub(super) fn key(&self) -> Option<&str> {
        let key = match self {
            Self::Text(text) => text,
            Self::Other(value) => value.as_str(),
        };
        (1..=MAX_EVENT_ID_BYTES).contains(&key.len()).then_some(key)
    }
}

pub(super) fn of_body(body: &[u8]) -> String {
    let mut key = String::from("body:");
    for byte in Sha256::digest(body) {
        write!(key, "{byte:02x}").expect("a string takes all that is written");
    }
    key
}
