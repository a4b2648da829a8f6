//! Where a connection's calls go: a base URL and a write key, each parsed once.
//!
//! Nothing here can tell whether the write key is right. Segment does not check
//! it when it answers, so all that can be judged is its shape.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

const US: &str = "https://api.segment.io";
const EU: &str = "https://events.eu1.segmentapis.com";
/// The length of the write keys that Segment hands out.
const WRITE_KEY_CHARS: usize = 32;
/// How much of a write key its `Debug` and `Display` show.
const SHOWN_CHARS: usize = 4;
/// Keys below this length are hidden whole: four characters would be too much of them.
const SHORTEST_SHOWN_CHARS: usize = 12;

/// Everything an [`Outbox`](crate::Outbox) needs to know about whom it sends to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Segment's API in some region, or anything that is compatible.
    pub endpoint: Endpoint,
    /// The source's write key, sent as the user of Basic authentication.
    pub write_key: WriteKey,
}

/// The base URL of a Segment-compatible API, known to be usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    base: Url,
    batch_url: Url,
}

/// Why a text is no [`Endpoint`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is not an absolute URL.
    #[error("the endpoint is not an absolute URL such as {US}")]
    NotAUrl(#[source] <Url as FromStr>::Err),
    /// Only http and https are spoken.
    #[error("the endpoint's scheme is {0}, not https or http")]
    Scheme(String),
    /// A query would be lost, because the path of the API is appended.
    #[error("the endpoint has a query")]
    Query,
    /// A fragment is never sent, so it can only be a mistake.
    #[error("the endpoint has a fragment")]
    Fragment,
    /// Credentials do not belong into a URL that is logged and displayed.
    #[error("the endpoint has a user name or password in it")]
    Userinfo,
}

impl Endpoint {
    /// Segment's default region, in Oregon.
    pub fn us() -> Self {
        Self::known(US)
    }

    /// Segment's region in Dublin; its write keys are those of EU workspaces.
    pub fn eu() -> Self {
        Self::known(EU)
    }

    /// Understands an absolute http(s) URL, with or without `/v1` or `/v1/batch` at its end.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let mut base = Url::parse(text.trim()).map_err(EndpointError::NotAUrl)?;
        if !matches!(base.scheme(), "https" | "http") {
            return Err(EndpointError::Scheme(base.scheme().to_owned()));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(EndpointError::Userinfo);
        }
        if base.query().is_some() {
            return Err(EndpointError::Query);
        }
        if base.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        let path = base.path().trim_end_matches('/');
        let path = path
            .strip_suffix("/v1/batch")
            .or(path.strip_suffix("/v1"))
            .unwrap_or(path);
        let path = path.trim_end_matches('/').to_owned();
        let mut batch_url = base.clone();
        batch_url.set_path(&format!("{path}/v1/batch"));
        base.set_path(&path);
        Ok(Self { base, batch_url })
    }

    /// The base URL without the API's path and without a slash at its end.
    pub fn as_str(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The host, as a person would name the destination.
    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default() // http and https URLs always have one
    }

    /// Whether calls travel in the clear: fit for an emulator, else to be warned about.
    pub fn is_plaintext(&self) -> bool {
        self.base.scheme() == "http"
    }

    fn known(constant: &str) -> Self {
        Self::parse(constant).expect("the constant is a valid endpoint")
    }

    /// The URL that batches are posted to.
    pub(crate) fn batch_url(&self) -> &Url {
        &self.batch_url
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A Segment source's write key. `Debug` and `Display` show its last four characters at most.
#[derive(Clone, PartialEq, Eq)]
pub struct WriteKey(String);

impl WriteKey {
    /// Takes the key as it is: Segment accepts nearly any text, see [`write_key_warning`].
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself, for the request and for the file that keeps it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WriteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_chars = self.0.chars().count();
        f.write_str("****")?;
        if n_chars < SHORTEST_SHOWN_CHARS {
            return Ok(());
        }
        self.0
            .chars()
            .skip(n_chars - SHOWN_CHARS)
            .try_for_each(|shown| write!(f, "{shown}"))
    }
}

impl fmt::Debug for WriteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteKey({self})")
    }
}

