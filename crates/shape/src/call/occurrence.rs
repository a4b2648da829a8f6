//! What first-only connections remember an event by.

use std::fmt;

use crate::event::Event;
use crate::json::Writer;
use crate::options::{FirstPer, Options, SendFrequency};
use crate::rules::properties::Link;

/// The delivery, the event's name before any rename, and the link if it counts.
///
/// A JSON array, so that two are equal only if all parts are. Its text is stored
/// in claims and must not change between releases.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Occurrence(String);

impl Occurrence {
    /// Nothing where all occurrences are sent, and for events without a delivery.
    pub(crate) fn of(event: &Event<'_>, name: &str, options: &Options) -> Option<Self> {
        let SendFrequency::First(per) = options.send_frequency else {
            return None;
        };
        let delivery_id = event.delivery_id()?;
        let mut out = Writer::with_capacity(delivery_id.len() + name.len() + 64);
        out.verbatim("[");
        out.string(&delivery_id);
        out.comma();
        out.string(name);
        // A link's id is enough: one message numbers its links apart.
        let link = Link::read(event.data()).filter(|_| per == FirstPer::DeliveryNameAndLink);
        if let Some(link) = link.and_then(|link| link.id.or(link.url)) {
            out.comma();
            out.value(link);
        }
        out.verbatim("]");
        Some(Self(out.finish()))
    }

    /// The occurrence as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The occurrence as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Occurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
