//! What a request looks like on the wire.

use dispatch::{Outcome, Stamp};

use crate::target::{Target, success};
use crate::{batch, batch_with, dispatch, outbox};

#[tokio::test]
async fn a_request_is_what_segments_contract_asks_for() {
    let target = Target::playing(vec![]).await;
    dispatch(&outbox(&target), batch(0..2)).await;
    let request = &target.requests()[0];
    assert_eq!(request.line, "POST /v1/batch HTTP/1.1");
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(
        request.headers["user-agent"],
        concat!("postmeter/", env!("CARGO_PKG_VERSION"))
    );
    // base64 of the write key, a colon and an empty password
    let basic = "Basic YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU6";
    assert_eq!(request.headers["authorization"], basic);
    assert!(request.json().get("writeKey").is_none());
    assert_eq!(request.retry_count(), None);
}

#[tokio::test]
async fn the_body_is_compressed() {
    let target = Target::playing(vec![]).await;
    let batch = batch(0..1_000);
    let bytes = batch.bytes();
    let outcome = dispatch(&outbox(&target), batch).await;
    let request = &target.requests()[0];
    assert_eq!(request.headers["content-encoding"], "gzip");
    assert_eq!(request.body.len(), bytes);
    assert!(
        request.sent_bytes * 4 < bytes,
        "{} of {bytes} bytes",
        request.sent_bytes
    );
    let attempt = &outcome.attempts[0];
    assert_eq!(
        (attempt.body_bytes, attempt.sent_bytes),
        (bytes, request.sent_bytes)
    );
}

#[tokio::test]
async fn the_calls_are_sent_byte_for_byte() {
    let target = Target::playing(vec![]).await;
    let mut batch = dispatch::Batch::new(Stamp::Omitted);
    let json = r#"{ "messageId":"pm-1", "n":1.00000000000000000001e+5, "s":"\u00e9é" }"#;
    let call = dispatch::Call {
        message_id: "pm-1".to_owned(),
        json: json.to_owned(),
        tag: 1,
    };
    batch.push(call).unwrap();
    dispatch(&outbox(&target), batch).await;
    assert_eq!(
        target.requests()[0].body,
        format!(r#"{{"batch":[{json}]}}"#)
    );
}

#[tokio::test]
async fn only_a_stamped_batch_says_when_it_was_sent() {
    let target = Target::playing(vec![]).await;
    let outbox = outbox(&target);
    let outcome = dispatch(&outbox, batch_with(Stamp::SentAt, 0..1)).await;
    dispatch(&outbox, batch_with(Stamp::Omitted, 0..1)).await;
    let requests = target.requests();
    let sent_at_ms = requests[0].sent_at().as_millisecond();
    assert_eq!(sent_at_ms, outcome.attempts[0].at.as_millisecond());
    assert!(requests[1].json().get("sentAt").is_none());
}

#[tokio::test]
async fn the_retry_count_counts_up_to_ten_and_no_further() {
    let target = Target::judging(|nth, _| {
        if nth < 13 {
            crate::target::status(503)
        } else {
            success()
        }
    })
    .await;
    dispatch(&outbox(&target), batch(0..1)).await;
    let requests = target.requests();
    let counts: Vec<_> = requests
        .iter()
        .map(|request| request.retry_count())
        .collect();
    let mut expected = vec![None];
    expected.extend(
        [
            "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "10", "10", "10",
        ]
        .map(Some),
    );
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn an_empty_batch_is_not_sent() {
    let target = Target::playing(vec![]).await;
    let outcome = dispatch(&outbox(&target), batch(0..0)).await;
    assert_eq!(outcome, Outcome::default());
    assert_eq!(target.requests().len(), 0);
}
