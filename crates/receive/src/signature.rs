//! From [`Unverified`] to [`Verified`]: the only way into the journal.
//!
//! Customer.io signs `v0:` + the timestamp header's text + `:` + the raw body
//! with HMAC-SHA256 and sends lowercase hex. The body is never re-serialised and
//! the timestamp never parsed for this, since either would change the bytes.

use bytes::Bytes;
use hmac::Mac;
use http::HeaderMap;
use jiff::Timestamp;

use crate::workspaces::{KeyId, Signature, SigningKey, Workspace};

/// The header that holds the signature, 64 hex digits.
pub const SIGNATURE_HEADER: &str = "x-cio-signature";
/// The header that holds the time of sending, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "x-cio-timestamp";

/// Values of a repeated header that are tried. Proxies that repeat or join
/// headers produce two; the limit keeps a hostile request cheap.
const MAX_HEADER_VALUES: usize = 4;

/// A request body and the headers that should prove where it comes from.
#[derive(Debug)]
pub struct Unverified {
    timestamps: Vec<String>,
    signatures: Vec<[u8; 32]>,
    signed: bool,
    body: Bytes,
}

/// A body that the workspace's sender really sent. Only this can be journaled.
#[derive(Debug)]
pub struct Verified {
    body: Bytes,
    signed_by: Option<KeyId>,
}

/// Why a request is not authentic, in words for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no usable signature header.
    #[error("the header X-CIO-Signature is missing")]
    NoSignature,
    /// There is a signature header, but it is not 64 hex digits.
    #[error("the header X-CIO-Signature is not 64 hex digits")]
    MalformedSignature,
    /// There is no timestamp header.
    #[error("the header X-CIO-Timestamp is missing")]
    NoTimestamp,
    /// No key of the workspace made this signature for this body.
    #[error("the signature matches none of the workspace's signing keys")]
    Mismatch,
    /// The signature is right, but the timestamp is outside the tolerance.
    #[error("the timestamp is further from now than the workspace's tolerance")]
    Stale,
}

impl Unverified {
    /// Takes what `headers` claim about `body`.
    ///
    /// A header that stands there twice, or once with its values joined by
    /// commas, counts as all of its values.
    pub fn new(headers: &HeaderMap, body: Bytes) -> Unverified {
        let written = values(headers, SIGNATURE_HEADER);
        Unverified {
            timestamps: values(headers, TIMESTAMP_HEADER),
            signatures: written.iter().filter_map(|text| decode_hex(text)).collect(),
            signed: !written.is_empty(),
            body,
        }
    }

    /// Checks the claim against the workspace's keys, in constant time for each.
    pub fn verify(self, workspace: &Workspace, now: Timestamp) -> Result<Verified, Refusal> {
        let keys = match &workspace.signature {
            Signature::Keys(keys) => keys,
            Signature::Off => {
                return Ok(Verified {
                    body: self.body,
                    signed_by: None,
                });
            }
        };
        self.well_formed()?;
        let (key, timestamp) = self.matching(keys).ok_or(Refusal::Mismatch)?;
        if let Some(tolerance) = workspace.timestamp_tolerance {
            let sent: Option<i64> = timestamp.parse().ok();
            let apart = sent.map(|sent| now.as_second().abs_diff(sent));
            if apart.is_none_or(|apart| apart > tolerance.as_secs()) {
                return Err(Refusal::Stale);
            }
        }
        let signed_by = Some(key.id().clone());
        Ok(Verified {
            body: self.body,
            signed_by,
        })
    }

    fn well_formed(&self) -> Result<(), Refusal> {
        match (
            self.signed,
            self.signatures.is_empty(),
            self.timestamps.is_empty(),
        ) {
            (false, _, _) => Err(Refusal::NoSignature),
            (true, true, _) => Err(Refusal::MalformedSignature),
            (true, false, true) => Err(Refusal::NoTimestamp),
            (true, false, false) => Ok(()),
        }
    }

    fn matching<'a>(&'a self, keys: &'a [SigningKey]) -> Option<(&'a SigningKey, &'a str)> {
        for key in keys {
            for timestamp in &self.timestamps {
                let mut mac = key.mac();
                mac.update(b"v0:");
                mac.update(timestamp.as_bytes());
                mac.update(b":");
                mac.update(&self.body);
                for signature in &self.signatures {
                    if mac.clone().verify_slice(signature).is_ok() {
                        return Some((key, timestamp));
                    }
                }
            }
        }
        None
    }
}

impl Verified {
    /// The raw bytes, as sent.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The key that made the signature; `None` where signatures are off.
    pub fn signed_by(&self) -> Option<&KeyId> {
        self.signed_by.as_ref()
    }
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    let written = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for value in written.flat_map(|value| value.split(',')).map(str::trim) {
        let known = values.iter().any(|seen| seen == value);
        if !value.is_empty() && !known && values.len() < MAX_HEADER_VALUES {
            values.push(value.to_owned());
        }
    }
    values
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().try_fold(0, |value, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(value << 4 | u8::try_from(digit).ok()?)
        })?;
    }
    Some(bytes)
}
