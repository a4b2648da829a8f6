//! Splits JSON text into its parts, in one pass that checks all of it.
//!
//! Values stay text: a general parser spends most of its time on making them
//! anything else. It accepts exactly what RFC 8259 calls JSON, up to
//! [`MAX_DEPTH`]; what is wrong with other text it leaves others to say.

use std::borrow::Cow;

use super::{Json, Text};

/// Objects and arrays within each other. Deeper ones hardly any reader takes.
pub(crate) const MAX_DEPTH: usize = 127;

/// The text is no JSON, or nested too deeply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// A place in a text, up to which all is JSON.
///
/// It moves by whole keys and values. The steps between are functions from place
/// to place, which keeps the place in a register: that is half of the speed.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    /// Starts before the first value of `text`.
    pub(crate) fn new(text: &'a str) -> Self {
        let at = skip_space(text.as_bytes(), 0);
        Self { text, at, depth: 0 }
    }

    /// Whether an object comes next.
    pub(crate) fn is_at_object(&self) -> bool {
        self.text.as_bytes().get(self.at) == Some(&b'{')
    }

    /// The value that comes next, with all that is in it.
    pub(crate) fn value(&mut self) -> Result<Json<'a>, Broken> {
        let start = self.at;
        self.at = skip_value(self.text.as_bytes(), start, self.depth)?;
        self.text.get(start..self.at).map(Json).ok_or(Broken)
    }

    /// The object that comes next. `member` is called behind each key, and takes the value.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.items(Brackets::OBJECT, |scanner| {
            let key = scanner.key()?;
            member(scanner, key)
        })
    }

    /// The array that comes next. `element` is called before each value, and takes it.
    pub(crate) fn array(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.items(Brackets::ARRAY, element)
    }

    /// Nothing but space may come.
    pub(crate) fn end(&self) -> Result<(), Broken> {
        let at = skip_space(self.text.as_bytes(), self.at);
        if at == self.text.len() {
            Ok(())
        } else {
            Err(Broken)
        }
    }

    fn items(
        &mut self,
        brackets: Brackets,
        mut item: impl FnMut(&mut Self) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let bytes = self.text.as_bytes();
        self.depth = deeper(self.depth)?;
        let mut step = first_item(bytes, self.at, brackets)?;
        while let Step::Item(at) = step {
            self.at = at;
            item(self)?;
            step = next_item(bytes, self.at, brackets)?;
        }
        if let Step::End(at) = step {
            self.at = at;
        }
        self.depth -= 1;
        Ok(())
    }

    /// A key and its colon. The key is decoded; borrowed unless it has escapes.
    fn key(&mut self) -> Result<Cow<'a, str>, Broken> {
        let bytes = self.text.as_bytes();
        let start = skip_byte(bytes, self.at, b'"')?;
        let plain_end = skip_plain(bytes, start);
        let end = skip_string(bytes, plain_end)?;
        self.at = skip_colon(bytes, end)?;
        let inside = self.text.get(start..end - 1).ok_or(Broken)?;
        let is_plain = end - 1 == plain_end;
        Ok(if is_plain {
            Cow::Borrowed(inside)
        } else {
            Text::escaped(inside).decoded()
        })
    }
}

/// What an object or an array stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Brackets {
    opening: u8,
    closing: u8,
}

impl Brackets {
    const OBJECT: Brackets = Brackets {
        opening: b'{',
        closing: b'}',
    };
    const ARRAY: Brackets = Brackets {
        opening: b'[',
        closing: b']',
    };
}

/// What comes next within brackets, and where.
enum Step {
    /// Another member or element.
    Item(usize),
    /// What is behind the closing bracket.
    End(usize),
}

fn deeper(depth: usize) -> Result<usize, Broken> {
    if depth < MAX_DEPTH {
        Ok(depth + 1)
    } else {
        Err(Broken)
    }
}

fn first_item(bytes: &[u8], at: usize, brackets: Brackets) -> Result<Step, Broken> {
    let at = skip_space(bytes, skip_byte(bytes, at, brackets.opening)?);
    match bytes.get(at) {
        Some(byte) if *byte == brackets.closing => Ok(Step::End(at + 1)),
        _ => Ok(Step::Item(at)),
    }
}

