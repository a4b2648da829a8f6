//! What must hold of signatures whatever the headers say: for the fuzz target
//! `signature`, and for a test that runs its seeds. No part of the product.
//!
//! ```text
//! input = commands, a line each | empty line | body
//! t TEXT   a header with this timestamp       s TEXT  a header with this signature
//! r        the right signature for the last timestamp
//! x NUMBER the right signature with one bit turned
//! ```

#![expect(clippy::missing_panics_doc, reason = "a panic is what is looked for")]

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use sha2::Sha256;

use crate::{
    SIGNATURE_HEADER, Signature, SigningKey, TIMESTAMP_HEADER, Unverified, Verified, Workspace,
};

const KEYS: [&str; 2] = ["an old signing key", "a new signing key"];

/// What is sent, and what of it proves that it is authentic.
#[derive(Default)]
struct Request {
    headers: HeaderMap,
    timestamps: Vec<Vec<u8>>,
    signatures: Vec<Vec<u8>>,
}

/// Verifies the request that `data` describes.
pub fn signature(data: &[u8]) {
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    let (commands, body) = end.map_or((data, &[][..]), |end| {
        let (commands, body) = data.split_at(end);
        (commands, body.get(2..).unwrap_or_default())
    });
    let mut request = Request::default();
    for command in commands.split(|byte| *byte == b'\n') {
        request.add(command, body);
    }
    let workspace = Workspace {
        name: "acme".into(),
        signature: Signature::Keys(KEYS.map(SigningKey::new).to_vec()),
        timestamp_tolerance: None,
    };
    let unverified = Unverified::new(&request.headers, Bytes::copy_from_slice(body));
    let verified = unverified.verify(&workspace, Timestamp::UNIX_EPOCH);
    request.judge(body, verified.as_ref().ok());
    let strict = Workspace {
        timestamp_tolerance: Some(std::time::Duration::from_mins(5)),
        ..workspace
    };
    let unverified = Unverified::new(&request.headers, Bytes::copy_from_slice(body));
    let now = Timestamp::from_second(1_700_000_000).expect("a time of our age");
    assert!(unverified.verify(&strict, now).is_err() || verified.is_ok());
}

impl Request {
    fn add(&mut self, command: &[u8], body: &[u8]) {
        let Some((kind, text)) = command.split_first() else {
            return;
        };
        let text = text.trim_ascii();
        match kind {
            b't' => self.header(TIMESTAMP_HEADER, text),
            b's' => self.header(SIGNATURE_HEADER, text),
            b'r' => {
                let right = self.right_signature(body);
                self.header(SIGNATURE_HEADER, &right);
            }
            b'x' => {
                let mut wrong = self.right_signature(body);
                let at = usize::from(text.first().copied().unwrap_or_default()) % wrong.len();
                if let Some(digit) = wrong.get_mut(at) {
                    *digit = if *digit == b'0' { b'1' } else { b'0' };
                }
                self.header(SIGNATURE_HEADER, &wrong);
            }
            _ => {}
        }
    }

    fn right_signature(&self, body: &[u8]) -> Vec<u8> {
        let timestamp = self.timestamps.last().cloned().unwrap_or_default();
        let key = KEYS.iter().cycle().nth(self.timestamps.len());
        sign(key.expect("a circle has no end"), &timestamp, body)
    }

    fn header(&mut self, name: &'static str, text: &[u8]) {
        let Ok(value) = HeaderValue::from_bytes(text) else {
            return;
        };
        if self.headers.try_append(name, value).is_ok() {
            let each = text
                .split(|byte| *byte == b',')
                .map(|text| text.trim_ascii().to_vec());
            if name == TIMESTAMP_HEADER {
                self.timestamps.extend(each);
            } else {
                self.signatures.extend(each);
            }
        }
    }

    /// Only who has a key has it verified; and who sends one of each, has.
    fn judge(&self, body: &[u8], verified: Option<&Verified>) {
        let proofs = KEYS.iter().flat_map(|key| {
            let times = self.timestamps.iter();
            times.map(|time| sign(key, time, body))
        });
        let proofs: Vec<Vec<u8>> = proofs.collect();
        let is_proof = |text: &Vec<u8>| proofs.contains(&text.to_ascii_lowercase());
        let proven = self.signatures.iter().any(is_proof);
        assert!(proven || verified.is_none(), "a forged signature passed");
        let plain = |texts: &[Vec<u8>]| matches!(texts, [one] if one.is_ascii() && !one.is_empty());
        if proven && plain(&self.timestamps) && plain(&self.signatures) {
            assert!(verified.is_some(), "an authentic request was refused");
        }
        if let Some(verified) = verified {
            assert_eq!(verified.body().as_ref(), body);
            assert!(verified.signed_by().is_some());
        }
    }
}

/// As Customer.io signs, written down once more.
fn sign(key: &str, timestamp: &[u8], body: &[u8]) -> Vec<u8> {
    let mut mac: Hmac<Sha256> =
        Hmac::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    for part in [b"v0:", timestamp, b":", body] {
        mac.update(part);
    }
    let bytes = mac.finalize().into_bytes();
    let digits = bytes
        .iter()
        .flat_map(|byte| format!("{byte:02x}").into_bytes());
    digits.collect()
}

#[cfg(test)]
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

#[cfg(test)]
mod tests {
    #[test]
    fn every_seed_of_the_signatures_is_judged_by_its_proof() {
        assert!(super::seeds::each("signature", super::signature) > 3);
    }
}
