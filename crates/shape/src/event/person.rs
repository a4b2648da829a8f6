//! Whom an event is about.

use std::borrow::Cow;

use super::Kind;
use crate::json::{Broken, Json, Object, Scanner, Text};

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
    /// Takes the value of `identifiers`; nothing unless it is an object.
    pub(super) fn scan(scanner: &mut Scanner<'a>) -> Result<Option<Self>, Broken> {
        if !scanner.is_at_object() {
            return scanner.value().map(|_| None);
        }
        let mut identity = Self::default();
        scanner.object(|scanner, key| {
            let value = scanner.value()?;
            match &*key {
                "id" => identity.id = value.scalar(),
                "email" => identity.email = email(value),
                "cio_id" => identity.cio_id = value.scalar(),
                _ => (),
            }
            Ok(())
        })?;
        Ok(Some(identity))
    }

    /// Completes `identifiers` by what stands in for it.
    ///
    /// `customer_id` identifies only where there is no `identifiers` object: it is
    /// deprecated, and where both are there it may be another id. `recipient` is
    /// an email address on the email channel alone.
    pub(super) fn complete(
        identifiers: Option<Self>,
        data: &Object<'a>,
        kind: Option<Kind<'_>>,
    ) -> Self {
        let mut identity = identifiers.unwrap_or_else(|| Self {
            id: data.get("customer_id").and_then(Json::scalar),
            ..Self::default()
        });
        identity.email = identity
            .email
            .or_else(|| data.get("email_address").and_then(email));
        if kind.is_some_and(Kind::is_email) {
            identity.email = identity
                .email
                .or_else(|| data.get("recipient").and_then(email));
        }
        identity
    }
}

fn email(value: Json<'_>) -> Option<Text<'_>> {
    value.string().filter(|text| !text.is_empty())
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
