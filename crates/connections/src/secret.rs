//! Secrets: where they are written down, and a value that never prints itself.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Looks up an environment variable. An argument, so that only the process's rim
/// reads the environment.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Where a secret is, as the document says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretRef {
    /// `env:NAME`, an environment variable of the server.
    Env(String),
    /// `file:PATH`, a file that the server can read; one line end is dropped.
    File(PathBuf),
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
}

/// A text that names no place where a secret could be.
#[derive(Debug, thiserror::Error)]
#[error(
    "must name a secret as \"env:NAME\" or \"file:PATH\"; a secret itself does not belong here"
)]
pub struct SecretRefError;

impl SecretRef {
    /// Reads the secret as it is now.
    pub fn read(&self, environment: Environment<'_>) -> Result<Secret, SecretError> {
        let text = match self {
            SecretRef::Env(name) => {
                environment(name).ok_or_else(|| SecretError::NotSet(name.clone()))?
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
            _ => Err(SecretRefError),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Secret {
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
