//! Reads a TOML document key by key and collects every mistake.
//!
//! serde stops at the first mistake; an operator wants them all. So the document
//! is parsed once, with positions, and its tables are read through [`Fields`]:
//! each read checks one key, says what was expected and where, and goes on.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::mistakes::{Mistake, Mistakes, nearest};

/// A document being read, with the mistakes found so far.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    mistakes: RefCell<Vec<Mistake>>,
}

/// One table of a document. Every key that it may have is asked for once, and
/// [`Fields::end`] reports those that nobody asked for.
#[derive(Debug)]
pub struct Fields<'d, 't> {
    document: &'d Document<'t>,
    table: &'d DeTable<'t>,
    at: String,
    line: Option<usize>,
    asked: BTreeSet<&'static str>,
}

impl<'t> Document<'t> {
    /// Reads `text` by giving its top table to `read`.
    pub fn read<T>(text: &'t str, read: impl FnOnce(Fields<'_, 't>) -> T) -> Result<T, Mistakes> {
        let document = Document {
            text,
            mistakes: RefCell::default(),
        };
        let (parsed, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            document.mistakes.borrow_mut().push(Mistake {
                line: error.span().map(|span| document.line(span.start)),
                at: String::new(),
                what: error.message().to_owned(),
                hint: None,
            });
        }
        let value = read(Fields {
            document: &document,
            table: parsed.get_ref(),
            at: String::new(),
            line: None,
            asked: BTreeSet::new(),
        });
        Mistakes::none_of(document.mistakes.into_inner())?;
        Ok(value)
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count()
    }
}

impl<'d, 't> Fields<'d, 't> {
    /// Calls the table `at` in later messages, once it is known by name.
    pub fn called(&mut self, at: String) {
        self.at = at;
    }

    /// Reports a mistake of the table as a whole, or of its key `key`.
    pub fn mistake(&self, key: &str, what: impl Into<String>, hint: Option<String>) {
        let line = self.line_of(key).or(self.line);
        let mistake = Mistake {
            line,
            at: self.path(key),
            what: what.into(),
            hint,
        };
        self.document.mistakes.borrow_mut().push(mistake);
    }

    /// Reports the key as a mistake if it is there: it is known, and does not
    /// belong here.
    pub fn misplaced(&mut self, key: &'static str, what: &str, hint: &str) {
        self.asked.insert(key);
        if self.has(key) {
            self.mistake(key, what, Some(hint.to_owned()));
        }
    }

    /// Whether the key is there at all.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The text at `key`; `None` where it is missing or no text.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        self.value(key, "text in quotes", |value| {
            value.as_str().map(str::to_owned)
        })
    }

    /// The text at `key`, which must be there.
    pub fn required_text(&mut self, key: &'static str) -> Option<String> {
        if !self.has(key) {
            self.asked.insert(key);
            self.mistake(key, "is missing", None);
            return None;
        }
        self.text(key)
    }

    /// The text at `key`, turned into a value by `parse`, whose error is the
    /// mistake.
    pub fn parsed<T, E: std::fmt::Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistake(key, error.to_string(), None);
                None
            }
        }
    }

    /// The value that `words` gives to the word at `key`.
    pub fn word<T: Clone>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let list: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            let what = format!("{text:?} is not one of {}", list.join(", "));
            let near = nearest(&text, words.iter().map(|(word, _)| *word));
            self.mistake(
                key,
                what,
                near.map(|word| format!("did you mean {word:?}?")),
            );
        }
        found.map(|(_, value)| value.clone())
    }

    /// Yes or no at `key`.
    pub fn switch(&mut self, key: &'static str) -> Option<bool> {
        self.value(key, "true or false", DeValue::as_bool)
    }

    /// A whole number of at least `least` at `key`.
    pub fn number(&mut self, key: &'static str, least: u64) -> Option<u64> {
        let expected = format!("a whole number of at least {least}");
        self.value(key, &expected, |value| {
            let digits = value.as_integer()?;
            let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok()?;
            (number >= least).then_some(number)
        })
    }

    /// A list of texts at `key`.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.value(key, "a list of texts, such as [\"a\", \"b\"]", |value| {
            let items = value.as_array()?.iter();
            items
                .map(|item| item.get_ref().as_str().map(str::to_owned))
                .collect()
        })
    }

    /// A table of texts at `key`.
    pub fn text_table(&mut self, key: &'static str) -> Option<Vec<(String, String)>> {
        self.value(
            key,
            "a table of texts, such as { \"a\" = \"b\" }",
            |value| {
                let pairs = value.as_table()?.iter();
                let text = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                    let key: &std::borrow::Cow<'_, str> = key.get_ref();
                    Some((key.to_string(), value.get_ref().as_str()?.to_owned()))
                };
                pairs.map(text).collect()
            },
        )
    }

    /// The table at `key`, or an empty one.
    pub fn table(&mut self, key: &'static str) -> Option<Fields<'d, 't>> {
        self.asked.insert(key);
        let value = self.table.get(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.mistake(
                key,
                format!("must be a table: write [{key}] on a line of its own"),
                None,
            );
            return None;
        };
        Some(self.inner(table, key.to_owned(), value.span()))
    }

    /// The tables written as `[[key]]`.
    pub fn tables(&mut self, key: &'static str) -> Vec<Fields<'d, 't>> {
        self.asked.insert(key);
        let Some(value) = self.table.get(key) else {
            return Vec::new();
        };
        let items = value
            .get_ref()
            .as_array()
            .map(|items| items.iter())
            .into_iter()
            .flatten();
        let tables: Vec<_> = items
            .enumerate()
            .filter_map(|(n, item)| {
                let at = format!("{key} {}", n + 1);
                Some(self.inner(item.get_ref().as_table()?, at, item.span()))
            })
            .collect();
        let all = value.get_ref().as_array().map(|items| items.len());
        if all != Some(tables.len()) {
            let what = format!("must be a list of tables: write [[{key}]] before each");
            self.mistake(key, what, None);
        }
        tables
    }

    /// Ends the table: every key that was never asked for is a mistake.
    pub fn end(self) {
        for (key, _) in self.table {
            let written: &str = key.get_ref();
            if !self.asked.contains(written) {
                let near = nearest(written, self.asked.iter().copied());
                let hint = if let Some(near) = near {
                    format!("did you mean `{near}`?")
                } else {
                    let known: Vec<&str> = self.asked.iter().copied().collect();
                    format!("the keys here are {}", known.join(", "))
                };
                self.mistake(written, "there is no such key", Some(hint));
            }
        }
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'d DeValue<'t>) -> Option<T>,
    ) -> Option<T> {
        self.asked.insert(key);
        let value = self.table.get(key)?.get_ref();
        let read = read(value);
        if read.is_none() {
            self.mistake(
                key,
                format!("must be {expected}, not {}", kind(value)),
                None,
            );
        }
        read
    }

    fn inner(&self, table: &'d DeTable<'t>, at: String, span: Range<usize>) -> Fields<'d, 't> {
        Fields {
            document: self.document,
            table,
            at: if self.at.is_empty() {
                at
            } else {
                format!("{} {at}", self.at)
            },
            line: Some(self.document.line(span.start)),
            asked: BTreeSet::new(),
        }
    }

    fn line_of(&self, key: &str) -> Option<usize> {
        let (key, _) = self.table.get_key_value(key)?;
        Some(self.document.line(key.span().start))
    }

    fn path(&self, key: &str) -> String {
        match (self.at.as_str(), key) {
            (at, "") => at.to_owned(),
            ("", key) => key.to_owned(),
            (at, key) => format!("{at}: {key}"),
        }
    }
}

fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
