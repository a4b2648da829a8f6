//! JSON as text: values stay as the source wrote them, so digits, escapes and types survive.
//!
//! It splits, compacts and writes text that a parser has already checked, and is
//! total on any other text. It refuses to know what the values mean.

mod object;
mod text;
mod write;

use serde_json::value::RawValue;

pub(crate) use object::{Key, Member, Object};
pub(crate) use text::Text;
pub(crate) use write::Writer;

/// One JSON value as it stood in the body, without the space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// Reads text that nobody has checked.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str::<&RawValue>(text).ok().map(Self::from)
    }

    /// The value unless it is `null`, which means absent to every rule here.
    pub(crate) fn present(raw: &'a RawValue) -> Option<Self> {
        let value = Self::from(raw);
        (!value.is_null()).then_some(value)
    }

    pub(crate) fn as_str(self) -> &'a str {
        self.0
    }

    pub(crate) fn is_null(self) -> bool {
        self.0 == "null"
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// The inside of a string; nothing for any other type.
    pub(crate) fn string(self) -> Option<Text<'a>> {
        let inside = self.0.strip_prefix('"')?.strip_suffix('"')?;
        Some(Text::escaped(inside))
    }

    /// A string or the digits of a number, unless empty: what may identify somebody.
    pub(crate) fn scalar(self) -> Option<Text<'a>> {
        let text = match self.0.as_bytes().first()? {
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => Text::escaped(self.0),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// The members of an object; nothing for any other type.
    pub(crate) fn object(self) -> Option<Object<'a>> {
        if !self.is_object() {
            return None;
        }
        serde_json::from_str(self.0).ok()
    }

    /// The elements of an array; nothing for any other type.
    pub(crate) fn elements(self) -> Option<Vec<Json<'a>>> {
        if !self.0.starts_with('[') {
            return None;
        }
        let elements: Vec<&'a RawValue> = serde_json::from_str(self.0).ok()?;
        Some(elements.into_iter().map(Self::from).collect())
    }
}

impl<'a> From<&'a RawValue> for Json<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }
}
