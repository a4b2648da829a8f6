//! What was seen of the real API, case by case.

use axum::body::Body;
use emulator::segment::{Config, KeyState, Kind, Segment, UnknownKeys};
use flate2::{Compression, read::GzEncoder};
use http::{Request, StatusCode};
use std::{collections::BTreeMap, io::Read};

use super::harness::*;

#[tokio::test]
async fn every_documented_route_stores_a_call_of_its_kind() {
    let paths = [
        ("track", "t", Kind::Track),
        ("identify", "i", Kind::Identify),
        ("page", "p", Kind::Page),
        ("screen", "s", Kind::Screen),
        ("group", "g", Kind::Group),
        ("alias", "a", Kind::Alias),
    ];
    for (long, short, kind) in paths {
        for path in [
            format!("/v1/{long}"),
            format!("/v1/{short}"),
            format!("/v1/{long}/"),
        ] {
            let segment = segment();
            let body = r#"{"event":"Opened","userId":"person-1"}"#;
            post_keyed(&segment, &path, body).await.assert_success();
            assert_eq!(segment.calls()[0].kind(), kind, "{path}");
        }
    }
}

#[tokio::test]
async fn batches_arrive_by_all_their_paths() {
    let paths = [
        "/v1/batch",
        "/v1/batch/",
        "/v1/import",
        "/v1/import/",
        "/v1/b",
        "/v1/b/",
    ];
    for path in paths {
        let segment = segment();
        post(&segment, path, batch(&[call(""), call("")]))
            .await
            .assert_success();
        assert_eq!(segment.calls().len(), 2, "{path}");
    }
}

#[tokio::test]
async fn telemetry_is_answered_and_ignored() {
    let segment = segment();
    post(&segment, "/v1/m", "not even JSON")
        .await
        .assert_success();
    assert!(segment.calls().is_empty());
}

