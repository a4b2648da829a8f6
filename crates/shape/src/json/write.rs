//! Writes one line of compact JSON, piece by piece, into one string.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{Json, Member, Text};

/// The text written so far. Commas are its business, the structure is the caller's.
#[derive(Debug)]
pub(crate) struct Writer {
    out: String,
}

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            out: String::with_capacity(bytes),
        }
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.out.len()
    }

    /// The text itself, for whoever can write a value faster than by parts.
    pub(crate) fn out(&mut self) -> &mut String {
        &mut self.out
    }

    /// Text that is JSON already, and compact.
    pub(crate) fn verbatim(&mut self, json: &str) {
        self.out.push_str(json);
    }

    /// Begins a member of the object that is open, under a key of ours or one that
    /// needed no escape where it was read.
    pub(crate) fn key(&mut self, key: &str) {
        self.comma();
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
    }

    /// Begins a member under the key of one that was read.
    pub(crate) fn key_of(&mut self, member: &Member<'_>) {
        match &member.key {
            Cow::Borrowed(key) => self.key(key),
            Cow::Owned(key) => {
                self.comma();
                self.string(key);
                self.out.push(':');
            }
        }
    }

    /// Sets an element or member apart from the one before it, if there is one.
    pub(crate) fn comma(&mut self) {
        if !matches!(self.out.as_bytes().last(), Some(b'{' | b'[')) {
            self.out.push(',');
        }
    }

    pub(crate) fn text(&mut self, text: Text<'_>) {
        self.out.push('"');
        self.out.push_str(text.as_escaped());
        self.out.push('"');
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.out.push('"');
        let mut rest = text;
        while let Some(at) = rest.bytes().position(needs_escape) {
            let (plain, special) = rest.split_at_checked(at).unwrap_or((rest, ""));
            self.out.push_str(plain);
            let mut characters = special.chars();
            if let Some(character) = characters.next() {
                self.escape(character);
            }
            rest = characters.as_str();
        }
        self.out.push_str(rest);
        self.out.push('"');
    }

    /// A value as it stood, but for the space between its parts.
    pub(crate) fn value(&mut self, value: Json<'_>) {
        let json = value.as_str();
        if json.starts_with(['{', '[']) {
            self.compact(json);
        } else {
            self.out.push_str(json);
        }
    }

    /// An object without its `null` members; any other value as it stood.
    pub(crate) fn value_without_nulls(&mut self, value: Json<'_>) {
        let Some(object) = value.object() else {
            return self.value(value);
        };
        self.out.push('{');
        for member in object
            .members()
            .iter()
            .filter(|member| !member.value.is_null())
        {
            self.key_of(member);
            self.value(member.value);
        }
        self.out.push('}');
    }

    fn compact(&mut self, json: &str) {
        let mut rest = json;
        while let Some((outside, from_quote)) =
            rest.find('"').and_then(|at| rest.split_at_checked(at))
        {
            self.unspaced(outside);
            let (string, after) = split_after_string(from_quote);
            self.out.push_str(string);
            rest = after;
        }
        self.unspaced(rest);
    }

    fn unspaced(&mut self, outside: &str) {
        self.out.extend(outside.split([' ', '\t', '\n', '\r']));
    }

    fn escape(&mut self, character: char) {
        match character {
            '"' | '\\' => self.out.extend(['\\', character]),
            '\n' => self.out.push_str("\\n"),
            '\r' => self.out.push_str("\\r"),
            '\t' => self.out.push_str("\\t"),
            control => write!(self.out, "\\u{:04x}", u32::from(control))
                .expect("a string takes all that is written"),
        }
    }
}

fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Splits behind the string that `text` begins with.
fn split_after_string(text: &str) -> (&str, &str) {
    let mut is_escaped = true; // so that the opening quote does not end the string
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return text.split_at_checked(at + 1).unwrap_or((text, "")),
            _ => (),
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn written(write: impl FnOnce(&mut Writer)) -> String {
        let mut writer = Writer::with_capacity(0);
        write(&mut writer);
        writer.finish()
    }

    #[test]
    fn strings_are_escaped_as_json_demands() {
        let all: String = (0..=0xff)
            .filter_map(char::from_u32)
            .chain(['€', '😀'])
            .collect();
        let json = written(|writer| writer.string(&all));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), all);
    }

    #[test]
    fn space_goes_only_where_it_means_nothing() {
        let spaced = "{ \"a b\" :\t[ 1.10 , \"x \\\" , y\\\\\" ,\r\n{} ] }";
        let raw: &RawValue = serde_json::from_str(spaced).unwrap();
        let json = written(|writer| writer.value(Json::from(raw)));
        assert_eq!(json, "{\"a b\":[1.10,\"x \\\" , y\\\\\",{}]}");
    }

    #[test]
    fn null_members_are_dropped_one_level_deep() {
        let raw: &RawValue =
            serde_json::from_str(r#"{"a": null, "b": {"c": null}, "d": 1, "d": 2}"#).unwrap();
        let json = written(|writer| writer.value_without_nulls(Json::from(raw)));
        assert_eq!(json, r#"{"b":{"c":null},"d":2}"#);
    }
}
