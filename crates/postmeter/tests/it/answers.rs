//! The answer table of the webhook: what a request gets, row by row.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Home, ONE_CONNECTION, SIGNING_KEY, Segment, Server, opened, sign};

#[tokio::test]
async fn an_authentic_event_is_stored_and_answered_200() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    assert_eq!(server.send(&opened(1)).await, 200);
    let calls = segment.wait(1).await;
    assert_eq!(calls[0]["event"], "Email Opened");
    assert_eq!(calls[0]["userId"], "person-1");
}

#[tokio::test]
async fn an_event_that_comes_again_is_answered_200_and_forwarded_once() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let with_id = opened(1);
    let mut without_id = opened(2);
    without_id.as_object_mut().unwrap().remove("event_id");
    server
        .send_all(&[with_id.clone(), without_id.clone(), with_id, without_id])
        .await;
    server.send_all(&[opened(3)]).await;
    server
        .api_until("/api/connections", |answer| {
            answer["connections"][0]["lag_records"] == 0
        })
        .await;
    let stats = segment.get("/emulator/stats").await;
    assert_eq!(segment.calls().await.len(), 3);
    assert_eq!(stats["duplicates"], 0, "a duplicate was forwarded: {stats}");
    server
        .metrics_until(r#"postmeter_duplicates_total{workspace="acme"} 2"#)
        .await;
}

#[tokio::test]
async fn what_cannot_be_used_is_answered_200_and_buried_with_its_reason() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    for body in [
        "this is not JSON",
        "[1, 2]",
        r#"{"metric": "sent", "data": 7}"#,
        "",
        "\u{0}",
    ] {
        let answer = server.signed(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{body:?}");
    }
    let nobody = json!({"event_id": "e1", "object_type": "email", "metric": "sent", "data": {}});
    server.send_all(&[nobody, opened(1)]).await;
    segment.wait(1).await;
    let letters = server
        .api_until("/api/dead-letters", |answer| answer["total"] == 6)
        .await;
    let reasons: Vec<&str> = letters["dead_letters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["reason"].as_str().unwrap())
        .collect();
    assert!(
        reasons.iter().any(|reason| reason.contains("no person")),
        "{reasons:?}"
    );
    assert!(
        reasons
            .iter()
            .filter(|reason| reason.contains("JSON"))
            .count()
            >= 3,
        "{reasons:?}"
    );
}

#[tokio::test]
async fn a_test_event_is_answered_200_and_not_forwarded() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    server
        .send_all(&[json!({"hello": "world"}), opened(1)])
        .await;
    let calls = segment.wait(1).await;
    assert_eq!(calls.len(), 1);
    assert_eq!(server.api("/api/dead-letters").await["total"], 0);
}

#[tokio::test]
async fn a_wrong_or_missing_signature_is_answered_401() {
    let segment = Segment::start();
    let mut server = Server::start(&segment);
    let body = opened(1).to_string();
    let right = sign(SIGNING_KEY, "1700000000", body.as_bytes());
    let wrong_key = sign("another key", "1700000000", body.as_bytes());
    let cases: [(&str, Option<&str>, Option<&str>); 5] = [
        ("no headers", None, None),
        ("no timestamp", None, Some(&right)),
        ("no signature", Some("1700000000"), None),
        ("another timestamp", Some("1700000001"), Some(&right)),
        ("another key", Some("1700000000"), Some(&wrong_key)),
    ];
    for (case, timestamp, signature) in cases {
        let mut request = server.http.post(server.webhook()).body(body.clone());
        if let Some(timestamp) = timestamp {
            request = request.header("X-CIO-Timestamp", timestamp);
        }
        if let Some(signature) = signature {
            request = request.header("X-CIO-Signature", signature);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401, "{case}");
        assert!(
            !answer.text().await.unwrap().is_empty(),
            "{case} is not explained"
        );
    }
    let metrics = server.private_text("/metrics").await;
    let counted = r#"postmeter_events_received_total{workspace="acme",answer="refused"} 5"#;
    assert!(metrics.contains(counted), "{metrics}");
    server.process.terminate();
    let log = server.process.stderr();
    assert_eq!(
        log.matches("are answered 401").count(),
        1,
        "once a minute is enough: {log}"
    );
}

