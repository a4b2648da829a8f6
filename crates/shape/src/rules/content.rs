//! The message's body: when it is passed on, when it is `null`, when it is absent.

use std::borrow::Cow;

use crate::event::{Event, Kind};
use crate::json::{Json, Writer};
use crate::options::Options;

/// What `properties.content` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// What the event carries.
    Carried(Json<'a>),
    /// `null`, because warehouses of the hosted integration have the column.
    Null,
    /// Not there.
    Absent,
}

/// Decides on `content`.
///
/// It is the body on *Sent* events while the option is on. Otherwise the messages
/// of email and SMS-like channels have `null`, and all else has nothing. A
/// preference change keeps its content, which is the only thing it says.
pub(crate) fn body<'a>(event: &Event<'a>, kind: Kind<'_>, options: &Options) -> Body<'a> {
    let carried = event.data().get("content");
    if kind.is_preference_change() {
        return carried.map_or(Body::Absent, Body::Carried);
    }
    match carried {
        Some(content) if is_passed_on(kind, options) => Body::Carried(content),
        _ if is_expected(event, kind) => Body::Null,
        _ => Body::Absent,
    }
}

/// Whether the parts of a message, its body and headers, may leave in this event.
pub(crate) fn is_passed_on(kind: Kind<'_>, options: &Options) -> bool {
    options.body_content && kind.is_sent()
}

/// Whether the event is about a message whose calls always have `content`.
fn is_expected(event: &Event<'_>, kind: Kind<'_>) -> bool {
    let has_column = matches!(kind.object_type, Some("email" | "sms" | "whatsapp"));
    has_column
        && event
            .data()
            .get("delivery_id")
            .and_then(Json::scalar)
            .is_some()
}

/// The topics of a preference change, as one line of JSON.
///
/// Its content is JSON in a string (an object is taken as well); topics that are
/// no object are left where they are.
pub(crate) fn topics(event: &Event<'_>, kind: Kind<'_>) -> Option<String> {
    if !kind.is_preference_change() {
        return None;
    }
    let content = event.data().get("content")?;
    let text = match content.string() {
        Some(text) => text.decoded(),
        None => Cow::Borrowed(content.as_str()),
    };
    let topics = Json::parse(&text)?.object()?.get("topics")?;
    if !topics.is_object() {
        return None;
    }
    let mut compact = Writer::with_capacity(text.len());
    compact.value(topics);
    Some(compact.finish())
}
