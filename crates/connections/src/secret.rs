//! Secrets: where they are written down, and a value that never prints itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Looks up an environment variable. An argument, so that only the process's rim
/// reads the environment.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Where secrets are read from, beside the files that they name themselves.
#[derive(Clone, Copy)]
pub struct Secrets<'e> {
    /// The environment variables.
    pub environment: Environment<'e>,
    /// What the journal keeps, by id.
    pub kept: &'e BTreeMap<String, Secret>,
}

impl<'e> Secrets<'e> {
    /// Those of an environment alone, for whoever has no journal.
    pub fn without_kept(environment: Environment<'e>) -> Secrets<'e> {
        static NONE: BTreeMap<String, Secret> = BTreeMap::new();
        Secrets {
            environment,
            kept: &NONE,
        }
    }
}

/// Where a secret is, as the document says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretRef {
    /// `env:NAME`, an environment variable of the server.
    Env(String),
    /// `file:PATH`, a file that the server can read; one line end is dropped.
    File(PathBuf),
    /// `kept:ID`, a secret that the journal keeps because somebody pasted it into
    /// the console. Ids are made by [`Settings::keep_secret`](crate::Settings).
    Kept(String),
}

/// A secret's value. Neither `Debug` nor anything else prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment has no such variable.
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    /// There is no such file, or it may not be read.
    #[error("cannot read the secret in {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The variable or the file is there, with nothing in it.
    #[error("the secret in {0} is empty")]
    Empty(String),
    /// The journal keeps no secret of this id, or keeps it no more.
    #[error("the journal keeps no secret kept:{0}")]
    NotKept(String),
}

/// A text that names no place where a secret could be.
#[derive(Debug, thiserror::Error)]
#[error(
    "must name a secret as \"env:NAME\", \"file:PATH\" or \"kept:ID\"; a secret itself does not belong here"
)]
pub struct SecretRefError;

impl SecretRef {
    /// The longest id of a kept secret, in bytes.
    pub const MAX_ID_BYTES: usize = 64;

    /// Reads the secret as it is now.
    pub fn read(&self, secrets: Secrets<'_>) -> Result<Secret, SecretError> {
        let text = match self {
            SecretRef::Env(name) => {
                let read = (secrets.environment)(name);
                read.ok_or_else(|| SecretError::NotSet(name.clone()))?
            }
            SecretRef::Kept(id) => {
                let kept = secrets.kept.get(id);
                return kept
                    .cloned()
                    .ok_or_else(|| SecretError::NotKept(id.clone()));
            }
            SecretRef::File(path) => {
                let unreadable = |cause| SecretError::Unreadable {
                    path: path.clone(),
                    cause,
                };
                let text = std::fs::read_to_string(path).map_err(unreadable)?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                line.strip_suffix('\r').unwrap_or(line).to_owned()
            }
        };
        if text.is_empty() {
            return Err(SecretError::Empty(self.to_string()));
        }
        Ok(Secret(text))
    }
}

impl FromStr for SecretRef {
    type Err = SecretRefError;

    fn from_str(text: &str) -> Result<SecretRef, SecretRefError> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(SecretRef::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(SecretRef::File(path.into())),
            Some(("kept", id)) if is_id(id) => Ok(SecretRef::Kept(id.to_owned())),
            _ => Err(SecretRefError),
        }
    }
}

fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=SecretRef::MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(fits)
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{}", path.display()),
            SecretRef::Kept(id) => write!(f, "kept:{id}"),
        }
    }
}

impl Secret {
    /// Takes a value that was read or typed in.
    pub fn new(value: String) -> Secret {
        Secret(value)
    }

    /// How a person recognises it without seeing it: its last four characters,
    /// and never more than a third of it.
    pub fn last_four(&self) -> &str {
        let n_shown = (self.0.chars().count() / 3).min(4);
        let begins = self.0.char_indices().rev().take(n_shown).last();
        begins.map_or("", |(at, _)| self.0.get(at..).unwrap_or_default())
    }

    /// The value itself, for the one place that sends or verifies with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}
