//! The token that the private listener asks for.
//!
//! `serve` makes one on its first start: 32 random bytes in a file that only its
//! owner can read. Whoever can read the file may use the API.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// The token. Never printed.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// Reads the token in `path`, or makes one there.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Token> {
        match Token::read(path) {
            Ok(token) => Ok(token),
            Err(error) if is_missing(&error) => Token::create(path),
            Err(error) => Err(error),
        }
    }

    /// Reads the token in `path`.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Token> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the token in {}", path.display()))?;
        let token = text.trim();
        anyhow::ensure!(
            !token.is_empty(),
            "the token file {} is empty",
            path.display()
        );
        Ok(Token(token.to_owned()))
    }

    fn create(path: &Path) -> anyhow::Result<Token> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes).context("the system has no randomness for a token")?;
        let token = Token(URL_SAFE_NO_PAD.encode(bytes));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            writeln!(file, "{}", token.0)?;
            file.sync_all()
        };
        write().with_context(|| format!("cannot make the token file {}", path.display()))?;
        Ok(token)
    }

    /// Whether `shown` is the token, in constant time.
    pub(crate) fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }

    /// The text, for the client that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::NotFound)
}
