//! Sizes, counts and rates, on both sides of each limit.

use std::{collections::BTreeMap, io::Read, num::NonZeroU32, time::Duration};

use axum::body::Body;
use emulator::segment::{ClockStart, Config, DiscardCode, Limits, RateLimit, Segment};
use flate2::{Compression, read::GzEncoder};
use http::{Request, StatusCode};

use super::harness::*;

/// A call of exactly so many bytes.
fn call_of(bytes: usize) -> String {
    let frame = call(r#""properties":{"pad":""}"#).len();
    call(&format!(
        r#""properties":{{"pad":"{}"}}"#,
        "x".repeat(bytes - frame)
    ))
}

#[tokio::test]
async fn a_call_of_32_kilobytes_passes_and_one_more_byte_does_not() {
    let segment = segment();
    let fits = call_of(32_768);
    let exceeds = call_of(32_769);
    assert_eq!(fits.len(), 32_768);
    for (path, good, bad) in [
        ("/v1/track", fits.clone(), exceeds.clone()),
        (
            "/v1/batch",
            batch(&[call(""), fits]),
            batch(&[call(""), exceeds]),
        ),
    ] {
        post_keyed(&segment, path, good).await.assert_success();
        let stored = segment.calls().len();
        let refused = post_keyed(&segment, path, bad).await;
        assert_eq!(refused.refusal(), "Exceed payload limit", "{path}");
        assert_eq!(
            segment.calls().len(),
            stored,
            "nothing of a refused request is stored"
        );
    }
}

#[tokio::test]
async fn the_sizes_that_were_probed_on_the_real_api_answer_alike() {
    let segment = segment();
    post_keyed(&segment, "/v1/track", call_of(30_082))
        .await
        .assert_success();
    let refused = post_keyed(&segment, "/v1/track", call_of(33_087)).await;
    assert_eq!(refused.refusal(), "Exceed payload limit");
    let calls: Vec<String> = (0..18).map(|_| call_of(29_700)).collect();
    let body = batch(&calls);
    assert!(body.len() > 530_000);
    assert_eq!(
        post(&segment, "/v1/batch", body).await.refusal(),
        "Exceed payload limit"
    );
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_passes() {
    let mut calls: Vec<String> = (0..16).map(|_| call_of(30_000)).collect();
    let rest = 512_000 - batch(&calls).len() - 1;
    calls.push(call_of(rest));
    let body = batch(&calls);
    assert_eq!(body.len(), 512_000);
    post(&segment(), "/v1/batch", body.clone())
        .await
        .assert_success();
    let refused = post(&segment(), "/v1/batch", body + " ").await;
    assert_eq!(refused.refusal(), "Exceed payload limit");
}

#[tokio::test]
async fn a_sender_of_too_much_gets_its_answer_over_a_socket() {
    let served = Served::start(segment()).await;
    let answer = served.post(&"x".repeat(2_000_000)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("Exceed payload limit"));
    assert_eq!(served.segment.requests()[0].body_bytes, 2_000_000);
    served.stop().await;
}

#[tokio::test]
async fn a_bomb_is_inflated_no_further_than_the_limit() {
    let mut packed = Vec::new();
    let zeros = std::io::repeat(b' ').take(64 << 20);
    GzEncoder::new(zeros, Compression::best())
        .read_to_end(&mut packed)
        .unwrap();
    assert!(packed.len() < 512_000);
    let request = Request::post("/v1/batch").header("content-encoding", "gzip");
    let segment = segment();
    let reply = send(&segment, request.body(Body::from(packed)).unwrap()).await;
    assert_eq!(reply.refusal(), "Exceed payload limit");
}

#[tokio::test]
async fn size_is_checked_before_json_and_json_before_the_key() {
    let segment = segment();
    let too_large = "x".repeat(512_001);
    assert_eq!(
        post(&segment, "/v1/batch", too_large).await.refusal(),
        "Exceed payload limit"
    );
    assert_eq!(
        post(&segment, "/v1/batch", "{").await.refusal(),
        "malformed JSON"
    );
    let keyless = format!(r#"{{"batch":[{}]}}"#, call_of(32_769));
    let refused = post(&segment, "/v1/batch", keyless).await;
    assert_eq!(refused.refusal(), "An invalid write key was provided");
}

#[tokio::test]
async fn a_batch_of_2500_is_stored_and_one_of_2501_is_answered_and_discarded() {
    let segment = segment();
    let calls: Vec<String> = (0..2501)
        .map(|n| format!(r#"{{"type":"track","event":"e","userId":"{n}"}}"#))
        .collect();
    post(&segment, "/v1/batch", batch(&calls[..2500]))
        .await
        .assert_success();
    assert_eq!(segment.calls().len(), 2500);
    post(&segment, "/v1/batch", batch(&calls))
        .await
        .assert_success();
    assert_eq!(segment.calls().len(), 2500);
    let codes: Vec<_> = segment
        .discards()
        .iter()
        .map(|discard| discard.code)
        .collect();
    assert_eq!(codes, [DiscardCode::BatchTooLong]);
}

#[tokio::test]
async fn properties_over_the_limit_are_thrown_away_and_noted() {
    let segment = Segment::new(Config {
        limits: Limits {
            properties: 3,
            ..Limits::default()
        },
        ..Config::default()
    });
    let properties = r#""properties":{"d":1,"c":2,"b":3,"a":4}"#;
    post_keyed(&segment, "/v1/track", call(properties))
        .await
        .assert_success();
    assert_eq!(
        only_view(&segment)["properties"],
        serde_json::json!({"d":1,"c":2,"b":3})
    );
    assert_eq!(segment.discards()[0].code, DiscardCode::PropertiesSurplus);
}

fn limited(limit: RateLimit) -> Segment {
    Segment::new(Config {
        rate_limit: Some(limit),
        clock: ClockStart::FrozenAt("2022-05-09T21:27:03Z".parse().unwrap()),
        ..Config::default()
    })
}

#[tokio::test]
async fn over_the_rate_the_answer_is_429_with_both_headers_until_the_clock_moves() {
    let segment = limited(RateLimit::Requests(NonZeroU32::new(2).unwrap()));
    for _ in 0..2 {
        post_keyed(&segment, "/v1/track", call(""))
            .await
            .assert_success();
    }
    let refused = post_keyed(&segment, "/v1/track", call("")).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("x-ratelimit-reset"), Some("1"));
    assert_eq!(segment.calls().len(), 2);
    segment.advance_clock(Duration::from_secs(1));
    post_keyed(&segment, "/v1/track", call(""))
        .await
        .assert_success();
}

#[tokio::test]
async fn a_batch_that_overdraws_the_rate_makes_the_next_one_wait_for_all_of_it() {
    let segment = limited(RateLimit::Calls(NonZeroU32::new(2).unwrap()));
    let seven: Vec<String> = (0..7).map(|_| call("")).collect();
    post(&segment, "/v1/batch", batch(&seven))
        .await
        .assert_success();
    let refused = post(&segment, "/v1/batch", batch(&[call("")])).await;
    assert_eq!(refused.header("retry-after"), Some("3"));
    segment.advance_clock(Duration::from_secs(3));
    post(&segment, "/v1/batch", batch(&[call("")]))
        .await
        .assert_success();
}

#[tokio::test]
async fn only_the_newest_entries_are_kept_and_the_others_are_counted() {
    let segment = Segment::new(Config {
        keep_calls: 3,
        ..Config::default()
    });
    for n in 0..5 {
        let good = call(&format!(r#""messageId":"m-{n}""#));
        post(
            &segment,
            "/v1/batch",
            batch(&[good, "{\"type\":\"track\"}".into()]),
        )
        .await
        .assert_success();
    }
    let ids: Vec<_> = segment
        .calls()
        .iter()
        .map(|call| call.message_id().to_owned())
        .collect();
    assert_eq!(ids, ["m-2", "m-3", "m-4"]);
    assert_eq!(segment.discards().len(), 3);
    assert_eq!(segment.requests().len(), 3);
    let stats = segment.stats();
    assert_eq!((stats.calls, stats.requests), (5, 5));
    assert_eq!(
        (
            stats.forgotten.calls,
            stats.forgotten.requests,
            stats.forgotten.discards
        ),
        (2, 2, 7)
    );
    let expected = BTreeMap::from([("multi_user_error", 5), ("no_user_anon_id", 5)]);
    assert_eq!(stats.discards, expected);
}
