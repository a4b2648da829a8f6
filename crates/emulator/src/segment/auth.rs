//! Who a request says it is from, before anybody checks.
//!
//! The write key may come by Basic or in the body; both at once are fine. A
//! Bearer token never carries a write key, so the body must.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD_PAD_INDIFFERENT};
use http::{HeaderMap, header::AUTHORIZATION};

use super::wire::{self, Payload};

/// Write keys shorter than this are not shown even in part.
const MIN_MASKED_CHARS: usize = 8;

/// What the `Authorization` header holds.
pub(super) enum Auth {
    /// No header, or one that nobody can read.
    Absent,
    /// The user of Basic; a password is ignored.
    Basic(String),
    /// An OAuth token.
    Bearer(String),
}

impl Auth {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let Some(header) = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
        else {
            return Self::Absent;
        };
        let Some((scheme, rest)) = header.split_once(' ') else {
            return Self::Absent;
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Bearer(rest.trim().to_owned());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Self::Absent;
        }
        let decoded = STANDARD_PAD_INDIFFERENT.decode(rest.trim()).ok();
        let Some(decoded) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else {
            return Self::Absent;
        };
        // Without a colon all of it is the user: accepted "for backward compatibility".
        let user = decoded
            .split_once(':')
            .map_or(decoded.as_str(), |(user, _)| user);
        Self::Basic(user.to_owned())
    }

    fn user(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Basic(user) if !user.is_empty() => Some(Cow::Borrowed(user)),
            Self::Basic(_) | Self::Absent | Self::Bearer(_) => None,
        }
    }
}

/// The write key of a request: that of the envelope, of Basic, or of the first call which has one.
pub(super) fn write_key<'a>(payload: &Payload<'a>, auth: &'a Auth) -> Option<Cow<'a, str>> {
    let non_empty = |key: &Cow<'a, str>| !key.is_empty();
    let of_envelope = || {
        payload
            .envelope
            .write_key
            .and_then(wire::text)
            .filter(non_empty)
    };
    let of_calls = || {
        let keys = payload.calls.iter().filter_map(|(_, call)| call.write_key);
        keys.filter_map(wire::text).find(non_empty)
    };
    of_envelope().or_else(|| auth.user()).or_else(of_calls)
}

/// A write key as it may be shown: its last four characters.
pub(super) fn masked(write_key: &str) -> String {
    let chars = write_key.chars().count();
    if chars < MIN_MASKED_CHARS {
        return "...".to_owned();
    }
    let tail: String = write_key.chars().skip(chars - 4).collect();
    format!("...{tail}")
}
