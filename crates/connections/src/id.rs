//! Names that people give, and ids that never change.

use std::fmt;

/// A name that is safe in a URL path, a file and a metric label: 1 to 64
/// letters, digits, `-`, `_` and `.`, with a letter or digit first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Takes `text` as a name, or says what is wrong with it.
    pub fn new(text: &str) -> Result<Name, NameError> {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let first_fits = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if first_fits && text.len() <= Name::MAX_BYTES && text.chars().all(inner) {
            Ok(Name(text.to_owned()))
        } else {
            Err(NameError {
                written: text.to_owned(),
            })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that would not be safe in a URL path.
#[derive(Debug, thiserror::Error)]
#[error(
    "{written:?} is no name: use 1 to 64 letters, digits, `-`, `_` and `.`, with a letter or digit first"
)]
pub struct NameError {
    written: String,
}

/// What a connection is known by for ever: message ids and claims hang on it, so
/// renaming the connection changes neither.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(Name);

impl ConnectionId {
    /// Takes an id that was written down.
    pub fn new(text: &str) -> Result<ConnectionId, NameError> {
        Name::new(text).map(ConnectionId)
    }

    /// Makes an id that no other connection anywhere has: Segment drops repeated
    /// message ids across all of its customers, so a name would not do.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn random() -> Result<ConnectionId, getrandom::Error> {
        Ok(ConnectionId(Name(format!("c-{:016x}", getrandom::u64()?))))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