fn next_item(bytes: &[u8], at: usize, brackets: Brackets) -> Result<Step, Broken> {
    let at = skip_space(bytes, at);
    match bytes.get(at) {
        Some(b',') => Ok(Step::Item(skip_space(bytes, at + 1))),
        Some(byte) if *byte == brackets.closing => Ok(Step::End(at + 1)),
        _ => Err(Broken),
    }
}

fn skip_value(bytes: &[u8], at: usize, depth: usize) -> Result<usize, Broken> {
    match bytes.get(at).ok_or(Broken)? {
        b'"' => skip_string(bytes, skip_plain(bytes, at + 1)),
        b'{' => skip_items(bytes, at, depth, Brackets::OBJECT),
        b'[' => skip_items(bytes, at, depth, Brackets::ARRAY),
        b't' => skip_word(bytes, at, "true"),
        b'f' => skip_word(bytes, at, "false"),
        b'n' => skip_word(bytes, at, "null"),
        _ => skip_number(bytes, at),
    }
}

fn skip_items(bytes: &[u8], at: usize, depth: usize, brackets: Brackets) -> Result<usize, Broken> {
    let depth = deeper(depth)?;
    let mut step = first_item(bytes, at, brackets)?;
    loop {
        let at = match step {
            Step::Item(at) if brackets == Brackets::OBJECT => skip_key(bytes, at)?,
            Step::Item(at) => at,
            Step::End(at) => return Ok(at),
        };
        step = next_item(bytes, skip_value(bytes, at, depth)?, brackets)?;
    }
}

fn skip_key(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let start = skip_byte(bytes, at, b'"')?;
    skip_colon(bytes, skip_string(bytes, skip_plain(bytes, start))?)
}

fn skip_colon(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let at = skip_byte(bytes, skip_space(bytes, at), b':')?;
    Ok(skip_space(bytes, at))
}

/// Skips what is left of a string, from `at` behind its first plain characters.
fn skip_string(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    match bytes.get(at) {
        Some(b'"') => Ok(at + 1),
        _ => skip_escaped_string(bytes, at),
    }
}

fn skip_escaped_string(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let mut at = at;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = skip_plain(bytes, skip_escape(bytes, at)?),
            _ => return Err(Broken),
        }
    }
}

fn skip_escape(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let digits = match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => return Ok(at + 2),
        Some(b'u') => at + 2..at + 6,
        _ => return Err(Broken),
    };
    let end = digits.end;
    let are_hex = bytes
        .get(digits)
        .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    if are_hex { Ok(end) } else { Err(Broken) }
}

fn skip_number(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
    let at = at + usize::from(is(at, b"-"));
    let mut at = if is(at, b"0") {
        at + 1
    } else {
        skip_digits(bytes, at)?
    };
    if is(at, b".") {
        at = skip_digits(bytes, at + 1)?;
    }
    if is(at, b"eE") {
        at = skip_digits(bytes, at + 1 + usize::from(is(at + 1, b"+-")))?;
    }
    Ok(at)
}

/// At least one.
fn skip_digits(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let mut end = at;
    while bytes.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    if end > at { Ok(end) } else { Err(Broken) }
}

fn skip_word(bytes: &[u8], at: usize, word: &str) -> Result<usize, Broken> {
    let end = at + word.len();
    if bytes.get(at..end) == Some(word.as_bytes()) {
        Ok(end)
    } else {
        Err(Broken)
    }
}

fn skip_byte(bytes: &[u8], at: usize, expected: u8) -> Result<usize, Broken> {
    if bytes.get(at) == Some(&expected) {
        Ok(at + 1)
    } else {
        Err(Broken)
    }
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    let mut at = at;
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Skips all before the first quote, backslash or control character, or the end.
pub(super) fn skip_plain(bytes: &[u8], at: usize) -> usize {
    let mut at = at;
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let special = special_bytes(u64::from_le_bytes(*eight));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += eight.len();
    }
    let is_plain = |byte: &u8| *byte >= b' ' && !matches!(byte, b'"' | b'\\');
    while bytes.get(at).is_some_and(is_plain) {
        at += 1;
    }
    at
}

