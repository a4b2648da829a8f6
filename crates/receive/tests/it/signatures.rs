//! The signatures that were worked out by others, accepted and refused as they say.

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use receive::{Refusal, Signature, SigningKey, Unverified, Workspace};
use serde_json::Value;

fn verify(key: &str, timestamp: &str, signature: &str, body: &str) -> Result<(), Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert(receive::TIMESTAMP_HEADER, timestamp.parse().unwrap());
    headers.insert(receive::SIGNATURE_HEADER, signature.parse().unwrap());
    let workspace = Workspace {
        name: "acme".into(),
        signature: Signature::Keys(vec![SigningKey::new(key)]),
        timestamp_tolerance: None,
    };
    let unverified = Unverified::new(&headers, Bytes::copy_from_slice(body.as_bytes()));
    unverified.verify(&workspace, Timestamp::now()).map(|_| ())
}

#[test]
fn every_vector_is_judged_as_it_says() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../contracts/customerio/signature-vectors.json"
    );
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    let named = |name: &str| {
        vectors
            .iter()
            .find(|vector| vector["name"] == name)
            .unwrap()
    };
    let (mut valid, mut invalid) = (0, 0);
    for vector in vectors {
        let inputs = vector["same_inputs_as"].as_str().map_or(vector, named);
        let text = |key: &str| inputs[key].as_str().unwrap();
        let signature = vector["signature"].as_str().unwrap();
        let verdict = verify(text("key"), text("timestamp"), signature, text("body"));
        if vector["expect"] == "valid" {
            valid += 1;
            assert_eq!(verdict, Ok(()), "{}", vector["name"]);
        } else {
            invalid += 1;
            assert_eq!(verdict, Err(Refusal::Mismatch), "{}", vector["name"]);
        }
    }
    assert_eq!((valid, invalid), (2, 3), "the vectors have changed");
}

#[test]
fn a_signature_that_is_not_hex_is_named_as_such() {
    let verdict = verify("k", "1", &"g".repeat(64), "{}");
    assert_eq!(verdict, Err(Refusal::MalformedSignature));
    let verdict = verify("k", "1", "v0=abc", "{}");
    assert_eq!(verdict, Err(Refusal::MalformedSignature));
}
