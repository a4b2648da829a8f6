//! Signatures, against the published vectors and on the wire.

use emulator::customerio::{Sender, SigningKey};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::HashMap;

use super::receiver::*;

#[test]
fn the_vectors_of_the_contract_are_reproduced_and_the_wrong_ones_are_not() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../contracts/customerio/signature-vectors.json"
    );
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    let by_name: HashMap<_, _> = vectors
        .iter()
        .map(|vector| (vector["name"].as_str().unwrap(), vector))
        .collect();
    let (mut valid, mut invalid) = (0, 0);
    for vector in vectors {
        let inputs = vector["same_inputs_as"]
            .as_str()
            .map_or(vector, |name| by_name[name]);
        let text = |name: &str| inputs[name].as_str().unwrap();
        let signature =
            SigningKey::new(text("key")).sign(text("timestamp"), text("body").as_bytes());
        if vector["expect"] == "valid" {
            valid += 1;
            assert_eq!(vector["signature"], signature, "{}", vector["name"]);
        } else {
            invalid += 1;
            assert_ne!(vector["signature"], signature, "{}", vector["name"]);
        }
    }
    assert!(
        valid >= 2 && invalid >= 3,
        "{valid} valid and {invalid} invalid vectors"
    );
}

#[tokio::test]
async fn every_attempt_is_signed_over_its_own_timestamp_and_the_raw_body() {
    let receiver = Receiver::start([Reply::Status(503)]).await;
    let key = SigningKey::new("signing-secret");
    let sender = Sender {
        signing_key: Some(key.clone()),
        ..receiver.sender()
    };
    let before = Timestamp::now().as_second();
    watch(&sender, numbered(2)).await;
    let after = Timestamp::now().as_second();
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    for received in received {
        let header = |name: &str| received.headers[name].to_str().unwrap().to_owned();
        let timestamp = header("x-cio-timestamp");
        assert_eq!(
            header("x-cio-signature"),
            key.sign(&timestamp, &received.body)
        );
        assert!((before..=after).contains(&timestamp.parse().unwrap()));
        assert_eq!(header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn without_a_key_the_headers_are_absent() {
    let receiver = Receiver::start([]).await;
    watch(&receiver.sender(), numbered(1)).await;
    let headers = receiver.received().remove(0).headers;
    assert!(!headers.contains_key("x-cio-timestamp") && !headers.contains_key("x-cio-signature"));
}

#[test]
fn a_key_is_not_shown() {
    let shown = format!("{:?}", SigningKey::new("signing-secret"));
    assert_eq!(shown, "SigningKey(..)");
}