#[tokio::test]
async fn a_get_on_a_path_that_wants_a_post_is_malformed_json() {
    for path in ["/v1/track", "/v1/batch", "/v1/import/", "/v1/t", "/v1/m"] {
        let reply = get(&segment(), path).await;
        assert_eq!(reply.refusal(), "malformed JSON", "{path}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    for path in [
        "/",
        "/track",
        "/v1",
        "/v1/",
        "/v1/tracks",
        "/v2/track",
        "/v1/track/x",
    ] {
        let reply = post_keyed(&segment(), path, call("")).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(reply.json()["success"], false);
    }
}

#[tokio::test]
async fn the_key_is_taken_from_basic_from_the_body_or_from_both() {
    let with_key = call(&format!(r#""writeKey":"{KEY}""#));
    let cases = [
        (Some(basic(&format!("{KEY}:"))), call("")),
        (Some(basic(KEY)), call("")),
        (Some(basic(&format!("{KEY}:secret"))), call("")),
        (None, with_key.clone()),
        (Some(basic(&format!("{KEY}:"))), with_key.clone()),
        (Some(basic(":")), with_key.clone()),
        (Some("Nonsense".to_owned()), with_key),
    ];
    for (header, body) in cases {
        let segment = segment();
        let mut request = Request::post("/v1/track");
        if let Some(header) = &header {
            request = request.header("authorization", header);
        }
        let reply = send(&segment, request.body(Body::from(body)).unwrap()).await;
        reply.assert_success();
        assert_eq!(segment.calls()[0].write_key(), KEY, "{header:?}");
    }
}

#[tokio::test]
async fn a_made_up_key_is_accepted_like_any_other() {
    let segment = segment();
    let request = Request::post("/v1/track").header("authorization", basic("no-such-key-at-all:"));
    send(&segment, request.body(Body::from(call(""))).unwrap())
        .await
        .assert_success();
    assert_eq!(segment.calls().len(), 1);
}

#[tokio::test]
async fn a_missing_empty_or_very_short_key_is_refused() {
    let message = "An invalid write key was provided";
    for header in [
        None,
        Some(basic(":")),
        Some(basic("")),
        Some(basic("abc123:")),
        Some("Basic %%%".into()),
    ] {
        let mut request = Request::post("/v1/track");
        if let Some(header) = &header {
            request = request.header("authorization", header);
        }
        let reply = send(&segment(), request.body(Body::from(call(""))).unwrap()).await;
        assert_eq!(reply.refusal(), message, "{header:?}");
    }
    let reply = post(&segment(), "/v1/batch", r#"{"writeKey":"","batch":[]}"#).await;
    assert_eq!(reply.refusal(), message);
}

#[tokio::test]
async fn what_the_edge_does_not_check_is_stored() {
    let long_id = call(&format!(r#""messageId":"{}""#, "m".repeat(150)));
    let future = call(r#""timestamp":"2999-01-01T00:00:00Z""#);
    for body in [long_id, future, call(r#""unknown":{"at":["the","top"]}"#)] {
        let segment = segment();
        post_keyed(&segment, "/v1/track", body)
            .await
            .assert_success();
        assert_eq!(segment.calls().len(), 1);
    }
}

#[tokio::test]
async fn strict_keys_are_refused_with_401_and_flagged_unfaithful() {
    let segment = Segment::new(Config {
        keys: BTreeMap::from([(KEY.to_owned(), KeyState::Live)]),
        unknown_keys: UnknownKeys::Refuse,
        ..Config::default()
    });
    post_keyed(&segment, "/v1/track", call(""))
        .await
        .assert_success();
    let body = call(r#""writeKey":"another-key-of-some-length""#);
    let reply = post(&segment, "/v1/track", body).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(reply.header("x-emulator-unfaithful").is_some());
}

#[tokio::test]
async fn malformed_bodies_are_malformed_json() {
    let not_utf8: &[u8] = b"{\"event\":\"\xff\"}";
    let cases: [(&str, Vec<u8>); 9] = [
        ("/v1/track", b"".to_vec()),
        ("/v1/track", b"{".to_vec()),
        ("/v1/track", b"[]".to_vec()),
        ("/v1/track", b"\"text\"".to_vec()),
        ("/v1/track", not_utf8.to_vec()),
        ("/v1/batch", b"{} {}".to_vec()),
        ("/v1/batch", br#"{"batch":{}}"#.to_vec()),
        ("/v1/batch", br#"{"batch":[1]}"#.to_vec()),
        ("/v1/batch", format!("[{}]", call("")).into_bytes()),
    ];
    for (path, body) in cases {
        let reply = post_keyed(&segment(), path, body.clone()).await;
        assert_eq!(
            reply.refusal(),
            "malformed JSON",
            "{}",
            String::from_utf8_lossy(&body)
        );
    }
}

#[tokio::test]
async fn json_is_taken_whatever_the_content_type() {
    for content_type in [
        "text/plain",
        "application/json",
        "application/octet-stream",
        "nonsense",
    ] {
        let segment = segment();
        let request = Request::post("/v1/b").header("content-type", content_type);
        let request = request.body(Body::from(batch(&[call("")]))).unwrap();
        send(&segment, request).await.assert_success();
        assert_eq!(segment.calls().len(), 1, "{content_type}");
    }
}

#[tokio::test]
async fn gzip_is_inflated_and_damaged_gzip_is_malformed_json() {
    let segment = segment();
    let mut packed = Vec::new();
    let body = batch(&[call("")]);
    GzEncoder::new(body.as_bytes(), Compression::fast())
        .read_to_end(&mut packed)
        .unwrap();
    let gzip = |bytes: &[u8]| {
        let request = Request::post("/v1/batch").header("content-encoding", "gzip");
        request.body(Body::from(bytes.to_vec())).unwrap()
    };
    send(&segment, gzip(&packed)).await.assert_success();
    assert_eq!(segment.calls().len(), 1);
    let torn = &packed[..packed.len() / 2];
    assert_eq!(send(&segment, gzip(torn)).await.refusal(), "malformed JSON");
    assert_eq!(
        send(&segment, gzip(body.as_bytes())).await.refusal(),
        "malformed JSON"
    );
}

#[tokio::test]
async fn a_success_carries_no_rate_limit_headers() {
    let reply = post_keyed(&segment(), "/v1/track", call("")).await;
    for name in [
        "retry-after",
        "x-ratelimit-reset",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
    ] {
        assert_eq!(reply.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_pixel_is_always_a_picture() {
    use base64::{Engine, engine::general_purpose::STANDARD};

    let json = format!(r#"{{"writeKey":"{KEY}","event":"Opened","userId":"person-1"}}"#);
    let good = format!(
        "/v1/pixel/track?data={}",
        STANDARD.encode(json).replace('+', "%2B")
    );
    let flat = format!(
        "/v1/pixel/track?writeKey={KEY}&userId=person-1&event=Opened&properties.subject=Hi%20you"
    );
    let bad = "/v1/pixel/track?data=%25%25".to_owned();
    let keyless = "/v1/pixel/page?userId=person-1".to_owned();
    let segment = segment();
    for path in [&good, &flat, &bad, &keyless] {
        let reply = get(&segment, path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        assert_eq!(reply.header("content-type"), Some("image/gif"));
        assert!(reply.body.starts_with(b"GIF89a"));
    }
    let calls = segment.calls();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(calls[0].event(), Some("Opened"));
    assert!(
        calls[1]
            .to_json()
            .contains(r#""properties":{"subject":"Hi you"}"#)
    );
}

#[tokio::test]
async fn browser_libraries_find_their_settings() {
    let request =
        Request::get(format!("/v1/projects/{KEY}/settings")).header("host", "127.0.0.1:4000");
    let reply = send(&segment(), request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK);
    let of_segment = &reply.json()["integrations"]["Segment.io"];
    assert_eq!(of_segment["apiKey"], KEY);
    assert_eq!(of_segment["apiHost"], "127.0.0.1:4000/v1");
}

#[tokio::test]
async fn a_key_of_another_region_gets_200_and_nothing_else() {
    let segment = Segment::new(Config {
        keys: BTreeMap::from([(KEY.to_owned(), KeyState::WrongRegion)]),
        ..Config::default()
    });
    post_keyed(&segment, "/v1/track", call(""))
        .await
        .assert_success();
    assert!(segment.calls().is_empty());
    assert!(segment.discards().is_empty());
    assert_eq!(segment.requests().len(), 1);
}
