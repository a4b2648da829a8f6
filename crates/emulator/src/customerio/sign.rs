//! Customer.io's signature of a webhook.
//!
//! HMAC-SHA256 over `v0:`, the timestamp's text, `:` and the raw body, written
//! as 64 lowercase hex digits without a prefix. The key is the text that the
//! user interface shows, undecoded.

use std::fmt::{self, Write};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Carries the unix second of the attempt.
pub const TIMESTAMP_HEADER: &str = "x-cio-timestamp";
/// Carries the signature.
pub const SIGNATURE_HEADER: &str = "x-cio-signature";

/// The secret of one reporting webhook. Its `Debug` does not show it.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// The key as the user interface shows it.
    pub fn new(key: impl AsRef<[u8]>) -> Self {
        Self(keyed(key.as_ref()))
    }

    /// The value of [`SIGNATURE_HEADER`] for a body sent with this [`TIMESTAMP_HEADER`].
    pub fn sign(&self, timestamp: &str, body: &[u8]) -> String {
        let mut hmac = self.0.clone();
        hmac.update(b"v0:");
        hmac.update(timestamp.as_bytes());
        hmac.update(b":");
        hmac.update(body);
        let digest = hmac.finalize().into_bytes();
        let mut hex = String::with_capacity(2 * digest.len());
        for byte in digest {
            write!(hex, "{byte:02x}").expect("writing to a string does not fail");
        }
        hex
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}
