//! What Segment drops after its 200, and under which code.
//!
//! Segment answers before it looks. These are the checks that it makes later,
//! with the codes of its Delivery Overview; the few cases that it does not name
//! have codes of our own, marked so.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    route::Kind,
    wire::{self, Fields},
};

/// Why a call, or a whole batch, was dropped after a 200.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum DiscardCode {
    /// Neither `userId` nor `anonymousId`.
    NoUserAnonId,
    /// An id that is empty or no string.
    IdNotString,
    /// A track call without `event`.
    EventNotDefined,
    /// `event` is no string.
    EventNotString,
    /// `properties` is no object.
    PropertiesNotObject,
    /// `traits` is no object.
    TraitsNotObject,
    /// The `name` of a page or screen is no string.
    NameNotString,
    /// The `category` of a page or screen is no string.
    CategoryNotString,
    /// A batch without calls.
    EmptyBatch,
    /// A batch of which no call was good.
    EmptyBatchResult,
    /// A batch of which some calls were dropped; the good ones were published.
    MultiUserError,
    /// The source is switched off.
    SourceDisabled,
    /// The workspace is locked.
    LockedWorkspace,
    /// A call of a batch without a known `type`. Our code: Segment publishes none.
    TypeNotKnown,
    /// More calls than a batch may have. Our code: Segment publishes none.
    BatchTooLong,
    /// More properties than a call may have; the call was kept without the
    /// surplus. Our code: Segment publishes none.
    PropertiesSurplus,
    /// A pixel whose data is no call. Our code: Segment publishes none.
    PixelMalformed,
}

impl DiscardCode {
    /// The code as Segment's pages write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoUserAnonId => "no_user_anon_id",
            Self::IdNotString => "id_not_string",
            Self::EventNotDefined => "event_not_defined",
            Self::EventNotString => "event_not_string",
            Self::PropertiesNotObject => "properties_not_object",
            Self::TraitsNotObject => "traits_not_object",
            Self::NameNotString => "name_not_string",
            Self::CategoryNotString => "category_not_string",
            Self::EmptyBatch => "empty_batch",
            Self::EmptyBatchResult => "empty_batch_result",
            Self::MultiUserError => "multi_user_error",
            Self::SourceDisabled => "source_disabled",
            Self::LockedWorkspace => "locked_workspace",
            Self::TypeNotKnown => "type_not_known",
            Self::BatchTooLong => "batch_too_long",
            Self::PropertiesSurplus => "properties_surplus",
            Self::PixelMalformed => "pixel_malformed",
        }
    }

    /// One sentence for a person.
    pub fn message(self) -> &'static str {
        match self {
            Self::NoUserAnonId => "neither userId nor anonymousId is present",
            Self::IdNotString => "userId or anonymousId is empty or not a string",
            Self::EventNotDefined => "a track call needs an event",
            Self::EventNotString => "event is not a string",
            Self::PropertiesNotObject => "properties is not an object",
            Self::TraitsNotObject => "traits is not an object",
            Self::NameNotString => "name is not a string",
            Self::CategoryNotString => "category is not a string",
            Self::EmptyBatch => "the batch has no calls",
            Self::EmptyBatchResult => "no call of the batch was good",
            Self::MultiUserError => {
                "some calls of the batch were dropped, the others were published"
            }
            Self::SourceDisabled => "the source is disabled",
            Self::LockedWorkspace => "the workspace is locked",
            Self::TypeNotKnown => "a call of a batch needs a type",
            Self::BatchTooLong => "the batch has more calls than Segment takes",
            Self::PropertiesSurplus => "the call has more properties than Segment keeps",
            Self::PixelMalformed => "the pixel's data is no call",
        }
    }
}

/// A call that Segment would publish.
pub(super) struct Sound<'a> {
    pub(super) kind: Kind,
    pub(super) user_id: Option<Cow<'a, str>>,
    pub(super) event: Option<Cow<'a, str>>,
}

/// Judges one call; `implied` is the kind that its path gives it.
pub(super) fn check<'a>(
    call: &Fields<'a>,
    implied: Option<Kind>,
) -> Result<Sound<'a>, DiscardCode> {
    let stated = call
        .kind
        .and_then(wire::text)
        .and_then(|word| Kind::parse(&word));
    let kind = stated.or(implied).ok_or(DiscardCode::TypeNotKnown)?;
    let user_id = person(call)?;
    let event = match kind {
        Kind::Track => Some(event(call)?),
        Kind::Identify | Kind::Page | Kind::Screen | Kind::Group | Kind::Alias => None,
    };
    match kind {
        Kind::Track => object(call.properties, DiscardCode::PropertiesNotObject)?,
        Kind::Identify | Kind::Group => object(call.traits, DiscardCode::TraitsNotObject)?,
        Kind::Page | Kind::Screen => {
            string(call.name, DiscardCode::NameNotString)?;
            string(call.category, DiscardCode::CategoryNotString)?;
            object(call.properties, DiscardCode::PropertiesNotObject)?;
        }
        Kind::Alias => (),
    }
    Ok(Sound {
        kind,
        user_id,
        event,
    })
}

/// Checks both ids and returns the user's.
///
/// Segment calls an empty id invalid, yet Customer.io documents that it sends
/// `userId: ""` beside an `anonymousId`, and those calls arrive.
fn person<'a>(call: &Fields<'a>) -> Result<Option<Cow<'a, str>>, DiscardCode> {
    let user = call
        .user_id
        .map(|id| wire::text(id).ok_or(DiscardCode::IdNotString));
    let anonymous = call
        .anonymous_id
        .map(|id| wire::text(id).ok_or(DiscardCode::IdNotString));
    match (user.transpose()?, anonymous.transpose()?) {
        (None, None) => Err(DiscardCode::NoUserAnonId),
        (_, Some(anonymous)) if anonymous.is_empty() => Err(DiscardCode::IdNotString),
        (Some(user), None) if user.is_empty() => Err(DiscardCode::IdNotString),
        (user, _) => Ok(user),
    }
}

fn event<'a>(call: &Fields<'a>) -> Result<Cow<'a, str>, DiscardCode> {
    let event = call.event.ok_or(DiscardCode::EventNotDefined)?;
    match wire::text(event) {
        None => Err(DiscardCode::EventNotString),
        Some(name) if name.is_empty() => Err(DiscardCode::EventNotDefined),
        Some(name) => Ok(name),
    }
}

fn object(value: Option<&RawValue>, otherwise: DiscardCode) -> Result<(), DiscardCode> {
    value
        .is_none_or(wire::is_object)
        .then_some(())
        .ok_or(otherwise)
}

fn string(value: Option<&RawValue>, otherwise: DiscardCode) -> Result<(), DiscardCode> {
    value
        .is_none_or(wire::is_string)
        .then_some(())
        .ok_or(otherwise)
}