/// Says what is odd about a write key, if anything is.
///
/// Only a warning, because Segment-compatible servers have keys of their own; but
/// the only one there will be, because Segment answers 200 to a wrong key.
pub fn write_key_warning(key: &str) -> Option<String> {
    let n_chars = key.chars().count();
    let found = if key.is_empty() {
        "the write key is empty, and Segment answers 400".to_owned()
    } else if key.trim() != key {
        "the write key has blanks around it".to_owned()
    } else if n_chars != WRITE_KEY_CHARS {
        format!("the write key has {n_chars} characters instead of {WRITE_KEY_CHARS}")
    } else if !key.chars().all(|c| c.is_ascii_alphanumeric()) {
        "the write key has characters other than letters and digits".to_owned()
    } else {
        return None;
    };
    Some(format!(
        "{found}; Segment answers 200 even to a wrong write key and drops the calls, \
         so check in Segment that a test event has arrived"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_understood_with_and_without_the_apis_path() {
        let cases = [
            ("https://api.segment.io", "https://api.segment.io/v1/batch"),
            ("https://api.segment.io/", "https://api.segment.io/v1/batch"),
            (
                "https://api.segment.io/v1",
                "https://api.segment.io/v1/batch",
            ),
            (
                "https://api.segment.io/v1/",
                "https://api.segment.io/v1/batch",
            ),
            (
                "https://api.segment.io/v1/batch",
                "https://api.segment.io/v1/batch",
            ),
            (
                " https://api.segment.io/v1/batch/ ",
                "https://api.segment.io/v1/batch",
            ),
            ("http://127.0.0.1:9001", "http://127.0.0.1:9001/v1/batch"),
            (
                "https://gateway.example.com/segment",
                "https://gateway.example.com/segment/v1/batch",
            ),
            (
                "https://gateway.example.com/segment/v1",
                "https://gateway.example.com/segment/v1/batch",
            ),
        ];
        for (text, batch_url) in cases {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.batch_url().as_str(), batch_url, "{text}");
            assert_eq!(
                Endpoint::parse(endpoint.as_str()),
                Ok(endpoint),
                "{text} does not round trip"
            );
        }
    }

    #[test]
    fn what_cannot_be_a_base_url_is_named() {
        assert!(matches!(
            Endpoint::parse("api.segment.io"),
            Err(EndpointError::NotAUrl(_))
        ));
        assert!(matches!(
            Endpoint::parse(""),
            Err(EndpointError::NotAUrl(_))
        ));
        assert!(matches!(
            Endpoint::parse("https://"),
            Err(EndpointError::NotAUrl(_))
        ));
        assert_eq!(
            Endpoint::parse("ftp://example.com"),
            Err(EndpointError::Scheme("ftp".to_owned()))
        );
        assert_eq!(
            Endpoint::parse("https://example.com?a=b"),
            Err(EndpointError::Query)
        );
        assert_eq!(
            Endpoint::parse("https://example.com#a"),
            Err(EndpointError::Fragment)
        );
        assert_eq!(
            Endpoint::parse("https://key@example.com"),
            Err(EndpointError::Userinfo)
        );
        assert_eq!(
            Endpoint::parse("https://:pass@example.com"),
            Err(EndpointError::Userinfo)
        );
    }

    #[test]
    fn the_two_regions_are_encrypted_and_http_is_not() {
        assert_eq!(Endpoint::us().to_string(), "https://api.segment.io");
        assert_eq!(
            Endpoint::eu().to_string(),
            "https://events.eu1.segmentapis.com"
        );
        assert!(!Endpoint::us().is_plaintext() && !Endpoint::eu().is_plaintext());
        assert!(
            Endpoint::parse("http://localhost:1")
                .unwrap()
                .is_plaintext()
        );
    }

    #[test]
    fn a_write_key_is_never_printed_whole() {
        let key = WriteKey::new("abcdefghijklmnopqrstuvwxyz012345");
        assert_eq!(key.to_string(), "****2345");
        assert_eq!(format!("{key:?}"), "WriteKey(****2345)");
        assert_eq!(WriteKey::new("abc").to_string(), "****");
        assert_eq!(WriteKey::new("").to_string(), "****");
    }

    #[test]
    fn only_32_letters_and_digits_pass_without_a_warning() {
        assert_eq!(write_key_warning("abcdefghijklmnopqrstuvwxyz012345"), None);
        let cases = [
            ("", "is empty"),
            ("abcdefghijklmnopqrstuvwxyz012345\n", "blanks"),
            ("abc", "3 characters instead of 32"),
            ("abcdefghijklmnopqrstuvwxyz-12345", "other than letters"),
        ];
        for (key, expected) in cases {
            let warning = write_key_warning(key).unwrap();
            assert!(warning.contains(expected), "{warning}");
            assert!(
                warning.contains("200 even to a wrong write key"),
                "{warning}"
            );
        }
    }
}
