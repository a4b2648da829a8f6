//! What Segment may answer, and that it costs no event and holds up no other.

use serde_json::{Value, json};

use crate::harness::stand_in::StandIn;
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

/// Above this the stand-in refuses a call, and with it the whole request.
const REFUSED_BYTES: usize = 8_000;
const BACKLOG: usize = 2_500;

/// An event whose call Segment refuses.
fn poisoned(n: usize) -> Value {
    let mut event = opened(n);
    event["data"]["subject"] = json!("x".repeat(REFUSED_BYTES));
    event
}

#[tokio::test]
async fn one_call_of_2500_that_segment_refuses_is_a_dead_letter_with_its_answer_and_the_rest_arrives()
 {
    let poison = BACKLOG / 2;
    let stand_in = StandIn::start(REFUSED_BYTES).await;
    let down = json!([{ "status": 503, "times": "always" }]).to_string();
    stand_in.segment.push_script(down.as_bytes()).unwrap();
    let server = Home::new(ONE_CONNECTION, &stand_in.url()).start();
    let event = |n| if n == poison { poisoned(n) } else { opened(n) };
    server
        .send_all(&(0..BACKLOG).map(event).collect::<Vec<_>>())
        .await;
    // Started upon a backlog, it fills batches to the brim.
    stand_in.segment.clear_faults();
    let server = server.kill_and_restart();
    let letters = server
        .api_until("/api/dead-letters", |answer| answer["total"] == 1)
        .await;
    server
        .api_until("/api/connections", |answer| {
            answer["connections"][0]["lag_records"] == 0
        })
        .await;

    let calls = stand_in.segment.calls();
    let poisoned = format!("person-{poison}");
    assert_eq!(calls.len(), BACKLOG - 1);
    assert!(calls.iter().all(|call| call.user_id() != Some(&poisoned)));
    let requests = stand_in.segment.requests();
    let refused = requests
        .iter()
        .filter(|request| request.status == Some(400));
    let largest = refused.map(|request| request.inflated_bytes).max();
    assert!(
        largest > Some(400_000),
        "the batch was not full: {largest:?} bytes"
    );

    let letter = &letters["dead_letters"][0];
    assert_eq!(letter["event"], "Email Opened");
    assert_eq!(letter["status"], 400);
    let whole = server
        .api(&format!("/api/dead-letters/{}", letter["id"]))
        .await;
    for part in ["call", "body"] {
        assert!(whole[part].as_str().unwrap().contains(&poisoned), "{part}");
    }
    let answer = whole["answer"].as_str().unwrap();
    assert!(answer.contains("Exceed payload limit"), "{answer}");
    assert_eq!(server.api("/api/dead-letters").await["total"], 1);
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

#[tokio::test]
async fn a_connection_that_hangs_refuses_or_is_slow_keeps_no_other_from_settling() {
    let troubles = [
        json!({ "hang": true, "times": "always" }),
        json!({ "reset": true, "times": "always" }),
        json!({ "status": 401, "times": "always" }),
        json!({ "delay_ms": 900, "times": "always" }),
    ];
    let healthy = Segment::start();
    let (mut connections, mut others) = (vec![ONE_CONNECTION.to_owned()], Vec::new());
    for (index, trouble) in troubles.iter().enumerate() {
        let other = Segment::start();
        other.faults(json!([trouble])).await;
        connections.push(format!(
            "[[connection]]\nname = \"other-{index}\"\nworkspace = \"acme\"\n\
             write_key = \"env:SEGMENT_WRITE_KEY\"\nendpoint = \"{}\"\n",
            other.url()
        ));
        others.push(other);
    }
    let home = Home::new(&connections.concat(), healthy.url());
    home.configure("[dispatch]\nrequest_timeout_s = 30");
    let server = home.start();
    let events: Vec<Value> = (0..200).map(opened).collect();
    for (turn, events) in events.chunks(100).enumerate() {
        server.send_all(events).await;
        let answer = server
            .api_until("/api/connections", |answer| {
                answer["connections"][0]["lag_records"] == 0
            })
            .await;
        let n_events = (turn + 1) * 100;
        assert_eq!(healthy.calls().await.len(), n_events);
        for hopeless in &answer["connections"].as_array().unwrap()[1..4] {
            assert_eq!(hopeless["lag_records"], n_events, "{hopeless}");
        }
    }
}
