//! JSON as text: values stay as the source wrote them, so digits, escapes and types survive.
//!
//! It checks, splits, compacts and writes text, and refuses to know what the
//! values mean.

mod object;
mod scan;
mod text;
mod write;

pub(crate) use object::{Member, Object, Take};
pub(crate) use scan::{Broken, MAX_DEPTH, Scanner};
pub(crate) use text::Text;
pub(crate) use write::Writer;

/// One JSON value as it stood in the body, without the space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// Reads text that nobody has checked.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut scanner = Scanner::new(text);
        let value = scanner.value().ok()?;
        scanner.end().is_ok().then_some(value)
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
        Object::scan(&mut Scanner::new(self.0)).ok()
    }

    /// The elements of an array; nothing for any other type.
    pub(crate) fn elements(self) -> Option<Vec<Json<'a>>> {
        let mut elements = Vec::new();
        let scanned = Scanner::new(self.0).array(|scanner| {
            elements.push(scanner.value()?);
            Ok(())
        });
        scanned.is_ok().then_some(elements)
    }
}
