//! What cannot be replayed, and what is said then.

use reqwest::Method;
use serde_json::{Value, json};

use super::{change, events, feed, replay, start, until};
use crate::harness::{Home, ONE_CONNECTION, Segment, Server, stderr};

#[tokio::test]
async fn what_cannot_be_replayed_is_refused_with_what_to_do() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    feed(&server, &events(0, 1)).await;
    for (more, status, said) in [
        (json!({ "connection": "nobody" }), 404, "nobody"),
        (
            json!({ "filter": "colour:red" }),
            422,
            "there is no \\\"colour\\\"",
        ),
        (json!({ "since": "yesterday" }), 422, "yesterday"),
        (
            json!({ "filter": "since:1h", "since": "2h" }),
            422,
            "stands once",
        ),
        (json!({ "rate_per_s": 0 }), 422, "1 to 20000"),
        (
            json!({ "filter": "workspace:other" }),
            422,
            "fed by workspace acme",
        ),
        (json!({ "speed": 1 }), 422, "speed"),
    ] {
        let mut body = json!({ "connection": "acme-segment" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        for path in ["/api/replays", "/api/replays/preview"] {
            let answer = server.ask(&Method::POST, path, &body).await;
            assert_eq!(answer.status, status, "{body}: {answer:?}");
            assert!(answer.text.contains(said), "{body}: {answer:?}");
        }
    }
    for number in ["7", "x", "-1"] {
        let path = format!("/api/replays/{number}");
        let answer = server.ask(&Method::GET, &path, &Value::Null).await;
        assert_eq!(answer.status, 404, "{answer:?}");
        let answer = server
            .ask(&Method::POST, &format!("{path}/pause"), &json!({}))
            .await;
        assert_eq!(answer.status, 404, "{answer:?}");
    }
    change(&server, "enabled = true", "enabled = false", &[]);
    let refused = replay(&server, &["start", "--connection", "acme-segment", "--yes"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("is disabled: enable it first"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(server.api("/api/replays").await["replays"], json!([]));
}

#[tokio::test]
async fn a_replay_fails_when_its_connection_is_removed_and_says_why() {
    let segment = Segment::start();
    let server = Home::new(ONE_CONNECTION, segment.url()).start();
    feed(&server, &events(0, 100)).await;
    let begun = start(&server, json!({ "rate_per_s": 1 })).await;
    let path = "/api/connections/acme-segment";
    let removed = server.ask(&Method::DELETE, path, &Value::Null).await;
    assert_eq!(removed.status, 200, "{removed:?}");
    let failed = until(&server, &begun, |seen| seen["state"] == "failed").await;
    assert_eq!(failed["reason"], "its connection was removed");
    assert_eq!(failed["connection"], "acme-segment");
}
