//! What a person typed into a form, and what an address asks for.

use std::collections::BTreeSet;

/// The fields of a form or of an address' query, in order. Fields may repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`; any bytes give some fields.
    pub(crate) fn parse(body: &[u8]) -> Fields {
        let pairs = body
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty());
        let read = |pair: &[u8]| {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let name = decoded(parts.next().unwrap_or_default());
            (name, decoded(parts.next().unwrap_or_default()))
        };
        Fields(pairs.map(read).collect())
    }

    /// The field as it was typed; none where it was not sent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let mut each = self.0.iter();
        each.find(|(there, _)| there == name)
            .map(|(_, value)| value.as_str())
    }

    /// The field without white space around it; none where nothing is left.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }

    /// Every value of a field that repeats.
    pub(crate) fn all(&self, name: &str) -> BTreeSet<&str> {
        let each = self.0.iter().filter(|(there, _)| there == name);
        each.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a box is ticked.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// Every field, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let each = self.0.iter();
        each.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let byte = match first {
            b'+' => b' ',
            b'%' => match tail.split_at_checked(2).and_then(|(two, _)| hex(two)) {
                Some(byte) => {
                    rest = tail.get(2..).unwrap_or_default();
                    byte
                }
                None => b'%',
            },
            other => *other,
        };
        bytes.push(byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(two: &[u8]) -> Option<u8> {
    let digits = two.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(two).ok().filter(|_| digits)?;
    u8::from_str_radix(text, 16).ok()
}

/// A text as a part of an address.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => {
                use std::fmt::Write as _;
                write!(out, "%{other:02X}").expect("a String takes all that is written to it");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_reads_as_it_was_typed() {
        let fields = Fields::parse(b"a=1+%2B+2&b=%C3%A9&b=&c&%zz=%4");
        assert_eq!(fields.text("a"), Some("1 + 2"));
        assert_eq!(fields.all("b"), BTreeSet::from(["", "\u{e9}"]));
        assert!(fields.is_on("c") && !fields.is_on("d"));
        assert_eq!(fields.text("%zz"), Some("%4"));
        assert_eq!(fields.filled("c"), None);
    }

    #[test]
    fn what_is_encoded_reads_back() {
        let text = "a b&c=d/\u{5d0}%\u{1f600}";
        let query = format!("x={}", encoded(text));
        assert_eq!(Fields::parse(query.as_bytes()).text("x"), Some(text));
    }
}
