//! Text as JSON carries it: escapes stay escapes until somebody must read them.

use std::borrow::Cow;

/// The inside of a JSON string with its escapes, or the digits of a number.
///
/// Between quotes it is a valid JSON string as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    pub(crate) const EMPTY: Text<'static> = Text("");

    /// Takes text that is escaped already.
    pub(crate) fn escaped(inside: &'a str) -> Self {
        Self(inside)
    }

    pub(crate) fn as_escaped(self) -> &'a str {
        self.0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// What the text says. Half of a surrogate pair becomes U+FFFD.
    pub(crate) fn decoded(self) -> Cow<'a, str> {
        if self.0.contains('\\') {
            Cow::Owned(self.characters().map(|character| character.means).collect())
        } else {
            Cow::Borrowed(self.0)
        }
    }

    /// The longest beginning of at most `max_bytes` (escapes counted as written)
    /// that ends between two characters.
    pub(crate) fn cut(self, max_bytes: usize) -> Text<'a> {
        let mut kept_bytes = 0;
        for character in self.characters() {
            if kept_bytes + character.written.len() > max_bytes {
                break;
            }
            kept_bytes += character.written.len();
        }
        Self(self.0.get(..kept_bytes).unwrap_or_default())
    }

    fn characters(self) -> Characters<'a> {
        Characters { rest: self.0 }
    }
}

/// One character: how it is written, and what it means.
struct Character<'a> {
    written: &'a str,
    means: char,
}

struct Characters<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Characters<'a> {
    type Item = Character<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.rest.chars().next()?;
        let (written_bytes, means) = match first {
            '\\' => escape(self.rest),
            _ => (first.len_utf8(), first),
        };
        let (written, rest) = self
            .rest
            .split_at_checked(written_bytes)
            .unwrap_or((self.rest, ""));
        self.rest = rest;
        Some(Character { written, means })
    }
}

/// Length and meaning of the escape that `text` begins with.
fn escape(text: &str) -> (usize, char) {
    let means = match text.as_bytes().get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => return unicode_escape(text),
        Some(&other) => char::from(other),
        None => return (1, char::REPLACEMENT_CHARACTER),
    };
    (2, means)
}

/// `\uXXXX`, or two of them where they are the halves of one character.
fn unicode_escape(text: &str) -> (usize, char) {
    const BYTES: usize = "\\uXXXX".len();
    let Some(unit) = code_unit(text) else {
        return (BYTES, char::REPLACEMENT_CHARACTER);
    };
    if let Some(means) = char::from_u32(u32::from(unit)) {
        return (BYTES, means);
    }
    let low = text.get(BYTES..).and_then(code_unit);
    match low.map(|low| char::decode_utf16([unit, low]).next()) {
        Some(Some(Ok(means))) => (2 * BYTES, means),
        _ => (BYTES, char::REPLACEMENT_CHARACTER),
    }
}

fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_as_json_defines_them() {
        for (escaped, decoded) in [
            (r"plain", "plain"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"\u00e9\u20AC", "é€"),
            (r"a\ud83d\ude00b", "a😀b"),
            (r"\ud83dx", "\u{fffd}x"),
            (r"\ude00\ud83d\ude00", "\u{fffd}😀"),
        ] {
            assert_eq!(Text(escaped).decoded(), decoded);
        }
    }

    #[test]
    fn a_cut_never_splits_a_character_nor_an_escape() {
        let text = Text(r"aé\n\u00e9\ud83d\ude00z");
        let boundaries = [0, 1, 3, 5, 11, 23, 24];
        for max_bytes in 0..=30 {
            let expected = boundaries.iter().rfind(|end| **end <= max_bytes);
            assert_eq!(
                Some(&text.cut(max_bytes).0.len()),
                expected,
                "at {max_bytes}"
            );
        }
    }

    #[test]
    fn text_that_no_parser_checked_is_decoded_without_panic() {
        for broken in [
            "\\",
            "\\u",
            "\\u12",
            "\\ud83d\\u",
            "\\é",
            "\\uéé",
            "\\u+123",
        ] {
            let length = Text(broken).decoded().chars().count();
            assert!(length > 0, "{broken}");
        }
    }
}
