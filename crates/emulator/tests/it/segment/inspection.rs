//! The introspection paths, and what they must never show.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::harness::*;

async fn stored() -> emulator::segment::Segment {
    let segment = segment();
    let calls: Vec<String> = (0..4)
        .map(|n| {
            let event = if n % 2 == 0 {
                "Email Sent"
            } else {
                "Email Opened"
            };
            format!(r#"{{"type":"track","event":"{event}","userId":"u{n}","messageId":"m{n}"}}"#)
        })
        .collect();
    post(&segment, "/v1/batch", batch(&calls))
        .await
        .assert_success();
    segment
}

async fn ids(segment: &emulator::segment::Segment, query: &str) -> Vec<String> {
    let reply = get(segment, &format!("/emulator/calls{query}")).await;
    let calls = reply.json();
    let calls = calls.as_array().unwrap().iter();
    calls
        .map(|call| call["messageId"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn calls_can_be_filtered_and_paged() {
    let segment = stored().await;
    assert_eq!(ids(&segment, "").await, ["m0", "m1", "m2", "m3"]);
    assert_eq!(ids(&segment, "?event=Email%20Opened").await, ["m1", "m3"]);
    assert_eq!(ids(&segment, "?userId=u2").await, ["m2"]);
    assert_eq!(
        ids(&segment, "?messageId=m3&event=Email+Opened").await,
        ["m3"]
    );
    assert!(ids(&segment, "?writeKey=another").await.is_empty());
    assert_eq!(
        ids(&segment, &format!("?writeKey={KEY}&offset=1&limit=2")).await,
        ["m1", "m2"]
    );
    let refused = get(&segment, "/emulator/calls?user=u2").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.json()["error"].as_str().unwrap().contains("user"));
}

#[tokio::test]
async fn waiting_ends_when_the_calls_are_there_or_time_is_up() {
    let segment = segment();
    let short = get(&segment, "/emulator/wait?calls=1&timeout_s=0").await;
    assert_eq!(
        (short.status, short.json()),
        (StatusCode::REQUEST_TIMEOUT, json!({"calls": 0}))
    );
    let waiting = get(&segment, "/emulator/wait?calls=2&timeout_s=600");
    let (reached, ()) = tokio::join!(waiting, async {
        for id in ["a", "b"] {
            post(
                &segment,
                "/v1/batch",
                batch(&[call(&format!(r#""messageId":"{id}""#))]),
            )
            .await
            .assert_success();
        }
    });
    assert_eq!(
        (reached.status, reached.json()),
        (StatusCode::OK, json!({"calls": 2}))
    );
    assert!(segment.wait_for_calls(2, Duration::ZERO).await);
    assert!(!segment.wait_for_calls(3, Duration::ZERO).await);
    assert_eq!(
        get(&segment, "/emulator/wait?calls=2&timeout_s=601")
            .await
            .status,
        400
    );
    assert_eq!(get(&segment, "/emulator/wait").await.status, 400);
}

#[tokio::test]
async fn subscribers_hear_every_call_that_is_stored_and_no_duplicate() {
    let segment = segment();
    let mut news = segment.subscribe();
    let twin = call(r#""messageId":"a""#);
    post(
        &segment,
        "/v1/batch",
        batch(&[twin.clone(), twin, call(r#""messageId":"b""#)]),
    )
    .await
    .assert_success();
    assert_eq!(news.recv().await.unwrap().message_id(), "a");
    assert_eq!(news.recv().await.unwrap().message_id(), "b");
    assert!(news.try_recv().is_err());
}

#[tokio::test]
async fn the_request_log_shows_what_was_sent_and_of_the_key_its_last_four_characters() {
    let segment = segment();
    let request = Request::post("/v1/batch")
        .header("authorization", basic(&format!("{KEY}:")))
        .header("x-retry-count", "2")
        .header("x-custom", format!("key {KEY}"));
    let body = batch(&[call(""), call("")]);
    let bytes = body.len();
    send(&segment, request.body(Body::from(body)).unwrap())
        .await
        .assert_success();
    get(&segment, &format!("/v1/projects/{KEY}/settings")).await;
    post(&segment, "/v1/batch", "{").await;

    let log = get(&segment, "/emulator/requests").await;
    assert!(!log.text().contains(KEY), "{}", log.text());
    let log = log.json();
    assert_eq!(log[0]["method"], "POST");
    assert_eq!(log[0]["path"], "/v1/batch");
    assert_eq!(log[0]["status"], 200);
    assert_eq!(log[0]["calls"], 2);
    assert_eq!(log[0]["write_key"], "...2345");
    assert_eq!(log[0]["headers"]["authorization"], "Basic ...");
    assert_eq!(log[0]["headers"]["x-retry-count"], "2");
    assert_eq!(log[0]["headers"]["x-custom"], "key ...2345");
    assert_eq!(log[0]["body_bytes"], bytes);
    assert_eq!(log[0]["inflated_bytes"], bytes);
    assert_eq!(log[0]["fault"], Value::Null);
    assert_eq!(log[0]["received_at"], "2022-05-09T21:27:03.384Z");
    assert_eq!(log[1]["path"], "/v1/projects/...2345/settings");
    assert_eq!(log[2]["status"], 400);
}

#[tokio::test]
async fn discards_and_stats_say_what_happened() {
    let segment = stored().await;
    post_keyed(&segment, "/v1/track", r#"{"event":"e"}"#)
        .await
        .assert_success();
    let discards = get(&segment, "/emulator/discards").await.json();
    assert_eq!(discards[0]["code"], "no_user_anon_id");
    assert_eq!(discards[0]["item"], json!({"event": "e"}));
    assert_eq!(discards[0]["writeKey"], KEY);
    let stats = get(&segment, "/emulator/stats").await.json();
    assert_eq!(stats["requests"], 2);
    assert_eq!(stats["calls"], 4);
    assert_eq!(stats["duplicates"], 0);
    assert_eq!(stats["discards"], json!({"no_user_anon_id": 1}));
    assert_eq!(stats["events"], json!({"Email Opened": 2, "Email Sent": 2}));
}

#[tokio::test]
async fn a_script_can_be_pushed_looked_at_and_cleared() {
    let segment = segment();
    let script = json!([
        {"status": 429, "retry_after": 2, "rate_limit_reset": 3, "body": "b", "times": 3, "after": 1, "delay_ms": 5},
        {"status": 503, "retry_after": "http-date:+2", "times": "always", "message_ids": ["a", "b"]},
        {"delay_ms": 500, "times": 1},
        {"hang": true, "seconds": 30, "times": 1, "write_key": KEY},
        {"reset": true, "times": 1, "path": "/v1/track"},
        {"reset": "mid_body", "times": 1},
        {"accept_then_drop": true, "times": 1},
        {"non_json_400": true, "times": 1},
    ]);
    let pushed = post(&segment, "/emulator/faults", script.to_string()).await;
    assert_eq!(
        (pushed.status, pushed.json()),
        (StatusCode::OK, json!({"steps": 8}))
    );
    assert_eq!(get(&segment, "/emulator/faults").await.json(), script);
    assert_eq!(
        post_keyed(&segment, "/v1/batch", batch(&[call("")]))
            .await
            .status,
        200
    );
    let left = get(&segment, "/emulator/faults").await.json();
    assert_eq!(
        left.as_array().unwrap().len(),
        7,
        "the late answer is used up: {left}"
    );
    assert_eq!(left[0].get("after"), None, "one request has been skipped");
    let cleared = Request::delete("/emulator/faults")
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(&segment, cleared).await.status, StatusCode::NO_CONTENT);
    assert_eq!(get(&segment, "/emulator/faults").await.json(), json!([]));
}

#[tokio::test]
async fn a_bad_step_is_named_with_what_is_known_and_none_is_kept() {
    let cases = [
        (json!({"status": 503}), "array"),
        (
            json!([{"status": 503}, {"sttus": 503}]),
            "step 1 cannot be read: unknown field `sttus`",
        ),
        (
            json!([{"status": 503}, {}]),
            "step 1: no effect; a step has one of status, delay_ms, hang, reset",
        ),
        (
            json!([{"status": 503, "reset": true}]),
            "step 0: more than one effect",
        ),
        (
            json!([{"status": 99}]),
            "step 0: a status is between 200 and 599",
        ),
        (
            json!([{"status": "503"}]),
            "step 0 cannot be read: invalid type",
        ),
        (
            json!([{"hang": false}]),
            "write true, or leave the member out",
        ),
        (
            json!([{"reset": "later"}]),
            "step 0: reset is true or \"mid_body\"",
        ),
        (json!([{"delay_ms": 1, "retry_after": 1}]), "go with status"),
        (
            json!([{"delay_ms": 1, "seconds": 1}]),
            "seconds goes with hang",
        ),
        (
            json!([{"status": 503, "times": 0}]),
            "step 0: times is at least 1",
        ),
        (
            json!([{"status": 503, "times": "twice"}]),
            "times is a number or \"always\"",
        ),
        (
            json!([{"status": 503, "retry_after": "http-date:soon"}]),
            "\"http-date:+2\"",
        ),
        (
            json!([{"delay_ms": 86_401_000}]),
            "no step waits longer than a day",
        ),
    ];
    for (script, expected) in cases {
        let segment = segment();
        let refused = post(&segment, "/emulator/faults", script.to_string()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{script}");
        let error = refused.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(expected), "{script}: {error}");
        assert!(segment.faults().is_empty());
    }
}

#[tokio::test]
async fn a_misspelt_path_is_told_what_there_is_and_is_no_request_to_the_api() {
    let segment = segment();
    let reply = get(&segment, "/emulator/call").await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert!(reply.json()["error"].as_str().unwrap().contains("calls"));
    assert!(segment.requests().is_empty());
}

#[test]
fn the_scripts_of_the_readme_are_read() {
    let readme = include_str!("../../../README.md");
    let scripts: Vec<&str> = readme
        .split("```json\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(scripts.len() >= 4);
    for script in scripts {
        let steps = segment().push_script(script.as_bytes());
        assert!(steps.is_ok_and(|steps| steps > 0), "{script}");
    }
}

#[tokio::test]
async fn the_clock_can_be_moved_and_frozen_from_outside() {
    let segment = segment();
    let moved = post(&segment, "/emulator/clock", r#"{"advance_s": 90}"#).await;
    assert_eq!(moved.json(), json!({"now": "2022-05-09T21:28:33.384Z"}));
    let frozen = post(
        &segment,
        "/emulator/clock",
        r#"{"freeze_at": "2030-01-01T00:00:00.5Z"}"#,
    )
    .await;
    assert_eq!(frozen.json(), json!({"now": "2030-01-01T00:00:00.500Z"}));
    for bad in [
        "{}",
        r#"{"advance_s": -1}"#,
        r#"{"freeze_at": "now"}"#,
        r#"{"advance": 1}"#,
        "x",
    ] {
        assert_eq!(
            post(&segment, "/emulator/clock", bad).await.status,
            400,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let segment = stored().await;
    post(&segment, "/emulator/faults", r#"[{"status": 503}]"#).await;
    post(&segment, "/emulator/clock", r#"{"advance_s": 90}"#).await;
    assert_eq!(
        post(&segment, "/emulator/reset", "").await.status,
        StatusCode::NO_CONTENT
    );
    assert!(
        segment.calls().is_empty() && segment.requests().is_empty() && segment.faults().is_empty()
    );
    assert_eq!(segment.stats().calls, 0);
    assert_eq!(segment.now().to_string(), "2022-05-09T21:27:03.384Z");
    let again = batch(&[call(r#""messageId":"m0""#)]);
    post(&segment, "/v1/batch", again).await.assert_success();
    assert_eq!(
        segment.calls().len(),
        1,
        "ids seen before the reset are new again"
    );
}