#[tokio::test]
async fn an_unknown_workspace_is_answered_404() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let url = format!("http://{}/webhooks/nobody", server.receive);
    assert_eq!(
        server
            .http
            .post(url)
            .body("{}")
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_413_and_read_no_further() {
    let segment = Segment::start();
    let home = Home::new(ONE_CONNECTION, segment.url());
    home.configure_receive("body_limit_bytes = 2048");
    let server = home.start();
    // The announced length alone is enough: not one byte of the body follows.
    let request = b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nContent-Length: 2049\r\n\r\n";
    assert!(server.raw(request).starts_with("HTTP/1.1 413"));

    // A chunked body announces nothing, and is cut off where the limit is.
    let head = "POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let request = format!("{head}800\r\n{}\r\n1\r\nx\r\n", "x".repeat(2048));
    assert!(server.raw(request.as_bytes()).starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_chunked_body_is_verified_over_its_content() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let body = opened(1).to_string();
    let signature = sign(SIGNING_KEY, "1700000000", body.as_bytes());
    let (head, tail) = body.split_at(body.len() / 2);
    let request = format!(
        "POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nx-cio-TIMESTAMP: 1700000000\r\n\
         X-Cio-signature: {signature}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         {:x}\r\n{head}\r\n{:x}\r\n{tail}\r\n0\r\n\r\n",
        head.len(),
        tail.len()
    );
    assert!(server.raw(request.as_bytes()).starts_with("HTTP/1.1 200"));
    segment.wait(1).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408() {
    let segment = Segment::start();
    let home = Home::new(ONE_CONNECTION, segment.url());
    home.configure_receive("body_timeout_s = 1");
    let server = home.start();
    let request = b"POST /webhooks/acme HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";
    assert!(server.raw(request).starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn a_full_journal_is_answered_503_with_retry_after_and_takes_events_again() {
    let segment = Segment::start();
    segment
        .faults(json!([{ "status": 503, "times": "always" }]))
        .await;
    let home = Home::new(ONE_CONNECTION, segment.url());
    home.configure("max_bytes = 1048576\n[dispatch]\nbackoff_max_s = 1");
    let server = home.start();
    let large = |n: usize| {
        let mut event = opened(n);
        event["data"]["padding"] = json!("x".repeat(20_000));
        event
    };
    let mut n = 0;
    let refused = loop {
        n += 1;
        let event = large(n);
        let answer = server.signed(&event.to_string()).send().await.unwrap();
        if answer.status() != 200 {
            break answer;
        }
        assert!(n < 1_000, "the byte budget is never reached");
    };
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let request = server.http.get(format!("http://{}/readyz", server.console));
    assert_eq!(request.send().await.unwrap().status(), 503);

    // Segment returns: the backlog drains, old segments go, and there is room again.
    let cleared = server
        .http
        .delete(format!("{}/emulator/faults", segment.url()))
        .send()
        .await;
    assert!(cleared.unwrap().status().is_success());
    segment.wait(n - 1).await;
    let begun = std::time::Instant::now();
    while server.send(&large(n)).await != 200 {
        assert!(
            begun.elapsed() < crate::harness::PATIENCE,
            "the journal stays full"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    segment.wait(n).await;
}

#[tokio::test]
async fn several_signing_keys_are_valid_at_once() {
    let segment = Segment::start();
    let two_keys = ONE_CONNECTION.replace(
        r#"["env:CIO_SIGNING_KEY"]"#,
        r#"["file:OLD", "env:CIO_SIGNING_KEY"]"#,
    );
    let home = Home::new(&two_keys, segment.url());
    home.write("old-key", "the old key\n");
    let text = std::fs::read_to_string(home.path("connections.toml")).unwrap();
    let old = home.path("old-key");
    home.write(
        "connections.toml",
        &text.replace("OLD", old.to_str().unwrap()),
    );
    let server = home.start();
    for (n, key) in [SIGNING_KEY, "the old key"].into_iter().enumerate() {
        let body = opened(n).to_string();
        let request = server
            .http
            .post(server.webhook())
            .header("X-CIO-Timestamp", "17");
        let signature = sign(key, "17", body.as_bytes());
        let answer = request
            .header("X-CIO-Signature", signature)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "key {n}");
    }
    segment.wait(2).await;
}

#[tokio::test]
async fn a_stopping_server_finishes_what_it_has_taken() {
    let segment = Segment::start();
    let mut server = Server::start(&segment);
    let events: Vec<_> = (0..50).map(opened).collect();
    server.send_all(&events).await;
    assert_eq!(server.process.terminate(), Some(0));
    let restarted = server.home.start();
    segment.wait(50).await;
    drop(restarted);
}
