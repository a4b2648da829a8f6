//! Every fault over a real socket, and the rules by which requests meet them.

use std::{io::ErrorKind, time::Duration};

use emulator::segment::{Effect, Fault, ResetAt, RetryAfter, Segment};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

use super::harness::*;

async fn served() -> Served {
    Served::start(segment()).await
}

fn one(id: &str) -> String {
    batch(&[call(&format!(r#""messageId":"{id}""#))])
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

#[tokio::test]
async fn a_status_is_answered_with_every_form_of_retry_after() {
    let served = served().await;
    let script = br#"[
        {"status": 429, "retry_after": 2, "rate_limit_reset": 7},
        {"status": 503, "retry_after": "http-date:+60", "body": "<html>busy</html>"},
        {"status": 529, "retry_after": "soon"},
        {"status": 460, "retry_after": null}
    ]"#;
    assert_eq!(served.segment.push_script(script).unwrap(), 4);

    let answer = served.post(&one("a")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert_eq!(header(&answer, "retry-after"), Some("2"));
    assert_eq!(header(&answer, "x-ratelimit-reset"), Some("7"));
    assert!(
        answer.ends_with(
            r#"{"success":false,"message":"Too Many Requests","code":"emulated_fault"}"#
        )
    );

    let before = Timestamp::now();
    let answer = served.post(&one("a")).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("<html>busy</html>"),
        "{answer}"
    );
    let date = header(&answer, "retry-after").unwrap();
    let date = DateTimeParser::new().parse_timestamp(date).unwrap();
    let ahead = date.duration_since(before).as_secs();
    assert!((60..=90).contains(&ahead), "{ahead} s ahead");

    let answer = served.post(&one("a")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 529 "), "{answer}");
    assert_eq!(header(&answer, "retry-after"), Some("soon"));

    let answer = served.post(&one("a")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 460 "), "{answer}");
    assert_eq!(header(&answer, "retry-after"), None);

    assert!(
        served.segment.calls().is_empty(),
        "an answer of the script stores nothing"
    );
    assert!(
        served
            .post(&one("a"))
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(served.segment.calls().len(), 1);
    served.stop().await;
}

#[tokio::test]
async fn a_late_answer_still_comes_and_its_calls_are_there_before_it() {
    let served = served().await;
    served.segment.push_faults(vec![
        Fault::new(Effect::Late).late_by(Duration::from_hours(1)),
    ]);
    let body = one("a");
    tokio::select! {
        answer = served.post(&body) => panic!("answered at once: {answer:?}"),
        stored = served.segment.wait_for_calls(1, PATIENCE) => assert!(stored),
    }
    served.segment.push_faults(vec![
        Fault::new(Effect::Late).late_by(Duration::from_millis(1)),
    ]);
    assert!(
        served
            .post(&one("b"))
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    served.stop().await;
}

#[tokio::test]
async fn a_hanging_request_is_never_answered_and_stores_nothing() {
    let served = served().await;
    served
        .segment
        .push_faults(vec![Fault::new(Effect::Hang(Duration::from_millis(1)))]);
    assert_eq!(served.post(&one("a")).await.unwrap(), "");
    assert!(served.segment.calls().is_empty());
    assert_eq!(served.segment.requests()[0].status, None);
    assert_eq!(
        served.segment.requests()[0].fault.as_deref(),
        Some("hang for 0 s")
    );
    served.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_a_hanging_request() {
    let served = served().await;
    served
        .segment
        .push_faults(vec![Fault::new(Effect::Hang(Duration::from_hours(9)))]);
    let stopped = async {
        request_seen(&served.segment).await;
        served.stop.cancel();
    };
    let body = one("a");
    let (answer, ()) = tokio::join!(served.post(&body), stopped);
    assert_eq!(answer.unwrap(), "");
    served.stop().await;
}

#[tokio::test]
async fn a_reset_before_the_answer_stores_nothing() {
    let served = served().await;
    served
        .segment
        .push_faults(vec![Fault::new(Effect::Reset(ResetAt::BeforeAnswer))]);
    let error = served.post(&one("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(served.segment.calls().is_empty());
    served.stop().await;
}

#[tokio::test]
async fn a_reset_in_the_body_comes_after_half_of_a_success() {
    let served = served().await;
    served
        .segment
        .push_faults(vec![Fault::new(Effect::Reset(ResetAt::MidBody))]);
    let error = served.post(&one("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let heard = error.to_string();
    assert!(heard.starts_with("HTTP/1.1 200 OK"), "{heard}");
    assert!(heard.ends_with("\r\n\r\n{\"succes"), "{heard}");
    assert_eq!(served.segment.calls().len(), 1);
    served.stop().await;
}

#[tokio::test]
async fn a_dropped_answer_leaves_its_calls_behind_and_the_retry_is_a_duplicate() {
    let served = served().await;
    served
        .segment
        .push_faults(vec![Fault::new(Effect::AcceptThenDrop)]);
    assert_eq!(
        served.post(&one("a")).await.unwrap(),
        "",
        "closed without a byte"
    );
    assert_eq!(served.segment.calls().len(), 1);
    assert!(
        served
            .post(&one("a"))
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(served.segment.calls().len(), 1);
    assert_eq!(served.segment.stats().duplicates, 1);
    served.stop().await;
}

#[tokio::test]
async fn a_400_need_not_be_json() {
    let served = served().await;
    served
        .segment
        .push_faults(vec![Fault::new(Effect::NonJson400)]);
    let answer = served.post(&one("a")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nBad Request"), "{answer}");
    assert_eq!(
        header(&answer, "content-type"),
        Some("text/plain; charset=utf-8")
    );
    served.stop().await;
}

#[tokio::test]
async fn without_a_socket_a_cut_answer_breaks_off() {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    let segment = segment();
    segment.push_faults(vec![Fault::new(Effect::Reset(ResetAt::BeforeAnswer))]);
    let request = http::Request::post("/v1/batch")
        .body(axum::body::Body::from(one("a")))
        .unwrap();
    let response = segment.router().oneshot(request).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
}

async fn statuses(segment: &Segment, bodies: &[String]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for body in bodies {
        statuses.push(
            post(segment, "/v1/batch", body.clone())
                .await
                .status
                .as_u16(),
        );
    }
    statuses
}

#[tokio::test]
async fn a_step_is_applied_so_many_times_and_then_the_next() {
    let segment = segment();
    segment.push_faults(vec![Fault::status(503).times(2), Fault::status(500)]);
    let bodies: Vec<String> = (0..4).map(|n| one(&n.to_string())).collect();
    assert_eq!(statuses(&segment, &bodies).await, [503, 503, 500, 200]);
    assert!(segment.faults().is_empty());
}

#[tokio::test]
async fn a_step_that_skips_passes_the_request_on_to_the_next() {
    let segment = segment();
    segment.push_faults(vec![Fault::status(503).after(2), Fault::status(500)]);
    let bodies: Vec<String> = (0..4).map(|n| one(&n.to_string())).collect();
    assert_eq!(statuses(&segment, &bodies).await, [500, 200, 503, 200]);
}

#[tokio::test]
async fn a_poisoned_call_spoils_every_request_that_carries_it_and_no_other() {
    let segment = segment();
    segment
        .push_script(br#"[{"status": 400, "message_id": "bad", "times": "always"}]"#)
        .unwrap();
    let with = |ids: &[&str]| {
        let calls: Vec<_> = ids
            .iter()
            .map(|id| call(&format!(r#""messageId":"{id}""#)))
            .collect();
        batch(&calls)
    };
    let bodies = [
        with(&["a", "bad"]),
        with(&["a"]),
        with(&["bad"]),
        with(&["b", "c"]),
        with(&["bad", "d"]),
    ];
    assert_eq!(statuses(&segment, &bodies).await, [400, 200, 400, 200, 400]);
    assert_eq!(
        segment.faults(),
        [Fault::status(400).for_message("bad").always()]
    );
    assert_eq!(segment.calls().len(), 3);
}

#[tokio::test]
async fn a_step_for_one_write_key_leaves_the_others_alone() {
    let segment = segment();
    segment.push_faults(vec![
        Fault::status(503)
            .for_write_key("another-key-of-ours")
            .always(),
    ]);
    let other = one("x").replace(KEY, "another-key-of-ours");
    assert_eq!(
        statuses(&segment, &[one("a"), other, one("b")]).await,
        [200, 503, 200]
    );
}

#[tokio::test]
async fn tokens_and_settings_meet_only_faults_for_their_path() {
    let segment = segment();
    segment
        .push_script(br#"[{"status": 503}, {"status": 429, "path": "/token"}]"#)
        .unwrap();
    let settings = format!("/v1/projects/{KEY}/settings");
    assert_eq!(get(&segment, &settings).await.status, 200);
    assert_eq!(post(&segment, "/token", "").await.status, 429);
    assert_eq!(post(&segment, "/token", "").await.status, 415);
    assert_eq!(post(&segment, "/v1/track", call("")).await.status, 503);
}

#[tokio::test]
async fn a_fault_comes_before_any_judgement_of_the_request() {
    let segment = segment();
    segment.push_faults(vec![Fault::status(503).retry_after(RetryAfter::Seconds(1))]);
    assert_eq!(post(&segment, "/v1/batch", "not JSON").await.status, 503);
    assert_eq!(
        post(&segment, "/v1/batch", "not JSON").await.refusal(),
        "malformed JSON"
    );
}

#[tokio::test]
async fn one_hanging_connection_does_not_hold_up_another() {
    let served = served().await;
    let hang = Fault::new(Effect::Hang(Duration::from_hours(1))).for_message("slow");
    served.segment.push_faults(vec![hang]);
    let (slow, fast) = (one("slow"), one("fast"));
    let overtaking = async {
        request_seen(&served.segment).await;
        let answer = served.post(&fast).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        served.stop.cancel();
    };
    let (hanging, ()) = tokio::join!(served.post(&slow), overtaking);
    assert_eq!(hanging.unwrap(), "");
    served.stop().await;
}

/// Until the first request is in the log.
async fn request_seen(segment: &Segment) {
    while segment.requests().is_empty() {
        tokio::task::yield_now().await;
    }
}