/// Sets the top bit of the first special byte among eight, and of none before it.
///
/// Bytes behind it may be marked wrongly: a subtraction borrows from them.
fn special_bytes(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const TOPS: u64 = ONES << 7;
    // Each wraps around, and so gains its top bit, in the bytes that are meant.
    let quotes = (eight ^ (ONES * 0x22)).wrapping_sub(ONES);
    let backslashes = (eight ^ (ONES * 0x5c)).wrapping_sub(ONES);
    let controls = eight.wrapping_sub(ONES * 0x20);
    (quotes | backslashes | controls) & !eight & TOPS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    /// Whether all of `text` is one value.
    fn is_json(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.value().and_then(|_| scanner.end()).is_ok()
    }

    fn is_json_to_serde(text: &str) -> bool {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    #[test]
    fn what_rfc_8259_allows_is_accepted_and_nothing_else() {
        for (text, expected) in [
            (" {\"a\" : [ ] , \"b\":{ } } ", true),
            ("[1,-0,0.5,1e5,-1.25E-10,1e400]", true),
            ("\"\\u00e9\\ud800\\\"\u{7f}é\"", true),
            ("true", true),
            ("", false),
            (" ", false),
            ("tru", false),
            ("nulls", false),
            ("01", false),
            ("-", false),
            ("+1", false),
            (".5", false),
            ("1.", false),
            ("1e", false),
            ("1e+", false),
            ("[1,]", false),
            ("[,1]", false),
            ("[1 2]", false),
            ("{\"a\":1,}", false),
            ("{\"a\"}", false),
            ("{a:1}", false),
            ("{1:1}", false),
            ("{\"a\":1]", false),
            ("[1}", false),
            ("\"", false),
            ("\"\\\"", false),
            ("\"\\x\"", false),
            ("\"\\u12g4\"", false),
            ("\"\\u123\"", false),
            ("\"line\nbreak\"", false),
            ("\"tab\t\"", false),
            ("\u{feff}1", false),
            ("1 2", false),
            ("\u{a0}1", false),
        ] {
            assert_eq!(is_json(text), expected, "{text}");
            assert_eq!(is_json_to_serde(text), expected, "{text}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(is_json(&nested(MAX_DEPTH)));
        assert!(!is_json(&nested(MAX_DEPTH + 1)));
        let flat = format!("[{}1]", "[[]],".repeat(MAX_DEPTH));
        assert!(is_json(&flat), "depth is left again");
    }

    #[test]
    fn a_special_byte_is_found_at_every_place() {
        for special in ['"', '\\', '\n', '\0', '\u{1f}'] {
            for place in 0..40 {
                let text = format!(
                    "{}{special}\"\\",
                    "é! ]\u{7f}"
                        .repeat(8)
                        .chars()
                        .take(place)
                        .collect::<String>()
                );
                let expected = text.find(special);
                assert_eq!(
                    Some(skip_plain(text.as_bytes(), 0)),
                    expected,
                    "{special:?} at {place}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn the_scanner_agrees_with_serde_on_what_is_json(
            text in r#"([\[\]{}:,"\\ \n0-9eE.+u-]|null|true|"[a-zé]{0,9}"|"k": ?|\\u[0-9a-f]{4}|[{\[\]}]{2}){0,12}"#,
        ) {
            prop_assert_eq!(is_json(&text), is_json_to_serde(&text));
            let quoted = format!("\"{text}\"");
            prop_assert_eq!(is_json(&quoted), is_json_to_serde(&quoted));
            let member = format!("{{\"k\":[{text}]}}");
            prop_assert_eq!(is_json(&member), is_json_to_serde(&member));
        }

        #[test]
        fn the_scanner_agrees_with_serde_on_numbers(text in "-?[0-9]{0,3}[.]?[0-9]{0,3}[eE]?[+-]?[0-9]{0,3}") {
            prop_assert_eq!(is_json(&text), is_json_to_serde(&text));
        }
    }
}
