//! Whom an event is about.

use std::borrow::Cow;

use super::Kind;
use crate::json::{Json, Object, Text};

/// The person of an event, as text. An empty string counts as absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person<'a> {
    /// The operator's own id for the person. A number is given as its digits.
    pub id: Option<Cow<'a, str>>,
    /// An email address; never a phone number, a channel or a URL.
    pub email: Option<Cow<'a, str>>,
    /// Customer.io's id, which survives a change of the other two.
    pub cio_id: Option<Cow<'a, str>>,
}

/// The same as [`Person`], in the text of the body.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Identity<'a> {
    pub(crate) id: Option<Text<'a>>,
    pub(crate) email: Option<Text<'a>>,
    pub(crate) cio_id: Option<Text<'a>>,
}

impl<'a> Identity<'a> {
    /// Reads `identifiers` and what stands in for it.
    ///
    /// `customer_id` identifies only where there is no `identifiers` object: it is
    /// deprecated, and where both are there it may be another id. `recipient` is
    /// an email address on the email channel alone.
    pub(super) fn read(data: &Object<'a>, kind: Option<Kind<'_>>) -> Self {
        let mut identity = match data.get("identifiers") {
            Some(identifiers) if identifiers.is_object() => Self::identified(identifiers),
            _ => Self {
                id: data.get("customer_id").and_then(Json::scalar),
                ..Self::default()
            },
        };
        identity.email = identity.email.or_else(|| email(data.get("email_address")));
        if kind.is_some_and(Kind::is_email) {
            identity.email = identity.email.or_else(|| email(data.get("recipient")));
        }
        identity
    }

    fn identified(identifiers: Json<'a>) -> Self {
        let Some(identifiers) = identifiers.object() else {
            return Self::default();
        };
        Self {
            id: identifiers.get("id").and_then(Json::scalar),
            email: email(identifiers.get("email")),
            cio_id: identifiers.get("cio_id").and_then(Json::scalar),
        }
    }
}

fn email(value: Option<Json<'_>>) -> Option<Text<'_>> {
    value?.string().filter(|text| !text.is_empty())
}

impl<'a> From<Identity<'a>> for Person<'a> {
    fn from(identity: Identity<'a>) -> Self {
        Self {
            id: identity.id.map(Text::decoded),
            email: identity.email.map(Text::decoded),
            cio_id: identity.cio_id.map(Text::decoded),
        }
    }
}
