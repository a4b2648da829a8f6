//! A secret, as a form takes it: pasted, or named by where it is written.
//!
//! A pasted one is kept at once and is a name from there on: it never comes back
//! into a page.

use connections::{Secret, SecretRef};

use super::mistakes::Mistakes;
use crate::form::Fields;
use crate::process::{NotChanged, Process};

/// A secret that a person gave.
#[derive(Debug)]
pub(crate) enum Given {
    /// By where it is.
    Named(SecretRef),
    /// Itself.
    Pasted(Secret),
}

/// Where a given secret is, and how a person recognises it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taken {
    pub(crate) at: SecretRef,
    /// Its last characters; empty where only its name was given.
    pub(crate) ends_with: String,
}

impl Given {
    /// Reads the fields `name` and `name_at`. None where both are empty, or wrong,
    /// which is a mistake then.
    pub(crate) fn read(fields: &Fields, name: &str, mistakes: &mut Mistakes) -> Option<Given> {
        let pasted = fields.filled(name);
        let named = fields.filled(&at_field(name));
        let (text, must_name) = match (pasted, named) {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                mistakes.add(name, "is both pasted and named: keep one of the two");
                return None;
            }
            (Some(pasted), None) => (pasted, false),
            (None, Some(named)) => (named, true),
        };
        // Whoever types a name into the field for pasting means the name.
        match text.parse::<SecretRef>() {
            Ok(at) => Some(Given::Named(at)),
            Err(_) if !must_name => Some(Given::Pasted(Secret::new(text.to_owned()))),
            Err(error) => {
                mistakes.add(name, &error.to_string());
                None
            }
        }
    }

    /// Keeps what was pasted, and says where it is.
    pub(crate) async fn take<P: Process>(self, process: &P) -> Result<Taken, NotChanged> {
        let (at, ends_with) = match self {
            Given::Named(at) => (at, String::new()),
            Given::Pasted(secret) => {
                let at = process.keep_secret(secret.reveal()).await?;
                (at, secret.last_four().to_owned())
            }
        };
        Ok(Taken { at, ends_with })
    }
}

/// The field beside `name` that takes where the secret is written.
pub(crate) fn at_field(name: &str) -> String {
    format!("{name}_at")
}

/// Where a secret is, in words.
pub(crate) fn kept_where(at: &SecretRef) -> String {
    match at {
        SecretRef::Env(name) => format!("environment variable {name}"),
        SecretRef::File(path) => format!("file {}", path.display()),
        SecretRef::Kept(_) => "pasted, kept in the journal".to_owned(),
    }
}

/// The same, of what a document says.
pub(crate) fn written_where(written: &str) -> String {
    let at = written.parse();
    at.map_or_else(|_| written.to_owned(), |at| kept_where(&at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> (Option<Given>, Mistakes) {
        let mut mistakes = Mistakes::default();
        let fields = Fields::parse(typed.as_bytes());
        (Given::read(&fields, "write_key", &mut mistakes), mistakes)
    }

    #[test]
    fn a_secret_is_pasted_or_named_and_never_both() {
        let (given, _) = read("write_key=+abc%0A");
        assert!(matches!(given, Some(Given::Pasted(secret)) if secret.reveal() == "abc"));
        for typed in ["write_key_at=env:KEY", "write_key=env:KEY"] {
            let (given, _) = read(typed);
            assert!(
                matches!(given, Some(Given::Named(SecretRef::Env(_)))),
                "{typed}"
            );
        }
        let (given, mistakes) = read("write_key=a&write_key_at=env:KEY");
        assert!(given.is_none() && mistakes.has("write_key"));
        let (given, mistakes) = read("write_key_at=KEY");
        assert!(given.is_none() && mistakes.at("write_key").contains("env:NAME"));
        let (given, mistakes) = read("write_key=&write_key_at=+");
        assert!(given.is_none() && mistakes.is_empty());
    }
}
