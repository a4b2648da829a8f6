//! What Segment may answer, and that it costs no event and holds up no other.

use serde_json::{Value, json};

use crate::harness::{Home, ONE_CONNECTION, Segment, Server, opened};

fn impatient(segment: &Segment) -> Server {
    let home = Home::new(ONE_CONNECTION, segment.url());
    home.configure("[dispatch]\nrequest_timeout_s = 1\nbackoff_max_s = 1");
    home.start()
}

/// Each fault alone: everything arrives all the same, once.
#[tokio::test]
async fn every_kind_of_outage_ends_with_everything_delivered_once() {
    let faults = [
        json!([{ "status": 429, "retry_after": 1, "times": 2 }]),
        json!([{ "status": 429, "retry_after": "http-date:+1" }]),
        json!([{ "status": 429 }]),
        json!([{ "status": 503, "times": 3 }]),
        json!([{ "status": 500 }, { "status": 502 }, { "status": 529 }, { "status": 460 }]),
        json!([{ "status": 401 }, { "status": 403 }, { "status": 404 }, { "status": 408 }]),
        json!([{ "status": 301 }, { "status": 302 }]),
        json!([{ "hang": true, "seconds": 3 }]),
        json!([{ "reset": true, "times": 2 }]),
        json!([{ "reset": "mid_body" }]),
        json!([{ "accept_then_drop": true, "times": 2 }]),
    ];
    for steps in faults {
        let segment = Segment::start();
        segment.faults(steps.clone()).await;
        let server = impatient(&segment);
        let events: Vec<Value> = (0..20).map(opened).collect();
        server.send_all(&events).await;
        let calls = segment.wait(20).await;
        assert_eq!(calls.len(), 20, "{steps}");
        server
            .api_until("/api/connections", |answer| {
                answer["connections"][0]["lag_records"] == 0
            })
            .await;
        let left = segment.get("/emulator/faults").await;
        assert_eq!(
            left.as_array().map(Vec::len),
            Some(0),
            "{steps} was never met: {left}"
        );
        assert_eq!(server.api("/api/dead-letters").await["total"], 0, "{steps}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_repeated_under_the_same_message_id() {
    let segment = Segment::start();
    segment.faults(json!([{ "accept_then_drop": true }])).await;
    let server = impatient(&segment);
    server.send_all(&[opened(1)]).await;
    server
        .api_until("/api/connections", |answer| {
            answer["connections"][0]["lag_records"] == 0
        })
        .await;
    let stats = segment.get("/emulator/stats").await;
    assert_eq!(segment.calls().await.len(), 1);
    assert_eq!(
        stats["duplicates"], 1,
        "the second attempt had another id: {stats}"
    );
}

#[tokio::test]
async fn one_call_that_segment_refuses_becomes_a_dead_letter_and_the_rest_arrives() {
    let segment = Segment::start();
    let server = impatient(&segment);
    // The ids are the connection's own, so let one event through to learn its id.
    server.send_all(&[opened(7)]).await;
    let poison = segment.wait(1).await[0]["messageId"].clone();
    let reset = server
        .http
        .post(format!("{}/emulator/reset", segment.url()))
        .send()
        .await;
    assert!(reset.unwrap().status().is_success());
    segment
        .faults(json!([{ "status": 400, "message_id": poison, "times": "always" }]))
        .await;

    let export = crate::harness::run(&mut server.command(&["export"]));
    let home = Home::new(&crate::harness::stdout(&export), segment.url());
    let second = home.start();
    second
        .send_all(&(0..200).map(opened).collect::<Vec<_>>())
        .await;
    let calls = segment.wait(199).await;
    assert!(calls.iter().all(|call| call["userId"] != "person-7"));
    let letters = second
        .api_until("/api/dead-letters", |answer| answer["total"] == 1)
        .await;
    let letter = &letters["dead_letters"][0];
    assert_eq!(letter["event"], "Email Opened");
    assert_eq!(letter["status"], 400);
    let whole = second
        .api(&format!("/api/dead-letters/{}", letter["id"]))
        .await;
    assert!(
        whole["call"].as_str().unwrap().contains("person-7"),
        "{whole}"
    );
    assert!(
        whole["body"].as_str().unwrap().contains("person-7"),
        "{whole}"
    );
    assert!(!whole["answer"].as_str().unwrap().is_empty(), "{whole}");
}

#[tokio::test]
async fn a_write_key_that_segment_calls_invalid_parks_and_buries_nothing() {
    let segment = Segment::start();
    segment
        .faults(json!([{
            "status": 400,
            "body": r#"{"success":false,"message":"An invalid write key was provided","code":"invalid_request"}"#,
            "times": 2
        }]))
        .await;
    let server = impatient(&segment);
    server.send_all(&[opened(1), opened(2)]).await;
    assert_eq!(segment.wait(2).await.len(), 2);
    assert_eq!(server.api("/api/dead-letters").await["total"], 0);
}

#[tokio::test]
async fn a_waiting_connection_says_since_when_and_why_and_slows_no_other() {
    let (healthy, broken) = (Segment::start(), Segment::start());
    broken
        .faults(json!([{ "status": 503, "times": "always" }]))
        .await;
    let two = format!(
        "{ONE_CONNECTION}\n[[connection]]\nname = \"broken\"\nworkspace = \"acme\"\n\
         write_key = \"env:SEGMENT_WRITE_KEY\"\nendpoint = \"{}\"\n",
        broken.url()
    );
    let server = Home::new(&two, healthy.url()).start();
    server
        .send_all(&(0..10).map(opened).collect::<Vec<_>>())
        .await;
    healthy.wait(10).await;
    let answer = server
        .api_until("/api/connections", |answer| {
            answer["connections"][1]["state"] == "waiting"
        })
        .await;
    let waiting = &answer["connections"][1];
    assert!(
        waiting["reason"].as_str().unwrap().contains("503"),
        "{waiting}"
    );
    assert!(
        waiting["reason"].as_str().unwrap().contains("since"),
        "{waiting}"
    );
    assert_eq!(waiting["lag_records"], 10);
    assert_eq!(broken.calls().await.len(), 0);
}
