//! The members of a JSON object, in the order of the text, each key once.
//!
//! Of members with the same key the last wins, as in most readers of JSON.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Json;

/// Objects above this size find repeated keys by sorting, below it by looking.
const MAX_MEMBERS_SEARCHED: usize = 64;

/// Room that most events need, so that the list is allocated once.
const USUAL_MEMBERS: usize = 16;

/// One `"key": value` of an object. The key is decoded; borrowed, it had no escape.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) value: Json<'a>,
}

/// The members of one object. No key occurs twice.
#[derive(Debug, Default)]
pub(crate) struct Object<'a> {
    members: Vec<Member<'a>>,
    /// One bit per key seen: a clear bit proves that a key is new, or absent.
    seen: u64,
}

impl<'a> Object<'a> {
    pub(crate) fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// The value of `key`, unless absent or `null`.
    pub(crate) fn get(&self, key: &str) -> Option<Json<'a>> {
        self.find(key).filter(|value| !value.is_null())
    }

    /// Whether `key` is there, even as `null`.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: &str) -> Option<Json<'a>> {
        if self.seen & mark(key) == 0 {
            return None;
        }
        let member = self.members.iter().find(|member| member.key == key)?;
        Some(member.value)
    }

    fn push(&mut self, member: Member<'a>) {
        let mark = mark(&member.key);
        if self.seen & mark != 0 && self.members.len() <= MAX_MEMBERS_SEARCHED {
            self.members.retain(|earlier| earlier.key != member.key);
        }
        self.seen |= mark;
        self.members.push(member);
    }

    /// Drops all but the last member of each key.
    fn drop_repeated(&mut self) {
        let mut keys = BTreeSet::new();
        // Collected from the last member to the first, and popped the other way round.
        let mut keep: Vec<bool> = self
            .members
            .iter()
            .rev()
            .map(|member| keys.insert(&*member.key))
            .collect();
        self.members.retain(|_| keep.pop().unwrap_or(true));
    }
}

/// One of 64 bits, mixed from what tells the keys of an event apart.
fn mark(key: &str) -> u64 {
    let bytes = key.as_bytes();
    let first = bytes.first().copied().unwrap_or_default();
    let last = bytes.last().copied().unwrap_or_default();
    let mixed = bytes.len() ^ (usize::from(first) << 2) ^ (usize::from(last) << 1);
    1 << (mixed % 64)
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = Object {
            members: Vec::with_capacity(USUAL_MEMBERS),
            seen: 0,
        };
        while let Some(Key(key)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            object.push(Member {
                key,
                value: Json::from(value),
            });
        }
        if object.members.len() > MAX_MEMBERS_SEARCHED {
            object.drop_repeated();
        }
        Ok(object)
    }
}

/// A key, borrowed from the text unless it has escapes.
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
}
