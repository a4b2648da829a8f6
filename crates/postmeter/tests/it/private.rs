//! The private listener: who may ask, and what health says.

use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Segment, Server};

#[tokio::test]
async fn without_the_token_only_health_answers() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let url = |path: &str| format!("http://{}{path}", server.console);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            server.http.get(url(path)).send().await.unwrap().status(),
            200,
            "{path}"
        );
    }
    let guarded = [
        "/metrics",
        "/api/nodes",
        "/api/connections",
        "/api/connections/document",
        "/api/dead-letters",
        "/x",
        "/",
    ];
    for path in guarded {
        let naked = server.http.get(url(path)).send().await.unwrap();
        assert_eq!(naked.status(), 401, "{path}");
        let wrong = server
            .http
            .get(url(path))
            .bearer_auth("wrong")
            .send()
            .await
            .unwrap();
        assert_eq!(wrong.status(), 401, "{path}");
    }
    let missing = server
        .http
        .get(url("/api/x"))
        .bearer_auth(server.token())
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), 404);
}

#[tokio::test]
async fn the_token_is_made_once_and_only_its_owner_can_read_it() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let path = server.home.path("journal").join("token");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = server.token();
    let server = server.kill_and_restart();
    assert_eq!(server.token(), before);
}

#[tokio::test]
async fn metrics_count_what_came_and_went_and_name_nobody() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    server
        .send_all(&[crate::harness::opened(1), crate::harness::opened(2)])
        .await;
    segment.wait(2).await;
    server
        .api_until("/api/connections", |answer| {
            answer["connections"][0]["lag_records"] == 0
        })
        .await;
    let metrics = server.private_text("/metrics").await;
    for line in [
        r#"postmeter_events_received_total{workspace="acme",answer="journaled"} 2"#,
        r#"postmeter_records_ended_total{connection="acme-segment",end="accepted"} 2"#,
        r#"postmeter_attempts_total{connection="acme-segment",status="200"}"#,
        "postmeter_acceptance_seconds_bucket",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    for secret in ["person-1", "example.com", crate::harness::WRITE_KEY] {
        assert!(!metrics.contains(secret), "{secret} is in the metrics");
    }
}
