//! One event, in Customer.io's words.
//!
//! Reads a webhook's body leniently: everything may be missing, types and names
//! are open, and what is there stays as it was written. It refuses to know what
//! Segment wants of it.

mod key;
mod kind;
mod person;
mod read;
mod references;
mod time;

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;

use crate::json::{Json, Object};
use key::EventId;

pub use key::{EventKey, MAX_EVENT_ID_BYTES};
pub use kind::Kind;
pub use person::Person;
pub use read::Unusable;
pub use references::References;

pub(crate) use kind::{CUSTOMER, Family, IN_APP, PREFERENCES};
pub(crate) use person::Identity;

/// One webhook body, parsed leniently and borrowed.
///
/// Exists only for JSON objects whose `data` is an object, `null` or absent, and
/// whose `metric` is text, `null` or absent. Nothing else is promised. `Debug`
/// shows no data of the person.
pub struct Event<'a> {
    body: &'a str,
    id: Option<EventId<'a>>,
    kind: Option<kind::Read<'a>>,
    timestamp: Option<Json<'a>>,
    data: Object<'a>,
}

impl<'a> Event<'a> {
    /// Reads `body`, without a copy of what it holds.
    ///
    /// Keys that repeat count as their last; ids and numbers keep the text they
    /// came in; the older body with `event_type` is understood.
    pub fn parse(body: &'a [u8]) -> Result<Event<'a>, Unusable> {
        read::event(body)
    }

    /// What duplicates are known by: the event's id, else a hash of the whole body.
    pub fn key(&self) -> EventKey {
        EventKey::from_text(self.key_text())
    }

    /// The event's id, where it is a string that is not empty.
    pub fn event_id(&self) -> Option<&str> {
        self.id.as_ref()?.text()
    }

    /// What happened; nothing for a test event, which bears no metric.
    pub fn kind(&self) -> Option<Kind<'_>> {
        self.kind.as_ref().map(kind::Read::kind)
    }

    /// The message that the event is about.
    pub fn delivery_id(&self) -> Option<Cow<'a, str>> {
        Some(self.data.get("delivery_id")?.scalar()?.decoded())
    }

    /// The person that the event is about, as far as it says.
    pub fn person(&self) -> Person<'a> {
        self.identity().into()
    }

    /// What the event refers to by an id that has a name somewhere.
    pub fn references(&self) -> References<'a> {
        References::read(&self.data)
    }

    /// When the thing happened. Whole seconds as a rule; fractions are kept to the millisecond.
    pub fn timestamp(&self) -> Option<Timestamp> {
        time::read(self.timestamp?)
    }

    pub(crate) fn body_bytes(&self) -> usize {
        self.body.len()
    }

    pub(crate) fn data(&self) -> &Object<'a> {
        &self.data
    }

    pub(crate) fn identity(&self) -> Identity<'a> {
        Identity::read(&self.data, self.kind())
    }

    /// The text of [`key`](Self::key), borrowed where it can be.
    pub(crate) fn key_text(&self) -> Cow<'_, str> {
        match self.id.as_ref().and_then(EventId::key) {
            Some(key) => Cow::Borrowed(key),
            None => Cow::Owned(key::of_body(self.body.as_bytes())),
        }
    }

    /// Which of the two families of bodies this one belongs to.
    pub(crate) fn family(&self) -> Family {
        let is_about_person = match self.kind.as_ref() {
            None => false,
            Some(read) => read.is_about_person(&self.data),
        };
        if is_about_person {
            Family::Person
        } else {
            Family::Message
        }
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("event_id", &self.event_id())
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}
